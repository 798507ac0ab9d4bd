//! What binds a sealed record to its place.

use thv_clock::Timestamp;
use thv_jose::at_rest::{AtRestError, AtRestRing, Opened};

use super::unreadable;
use crate::StoreError;
use crate::rows::RowKey;

/// Where a record belongs, and until when: moved to another row, or given a longer life, it cannot be opened any more.
pub(crate) struct Envelope {
    pub(crate) key: RowKey,
    pub(crate) until: Timestamp,
}

impl Envelope {
    pub(crate) fn seal(&self, ring: &AtRestRing, plaintext: &[u8]) -> Result<Vec<u8>, StoreError> {
        ring.seal(&self.place(), plaintext).map_err(|error| unreadable(self.key.kind, error))
    }

    pub(crate) fn try_open(&self, ring: &AtRestRing, sealed: &[u8]) -> Result<Opened, AtRestError> {
        ring.open(&self.place(), sealed)
    }

    /// The hash and the time have fixed lengths, so no two places give the same bytes.
    fn place(&self) -> Vec<u8> {
        let until = self.until.as_millis().to_be_bytes();
        [b"row".as_slice(), &self.key.hash, &until, self.key.kind.as_str().as_bytes()].concat()
    }
}
