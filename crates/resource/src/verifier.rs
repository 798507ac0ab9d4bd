//! Judging access tokens, and remembering the verdict.
//!
//! A signature costs more than the rest of a proxied request, so a token is verified once and looked up by its digest
//! from then on. A verdict ends with the token's `exp`, with a change of the signing keys, and with the login session.

mod foreign;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use thv_clock::{SharedClock, Timestamp};
use thv_jose::digest::sha256;
use thv_jose::reload::KeyHandle;
use thv_jose::verify::{self, Expected, KeySource, Typ};
use thv_oauth::token_profile::AccessTokenClaims;
use tokio::sync::Mutex;

pub use foreign::{Introspect, Introspection, TokenKeys};

use crate::refusal::{Refusal, TokenFault};
use crate::verified::Verified;
use foreign::Foreign;

/// How far the clocks of replicas and issuers may be apart, for `iat` and `nbf`. `exp` is taken literally.
const LEEWAY: Duration = Duration::from_secs(5);

/// How long a session counts as live without asking: this bounds how late another replica's revocation is seen.
const LIVENESS: Duration = Duration::from_secs(30);

/// How long another authority's verdict is kept: nobody tells us of its revocations.
const FOREIGN_VERDICT: Duration = Duration::from_secs(60);

/// What a client is told to wait when a store or an issuer cannot be asked.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Whether login sessions are still alive.
#[async_trait]
pub trait Sessions: Send + Sync + 'static {
    /// Whether the session `tsid` exists and has not been revoked.
    async fn is_live(&self, tsid: &str) -> Result<bool, Unavailable>;
}

/// The store, key set or issuer that would know cannot be asked at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the verification of access tokens is unavailable at the moment")]
pub struct Unavailable;

impl From<Unavailable> for Refusal {
    fn from(_: Unavailable) -> Self {
        Self::Unavailable { retry_after: RETRY_AFTER }
    }
}

/// Verifies access tokens for one protected resource (RFC 9068 §4, RS-10, RS-11).
pub struct Verifier {
    own: Option<KeyHandle>,
    issuer: String,
    audiences: Vec<String>,
    clock: SharedClock,
    sessions: Arc<dyn Sessions>,
    foreign: Foreign,
    verdicts: Cache<[u8; 32], Arc<Verdict>>,
    observer: Option<LookupObserver>,
}

/// Told at each look-up whether the token was known.
type LookupObserver = Box<dyn Fn(bool) + Send + Sync>;

/// A token that was found good.
struct Verdict {
    verified: Arc<Verified>,
    fresh_until: Timestamp,
    /// Of the keys that the verdict rests on.
    generation: u64,
    /// Until when the session counts as alive, in milliseconds; 0 before it was asked about.
    alive_until: AtomicU64,
    /// Held while the session is asked about.
    asking: Mutex<()>,
}

impl Verdict {
    fn new(verified: Verified, fresh_until: Timestamp, generation: u64) -> Self {
        Self {
            verified: Arc::new(verified),
            fresh_until,
            generation,
            alive_until: AtomicU64::new(0),
            asking: Mutex::new(()),
        }
    }

    fn holds(&self, now: Timestamp, generation: u64) -> bool {
        now < self.fresh_until && generation == self.generation
    }

    fn is_alive(&self, now: Timestamp) -> bool {
        now.as_millis() < self.alive_until.load(Ordering::Acquire)
    }
}

impl Verifier {
    /// A verifier of the tokens that `issuer` signs with its `own` keys for one of `audiences`, all compared as raw
    /// strings. At most `capacity` verdicts are remembered.
    pub fn new(
        own: Option<KeyHandle>,
        issuer: String,
        audiences: Vec<String>,
        clock: SharedClock,
        sessions: Arc<dyn Sessions>,
        capacity: u64,
    ) -> Self {
        let verdicts = Cache::builder()
            .max_capacity(capacity)
            .eviction_policy(EvictionPolicy::lru())
            .support_invalidation_closures()
            .build();
        Self {
            own,
            issuer,
            audiences,
            clock,
            sessions,
            foreign: Foreign::default(),
            verdicts,
            observer: None,
        }
    }

    /// Also accepts the JWT access tokens of another issuer, for the same audiences.
    #[must_use]
    pub fn trusting(mut self, issuer: String, keys: Arc<dyn TokenKeys>) -> Self {
        self.foreign.trust(issuer, keys);
        self
    }

