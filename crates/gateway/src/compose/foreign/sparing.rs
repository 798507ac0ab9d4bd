//! Introspection that spares the endpoint: anybody can make up tokens, and each unknown one would cause a call.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use thv_clock::{SharedClock, Timestamp};
use thv_jose::digest::sha256;
use thv_resource::verifier::{Introspect, Introspection, Unavailable};
use tokio::sync::{Mutex, Semaphore};

/// Tokens whose last answer is remembered, at some 200 bytes each.
const REMEMBERED: u64 = 10_000;
/// How long a token that is not active is not asked about again.
const INACTIVE: Duration = Duration::from_secs(5);
/// How long any other answer is kept: for those who waited for it. The verifier keeps active tokens by itself.
const SHARED: Duration = Duration::from_secs(1);
/// Calls at a time. Whoever needs another one is told to come again.
const CALLS: usize = 16;

/// An introspection endpoint behind which few calls are made: one at a time for each token, [`CALLS`] in all.
pub(super) struct Sparing {
    endpoint: Arc<dyn Introspect>,
    clock: SharedClock,
    /// By the token's digest.
    answers: Cache<[u8; 32], Arc<Slot>>,
    calls: Semaphore,
}

/// Held during a call.
type Slot = Mutex<Option<Known>>;

struct Known {
    answer: Answer,
    fresh_until: Timestamp,
}

type Answer = Result<Option<Introspection>, Unavailable>;

impl Sparing {
    pub(super) fn new(endpoint: Arc<dyn Introspect>, clock: SharedClock) -> Self {
        let answers =
            Cache::builder().max_capacity(REMEMBERED).eviction_policy(EvictionPolicy::lru()).build();
        Self { endpoint, clock, answers, calls: Semaphore::new(CALLS) }
    }
}

#[async_trait]
impl Introspect for Sparing {
    async fn introspect(&self, token: &str) -> Answer {
        let slot = self.answers.get_with(sha256(token.as_bytes()), Arc::default);
        let mut known = slot.lock().await;
        if let Some(known) = known.as_ref().filter(|known| self.clock.now() < known.fresh_until) {
            return known.answer.clone();
        }
        let Ok(_call) = self.calls.try_acquire() else {
            tracing::debug!("token not introspected: {CALLS} calls are running");
            return Err(Unavailable);
        };
        let answer = self.endpoint.introspect(token).await;
        let kept = if matches!(answer, Ok(None)) { INACTIVE } else { SHARED };
        *known = Some(Known { answer: answer.clone(), fresh_until: self.clock.now() + kept });
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::{FutureExt as _, join_all};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use thv_clock::ManualClock;
    use thv_oauth::scope::ScopeSet;

    /// Knows the token `active`, is down for `outage`, and answers once for each permit.
    struct Endpoint {
        asked: AtomicUsize,
        permits: Semaphore,
    }

    #[async_trait]
    impl Introspect for Endpoint {
        async fn introspect(&self, token: &str) -> Answer {
            self.asked.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            self.permits.acquire().await.unwrap().forget();
            match token {
                "active" => Ok(Some(Introspection {
                    issuer: String::new(),
                    subject: "alice".to_owned(),
                    client_id: String::new(),
                    scopes: ScopeSet::default(),
                    audiences: Vec::new(),
                    expires_at: Timestamp::from_secs(2_000),
                })),
                "outage" => Err(Unavailable),
                _ => Ok(None),
            }
        }
    }

    fn sparing(permits: usize) -> (Arc<Sparing>, Arc<Endpoint>, ManualClock) {
        let clock = ManualClock::at(Timestamp::from_secs(1_000));
        let endpoint = Arc::new(Endpoint { asked: AtomicUsize::new(0), permits: Semaphore::new(permits) });
        (Arc::new(Sparing::new(endpoint.clone(), clock.shared())), endpoint, clock)
    }

    #[tokio::test]
    async fn rs_12_a_token_that_is_not_active_is_not_asked_about_again_for_a_while() {
        let (sparing, endpoint, clock) = sparing(10);
        for (advance, calls) in [(0, 1), (4, 1), (1, 2)] {
            clock.advance(Duration::from_secs(advance));
            assert!(sparing.introspect("made up").await.unwrap().is_none());
            assert_eq!(endpoint.asked.load(Ordering::SeqCst), calls);
        }
        assert!(sparing.introspect("another").await.unwrap().is_none());
        assert_eq!(endpoint.asked.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn rs_12_requests_with_the_same_token_share_one_answer() {
        for (token, subject) in [("active", Ok(Some("alice"))), ("outage", Err(Unavailable))] {
            let (sparing, endpoint, clock) = sparing(50);
            let answers = join_all((0..50).map(|_| sparing.introspect(token))).await;
            for answer in &answers {
                let seen = answer.as_ref().map(|found| found.as_ref().map(|found| found.subject.as_str()));
                assert_eq!(seen.map_err(|error| *error), subject);
            }
            assert_eq!(endpoint.asked.load(Ordering::SeqCst), 1);
            clock.advance(SHARED);
            let _ = sparing.introspect(token).await;
            assert_eq!(endpoint.asked.load(Ordering::SeqCst), 2);
        }
    }

    #[tokio::test]
    async fn rs_12_the_endpoint_is_asked_about_a_bounded_number_of_tokens_at_a_time() {
        let (sparing, endpoint, _) = sparing(0);
        let running: Vec<_> = (0..CALLS)
            .map(|number| {
                let sparing = sparing.clone();
                tokio::spawn(async move { sparing.introspect(&number.to_string()).await })
            })
            .collect();
        while endpoint.asked.load(Ordering::SeqCst) < CALLS {
            tokio::task::yield_now().await;
        }
        assert!(sparing.introspect("one more").now_or_never().unwrap().is_err());
        assert_eq!(endpoint.asked.load(Ordering::SeqCst), CALLS);
        endpoint.permits.add_permits(CALLS + 1);
        for call in running {
            assert!(call.await.unwrap().unwrap().is_none());
        }
        assert!(sparing.introspect("one more").await.unwrap().is_none());
    }
}
