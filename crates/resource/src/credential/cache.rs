//! Upstream credentials kept in memory, one refresh at a time for each session.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use thv_clock::{SharedClock, Timestamp};
use tokio::sync::{Mutex, MutexGuard};

use super::{Credential, CredentialError, UpstreamCredentials};

/// How long a credential is used without asking its source again: another replica may have replaced it, and not every
/// provider says when its tokens expire.
const MAX_AGE: Duration = Duration::from_secs(60);

/// How long after a refresh another one is not forced: a backend that refuses every credential must not make us call the
/// provider at each request.
const FORCED_REFRESH_INTERVAL: Duration = Duration::from_secs(30);

/// A bounded cache in front of [`UpstreamCredentials`].
///
/// A credential is never handed out from memory at or after its expiry. Concurrent requests of one session wait for one
/// call to the source and share its outcome. Failures are not kept for those who come later.
pub struct CredentialCache {
    source: Arc<dyn UpstreamCredentials>,
    clock: SharedClock,
    sessions: Cache<String, Arc<Slot>>,
}

/// What is known of a session until it is forgotten. A session that was forgotten gets another slot: a call to the source
/// that is still under way then ends in a slot where nobody looks any more.
#[derive(Default)]
struct Slot {
    known: RwLock<Option<Known>>,
    /// Held during a call to the source.
    flight: Mutex<Flight>,
    /// Calls that failed so far. Who saw another number before it waited has waited for a failure.
    failures: AtomicU64,
    /// Tells those who have waited for their turn to start over.
    forgotten: AtomicBool,
}

#[derive(Default)]
struct Flight {
    /// When a refresh was last forced and the provider answered.
    forced_at: Option<Timestamp>,
    /// The outcome of the last call that failed.
    failure: Option<CredentialError>,
}

#[derive(Clone)]
struct Known {
    credential: Option<Arc<Credential>>,
    fresh_until: Timestamp,
}

impl Slot {
    /// Waits for its turn.
    ///
    /// # Errors
    /// The failure of a call that ended while it waited: one outage is not to be met by all of them in turn.
    async fn board(&self) -> Result<MutexGuard<'_, Flight>, CredentialError> {
        let failures = self.failures.load(Ordering::Acquire);
        let flight = self.flight.lock().await;
        match &flight.failure {
            Some(failure) if self.failures.load(Ordering::Acquire) != failures => Err(failure.clone()),
            _ => Ok(flight),
        }
    }

    /// Keeps what a call to the source gave.
    fn land(
        &self,
        mut flight: MutexGuard<'_, Flight>,
        outcome: Result<Option<Arc<Credential>>, CredentialError>,
        now: Timestamp,
    ) -> Result<Option<Arc<Credential>>, CredentialError> {
        match &outcome {
            Ok(credential) => {
                flight.failure = None;
                self.keep(credential.clone(), now);
            }
            Err(failure) => {
                flight.failure = Some(failure.clone());
                self.failures.fetch_add(1, Ordering::AcqRel);
            }
        }
        outcome
    }

    fn is_forgotten(&self) -> bool {
        self.forgotten.load(Ordering::Acquire)
    }

    fn known(&self) -> Option<Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn fresh(&self, now: Timestamp) -> Option<Known> {
        self.known().filter(|known| now < known.fresh_until)
    }

    fn keep(&self, credential: Option<Arc<Credential>>, now: Timestamp) {
        let max_age = now + MAX_AGE;
        let expiry = credential.as_ref().and_then(|credential| credential.expires_at());
        let fresh_until = expiry.map_or(max_age, |expiry| expiry.min(max_age));
        let known = Known { credential, fresh_until };
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(known);
    }
}

impl CredentialCache {
    /// A cache of at most `capacity` sessions.
    pub fn new(source: Arc<dyn UpstreamCredentials>, clock: SharedClock, capacity: u64) -> Self {
        let sessions = Cache::builder().max_capacity(capacity).eviction_policy(EvictionPolicy::lru()).build();
        Self { source, clock, sessions }
    }

    /// The credential of a session, from memory if possible.
    ///
    /// # Errors
    ///
    /// Those of [`UpstreamCredentials::credential`].
    pub async fn credential(&self, session: &str) -> Result<Option<Arc<Credential>>, CredentialError> {
        loop {
            let slot = self.slot(session);
            if let Some(known) = slot.fresh(self.clock.now()) {
                return Ok(known.credential);
            }
            let flight = slot.board().await?;
            if slot.is_forgotten() {
                continue;
            }
            let now = self.clock.now();
            if let Some(known) = slot.fresh(now) {
                return Ok(known.credential);
            }
            let outcome = self.source.credential(session).await;
            return slot.land(flight, outcome, now);
        }
    }

