//! Registrations kept by the server.

use std::sync::Arc;

use thv_clock::Timestamp;

use crate::StoreError;
use crate::records::StoredClient;
use crate::table::{Backend, Kind, Record, Table, When};

impl Record for StoredClient {
    const KIND: Kind = Kind::Client;

    fn may_be_dropped(&self) -> bool {
        self.used_at.is_none()
    }
}

/// Registrations kept by the server. Each has an end, which its use defers.
#[derive(Clone)]
pub struct ClientStore(Arc<dyn Table<StoredClient>>);

impl ClientStore {
    pub(crate) fn over(backend: &impl Backend) -> Self {
        Self(backend.table())
    }

    /// Keeps a registration until `until`, or until it is used. When a bounded store has no room, one that was never used
    /// gives way.
    ///
    /// # Errors
    /// When the store does not answer, or is full of registrations that are in use.
    pub async fn insert(
        &self,
        client: StoredClient,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let key = client.client_id.clone();
        self.0.write(key.as_bytes(), client, until, When::Always, now).await.map(drop)
    }

    /// Finds one by its exact `client_id`.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn load(&self, client_id: &str, now: Timestamp) -> Result<Option<StoredClient>, StoreError> {
        let row = self.0.load(client_id.as_bytes(), now).await?;
        Ok(row.map(|row| Arc::unwrap_or_clone(row.value)))
    }

    /// Notes that a code was issued to it: it is kept at least until `until`.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn used(&self, client_id: &str, until: Timestamp, now: Timestamp) -> Result<(), StoreError> {
        let changed = |client: &StoredClient| StoredClient { used_at: Some(now), ..client.clone() };
        self.change(client_id, changed, until, now).await.map(drop)
    }

    /// Replaces the metadata of a registration (RFC 7592 §2.2); `false` when there is none.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn update(
        &self,
        client_id: &str,
        changed: impl Fn(&StoredClient) -> StoredClient + Send,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.change(client_id, changed, now, now).await
    }

    async fn change(
        &self,
        client_id: &str,
        changed: impl Fn(&StoredClient) -> StoredClient + Send,
        at_least_until: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let key = client_id.as_bytes();
        while let Some(row) = self.0.load(key, now).await? {
            let until = row.until.max(at_least_until);
            if self.0.write(key, changed(&row.value), until, When::Is(row.version), now).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Forgets a registration (RFC 7592 §2.3); `true` when it was there.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn delete(&self, client_id: &str, now: Timestamp) -> Result<bool, StoreError> {
        self.0.remove(client_id.as_bytes(), When::Always, now).await
    }
}
