use std::collections::HashMap;
use std::time::Duration;

use thv_clock::Timestamp;
use thv_jose::key::SigningKey;

/// How long a new key is published before it signs: twice as long as a JWK Set may be cached.
pub const PUBLISHED_BEFORE_SIGNING: Duration = Duration::from_secs(600);

/// Since when each key has been published, and when the next may start to sign.
#[derive(Debug, Default)]
pub(super) struct Rotation {
    /// By `kid`; exactly the keys of the ring in force.
    published: HashMap<String, Timestamp>,
    next_due: Option<Timestamp>,
}

impl Rotation {
    /// The keys with the one first that is to sign now.
    ///
    /// That is the first in the operator's order that has been published long enough. At the start all have: nobody can
    /// tell for how long another process published them, and the operator's order is the best guess. When none has,
    /// because every older key was removed at once, the operator's first signs.
    pub(super) fn order(&mut self, mut keys: Vec<SigningKey>, now: Timestamp) -> Vec<SigningKey> {
        let at_start = self.published.is_empty();
        let known = std::mem::take(&mut self.published);
        let since = |key: &SigningKey| {
            let unknown = if at_start { Timestamp::EPOCH } else { now };
            known.get(key.kid()).copied().unwrap_or(unknown)
        };
        let ready_at: Vec<Timestamp> = keys.iter().map(|key| since(key) + PUBLISHED_BEFORE_SIGNING).collect();
        let signer = ready_at.iter().position(|ready| *ready <= now).unwrap_or(0);
        self.next_due = ready_at.iter().take(signer).min().copied();
        self.published = keys.iter().map(|key| (key.kid().to_owned(), since(key))).collect();
        if let Some(first) = keys.get_mut(..=signer) {
            first.rotate_right(1);
        }
        keys
    }

    /// Whether a key that was published first may sign now.
    pub(super) fn due(&self, now: Timestamp) -> bool {
        self.next_due.is_some_and(|due| due <= now)
    }
}
