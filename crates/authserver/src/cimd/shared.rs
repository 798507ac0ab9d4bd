//! The documents that replicas share through the store (C6): what one of them fetched serves all, and is still there when a
//! cache was lost while the document's host is down (C9).
//!
//! Nobody depends on it: a store that does not answer is as good as an empty one.

use std::sync::Arc;

use serde_json::Value;
use thv_clock::Timestamp;
use thv_oauth::client_id::MetadataUrl;
use thv_store::records::StoredDocument;
use thv_store::{DocumentStore, StoreError};

/// The store of documents.
pub(super) struct SharedDocuments(DocumentStore);

impl SharedDocuments {
    pub(super) fn new(store: DocumentStore) -> Self {
        Self(store)
    }

    /// What is shared under `url`, if it is newer than what was fetched at `known`.
    pub(super) async fn newer(
        &self,
        url: &MetadataUrl,
        known: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<Arc<StoredDocument>> {
        match self.0.load(url.as_str(), now).await {
            Ok(stored) => stored.filter(|stored| known.is_none_or(|known| stored.fetched_at > known)),
            Err(error) => {
                not_shared(url, &error);
                None
            }
        }
    }

    /// Shares a document until `until`.
    pub(super) async fn save(
        &self,
        url: &MetadataUrl,
        document: StoredDocument,
        until: Timestamp,
        now: Timestamp,
    ) {
        if let Err(error) = self.0.save(url.as_str(), document, until, now).await {
            not_shared(url, &error);
        }
    }

    /// Puts `null` in the place of a document, until `until`: it fails every check, and whoever still has the former document
    /// learns that it does not count any more.
    pub(super) async fn withdraw(&self, url: &MetadataUrl, until: Timestamp, now: Timestamp) {
        let nothing = StoredDocument { document: Value::Null, etag: None, fresh_until: now, fetched_at: now };
        self.save(url, nothing, until, now).await;
    }
}

fn not_shared(url: &MetadataUrl, error: &StoreError) {
    tracing::debug!(
        cimd.url = url.as_str(),
        error = thv_telemetry::chain(error),
        "client metadata documents are not shared at the moment"
    );
}
