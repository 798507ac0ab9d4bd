//! Rate limits over attacker-chosen keys: token buckets in a bounded map.

use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use thv_clock::{SharedClock, Timestamp};

/// `burst` at once, then one per `interval`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    burst: u32,
    interval: Duration,
}

impl Rate {
    /// `count` per `span`, all of which may come at once.
    pub(crate) const fn new(count: u32, span: Duration) -> Self {
        let count = if count == 0 { 1 } else { count };
        Self { burst: count, interval: Duration::from_nanos(span.as_nanos() as u64 / count as u64) }
    }
}

/// One bucket, as the instant at which it will be full again (GCRA's theoretical arrival time).
struct Bucket(Mutex<Timestamp>);

impl Bucket {
    fn take(&self, rate: Rate, now: Timestamp) -> bool {
        let mut full_at = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = (*full_at).max(now) + rate.interval;
        if next.since(now) > rate.interval * rate.burst {
            return false;
        }
        *full_at = next;
        true
    }
}

/// Buckets per key, which must be small: text from outside comes as its digest. At most `capacity` keys are remembered, the least recently used is forgotten first: under a flood of
/// keys a forgotten one starts afresh, and the caller's total limit is what holds.
pub(crate) struct RateLimit<K> {
    rate: Rate,
    buckets: Cache<K, std::sync::Arc<Bucket>>,
    clock: SharedClock,
}

impl<K: Eq + Hash + Send + Sync + 'static> RateLimit<K> {
    pub(crate) fn new(rate: Rate, capacity: u64, clock: SharedClock) -> Self {
        let buckets = Cache::builder().max_capacity(capacity).eviction_policy(EvictionPolicy::lru()).build();
        Self { rate, buckets, clock }
    }

    /// Takes one; `false` when there is none left for this key.
    pub(crate) fn take(&self, key: K) -> bool {
        let bucket = self.buckets.get_with(key, || std::sync::Arc::new(Bucket(Mutex::new(Timestamp::EPOCH))));
        bucket.take(self.rate, self.clock.now())
    }
}

/// What counts as one source: an IPv4 address, or an IPv6 /64, which is what one subscriber has.
pub(crate) fn source_key(addr: IpAddr) -> IpAddr {
    match addr.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use thv_clock::ManualClock;

    #[test]
    fn a_bucket_gives_its_burst_and_then_refills_steadily() {
        let clock = ManualClock::at(Timestamp::from_secs(1000));
        let limit = RateLimit::new(Rate::new(3, Duration::from_secs(3)), 10, clock.shared());
        assert_eq!(
            [limit.take("k"), limit.take("k"), limit.take("k"), limit.take("k")],
            [true, true, true, false]
        );
        assert!(limit.take("other"));
        clock.advance(Duration::from_secs(1));
        assert_eq!([limit.take("k"), limit.take("k")], [true, false]);
        clock.advance(Duration::from_secs(60));
        assert_eq!(
            [limit.take("k"), limit.take("k"), limit.take("k"), limit.take("k")],
            [true, true, true, false]
        );
    }

    #[test]
    fn one_ipv6_subscriber_is_one_source() {
        let key = |text: &str| source_key(text.parse().unwrap());
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
    }
}
