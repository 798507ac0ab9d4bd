//! A remote document that is kept: fetched by one caller for all, and left alone for a while when its host fails.

use std::error::Error;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use thv_clock::{SharedClock, Timestamp};
use thv_egress::freshness::Bounds;
use tokio::sync::OwnedMutexGuard;

/// Why a document could not be had. Cloned for everybody who asks before the next attempt.
pub(crate) trait FetchFailure: Error + Clone + Send + Sync + 'static {
    /// Whether the host is down rather than wrong: what was fetched before may then be used on.
    fn is_temporary(&self) -> bool;

    /// The attempt ended without an outcome.
    fn interrupted() -> Self;
}

/// How a document is kept and asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retention {
    /// How long it is fresh.
    pub(crate) freshness: Bounds,
    /// How long beyond that it is used while its host is down.
    pub(crate) stale: Duration,
    /// How long after the first failure the next attempt may be; doubled with every further one.
    pub(crate) first_retry: Duration,
    /// The longest pause between attempts.
    pub(crate) last_retry: Duration,
}

impl Retention {
    fn pause(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(16);
        self.first_retry.saturating_mul(1 << doublings).min(self.last_retry)
    }
}

/// What an attempt brought.
pub(crate) struct Fetched<T> {
    pub(crate) value: T,
    pub(crate) fresh_until: Timestamp,
}

/// One document. An attempt runs on its own task, so a caller that goes away neither cancels it nor lets the next caller
/// start it again.
pub(crate) struct Document<T, E> {
    /// For the log.
    name: String,
    clock: SharedClock,
    retention: Retention,
    state: Mutex<State<T, E>>,
    turn: Arc<tokio::sync::Mutex<()>>,
}

struct State<T, E> {
    kept: Option<Kept<T>>,
    failed: Option<Failed<E>>,
    started_at: Timestamp,
}

struct Kept<T> {
    value: Arc<T>,
    fresh_until: Timestamp,
}

struct Failed<E> {
    error: E,
    times: u32,
    retry_at: Timestamp,
}

impl<T, E> Document<T, E>
where
    T: Send + Sync + 'static,
    E: FetchFailure,
{
    pub(crate) fn new(name: String, clock: SharedClock, retention: Retention) -> Self {
        let state = State { kept: None, failed: None, started_at: Timestamp::EPOCH };
        Self { name, clock, retention, state: Mutex::new(state), turn: Arc::default() }
    }

    /// What is kept and may be used, without asking anybody.
    pub(crate) fn kept(&self) -> Option<Arc<T>> {
        let now = self.clock.now();
        self.usable(self.state().kept.as_ref(), now)
    }

    /// The document, fetched unless it is fresh or was just asked for in vain.
    pub(crate) async fn load<F>(self: &Arc<Self>, fetch: impl FnOnce() -> F) -> Result<Arc<T>, E>
    where
        F: Future<Output = Result<Fetched<T>, E>> + Send + 'static,
    {
        if let Some(answer) = self.answer() {
            return answer;
        }
        let turn = Arc::clone(&self.turn).lock_owned().await;
        // Whoever had the turn before may have brought it.
        match self.answer() {
            Some(answer) => answer,
            None => self.attempt(turn, fetch()).await,
        }
    }

    /// The document that came after `seen`: fetched if there is none yet and the last attempt is `pause` ago.
    pub(crate) async fn reload<F>(
        self: &Arc<Self>,
        seen: Arc<T>,
        pause: Duration,
        fetch: impl FnOnce() -> F,
    ) -> Result<Arc<T>, E>
    where
        F: Future<Output = Result<Fetched<T>, E>> + Send + 'static,
    {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        match self.successor(&seen, pause) {
            Some(answer) => answer,
            None => self.attempt(turn, fetch()).await,
        }
    }

    fn successor(&self, seen: &Arc<T>, pause: Duration) -> Option<Result<Arc<T>, E>> {
        let now = self.clock.now();
        let state = self.state();
        match (&state.kept, &state.failed) {
            (Some(kept), _) if !Arc::ptr_eq(&kept.value, seen) => Some(Ok(Arc::clone(&kept.value))),
            (None, Some(failed)) if now < failed.retry_at => Some(Err(failed.error.clone())),
            (_, failed) => {
                let pausing = now < state.started_at + pause
                    || failed.as_ref().is_some_and(|failed| now < failed.retry_at);
                pausing.then(|| Ok(Arc::clone(seen)))
            }
        }
    }

    /// What is answered without an attempt; `None` when one is due.
    fn answer(&self) -> Option<Result<Arc<T>, E>> {
        let now = self.clock.now();
        let state = self.state();
        match (&state.kept, &state.failed) {
            (Some(kept), _) if now < kept.fresh_until => Some(Ok(Arc::clone(&kept.value))),
            (kept, Some(failed)) if now < failed.retry_at => {
                Some(self.usable(kept.as_ref(), now).ok_or_else(|| failed.error.clone()))
            }
            _ => None,
        }
    }

    fn usable(&self, kept: Option<&Kept<T>>, now: Timestamp) -> Option<Arc<T>> {
        let kept = kept.filter(|kept| now < kept.fresh_until + self.retention.stale)?;
        Some(Arc::clone(&kept.value))
    }

    async fn attempt<F>(self: &Arc<Self>, turn: OwnedMutexGuard<()>, fetch: F) -> Result<Arc<T>, E>
    where
        F: Future<Output = Result<Fetched<T>, E>> + Send + 'static,
    {
        self.state().started_at = self.clock.now();
        let document = Arc::clone(self);
        let task = tokio::spawn(async move {
            let outcome = document.record(fetch.await);
            drop(turn);
            outcome
        });
        task.await.unwrap_or_else(|_| Err(E::interrupted()))
    }

    fn record(&self, outcome: Result<Fetched<T>, E>) -> Result<Arc<T>, E> {
        let now = self.clock.now();
        let mut state = self.state();
        let error = match outcome {
            Ok(Fetched { value, fresh_until }) => {
                let value = Arc::new(value);
                state.kept = Some(Kept { value: Arc::clone(&value), fresh_until });
                state.failed = None;
                return Ok(value);
            }
            Err(error) => error,
        };
        if !error.is_temporary() {
            state.kept = None;
        }
        let usable = self.usable(state.kept.as_ref(), now);
        let times = state.failed.as_ref().map_or(0, |failed| failed.times).saturating_add(1);
        tracing::warn!(
            document = self.name,
            attempts.failed = times,
            stale = usable.is_some(),
            error = &error as &dyn Error,
            "a document could not be fetched"
        );
        state.failed =
            Some(Failed { error: error.clone(), times, retry_at: now + self.retention.pause(times) });
        usable.ok_or(error)
    }

    /// Held for moments only, and never left half-written.
    fn state(&self) -> MutexGuard<'_, State<T, E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_its_limit() {
        let bound = Duration::from_secs(60);
        let retention = Retention {
            freshness: Bounds { fallback: bound, min: bound, max: bound },
            stale: bound,
            first_retry: Duration::from_secs(5),
            last_retry: Duration::from_secs(300),
        };
        let pauses: Vec<u64> = (1..=8).map(|failures| retention.pause(failures).as_secs()).collect();
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(retention.pause(u32::MAX).as_secs(), 300);
    }
}
