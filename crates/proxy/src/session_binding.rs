//! Backend sessions bound to the person who opened them (RS-16).

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use thv_jose::digest::sha256;

type Digest = [u8; 32];

/// Which subject opened which backend session.
///
/// A session id is not an authentication: without the binding, whoever learns somebody's `Mcp-Session-Id` could use it
/// with a token of their own. Bounded; a binding that was pushed out leaves the id unknown, and unknown ids pass.
pub(crate) struct SessionBinding {
    owners: Cache<Digest, Digest>,
}

impl SessionBinding {
    pub(crate) fn new(capacity: u64) -> Self {
        let owners = Cache::builder().max_capacity(capacity).eviction_policy(EvictionPolicy::lru()).build();
        Self { owners }
    }

    /// Whether this subject may use the session: it is the subject's own, or nobody's that we know.
    pub(crate) fn admits(&self, session_id: &[u8], subject: &Digest) -> bool {
        self.owners.get(&sha256(session_id)).is_none_or(|owner| owner == *subject)
    }

    /// The backend opened a session for this subject. A backend that counts its sessions gives old ids to new owners
    /// after a restart, so the last one wins.
    pub(crate) fn bind(&self, session_id: &[u8], subject: Digest) {
        self.owners.insert(sha256(session_id), subject);
    }

    /// The backend closed a session.
    pub(crate) fn release(&self, session_id: &[u8]) {
        self.owners.invalidate(&sha256(session_id));
    }
}
