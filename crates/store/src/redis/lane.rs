//! A connection that is opened when it is needed, by one for all who wait for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};

use super::breaker::Breaker;
use super::connection::Connection;
use super::fault::Fault;

type Opening = Shared<BoxFuture<'static, Option<Result<Arc<Connection>, Fault>>>>;

/// At most one connection, and when not to use it.
#[derive(Default)]
pub(super) struct Lane {
    /// Says when the server is to be left alone.
    pub(super) breaker: Breaker,
    slot: Mutex<Slot>,
}

#[derive(Default)]
struct Slot {
    generation: u64,
    opening: Option<Opening>,
}

/// Which of a lane's connections it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Generation(u64);

impl Lane {
    /// The connection, or the one that `open` makes. All who ask meanwhile wait for the same attempt and share its fault. `None`
    /// only when the process is shutting down.
    pub(super) async fn connection(
        &self,
        open: impl FnOnce() -> BoxFuture<'static, Result<Arc<Connection>, Fault>>,
    ) -> (Generation, Option<Result<Arc<Connection>, Fault>>) {
        let (generation, opening) = self.current_or(open);
        (generation, opening.await)
    }

    fn current_or(
        &self,
        open: impl FnOnce() -> BoxFuture<'static, Result<Arc<Connection>, Fault>>,
    ) -> (Generation, Opening) {
        let mut slot = self.lock();
        let usable = |opening: &&Opening| !matches!(opening.peek(), Some(Some(Ok(open))) if open.is_closed());
        if let Some(opening) = slot.opening.as_ref().filter(usable) {
            return (Generation(slot.generation), opening.clone());
        }
        // A task of its own, so that it goes on when those who wait give up.
        let task = tokio::spawn(open());
        let opening: Opening = async move { task.await.ok() }.boxed().shared();
        slot.generation += 1;
        slot.opening = Some(opening.clone());
        (Generation(slot.generation), opening)
    }

    /// Lets go of a connection, unless it has been replaced already. Requests under way on it may still be answered.
    pub(super) fn discard(&self, generation: Generation) {
        let mut slot = self.lock();
        if slot.generation == generation.0 {
            slot.opening = None;
        }
    }

    /// Lets go of the present connection.
    pub(super) fn close(&self) {
        self.lock().opening = None;
    }

    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
