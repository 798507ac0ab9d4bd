//! What this process remembers about its registration, and for how long.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use thv_clock::Timestamp;
use thv_oauth::server_metadata::AuthorizationServerMetadata;

use super::{Registered, Unregistered};

/// How long another replica's change may go unnoticed.
const TRUSTED: Duration = Duration::from_secs(60);
/// How often it is looked at most whether the endpoints have moved; the metadata's own freshness may say less often.
const FOLLOW: Duration = Duration::from_secs(60);
/// How long a client that the upstream says to know may be refused, with no success in between.
const PATIENCE: Duration = Duration::from_secs(5 * 60);
/// Pauses after failures, doubled up to the last, and lengthened by up to a quarter so that replicas do not come together.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LAST_PAUSE: Duration = Duration::from_secs(5 * 60);

/// What this process remembers.
#[derive(Default)]
pub(super) struct Memory(Mutex<State>);

#[derive(Default)]
struct State {
    known: Option<Known>,
    by_hand: Option<ByHand>,
    failure: Option<Unregistered>,
    resolving: Pause,
    renewing: Pause,
    followed_at: Option<Timestamp>,
    age_told: bool,
    refused: Option<Refused>,
}

/// A client that the upstream refuses and says to know.
struct Refused {
    client_id: String,
    since: Timestamp,
}

struct Known {
    registered: Arc<Registered>,
    read_at: Timestamp,
}

/// The client that was registered by hand, and the metadata that it was made with.
struct ByHand {
    registered: Arc<Registered>,
    metadata: Option<Arc<AuthorizationServerMetadata>>,
}

/// When the next attempt may be.
#[derive(Default)]
struct Pause {
    failures: u32,
    until: Timestamp,
}

impl Pause {
    fn failed(&mut self, now: Timestamp) -> Duration {
        let doubled = FIRST_PAUSE.saturating_mul(1 << self.failures.min(16)).min(LAST_PAUSE);
        let [jitter] = thv_jose::random::bytes();
        let pause = doubled + doubled.mul_f64(f64::from(jitter) / 1024.0);
        self.failures = self.failures.saturating_add(1);
        self.until = now + pause;
        pause
    }
}

/// What is found in memory.
pub(super) enum Look {
    /// It can be used.
    Usable(Arc<Registered>),
    /// It can be used, but another replica may have changed it.
    Old(Arc<Registered>),
    /// There was no success a moment ago.
    Failed(Unregistered),
    /// Nothing that can be used.
    Nothing,
}

impl Memory {
    pub(super) fn look(&self, now: Timestamp) -> Look {
        let state = self.state();
        let pausing = now < state.resolving.until;
        match (state.known.as_ref().filter(|known| known.registered.is_usable(now)), &state.failure) {
            (Some(known), _) if pausing || now < known.read_at + TRUSTED => {
                Look::Usable(Arc::clone(&known.registered))
            }
            (Some(known), _) => Look::Old(Arc::clone(&known.registered)),
            (None, Some(failure)) if pausing => Look::Failed(failure.clone()),
            (None, _) => Look::Nothing,
        }
    }

    /// What was known last, whether it can still be used or not.
    pub(super) fn known(&self) -> Option<Arc<Registered>> {
        let state = self.state();
        state.known.as_ref().map(|known| Arc::clone(&known.registered))
    }

    pub(super) fn keep(&self, registered: &Arc<Registered>, now: Timestamp) {
        self.state().known = Some(Known { registered: Arc::clone(registered), read_at: now });
    }

    /// Forgets what is known, when the store says that it does not hold any more.
    pub(super) fn forget(&self) {
        self.state().known = None;
    }

    /// The client that was registered by hand, if it was made with this very metadata.
    pub(super) fn by_hand(
        &self,
        metadata: Option<&Arc<AuthorizationServerMetadata>>,
    ) -> Option<Arc<Registered>> {
        let state = self.state();
        let known = state.by_hand.as_ref()?;
        let same = match (&known.metadata, metadata) {
            (Some(known), Some(metadata)) => Arc::ptr_eq(known, metadata),
            (None, None) => true,
            _ => false,
        };
        same.then(|| Arc::clone(&known.registered))
    }

