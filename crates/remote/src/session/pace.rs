//! How often a browser opens by itself.

use std::time::Duration;

use thv_clock::Timestamp;
use thv_jose::random;

/// How long no browser opens by itself after a login that was in vain: then twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
const LAST_PAUSE: Duration = Duration::from_secs(30 * 60);
/// A token that has served for so long was worth its login.
const WORTHWHILE: Duration = Duration::from_secs(2 * 60);
/// How many logins may follow each other at once, each for something new: the first one, and two for more scope (CL-49).
const AT_ONCE: u32 = 3;

/// What a login is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Purpose {
    pub(super) issuer: String,
    pub(super) scope: String,
}

/// The logins that followed each other in quick succession.
#[derive(Default)]
pub(super) struct Pace {
    logins: u32,
    /// What the last one was for, if it succeeded.
    achieved: Option<Purpose>,
    ended_at: Timestamp,
    /// Of 0 to 255: many workloads wake up together with their machine.
    jitter: u8,
}

impl Pace {
    /// A login has ended; `achieved` is what it was for, if it succeeded.
    pub(super) fn ended(&mut self, now: Timestamp, achieved: Option<Purpose>) {
        let calm = now >= self.ended_at + LAST_PAUSE;
        self.logins = if calm { 1 } else { self.logins.saturating_add(1) };
        let [jitter] = random::bytes();
        (self.achieved, self.ended_at, self.jitter) = (achieved, now, jitter);
    }

    /// A token has served until its end, for so long.
    pub(super) fn served(&mut self, life: Duration) {
        if life >= WORTHWHILE {
            *self = Self::default();
        }
    }

    /// How long a login for `purpose` has to wait. One that failed, or whose token the server does not accept, is not
    /// repeated at once.
    pub(super) fn wait(&self, now: Timestamp, purpose: &Purpose) -> Duration {
        let is_new = self.achieved.as_ref().is_some_and(|achieved| achieved != purpose);
        let in_vain = if is_new { (self.logins + 1).saturating_sub(AT_ONCE) } else { self.logins };
        if in_vain == 0 {
            return Duration::ZERO;
        }
        let doubled = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow((in_vain - 1).min(16)));
        let pause = doubled.min(LAST_PAUSE).mul_f64(1.0 + f64::from(self.jitter) / 1024.0);
        (self.ended_at + pause).since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    fn purpose(scope: &str) -> Purpose {
        Purpose { issuer: "https://as.example".to_owned(), scope: scope.to_owned() }
    }

    fn waits(pace: &Pace, scope: &str) -> bool {
        !pace.wait(NOW, &purpose(scope)).is_zero()
    }

    #[test]
    fn pauses_after_failures_double_up_to_their_limit() {
        let mut pace = Pace::default();
        assert!(!waits(&pace, "a"));
        let mut pauses = Vec::new();
        for _ in 0..9 {
            pace.ended(NOW, None);
            pace.jitter = 0;
            pauses.push(pace.wait(NOW, &purpose("a")).as_secs());
        }
        assert_eq!(pauses, [30, 60, 120, 240, 480, 960, 1800, 1800, 1800]);
        assert!(pace.wait(NOW + Duration::from_secs(1800), &purpose("a")).is_zero());
    }

    #[test]
    fn cl_49_three_logins_for_something_new_may_follow_each_other() {
        let mut pace = Pace::default();
        for (done, next) in [("a", "a b"), ("a b", "a b c")] {
            pace.ended(NOW, Some(purpose(done)));
            assert!(waits(&pace, done), "the same once more");
            assert!(!waits(&pace, next));
        }
        pace.ended(NOW, Some(purpose("a b c")));
        assert!(waits(&pace, "a b c d"));
    }

    #[test]
    fn a_token_that_served_its_time_was_worth_its_login() {
        let mut pace = Pace::default();
        pace.ended(NOW, Some(purpose("a")));
        pace.served(Duration::from_secs(20));
        assert!(waits(&pace, "a"));
        pace.served(Duration::from_secs(120));
        assert!(!waits(&pace, "a"));
    }
}
