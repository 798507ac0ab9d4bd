use std::sync::Arc;
use std::time::Duration;

use thv_clock::Timestamp;
use thv_jose::key::SigningKey;

/// How long a new key is published before it signs: twice as long as a JWK Set may be cached.
pub const PUBLISHED_BEFORE_SIGNING: Duration = Duration::from_secs(600);

/// Which keys are in force, since when each has been published, and when that changes next.
#[derive(Debug)]
pub(super) struct Rotation {
    /// How long a token may outlive the last moment at which a key that is gone could have signed it.
    token_lifetime: Duration,
    known: Vec<Known>,
    next_due: Option<Timestamp>,
}

/// A key in force.
#[derive(Clone, Debug)]
struct Known {
    key: Arc<SigningKey>,
    published_since: Timestamp,
    /// When it was no longer found in the files; its tokens verify on until they have expired.
    gone_since: Option<Timestamp>,
}

impl Known {
    fn ready_at(&self) -> Timestamp {
        self.published_since + PUBLISHED_BEFORE_SIGNING
    }
}

impl Rotation {
    pub(super) const fn new(token_lifetime: Duration) -> Self {
        Self { token_lifetime, known: Vec::new(), next_due: None }
    }

    /// The keys in force with the one first that is to sign now, given those that the files hold.
    ///
    /// The signer is the first in the operator's order that has been published long enough. At the start all have: nobody
    /// can tell for how long another process published them, and the operator's order is the best guess. A key that is
    /// gone from the files comes last: it signs only until a listed one may, and verifies until its tokens have expired.
    pub(super) fn order(&mut self, listed: Vec<SigningKey>, now: Timestamp) -> Vec<Arc<SigningKey>> {
        let at_start = self.known.is_empty();
        let before = std::mem::take(&mut self.known);
        let since = |kid: &str| {
            let unknown = if at_start { Timestamp::EPOCH } else { now };
            before.iter().find(|known| known.key.kid() == kid).map_or(unknown, |known| known.published_since)
        };
        let mut known: Vec<Known> = listed
            .into_iter()
            .map(|key| Known { published_since: since(key.kid()), key: Arc::new(key), gone_since: None })
            .collect();
        let is_listed = |gone: &Known| known.iter().any(|listed| listed.key.kid() == gone.key.kid());
        let gone: Vec<Known> = before
            .iter()
            .filter(|known| !is_listed(known))
            .map(|known| Known { gone_since: known.gone_since.or(Some(now)), ..known.clone() })
            .filter(|gone| self.ends_at(gone).is_some_and(|end| now < end))
            .collect();
        known.extend(gone);
        let signer = known.iter().position(|known| known.ready_at() <= now).unwrap_or(0);
        let ready = known.iter().take(signer).map(Known::ready_at);
        self.next_due = ready.chain(known.iter().filter_map(|known| self.ends_at(known))).min();
        let mut keys: Vec<Arc<SigningKey>> = known.iter().map(|known| Arc::clone(&known.key)).collect();
        self.known = known;
        if let Some(first) = keys.get_mut(..=signer) {
            first.rotate_right(1);
        }
        keys
    }

    /// When the last token of a key that is gone has expired.
    fn ends_at(&self, known: &Known) -> Option<Timestamp> {
        known.gone_since.map(|gone| gone + PUBLISHED_BEFORE_SIGNING + self.token_lifetime)
    }

    /// Whether another key may sign now, or one that is gone may be forgotten.
    pub(super) fn due(&self, now: Timestamp) -> bool {
        self.next_due.is_some_and(|due| due <= now)
    }
}
