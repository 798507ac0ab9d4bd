//! Looking up an access token that was verified before.

use std::sync::Arc;

use async_trait::async_trait;
use thv_clock::SystemClock;
use thv_jose::algorithm::Algorithm;
use thv_jose::key::SigningKey;
use thv_jose::keyring::KeyRing;
use thv_jose::reload::KeyHandle;
use thv_oauth::scope::ScopeSet;
use thv_oauth::token_profile::AccessTokenClaims;
use thv_resource::Verifier;
use thv_resource::verifier::{Sessions, Unavailable};

use super::{at_once, report};
use crate::error::{BenchError, During as _};

const ISSUER: &str = "http://127.0.0.1:8080";
const RESOURCE: &str = "http://127.0.0.1:8080/mcp";

/// Sessions that never end.
struct AllAlive;

#[async_trait]
impl Sessions for AllAlive {
    async fn is_live(&self, _: &str) -> Result<bool, Unavailable> {
        Ok(true)
    }
}

/// Verifies a token once and then looks it up.
pub(super) fn run() -> Result<(), BenchError> {
    let clock = SystemClock::shared();
    let now = clock.now().as_secs();
    let key = SigningKey::generate(Algorithm::ES256).during("making a signing key")?;
    let keys = KeyHandle::new(KeyRing::new(vec![key]).during("making a key ring")?);
    let claims = AccessTokenClaims {
        iss: ISSUER.to_owned(),
        sub: "dev".to_owned(),
        aud: vec![RESOURCE.to_owned()].into(),
        client_id: "https://client.example/metadata.json".to_owned(),
        scope: ScopeSet::parse("openid offline_access").during("making scopes")?,
        iat: now,
        exp: now + 3600,
        jti: "micro".to_owned(),
        tsid: Some("session".to_owned()),
        name: None,
        email: None,
    };
    let token = keys.load().sign("at+jwt", &claims).during("signing a token")?;
    let audiences = vec![RESOURCE.to_owned()];
    let verifier = Verifier::new(Some(keys), ISSUER.to_owned(), audiences, clock, Arc::new(AllAlive), 20_000);
    report("look up a verified access token", 20_000, || {
        at_once(verifier.verify(&token)).is_some_and(|verified| verified.is_ok())
    })
}
