//! The cache of valid documents: LRU, bounded, each with its own freshness.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use thv_clock::Timestamp;

use super::Document;

/// A document and what its host said about keeping it.
#[derive(Clone)]
pub(super) struct Cached {
    pub(super) document: Arc<Document>,
    /// The document as it was received.
    pub(super) body: Bytes,
    /// The headers that say how long and against what it is compared (RFC 9111 §3.1), a 304's merged in (§4.3.4).
    pub(super) headers: HeaderMap,
    /// When it was last fetched or confirmed, by this replica or another.
    pub(super) fetched_at: Timestamp,
    /// When its host last could not be reached, since the document was kept.
    pub(super) failed_at: Option<Timestamp>,
    /// From here on it is served only while its host is down.
    pub(super) fresh_until: Timestamp,
}

impl Cached {
    /// From here on it is renewed in the background.
    pub(super) fn refresh_at(&self) -> Timestamp {
        self.fetched_at + self.fresh_until.since(self.fetched_at) * 4 / 5
    }
}

/// Freshness is judged by the caller's clock; the cache only bounds.
pub(super) struct DocumentCache(Cache<String, Arc<Cached>>);

impl DocumentCache {
    pub(super) fn new(max_size: u64) -> Self {
        Self(Cache::builder().max_capacity(max_size).eviction_policy(EvictionPolicy::lru()).build())
    }

    pub(super) fn find(&self, url: &str) -> Option<Arc<Cached>> {
        self.0.get(url)
    }

    pub(super) fn keep(&self, url: &str, cached: Cached) -> Arc<Cached> {
        let cached = Arc::new(cached);
        self.0.insert(url.to_owned(), Arc::clone(&cached));
        cached
    }

    pub(super) fn forget(&self, url: &str) {
        self.0.invalidate(url);
    }
}
