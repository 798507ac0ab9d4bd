//! Client ID metadata documents, fetched by one replica for all.

use std::sync::Arc;

use thv_clock::Timestamp;

use crate::StoreError;
use crate::records::StoredDocument;
use crate::table::{Backend, Kind, Record, Table, When};

impl Record for StoredDocument {
    const KIND: Kind = Kind::Document;
}

/// Client ID metadata documents, keyed by `client_id` (C6).
#[derive(Clone)]
pub struct DocumentStore(Arc<dyn Table<StoredDocument>>);

impl DocumentStore {
    pub(crate) fn over(backend: &impl Backend) -> Self {
        Self(backend.table())
    }

    /// The document of a client, fresh or not.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn load(
        &self,
        client_id: &str,
        now: Timestamp,
    ) -> Result<Option<Arc<StoredDocument>>, StoreError> {
        Ok(self.0.load(client_id.as_bytes(), now).await?.map(|row| row.value))
    }

    /// Keeps a document until `until`.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn save(
        &self,
        client_id: &str,
        document: StoredDocument,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.0.write(client_id.as_bytes(), document, until, When::Always, now).await.map(drop)
    }
}
