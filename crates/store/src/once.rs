//! Things that may happen once, and turns that one replica holds.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thv_clock::Timestamp;

use crate::StoreError;
use crate::table::{Backend, Kind, Record, Table, When};

/// That it happened.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Used;

impl Record for Used {
    const KIND: Kind = Kind::Replay;
}

/// Things that may happen once within a time.
#[derive(Clone)]
pub struct ReplayStore(Arc<dyn Table<Used>>);

impl ReplayStore {
    pub(crate) fn over(backend: &impl Backend) -> Self {
        Self(backend.table())
    }

    /// `true` for the first caller with this key before `until`, `false` for every other.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn claim(&self, key: [u8; 32], until: Timestamp, now: Timestamp) -> Result<bool, StoreError> {
        self.0.write(&key, Used, until, When::Absent, now).await
    }
}

/// Who holds a turn.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Holder([u8; 16]);

impl Record for Holder {
    const KIND: Kind = Kind::Lease;
}

/// Turns that one replica at a time holds. A turn ends by itself, so whoever relies on it must tolerate a second holder
/// after its time.
#[derive(Clone)]
pub struct LeaseStore(Arc<dyn Table<Holder>>);

/// A turn that is held.
#[derive(Clone, Copy, Debug)]
pub struct Lease {
    name: [u8; 32],
    holder: [u8; 16],
}

impl LeaseStore {
    pub(crate) fn over(backend: &impl Backend) -> Self {
        Self(backend.table())
    }

    /// Takes the turn `name` until `until`; `None` while somebody else holds it.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn acquire(
        &self,
        name: [u8; 32],
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Option<Lease>, StoreError> {
        let holder = thv_jose::random::bytes();
        let taken = self.0.write(&name, Holder(holder), until, When::Absent, now).await?;
        Ok(taken.then_some(Lease { name, holder }))
    }

    /// Gives the turn back, if it is still ours.
    ///
    /// # Errors
    /// When the store does not answer; the turn then ends by itself.
    pub async fn release(&self, lease: Lease, now: Timestamp) -> Result<(), StoreError> {
        match self.0.load(&lease.name, now).await? {
            Some(row) if row.value.0 == lease.holder => {
                self.0.remove(&lease.name, When::Is(row.version), now).await.map(drop)
            }
            _ => Ok(()),
        }
    }
}
