//! Rows that were sealed with a key that has been taken away.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use thv_jose::at_rest::KeyId;

use crate::table::Kind;

/// So many keys and kinds are told apart in the log.
const TOLD: usize = 1000;

/// Whether a record counts as absent when the key that sealed it is gone. A new login, or a new fetch, replaces such a record,
/// which is better than an error until its end. What nothing replaces stays an error that an operator has to see to. An
/// identifier that was used stays used: it is known by its row being there, which needs no key.
pub(super) fn may_be_lost(kind: Kind) -> bool {
    match kind {
        Kind::Pending
        | Kind::Code
        | Kind::Grant
        | Kind::Session
        | Kind::UpstreamTokens
        | Kind::Consent
        | Kind::Document => true,
        Kind::Client
        | Kind::Replay
        | Kind::Registration
        | Kind::RegistrationIndex
        | Kind::Lease
        | Kind::Store => false,
    }
}

/// Which losses the log has told of.
#[derive(Default)]
pub(super) struct LostKeys(Mutex<HashSet<(KeyId, Kind)>>);

impl LostKeys {
    /// Tells of a record that is lost; once for each key and kind.
    pub(super) fn warn(&self, key: KeyId, kind: Kind) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() < TOLD && told.insert((key, kind)) {
            tracing::warn!(
                key.id = %key,
                kind = kind.as_str(),
                "records were sealed with a key that is not configured any more and count as absent"
            );
        }
    }
}