    pub(super) fn keep_by_hand(
        &self,
        registered: &Arc<Registered>,
        metadata: Option<Arc<AuthorizationServerMetadata>>,
    ) {
        self.state().by_hand = Some(ByHand { registered: Arc::clone(registered), metadata });
    }

    pub(super) fn failure(&self) -> Option<Unregistered> {
        self.state().failure.clone()
    }

    pub(super) fn failed(&self, failure: Unregistered, now: Timestamp) -> Duration {
        let mut state = self.state();
        state.failure = Some(failure);
        state.resolving.failed(now)
    }

    pub(super) fn succeeded(&self) {
        let mut state = self.state();
        (state.failure, state.resolving) = (None, Pause::default());
    }

    pub(super) fn may_renew(&self, now: Timestamp) -> bool {
        now >= self.state().renewing.until
    }

    pub(super) fn renewal_failed(&self, now: Timestamp) -> Duration {
        self.state().renewing.failed(now)
    }

    pub(super) fn renewed(&self) {
        self.state().renewing = Pause::default();
    }

    /// Whether it is time to look at the metadata; it is then taken to be done.
    pub(super) fn follow_is_due(&self, now: Timestamp) -> bool {
        let mut state = self.state();
        let due = state.followed_at.is_none_or(|followed_at| now >= followed_at + FOLLOW);
        if due {
            state.followed_at = Some(now);
        }
        due
    }

    /// `true` once.
    pub(super) fn tell_age(&self) -> bool {
        !std::mem::replace(&mut self.state().age_told, true)
    }

    /// Notes that a client was refused: whether that has gone on for too long.
    pub(super) fn is_refused_for_long(&self, client_id: &str, now: Timestamp) -> bool {
        let mut state = self.state();
        match &state.refused {
            Some(refused) if refused.client_id == client_id => now >= refused.since + PATIENCE,
            _ => {
                state.refused = Some(Refused { client_id: client_id.to_owned(), since: now });
                false
            }
        }
    }

    /// Notes that a client was accepted.
    pub(super) fn accepted(&self, client_id: &str) {
        let mut state = self.state();
        state.refused.take_if(|refused| refused.client_id == client_id);
    }

    /// Held for moments only, and never left half-written.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn u4_pauses_double_up_to_their_limit_and_differ_between_replicas() {
        let now = Timestamp::from_secs(1_700_000_000);
        let mut pause = Pause::default();
        for seconds in [5, 10, 20, 40, 80, 160, 300, 300] {
            let plain = Duration::from_secs(seconds);
            let lengthened = pause.failed(now);
            assert!(lengthened >= plain && lengthened < plain.mul_f64(1.25), "{lengthened:?}");
            assert_eq!(pause.until, now + lengthened);
        }
    }

    #[test]
    fn u4_a_failure_is_remembered_until_the_next_attempt_may_be() {
        let (memory, now) = (Memory::default(), Timestamp::from_secs(1_700_000_000));
        assert!(matches!(memory.look(now), Look::Nothing));
        let pause = memory.failed(Unregistered::Busy, now);
        assert!(matches!(memory.look(now), Look::Failed(Unregistered::Busy)));
        assert!(matches!(memory.look(now + pause), Look::Nothing));
        memory.succeeded();
        assert!(matches!(memory.look(now), Look::Nothing));
    }

    #[test]
    fn u7_a_client_is_refused_for_long_when_minutes_pass_without_a_success() {
        let (memory, now) = (Memory::default(), Timestamp::from_secs(1_700_000_000));
        let later = |seconds| now + Duration::from_secs(seconds);
        assert!(!memory.is_refused_for_long("a", now));
        assert!(!memory.is_refused_for_long("a", later(299)));
        memory.accepted("b");
        assert!(memory.is_refused_for_long("a", later(300)));
        assert!(memory.is_refused_for_long("a", later(301)), "it is so until it is accepted");
        memory.accepted("a");
        assert!(!memory.is_refused_for_long("a", later(302)));
        assert!(!memory.is_refused_for_long("b", later(700)), "another one");
    }

    #[test]
    fn u6_the_metadata_is_looked_at_once_in_a_while() {
        let (memory, now) = (Memory::default(), Timestamp::from_secs(1_700_000_000));
        assert!(memory.follow_is_due(now));
        assert!(!memory.follow_is_due(now + Duration::from_secs(59)));
        assert!(memory.follow_is_due(now + Duration::from_secs(60)));
    }
}
