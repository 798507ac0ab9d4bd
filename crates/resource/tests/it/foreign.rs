use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use thv_clock::Timestamp;
use thv_jose::jwks::Jwks;
use thv_jose::keyring::KeyRing;
use thv_oauth::scope::ScopeSet;
use thv_oauth::token_profile::AccessTokenClaims;
use thv_resource::verifier::{Introspect, Introspection, TokenKeys, Unavailable};
use thv_resource::{Refusal, TokenFault};

use crate::support::{NOW, RESOURCE, Setup, claims, ring};

const FOREIGN: &str = "https://idp.example";

/// Another issuer's key set; counts how often keys are asked for, which is once for each signature verified.
struct CountedKeys {
    ring: KeyRing,
    asked: AtomicU32,
}

#[async_trait]
impl TokenKeys for CountedKeys {
    async fn keys(&self, kid: Option<&str>) -> Result<Arc<Jwks>, Unavailable> {
        assert_eq!(kid, Some(self.ring.active().kid()));
        self.asked.fetch_add(1, Ordering::SeqCst);
        let document = serde_json::from_slice(&self.ring.jwks_json()).unwrap();
        Ok(Arc::new(Jwks::from_value(&document).unwrap()))
    }
}

fn foreign_claims() -> AccessTokenClaims {
    AccessTokenClaims { iss: FOREIGN.to_owned(), ..claims() }
}

fn trusting() -> (Setup, Arc<CountedKeys>) {
    let keys = Arc::new(CountedKeys { ring: ring(), asked: AtomicU32::new(0) });
    let setup = Setup::new();
    let verifier = setup.verifier.trusting(FOREIGN.to_owned(), keys.clone());
    (Setup { verifier, ..setup }, keys)
}

#[tokio::test]
async fn a_trusted_issuers_token_is_verified_once_and_kept_for_a_minute() {
    let (setup, keys) = trusting();
    let token = keys.ring.sign("at+jwt", &foreign_claims()).unwrap();
    for _ in 0..10 {
        setup.verifier.verify(&token).await.unwrap();
    }
    assert_eq!(keys.asked.load(Ordering::SeqCst), 1);
    setup.clock.advance(Duration::from_secs(60));
    setup.verifier.verify(&token).await.unwrap();
    assert_eq!(keys.asked.load(Ordering::SeqCst), 2);
    setup.verifier.verify(&setup.sign(&claims())).await.unwrap();
    assert_eq!(keys.asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn another_issuer_cannot_name_our_sessions() {
    let (setup, keys) = trusting();
    let token = keys.ring.sign("at+jwt", &foreign_claims()).unwrap();
    let verified = setup.verifier.verify(&token).await.unwrap();
    assert_eq!((verified.issuer.as_str(), verified.session.as_deref()), (FOREIGN, None));
    assert_eq!(setup.asked(), 0);
    let own = setup.verifier.verify(&setup.sign(&claims())).await.unwrap();
    assert_ne!(own.owner(), verified.owner(), "the same subject of two issuers is two people");
}

#[tokio::test]
async fn an_issuers_keys_verify_its_own_tokens_alone() {
    let (setup, keys) = trusting();
    let posing_as_us = keys.ring.sign("at+jwt", &claims()).unwrap();
    assert_eq!(setup.verifier.verify(&posing_as_us).await.unwrap_err(), TokenFault::Signature.into());
    let stranger = AccessTokenClaims { iss: "https://stranger.example".to_owned(), ..claims() };
    let stranger = keys.ring.sign("at+jwt", &stranger).unwrap();
    assert_eq!(setup.verifier.verify(&stranger).await.unwrap_err(), TokenFault::WrongIssuer.into());
}

/// An endpoint that knows `known`, which expires in 30 seconds.
struct Endpoint {
    audience: &'static str,
    asked: AtomicU32,
}

#[async_trait]
impl Introspect for Endpoint {
    async fn introspect(&self, token: &str) -> Result<Option<Introspection>, Unavailable> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let active = Introspection {
            issuer: FOREIGN.to_owned(),
            subject: "bob".to_owned(),
            client_id: "c".to_owned(),
            scopes: ScopeSet::default(),
            audiences: vec![self.audience.to_owned()],
            expires_at: Timestamp::from_secs(NOW + 30),
        };
        match token {
            "known" => Ok(Some(active)),
            "outage" => Err(Unavailable),
            _ => Ok(None),
        }
    }
}

fn introspecting(audience: &'static str) -> (Setup, Arc<Endpoint>) {
    let endpoint = Arc::new(Endpoint { audience, asked: AtomicU32::new(0) });
    let setup = Setup::new();
    let verifier = setup.verifier.introspecting(endpoint.clone());
    (Setup { verifier, ..setup }, endpoint)
}

#[tokio::test]
async fn rs_12_an_opaque_token_is_introspected_and_kept_until_it_expires() {
    let (setup, endpoint) = introspecting(RESOURCE);
    for _ in 0..3 {
        assert_eq!(setup.verifier.verify("known").await.unwrap().subject, "bob");
    }
    assert_eq!(endpoint.asked.load(Ordering::SeqCst), 1);
    setup.clock.advance(Duration::from_secs(30));
    assert_eq!(setup.verifier.verify("known").await.unwrap_err(), TokenFault::Expired.into());
    assert_eq!(setup.verifier.verify("other").await.unwrap_err(), TokenFault::Revoked.into());
    assert!(matches!(setup.verifier.verify("outage").await, Err(Refusal::Unavailable { .. })));
}

#[tokio::test]
async fn rs_12_an_active_token_for_another_resource_is_refused() {
    let (setup, _) = introspecting("https://elsewhere.example");
    assert_eq!(setup.verifier.verify("known").await.unwrap_err(), TokenFault::WrongAudience.into());
}
