//! How long to wait before trying again.

use std::time::Duration;

/// The longest first wait.
pub(super) const FIRST: Duration = Duration::from_millis(200);
/// The longest wait of all.
const LONGEST: Duration = Duration::from_secs(5);

/// How long to wait after `failures` earlier waits were of no use: twice as long each time, up to a bound, of which a random
/// half is left away so that replicas do not come back together.
pub(super) fn after(failures: u32) -> Duration {
    let longest = FIRST.saturating_mul(1 << failures.min(16)).min(LONGEST);
    let random = u32::from(u16::from_be_bytes(thv_jose::random::bytes()));
    longest / 2 + longest / 2 * random / u32::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_a_bound() {
        for failures in 0..40 {
            let wait = after(failures);
            assert!(wait >= FIRST / 2 && wait <= LONGEST, "{wait:?}");
        }
        assert!(after(0) <= FIRST);
        assert!(after(30) >= LONGEST / 2);
    }
}
