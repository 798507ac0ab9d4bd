//! Remembered approvals.

use std::sync::Arc;

use thv_clock::Timestamp;

use crate::StoreError;
use crate::records::Approval;
use crate::table::{Backend, Kind, Record, Table, When, pair};

impl Record for Approval {
    const KIND: Kind = Kind::Consent;
}

/// Remembered approvals per (user, client).
#[derive(Clone)]
pub struct ConsentStore(Arc<dyn Table<Approval>>);

impl ConsentStore {
    pub(crate) fn over(backend: &impl Backend) -> Self {
        Self(backend.table())
    }

    /// Remembers, replacing an earlier approval of the same pair.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn save(
        &self,
        sub: &str,
        client_id: &str,
        approval: Approval,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (key, until) = (pair(sub.as_bytes(), client_id.as_bytes()), approval.expires_at);
        self.0.write(&key, approval, until, When::Always, now).await.map(drop)
    }

    /// What was approved, if it has not expired.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn load(
        &self,
        sub: &str,
        client_id: &str,
        now: Timestamp,
    ) -> Result<Option<Arc<Approval>>, StoreError> {
        let key = pair(sub.as_bytes(), client_id.as_bytes());
        Ok(self.0.load(&key, now).await?.map(|row| row.value))
    }
}
