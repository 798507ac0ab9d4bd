//! What can be counted about the traffic with Redis.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RedisCounters {
    /// Requests sent to a server, repetitions included.
    pub requests: u64,
    /// Requests that a server did not answer.
    pub failures: u64,
    /// Requests that were not sent, because their server was being left alone.
    pub rejected: u64,
    /// Requests that were sent a second time, because a connection broke or a row had moved.
    pub repeated: u64,
    /// Connections opened.
    pub connections: u64,
    /// Times that a circuit breaker opened.
    pub opened: u64,
}

/// Counters that many tasks add to.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) requests: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) rejected: AtomicU64,
    pub(super) repeated: AtomicU64,
    pub(super) connections: AtomicU64,
    pub(super) opened: AtomicU64,
}

impl Counters {
    /// Counts one more.
    pub(super) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// What has been counted.
    pub(super) fn read(&self) -> RedisCounters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RedisCounters {
            requests: read(&self.requests),
            failures: read(&self.failures),
            rejected: read(&self.rejected),
            repeated: read(&self.repeated),
            connections: read(&self.connections),
            opened: read(&self.opened),
        }
    }
}
