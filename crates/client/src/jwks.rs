//! Key sets by URL (`jwks_uri`, RFC 8414 §2, RFC 7591 §2).

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http::header::{ACCEPT, HeaderMap, HeaderValue};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use serde_json::Value;
use thv_clock::SharedClock;
use thv_egress::freshness::{self, Bounds};
use thv_egress::{Client, EgressError, Limits};
use thv_jose::jwks::{Jwks, JwksError};

use crate::document::{Document, FetchFailure, Fetched, Retention};
use crate::jws_header::JwsHeader;

const LIMITS: Limits = Limits { total: Duration::from_secs(5), max_body: 64 * 1024 };
/// How often an unknown `kid`, which anybody can make up, causes a fetch.
const RELOAD_PAUSE: Duration = Duration::from_secs(10);
const RETENTION: Retention = Retention {
    freshness: Bounds {
        fallback: Duration::from_secs(5 * 60),
        min: Duration::from_secs(60),
        max: Duration::from_secs(24 * 3600),
    },
    stale: Duration::from_secs(24 * 3600),
    first_retry: Duration::from_secs(5),
    last_retry: Duration::from_secs(5),
};

/// A fetched key set.
#[derive(Clone, Debug)]
pub struct KeySet {
    /// The usable keys.
    pub keys: Arc<Jwks>,
    /// The document as it was received.
    pub document: Value,
}

impl KeySet {
    /// Whether a key could be meant by the `kid` of `token`'s header; also when the header names none.
    fn may_verify(&self, token: &str) -> bool {
        match JwsHeader::peek(token).and_then(|header| header.kid) {
            Some(kid) => self.keys.keys().iter().any(|key| key.kid().is_none_or(|own| own == kid)),
            None => true,
        }
    }
}

/// Why there is no key set.
#[derive(Clone, Debug, thiserror::Error)]
pub enum JwksFetchError {
    /// Nothing was received.
    #[error("the key set could not be fetched")]
    Unreachable(#[source] Arc<EgressError>),
    /// Only 200 is success.
    #[error("the key set was answered with status {0} where only 200 is accepted")]
    Status(u16),
    /// What was received is no key set.
    #[error("the key set is not acceptable")]
    Invalid(#[source] Arc<JwksError>),
    /// The fetch ended without an outcome.
    #[error("fetching the key set was interrupted")]
    Interrupted,
}

impl JwksFetchError {
    /// Whether the host may answer later.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Interrupted => true,
            Self::Status(status) => *status == 429 || *status >= 500,
            Self::Invalid(_) => false,
        }
    }
}

impl FetchFailure for JwksFetchError {
    fn is_temporary(&self) -> bool {
        Self::is_temporary(self)
    }

    fn interrupted() -> Self {
        Self::Interrupted
    }
}

type Entry = Arc<Document<KeySet, JwksFetchError>>;

/// Key sets, bounded in number and the least recently used dropped first. A set is fresh for as long as its server says,
/// but at least a minute and at most a day (5 minutes when the server is silent), and used for a day more while the server
/// is down. A URL that fails is asked again after 5 seconds.
pub struct JwksCache {
    egress: Client,
    clock: SharedClock,
    entries: Cache<String, Entry>,
}

impl JwksCache {
    /// A cache of at most `capacity` key sets.
    pub fn new(egress: Client, clock: SharedClock, capacity: u64) -> Self {
        let entries = Cache::builder().max_capacity(capacity).eviction_policy(EvictionPolicy::lru()).build();
        Self { egress, clock, entries }
    }

    /// The key set at `url`.
    ///
    /// # Errors
    /// When it is not kept and cannot be fetched, or could not within the last 5 seconds.
    pub async fn load(&self, url: &str) -> Result<Arc<KeySet>, JwksFetchError> {
        self.entry(url).load(|| self.fetch(url)).await
    }

    /// The key set at `url` to verify `token` with: fetched again, at most every 10 seconds, when it has no key of the
    /// `kid` that the token's header names. That is how a rotated key is found before the set has become old.
    ///
    /// # Errors
    /// As for [`Self::load`].
    pub async fn load_for(&self, url: &str, token: &str) -> Result<Arc<KeySet>, JwksFetchError> {
        let entry = self.entry(url);
        let set = entry.load(|| self.fetch(url)).await?;
        if set.may_verify(token) {
            return Ok(set);
        }
        entry.reload(set, RELOAD_PAUSE, || self.fetch(url)).await
    }

    /// The key set at `url` if it is kept and may have the key that `token` names. Nothing is fetched.
    pub fn kept_for(&self, url: &str, token: &str) -> Option<Arc<KeySet>> {
        self.entries.get(url)?.kept().filter(|set| set.may_verify(token))
    }

    fn entry(&self, url: &str) -> Entry {
        self.entries.get_with_by_ref(url, || {
            Arc::new(Document::new(url.to_owned(), Arc::clone(&self.clock), RETENTION))
        })
    }

    fn fetch(
        &self,
        url: &str,
    ) -> impl Future<Output = Result<Fetched<KeySet>, JwksFetchError>> + Send + 'static {
        fetch(self.egress.clone(), Arc::clone(&self.clock), url.to_owned())
    }
}

async fn fetch(egress: Client, clock: SharedClock, url: String) -> Result<Fetched<KeySet>, JwksFetchError> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/jwk-set+json, application/json"));
    let response = egress.get(&url, headers, LIMITS).await;
    let response = response.map_err(|error| JwksFetchError::Unreachable(Arc::new(error)))?;
    if response.status != StatusCode::OK {
        return Err(JwksFetchError::Status(response.status.as_u16()));
    }
    let invalid = |error| JwksFetchError::Invalid(Arc::new(error));
    let document: Value =
        serde_json::from_slice(&response.body).map_err(|error| invalid(JwksError::Json(error)))?;
    let keys = Arc::new(Jwks::from_value(&document).map_err(invalid)?);
    let fresh_until = freshness::fresh_until(clock.now(), &url, &response.headers, &RETENTION.freshness);
    Ok(Fetched { value: KeySet { keys, document }, fresh_until })
}