    /// Also accepts opaque tokens that an introspection endpoint calls active (RFC 7662, RS-12).
    #[must_use]
    pub fn introspecting(mut self, endpoint: Arc<dyn Introspect>) -> Self {
        self.foreign.introspect_at(endpoint);
        self
    }

    /// Tells `observer` at each look-up whether the token had been verified before, for metrics.
    #[must_use]
    pub fn observed(mut self, observer: impl Fn(bool) + Send + Sync + 'static) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// The content of `token`, if it is good now.
    ///
    /// # Errors
    ///
    /// [`Refusal::InvalidToken`], or [`Refusal::Unavailable`] if it cannot be decided. Neither is remembered.
    pub async fn verify(&self, token: &str) -> Result<Arc<Verified>, Refusal> {
        let digest = sha256(token.as_bytes());
        // Before the keys are loaded: a verdict may be younger than its generation says, never older.
        let generation = self.own.as_ref().map_or(0, KeyHandle::generation);
        let now = self.clock.now();
        let known = self.verdicts.get(&digest).filter(|verdict| verdict.holds(now, generation));
        if let Some(observer) = &self.observer {
            observer(known.is_some());
        }
        let verdict = match known {
            Some(verdict) => verdict,
            None => {
                let (verified, fresh_until) = self.judge(token, now).await?;
                let verdict = Arc::new(Verdict::new(verified, fresh_until, generation));
                self.verdicts.insert(digest, verdict.clone());
                verdict
            }
        };
        if !verdict.is_alive(now) {
            self.ask_session(&verdict, now).await?;
        }
        Ok(verdict.verified.clone())
    }

    /// Forgets all verdicts on tokens of a revoked session.
    pub fn session_revoked(&self, tsid: &str) {
        let tsid = tsid.to_owned();
        let of_session =
            move |_: &[u8; 32], verdict: &Arc<Verdict>| verdict.verified.session.as_ref() == Some(&tsid);
        if self.verdicts.invalidate_entries_if(of_session).is_err() {
            // Only a cache built without closures refuses them; forgetting everything is the safe way out.
            self.verdicts.invalidate_all();
        }
    }

    /// Forgets all verdicts: sessions may have been revoked without our being told.
    pub fn forget_all(&self) {
        self.verdicts.invalidate_all();
    }

    async fn ask_session(&self, verdict: &Verdict, now: Timestamp) -> Result<(), Refusal> {
        let Some(session) = &verdict.verified.session else { return Ok(()) };
        let _turn = verdict.asking.lock().await;
        if verdict.is_alive(now) {
            return Ok(());
        }
        if !self.sessions.is_live(session).await? {
            return Err(TokenFault::Revoked.into());
        }
        verdict.alive_until.store((now + LIVENESS).as_millis(), Ordering::Release);
        Ok(())
    }

    /// Verifies a token that is not known yet; also says until when the verdict may be kept.
    async fn judge(&self, token: &str, now: Timestamp) -> Result<(Verified, Timestamp), Refusal> {
        if self.foreign.is_empty() {
            return self.judge_own(token, now);
        }
        let verified = match foreign::claimed_issuer(token) {
            Some(issuer) if issuer == self.issuer => return self.judge_own(token, now),
            Some(issuer) => {
                let keys = self.foreign.keys(&issuer, token).await?;
                Verified::foreign(self.check(token, keys.as_ref(), &issuer, now)?)
            }
            None => self.foreign.introspect(token, &self.audiences, now).await?,
        };
        let fresh_until = verified.expires_at.min(now + FOREIGN_VERDICT);
        Ok((verified, fresh_until))
    }

    fn judge_own(&self, token: &str, now: Timestamp) -> Result<(Verified, Timestamp), Refusal> {
        let own = self.own.as_ref().ok_or(TokenFault::WrongIssuer)?;
        let keys = own.load();
        let verified = Verified::own(self.check(token, keys.as_ref(), &self.issuer, now)?);
        let fresh_until = verified.expires_at;
        Ok((verified, fresh_until))
    }

    fn check(
        &self,
        token: &str,
        keys: &dyn KeySource,
        issuer: &str,
        now: Timestamp,
    ) -> Result<AccessTokenClaims, TokenFault> {
        let audiences: Vec<&str> = self.audiences.iter().map(String::as_str).collect();
        let expected = Expected {
            issuer: Some(issuer),
            leeway: LEEWAY,
            ..Expected::new(Typ::AccessToken, &audiences, now)
        };
        let claims: AccessTokenClaims = verify::verify(token, keys, &expected)?;
        if now >= Timestamp::from_secs(claims.exp) { Err(TokenFault::Expired) } else { Ok(claims) }
    }
}
