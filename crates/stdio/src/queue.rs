//! A queue towards one client, bounded in messages and in bytes, that never makes the sender wait.
//!
//! The child's output is read by one task for all clients: a client that does not read must cost itself its messages, and
//! nobody else anything.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// How much a queue holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

/// The message was not queued: the queue is full, or nobody reads it any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rejected;

struct Shared<T> {
    state: Mutex<State<T>>,
    changed: Notify,
    /// Cancelled when the receiver is dropped.
    unread: CancellationToken,
    bounds: Bounds,
}

struct State<T> {
    items: VecDeque<(T, usize)>,
    bytes: usize,
    ended: bool,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writing end. Clones write into the same queue.
pub(crate) struct Sender<T>(Arc<Shared<T>>);

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// The reading end.
pub(crate) struct Receiver<T>(Arc<Shared<T>>);

/// An empty queue.
pub(crate) fn queue<T>(bounds: Bounds) -> (Sender<T>, Receiver<T>) {
    let state = Mutex::new(State { items: VecDeque::new(), bytes: 0, ended: false });
    let shared = Shared { state, changed: Notify::new(), unread: CancellationToken::new(), bounds };
    let shared = Arc::new(shared);
    (Sender(Arc::clone(&shared)), Receiver(shared))
}

impl<T> Sender<T> {
    /// Appends `item`, which takes `bytes`. A single item of any size fits into an empty queue.
    ///
    /// # Errors
    ///
    /// [`Rejected`].
    pub(crate) fn push(&self, item: T, bytes: usize) -> Result<(), Rejected> {
        let mut state = self.0.lock();
        let full = state.items.len() >= self.0.bounds.messages
            || (!state.items.is_empty() && state.bytes.saturating_add(bytes) > self.0.bounds.bytes);
        if state.ended || full {
            return Err(Rejected);
        }
        state.items.push_back((item, bytes));
        state.bytes = state.bytes.saturating_add(bytes);
        drop(state);
        self.0.changed.notify_one();
        Ok(())
    }

    /// Appends the last item, whether the queue is full or not. Does nothing when the queue has ended before.
    pub(crate) fn finish(&self, item: T) {
        let mut state = self.0.lock();
        if !state.ended {
            state.items.push_back((item, 0));
            state.ended = true;
        }
        drop(state);
        self.0.changed.notify_one();
    }

    /// Ends the queue and throws away what is in it.
    pub(crate) fn close(&self) {
        let mut state = self.0.lock();
        state.items.clear();
        state.ended = true;
        drop(state);
        self.0.changed.notify_one();
    }

    /// Resolves when the reader has gone.
    pub(crate) fn unread(&self) -> WaitForCancellationFutureOwned {
        self.0.unread.clone().cancelled_owned()
    }

    /// Whether both write into the same queue.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<T> Receiver<T> {
    /// The next item; none when the queue has ended.
    pub(crate) async fn next(&mut self) -> Option<T> {
        loop {
            {
                let mut state = self.0.lock();
                if let Some((item, bytes)) = state.items.pop_front() {
                    state.bytes = state.bytes.saturating_sub(bytes);
                    return Some(item);
                }
                if state.ended {
                    return None;
                }
            }
            self.0.changed.notified().await;
        }
    }

    /// The items that are there already, up to the first one that is not `wanted`.
    pub(crate) fn ready_while(&mut self, wanted: impl Fn(&T) -> bool) -> Vec<T> {
        let mut state = self.0.lock();
        let mut taken = Vec::new();
        while let Some((item, bytes)) = state.items.pop_front_if(|(item, _)| wanted(item)) {
            state.bytes = state.bytes.saturating_sub(bytes);
            taken.push(item);
        }
        taken
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        {
            let mut state = self.0.lock();
            state.items.clear();
            state.ended = true;
        }
        self.0.unread.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { messages: 3, bytes: 10 };

    #[tokio::test]
    async fn a_full_queue_rejects_and_keeps_what_it_has() {
        let (sender, mut receiver) = queue(BOUNDS);
        assert_eq!(sender.push('a', 100), Ok(()), "a single message of any size fits");
        assert_eq!(sender.push('b', 1), Err(Rejected), "too many bytes");
        assert_eq!(receiver.next().await, Some('a'));
        for item in ['c', 'd', 'e'] {
            assert_eq!(sender.push(item, 1), Ok(()));
        }
        assert_eq!(sender.push('f', 1), Err(Rejected), "too many messages");
        sender.finish('z');
        sender.finish('y');
        for item in ['c', 'd', 'e', 'z'] {
            assert_eq!(receiver.next().await, Some(item));
        }
        assert_eq!(receiver.next().await, None);
    }

    #[tokio::test]
    async fn closing_throws_the_backlog_away() {
        let (sender, mut receiver) = queue(BOUNDS);
        sender.push('a', 1).unwrap();
        sender.close();
        assert_eq!(receiver.next().await, None);
        assert_eq!(sender.push('b', 1), Err(Rejected));
    }

    #[tokio::test]
    async fn what_is_there_is_taken_up_to_the_first_that_is_not_wanted() {
        let (sender, mut receiver) = queue(BOUNDS);
        for item in ['a', 'b', 'C'] {
            sender.push(item, 3).unwrap();
        }
        assert_eq!(receiver.ready_while(char::is_ascii_lowercase), ['a', 'b']);
        assert!(receiver.ready_while(char::is_ascii_lowercase).is_empty());
        assert_eq!(sender.push('d', 7), Ok(()), "there is room again");
        assert_eq!(receiver.next().await, Some('C'));
    }

    #[tokio::test]
    async fn a_waiting_reader_is_woken_and_its_end_is_seen() {
        let (sender, mut receiver) = queue(BOUNDS);
        let reader = tokio::spawn(async move { receiver.next().await });
        tokio::task::yield_now().await;
        sender.push('a', 1).unwrap();
        assert_eq!(reader.await.unwrap(), Some('a'));
        sender.unread().await;
        assert_eq!(sender.push('b', 1), Err(Rejected));
    }
}
