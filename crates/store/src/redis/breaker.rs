//! When a server is left alone.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::backoff;
use super::fault::Fault;

/// Failures in a row after which the server is left alone.
const THRESHOLD: u32 = 5;

/// A circuit breaker: after some failures in a row it refuses for a while, then lets one request through; if that fails, it
/// refuses for longer.
#[derive(Default)]
pub(super) struct Breaker(Mutex<Record>);

#[derive(Default)]
struct Record {
    failures: u32,
    open: Option<Open>,
}

struct Open {
    times: u32,
    until: Instant,
    probing: bool,
    latest: Fault,
}

/// What a breaker does at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Everything goes through.
    Closed,
    /// Everything is refused at once.
    Open,
    /// The next request, or the one under way, decides.
    HalfOpen,
}

/// Leave to make one request. It must be told how the request went; if it is dropped, the request does not count.
pub(super) struct Permit<'a> {
    breaker: &'a Breaker,
    probe: bool,
}

/// Refused, for how long, and because of what.
pub(super) struct Refused {
    pub(super) retry_in: Duration,
    pub(super) latest: Fault,
}

impl Breaker {
    /// Asks for leave to make a request.
    pub(super) fn admit(&self, now: Instant) -> Result<Permit<'_>, Refused> {
        let mut record = self.lock();
        let Some(open) = &mut record.open else { return Ok(Permit { breaker: self, probe: false }) };
        let retry_in = open.until.saturating_duration_since(now);
        if open.probing || !retry_in.is_zero() {
            return Err(Refused { retry_in, latest: Fault::clone(&open.latest) });
        }
        open.probing = true;
        Ok(Permit { breaker: self, probe: true })
    }

    /// What it does at the moment.
    pub(super) fn state(&self, now: Instant) -> BreakerState {
        match &self.lock().open {
            None => BreakerState::Closed,
            Some(open) if open.probing || open.until <= now => BreakerState::HalfOpen,
            Some(_) => BreakerState::Open,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit<'_> {
    /// The server answered. True when it had been left alone before.
    pub(super) fn succeeded(mut self) -> bool {
        self.probe = false;
        std::mem::take(&mut *self.breaker.lock()).open.is_some()
    }

    /// The server did not answer. True when it is left alone from now on and was not before.
    pub(super) fn failed(mut self, fault: &Fault, now: Instant) -> bool {
        let was_probe = std::mem::replace(&mut self.probe, false);
        let mut record = self.breaker.lock();
        record.failures = record.failures.saturating_add(1);
        // What was under way when it opened must not prolong it.
        let times = match &record.open {
            Some(open) if was_probe => open.times.saturating_add(1),
            Some(_) => return false,
            None if record.failures >= THRESHOLD => 0,
            None => return false,
        };
        let until = now + backoff::after(times);
        record.open = Some(Open { times, until, probing: false, latest: Fault::clone(fault) });
        times == 0
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.probe
            && let Some(open) = &mut self.breaker.lock().open
        {
            open.probing = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::fault::RedisFault;
    use super::*;

    fn fault() -> Fault {
        Arc::new(RedisFault::NotMaster { host: "redis:6379".to_owned() })
    }

    fn admitted(breaker: &Breaker, now: Instant) -> Permit<'_> {
        breaker.admit(now).ok().expect("a request may be made")
    }

    fn refused(breaker: &Breaker, now: Instant) -> Duration {
        breaker.admit(now).err().expect("no request may be made").retry_in
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_lets_one_probe_through() {
        let breaker = Breaker::default();
        let mut now = Instant::now();
        let fail = |now| admitted(&breaker, now).failed(&fault(), now);
        for _ in 1..THRESHOLD {
            assert!(!fail(now));
        }
        assert!(!admitted(&breaker, now).succeeded(), "a success starts the count anew");
        for _ in 1..THRESHOLD {
            assert!(!fail(now));
        }
        assert!(fail(now), "opens");
        assert_eq!(breaker.state(now), BreakerState::Open);
        now += refused(&breaker, now);
        assert_eq!(breaker.state(now), BreakerState::HalfOpen);
        let probe = admitted(&breaker, now);
        refused(&breaker, now);
        drop(probe);
        assert!(!fail(now), "a probe that was given up does not count, and it was open already");
        now += refused(&breaker, now);
        assert!(admitted(&breaker, now).succeeded(), "closes");
        assert_eq!(breaker.state(now), BreakerState::Closed);
    }

    #[test]
    fn requests_under_way_when_it_opens_do_not_prolong_it() {
        let breaker = Breaker::default();
        let now = Instant::now();
        let under_way: Vec<Permit<'_>> = (0..20).map(|_| admitted(&breaker, now)).collect();
        let opened = under_way.into_iter().map(|permit| permit.failed(&fault(), now));
        assert_eq!(opened.filter(|opened| *opened).count(), 1);
        assert!(refused(&breaker, now) <= backoff::FIRST);
    }
}
