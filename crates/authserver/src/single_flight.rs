//! One piece of work per key, however many wait for it.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

/// The outcome to come; `None` only when the work itself died.
pub(crate) type Flight<V> = Shared<BoxFuture<'static, Option<V>>>;

/// Work in flight, by key. It runs on its own task: a caller that goes away neither cancels it nor lets the next caller
/// start it again.
pub(crate) struct SingleFlight<K, V> {
    flights: Arc<Mutex<HashMap<K, Flight<V>>>>,
    tasks: TaskTracker,
}

impl<K, V> SingleFlight<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(crate) fn new(tasks: TaskTracker) -> Self {
        Self { flights: Arc::default(), tasks }
    }

    /// The flight for `key`, starting `work` if there is none. It goes on whether or not it is awaited.
    pub(crate) fn start<F>(&self, key: K, work: impl FnOnce() -> F) -> Flight<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let (sender, outcome) = oneshot::channel();
        let flight = {
            let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(flight) = flights.get(&key) {
                return flight.clone();
            }
            let flight = outcome.map(Result::ok).boxed().shared();
            flights.insert(key.clone(), flight.clone());
            flight
        };
        // Spawned without the lock: a runtime that shuts down drops the task here and now, and the landing takes the lock.
        let landing = Landing { flights: Arc::clone(&self.flights), key };
        let work = work();
        self.tasks.spawn(async move {
            let value = work.await;
            // First out of the map, then the news: who has heard of this outcome and asks again starts anew.
            drop(landing);
            let _nobody_waits = sender.send(value);
        });
        flight
    }
}

/// Removes the flight when its task ends, also when it ends by a panic.
struct Landing<K: Eq + Hash, V> {
    flights: Arc<Mutex<HashMap<K, Flight<V>>>>,
    key: K,
}

impl<K: Eq + Hash, V> Drop for Landing<K, V> {
    fn drop(&mut self) {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::Notify;

    #[tokio::test]
    async fn c7_a_hundred_callers_share_one_flight_even_when_the_first_goes_away() {
        let flights = Arc::new(SingleFlight::new(TaskTracker::new()));
        let (runs, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let call = |flights: Arc<SingleFlight<&'static str, usize>>| {
            let (runs, gate) = (Arc::clone(&runs), Arc::clone(&gate));
            async move {
                let work = || async move {
                    let run = runs.fetch_add(1, Ordering::SeqCst);
                    gate.notified().await;
                    run
                };
                flights.start("url", work).await
            }
        };
        let mut first = Box::pin(call(Arc::clone(&flights)));
        assert!(futures_util::poll!(&mut first).is_pending());
        let mut others: Vec<_> = (0..99).map(|_| Box::pin(call(Arc::clone(&flights)))).collect();
        for other in &mut others {
            assert!(futures_util::poll!(other).is_pending());
        }
        drop(first);
        gate.notify_one();
        for other in others {
            assert_eq!(other.await, Some(0));
        }
        assert_eq!(runs.load(Ordering::SeqCst), 1);
        gate.notify_one();
        assert_eq!(call(flights).await, Some(1), "a later call flies anew");
    }

    #[tokio::test]
    async fn a_flight_that_panics_ends_and_the_next_one_starts() {
        let flights = SingleFlight::new(TaskTracker::new());
        assert_eq!(flights.start("url", || async { panic!("as the test wants it") }).await, None);
        assert_eq!(flights.start("url", || async { 1 }).await, Some(1));
    }

    #[test]
    fn work_that_a_stopped_runtime_refuses_ends_at_once() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let handle = runtime.handle().clone();
        drop(runtime);
        let _entered = handle.enter();
        let flights = SingleFlight::new(TaskTracker::new());
        assert_eq!(flights.start("url", || async { 1 }).now_or_never(), Some(None));
    }
}
