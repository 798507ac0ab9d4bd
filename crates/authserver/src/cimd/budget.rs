//! How many fetches anonymous callers can cause (AS-85): failures are never cached, so this is what bounds amplification.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use thv_clock::SharedClock;
use thv_jose::digest::{Digest, sha256};
use thv_oauth::client_id::MetadataUrl;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::{Rate, RateLimit, source_key};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const AT_ONCE: usize = 16;
const REMEMBERED_KEYS: u64 = 10_000;

/// Which bound was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BudgetExceeded {
    /// 1 fetch per URL and second.
    Url,
    /// 30 per minute and host.
    Host,
    /// 30 per minute and source address.
    Source,
    /// 120 per minute in all.
    Total,
    /// 16 at once.
    AtOnce,
}

impl BudgetExceeded {
    /// The stable reason code.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Url => "cimd_fetch_budget_url",
            Self::Host => "cimd_fetch_budget_host",
            Self::Source => "cimd_fetch_budget_source",
            Self::Total => "cimd_fetch_budget_total",
            Self::AtOnce => "cimd_fetch_budget_at_once",
        }
    }
}

pub(super) struct Budget {
    per_url: RateLimit<Digest>,
    per_host: RateLimit<Digest>,
    per_source: RateLimit<IpAddr>,
    total: RateLimit<()>,
    slots: Arc<Semaphore>,
}

impl Budget {
    pub(super) fn new(clock: SharedClock) -> Self {
        Self {
            per_url: RateLimit::new(Rate::new(1, SECOND), REMEMBERED_KEYS, Arc::clone(&clock)),
            per_host: RateLimit::new(Rate::new(30, MINUTE), REMEMBERED_KEYS, Arc::clone(&clock)),
            per_source: RateLimit::new(Rate::new(30, MINUTE), REMEMBERED_KEYS, Arc::clone(&clock)),
            total: RateLimit::new(Rate::new(120, MINUTE), 1, clock),
            slots: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Spends one fetch. The narrow bounds come first, so that one noisy source or host does not eat the total.
    pub(super) fn spend(&self, url: &MetadataUrl, source: IpAddr) -> Result<(), BudgetExceeded> {
        if !self.per_source.take(source_key(source)) {
            return Err(BudgetExceeded::Source);
        }
        if !self.per_url.take(sha256(url.as_str().as_bytes())) {
            return Err(BudgetExceeded::Url);
        }
        // Without the port: one host is one victim, whatever port is knocked at.
        let host = url.hostname().trim_end_matches('.').to_ascii_lowercase();
        if !self.per_host.take(sha256(host.as_bytes())) {
            return Err(BudgetExceeded::Host);
        }
        if !self.total.take(()) {
            return Err(BudgetExceeded::Total);
        }
        Ok(())
    }

    /// A place among those that fetch at once.
    pub(super) fn slot(&self) -> Result<OwnedSemaphorePermit, BudgetExceeded> {
        Arc::clone(&self.slots).try_acquire_owned().map_err(|_| BudgetExceeded::AtOnce)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use thv_clock::{ManualClock, Timestamp};

    fn url(text: &str) -> MetadataUrl {
        MetadataUrl::parse(text, false).unwrap()
    }

    fn addr(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn as_85_fetches_are_bounded_per_url_host_source_and_in_all() {
        let clock = ManualClock::at(Timestamp::from_secs(1_000));
        let budget = Budget::new(clock.shared());
        assert_eq!(budget.spend(&url("https://a.example/c"), addr(1)), Ok(()));
        assert_eq!(budget.spend(&url("https://a.example/c"), addr(2)), Err(BudgetExceeded::Url));
        clock.advance(SECOND);
        assert_eq!(budget.spend(&url("https://a.example/c"), addr(2)), Ok(()));
        // Two were spent on a.example and one second has passed; its ports and its spellings count together.
        let of_one_host: Vec<_> = (0..40u8)
            .map(|n| {
                let host = ["a.example", "A.Example:8443", "a.example.:444"][usize::from(n % 3)];
                budget.spend(&url(&format!("https://{host}/{n}")), addr(10 + n))
            })
            .collect();
        assert_eq!(of_one_host.iter().position(Result::is_err), Some(28));
        assert_eq!(of_one_host[28], Err(BudgetExceeded::Host));
        let from_one: Vec<_> =
            (0..40).map(|n| budget.spend(&url(&format!("https://h{n}.example/c")), addr(200))).collect();
        assert_eq!(from_one.iter().position(Result::is_err), Some(30));
        assert_eq!(from_one[30], Err(BudgetExceeded::Source));
        let from_many: Vec<_> =
            (0..200u8).map(|n| budget.spend(&url(&format!("https://m{n}.example/c")), addr(n))).collect();
        assert_eq!(from_many.into_iter().find_map(Result::err), Some(BudgetExceeded::Total));
    }

    #[test]
    fn at_most_sixteen_fetches_run_at_once() {
        let budget = Budget::new(thv_clock::SystemClock::shared());
        let slots: Vec<_> = (0..AT_ONCE).map(|_| budget.slot().unwrap()).collect();
        assert_eq!(budget.slot().unwrap_err(), BudgetExceeded::AtOnce);
        drop(slots);
        assert!(budget.slot().is_ok());
    }
}