    /// A credential other than `refused`, which a backend did not accept.
    ///
    /// One that somebody else has fetched meanwhile will do. `None` if there is none, or if a refresh was forced so
    /// short a time ago that another would not help.
    ///
    /// # Errors
    ///
    /// Those of [`UpstreamCredentials::refresh`].
    pub async fn replace(
        &self,
        session: &str,
        refused: &Credential,
    ) -> Result<Option<Arc<Credential>>, CredentialError> {
        loop {
            let slot = self.slot(session);
            let mut flight = slot.board().await?;
            if slot.is_forgotten() {
                continue;
            }
            let now = self.clock.now();
            let other = slot.fresh(now).and_then(|known| known.credential);
            if let Some(other) = other.filter(|other| other.header_value != refused.header_value) {
                return Ok(Some(other));
            }
            if flight.forced_at.is_some_and(|last| now.since(last) < FORCED_REFRESH_INTERVAL) {
                return Ok(None);
            }
            let outcome = self.source.refresh(session, refused).await;
            // A provider that is down has not refused: the next request asks again.
            if !matches!(outcome, Err(CredentialError::Unavailable { .. })) {
                flight.forced_at = Some(now);
            }
            return slot.land(flight, outcome, now);
        }
    }

    /// The backend refused `credential`, and there is no other.
    pub async fn refused_anew(&self, session: &str, credential: &Credential) {
        self.source.refused_anew(session, credential).await;
    }

    /// Forgets the credential of a session that was revoked or logged in anew.
    ///
    /// A call to the source that is under way answers its own request and no other.
    pub fn forget(&self, session: &str) {
        if let Some(slot) = self.sessions.remove(session) {
            slot.forgotten.store(true, Ordering::Release);
        }
    }

    /// Forgets the credentials of all sessions: some may have changed without our being told.
    pub fn forget_all(&self) {
        for (session, _) in &self.sessions {
            self.forget(&session);
        }
    }

