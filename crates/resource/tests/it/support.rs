use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use async_trait::async_trait;
use thv_clock::{ManualClock, Timestamp};
use thv_jose::algorithm::Algorithm;
use thv_jose::key::SigningKey;
use thv_jose::keyring::KeyRing;
use thv_jose::reload::KeyHandle;
use thv_oauth::scope::ScopeSet;
use thv_oauth::token_profile::AccessTokenClaims;
use thv_resource::Verifier;
use thv_resource::verifier::{Sessions, Unavailable};

pub(crate) const ISSUER: &str = "https://as.example.com";
pub(crate) const RESOURCE: &str = "https://mcp.example.com/mcp";
pub(crate) const NOW: u64 = 1_800_000_000;

pub(crate) fn claims() -> AccessTokenClaims {
    AccessTokenClaims {
        iss: ISSUER.to_owned(),
        sub: "alice".to_owned(),
        aud: vec![RESOURCE.to_owned()].into(),
        client_id: "https://client.example/doc.json".to_owned(),
        scope: ScopeSet::parse("openid profile").unwrap(),
        iat: NOW,
        exp: NOW + 3600,
        jti: "1".to_owned(),
        tsid: Some("session-1".to_owned()),
        name: Some("Alice".to_owned()),
        email: None,
    }
}

pub(crate) fn ring() -> KeyRing {
    KeyRing::new(vec![SigningKey::generate(Algorithm::ES256).unwrap()]).unwrap()
}

/// Sessions that are all alive or all not, and count how often they are asked about.
#[derive(Default)]
pub(crate) struct AllSessions {
    pub(crate) ended: AtomicBool,
    pub(crate) unavailable: AtomicBool,
    pub(crate) asked: AtomicU32,
}

#[async_trait]
impl Sessions for AllSessions {
    async fn is_live(&self, _tsid: &str) -> Result<bool, Unavailable> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        if self.unavailable.load(Ordering::SeqCst) {
            return Err(Unavailable);
        }
        Ok(!self.ended.load(Ordering::SeqCst))
    }
}

pub(crate) struct Setup {
    pub(crate) clock: ManualClock,
    pub(crate) keys: KeyHandle,
    pub(crate) sessions: Arc<AllSessions>,
    pub(crate) verifier: Verifier,
}

impl Setup {
    pub(crate) fn new() -> Self {
        let clock = ManualClock::at(Timestamp::from_secs(NOW));
        let keys = KeyHandle::new(ring());
        let sessions = Arc::new(AllSessions::default());
        let audiences = vec!["https://other.example".to_owned(), RESOURCE.to_owned()];
        let verifier = Verifier::new(
            Some(keys.clone()),
            ISSUER.to_owned(),
            audiences,
            clock.shared(),
            sessions.clone(),
            100,
        );
        Self { clock, keys, sessions, verifier }
    }

    pub(crate) fn sign(&self, claims: &AccessTokenClaims) -> String {
        self.keys.load().sign("at+jwt", claims).unwrap()
    }

    pub(crate) fn asked(&self) -> u32 {
        self.sessions.asked.load(Ordering::SeqCst)
    }
}
