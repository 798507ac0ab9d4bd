//! Authorization requests whose user is logging in.

use std::sync::Arc;

use thv_clock::Timestamp;

use crate::StoreError;
use crate::records::PendingAuthorization;
use crate::table::{Backend, Kind, Record, Table, When};

impl Record for PendingAuthorization {
    const KIND: Kind = Kind::Pending;
}

/// The outcome of asking for a pending authorization.
#[derive(Debug)]
pub enum Take {
    /// It was there and belonged to the browser; it is gone now.
    Taken(Box<PendingAuthorization>),
    /// It is there and stays: it belongs to another browser.
    WrongBrowser,
    /// Unknown, expired or already taken.
    Absent,
}

/// Authorization requests whose user is logging in, keyed by the SHA-256 of our upstream `state`.
#[derive(Clone)]
pub struct PendingStore(Arc<dyn Table<PendingAuthorization>>);

impl PendingStore {
    pub(crate) fn over(backend: &impl Backend) -> Self {
        Self(backend.table())
    }

    /// Keeps a request until it is taken or expires.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn insert(
        &self,
        key: [u8; 32],
        pending: PendingAuthorization,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let until = pending.expires_at;
        self.0.write(&key, pending, until, When::Always, now).await.map(drop)
    }

    /// Reads without taking, for a page that may be submitted several times; `None` unless it belongs to `browser`.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn load(
        &self,
        key: &[u8; 32],
        browser: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<PendingAuthorization>, StoreError> {
        let row = self.0.load(key, now).await?.filter(|row| row.value.browser == *browser);
        Ok(row.map(|row| Arc::unwrap_or_clone(row.value)))
    }

    /// Takes it, once: of two concurrent calls one gets it. Another browser's call changes nothing.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn take(&self, key: &[u8; 32], browser: &[u8; 32], now: Timestamp) -> Result<Take, StoreError> {
        let Some(row) = self.0.load(key, now).await? else { return Ok(Take::Absent) };
        if row.value.browser != *browser {
            return Ok(Take::WrongBrowser);
        }
        // A row is written once under its key: who cannot remove it came second.
        if self.0.remove(key, When::Is(row.version), now).await? {
            Ok(Take::Taken(Box::new(Arc::unwrap_or_clone(row.value))))
        } else {
            Ok(Take::Absent)
        }
    }
}