    fn slot(&self, session: &str) -> Arc<Slot> {
        // The lookup first: `get_with_by_ref` would take a lock even when the slot is there.
        self.sessions
            .get(session)
            .unwrap_or_else(|| self.sessions.get_with_by_ref(session, || Arc::new(Slot::default())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use secrecy::SecretString;
    use std::pin::{Pin, pin};
    use std::sync::atomic::AtomicU32;
    use std::task::{Context, Poll, Waker};
    use thv_clock::ManualClock;
    use tokio::sync::Semaphore;

    fn token(number: u32) -> SecretString {
        SecretString::from(format!("token-{number}"))
    }

    fn login_ended() -> CredentialError {
        CredentialError::ReauthenticationNeeded { scope: None }
    }

    /// Issues tokens that are numbered and live for ten seconds.
    struct Numbered {
        clock: ManualClock,
        issued: AtomicU32,
        refreshes: AtomicU32,
        down: AtomicBool,
        /// What a call waits for after it has made its credential.
        gate: Semaphore,
    }

    impl Numbered {
        fn issue(&self) -> Arc<Credential> {
            let number = self.issued.fetch_add(1, Ordering::SeqCst);
            let expires_at = thv_clock::Clock::now(&self.clock) + Duration::from_secs(10);
            Arc::new(Credential::bearer(&token(number), "corp", Some(expires_at)).unwrap())
        }
    }

    #[async_trait]
    impl UpstreamCredentials for Numbered {
        async fn credential(&self, session: &str) -> Result<Option<Arc<Credential>>, CredentialError> {
            tokio::task::yield_now().await;
            match session {
                "ended" => {
                    self.issued.fetch_add(1, Ordering::SeqCst);
                    Err(login_ended())
                }
                "gated" => {
                    let credential = self.issue();
                    self.gate.acquire().await.unwrap().forget();
                    Ok(Some(credential))
                }
                _ => Ok(Some(self.issue())),
            }
        }

        async fn refresh(
            &self,
            _session: &str,
            refused: &Credential,
        ) -> Result<Option<Arc<Credential>>, CredentialError> {
            let issued = self.issued.load(Ordering::SeqCst);
            assert!(refused.is_bearer_of(&token(issued - 1)), "only the newest can be refused here");
            self.refreshes.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            if self.down.load(Ordering::SeqCst) {
                return Err(CredentialError::Unavailable { retry_after: Duration::from_secs(1) });
            }
            Ok(Some(self.issue()))
        }
    }

    fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    fn cache() -> (Arc<CredentialCache>, Arc<Numbered>, ManualClock) {
        let clock = ManualClock::at(Timestamp::from_secs(1_000));
        let source = Arc::new(Numbered {
            clock: clock.clone(),
            issued: AtomicU32::new(0),
            refreshes: AtomicU32::new(0),
            down: AtomicBool::new(false),
            gate: Semaphore::new(0),
        });
        (Arc::new(CredentialCache::new(source.clone(), clock.shared(), 16)), source, clock)
    }

    #[tokio::test]
    async fn an_expired_credential_is_asked_for_once_by_concurrent_requests() {
        let (cache, source, clock) = cache();
        cache.credential("s").await.unwrap();
        clock.advance(Duration::from_secs(10));
        let requests: Vec<_> = (0..100)
            .map(|_| {
                let cache = cache.clone();
                tokio::spawn(async move { cache.credential("s").await.unwrap().unwrap() })
            })
            .collect();
        for request in requests {
            assert_eq!(request.await.unwrap().header_value(), "Bearer token-1");
        }
        assert_eq!(source.issued.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_credential_is_kept_until_its_expiry_and_not_beyond() {
        let (cache, _, clock) = cache();
        let first = cache.credential("s").await.unwrap().unwrap();
        clock.advance(Duration::from_millis(9_999));
        assert!(Arc::ptr_eq(&first, &cache.credential("s").await.unwrap().unwrap()));
        clock.advance(Duration::from_millis(1));
        assert!(!Arc::ptr_eq(&first, &cache.credential("s").await.unwrap().unwrap()));
        cache.forget("s");
        assert_eq!(cache.credential("s").await.unwrap().unwrap().header_value(), "Bearer token-2");
    }

    #[tokio::test]
    async fn all_sessions_are_forgotten_at_once() {
        let (cache, source, _) = cache();
        for round in 1..=2 {
            cache.credential("a").await.unwrap();
            cache.credential("b").await.unwrap();
            assert_eq!(source.issued.load(Ordering::SeqCst), 2 * round);
            cache.forget_all();
        }
    }

    #[tokio::test]
    async fn failures_are_not_kept() {
        let (cache, source, _) = cache();
        for _ in 0..2 {
            assert_eq!(cache.credential("ended").await.unwrap_err(), login_ended());
        }
        assert_eq!(source.issued.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn who_waits_for_a_call_that_fails_shares_the_failure() {
        let (cache, source, _) = cache();
        let requests: Vec<_> = (0..50)
            .map(|_| {
                let cache = cache.clone();
                tokio::spawn(async move { cache.credential("ended").await.unwrap_err() })
            })
            .collect();
        for request in requests {
            assert_eq!(request.await.unwrap(), login_ended());
        }
        assert_eq!(source.issued.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_provider_that_is_down_is_asked_again_for_another_credential() {
        let (cache, source, _) = cache();
        let refused = cache.credential("s").await.unwrap().unwrap();
        source.down.store(true, Ordering::SeqCst);
        for _ in 0..2 {
            let failure = cache.replace("s", &refused).await.unwrap_err();
            assert_eq!(failure, CredentialError::Unavailable { retry_after: Duration::from_secs(1) });
        }
        source.down.store(false, Ordering::SeqCst);
        assert!(cache.replace("s", &refused).await.unwrap().is_some());
        assert_eq!(source.refreshes.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn concurrent_refusals_by_the_backend_force_one_refresh() {
        let (cache, source, clock) = cache();
        let refused = cache.credential("s").await.unwrap().unwrap();
        let requests: Vec<_> = (0..50)
            .map(|_| {
                let (cache, refused) = (cache.clone(), refused.clone());
                tokio::spawn(async move { cache.replace("s", &refused).await.unwrap().unwrap() })
            })
            .collect();
        for request in requests {
            assert_eq!(request.await.unwrap().header_value(), "Bearer token-1");
        }
        assert_eq!(source.refreshes.load(Ordering::SeqCst), 1);
        let second = cache.credential("s").await.unwrap().unwrap();
        assert!(cache.replace("s", &second).await.unwrap().is_none(), "forced a moment ago");
        clock.advance(FORCED_REFRESH_INTERVAL);
        assert!(cache.replace("s", &second).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn a_call_that_began_before_a_forget_does_not_bring_the_credential_back() {
        let (cache, source, _) = cache();
        let mut early = pin!(cache.credential("gated"));
        assert!(poll(early.as_mut()).is_pending(), "on its way to the source");
        assert!(poll(early.as_mut()).is_pending(), "at the gate, with token-0 in hand");
        let mut waiting = pin!(cache.credential("gated"));
        assert!(poll(waiting.as_mut()).is_pending(), "for the same call");
        cache.forget("gated");
        source.gate.add_permits(2);
        assert_eq!(early.await.unwrap().unwrap().header_value(), "Bearer token-0");
        assert_eq!(waiting.await.unwrap().unwrap().header_value(), "Bearer token-1");
        assert_eq!(cache.credential("gated").await.unwrap().unwrap().header_value(), "Bearer token-1");
        assert_eq!(source.issued.load(Ordering::SeqCst), 2);
    }
}
