//! Client ID Metadata Documents: resolving a URL `client_id` (draft-ietf-oauth-client-id-metadata-document-02).
//!
//! `Resolver::resolve` is the way every endpoint takes: pinned documents, then the cache, then what another replica fetched,
//! then one guarded fetch per URL within a budget. Nothing but a valid document is ever cached (AS-71).

mod budget;
mod cache;
mod check;
mod fetch;
mod shared;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AGE, CACHE_CONTROL, DATE, ETAG, EXPIRES, LAST_MODIFIED, VARY};
use http::{HeaderMap, HeaderValue};
use thv_clock::SharedClock;
use thv_egress::client::Client as Egress;
use thv_egress::freshness::{self, Bounds, Validators};
use thv_oauth::client_id::MetadataUrl;
use thv_oauth::client_metadata::ClientMetadata;
use thv_oauth::metadata_document::{DocumentPolicy, Refusal, examine};
use thv_store::DocumentStore;
use thv_store::records::StoredDocument;
use thv_telemetry::metrics::Metrics;
use tokio_util::task::TaskTracker;

use self::budget::Budget;
pub(crate) use self::budget::BudgetExceeded;
use self::cache::{Cached, DocumentCache};
pub use self::check::{CheckReport, RuleResult, check, check_pinned};
use self::fetch::{FetchError, Fetched};
use self::shared::SharedDocuments;
use crate::single_flight::{Flight, SingleFlight};

/// How long a document stands in without its host having been asked, after it ended or after the host last failed.
const UNASKED_STALE: Duration = Duration::from_secs(300);

/// A document that passed every rule.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) metadata: Arc<ClientMetadata>,
    pub(crate) material_hash: String,
}

impl Document {
    fn new(metadata: ClientMetadata) -> Self {
        Self { material_hash: metadata.material_hash(), metadata: Arc::new(metadata) }
    }
}

/// Why a URL did not resolve to a client.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum ResolveError {
    /// The document could not be fetched. What the remote caller is told does not depend on the cause (C4).
    #[error("the metadata document could not be fetched")]
    Fetch(#[source] Arc<FetchError>),
    /// The document was fetched and breaks a rule.
    #[error("the metadata document is not acceptable: {}", .0.detail)]
    Document(Arc<Refusal>),
    /// Too many fetches at the moment.
    #[error("too many metadata documents are being fetched")]
    Busy(BudgetExceeded),
    /// The fetch ended without an answer.
    #[error("the fetch was interrupted")]
    Interrupted,
}

/// How documents are fetched, kept and judged.
#[derive(Clone, Debug)]
pub struct CimdSettings {
    /// Documents held at most; the least recently used goes first.
    pub cache_max_size: u64,
    /// Lower and upper bounds of freshness, and what holds when the host says nothing.
    pub freshness: Bounds,
    /// How long a document serves on while its host is down.
    pub stale_if_error: Duration,
    /// Largest document accepted, in bytes.
    pub max_document_size: usize,
    /// Development only: `http://` URLs on loopback are documents too.
    pub allow_loopback: bool,
    /// The rules' parameters.
    pub policy: DocumentPolicy,
}

/// Resolves URL client ids.
pub(crate) struct Resolver {
    shared: Arc<Shared>,
    flights: SingleFlight<String, Outcome>,
}

type Outcome = Result<Arc<Document>, ResolveError>;

struct Shared {
    settings: CimdSettings,
    pinned: HashMap<String, Arc<Document>>,
    cache: DocumentCache,
    documents: SharedDocuments,
    budget: Budget,
    egress: Egress,
    clock: SharedClock,
    metrics: Arc<Metrics>,
}

impl Resolver {
    pub(crate) fn new(
        settings: CimdSettings,
        pinned: HashMap<String, ClientMetadata>,
        documents: DocumentStore,
        egress: Egress,
        clock: SharedClock,
        metrics: Arc<Metrics>,
        tasks: TaskTracker,
    ) -> Self {
        let pinned =
            pinned.into_iter().map(|(url, metadata)| (url, Arc::new(Document::new(metadata)))).collect();
        let shared = Shared {
            cache: DocumentCache::new(settings.cache_max_size),
            documents: SharedDocuments::new(documents),
            budget: Budget::new(Arc::clone(&clock)),
            pinned,
            settings,
            egress,
            clock,
            metrics,
        };
        Self { shared: Arc::new(shared), flights: SingleFlight::new(tasks) }
    }

    /// Whether `http://` loopback URLs are accepted.
    pub(crate) fn allows_loopback(&self) -> bool {
        self.shared.settings.allow_loopback
    }

    /// The document behind `url`, asked for by `source`.
    pub(crate) async fn resolve(
        &self,
        url: &MetadataUrl,
        source: IpAddr,
    ) -> Result<Arc<Document>, ResolveError> {
        if let Some(document) = self.shared.pinned.get(url.as_str()) {
            return Ok(Arc::clone(document));
        }
        let now = self.shared.clock.now();
        match self.shared.cache.find(url.as_str()) {
            Some(cached) if now < cached.refresh_at() => return Ok(Arc::clone(&cached.document)),
            Some(cached) if now < cached.fresh_until => {
                // Renewed in the background, so that nobody waits for a document in steady use.
                drop(self.renew(url, source));
                return Ok(Arc::clone(&cached.document));
            }
            Some(_) | None => {}
        }
        self.renew(url, source).await.unwrap_or(Err(ResolveError::Interrupted))
    }

    fn renew(&self, url: &MetadataUrl, source: IpAddr) -> Flight<Outcome> {
        self.flights.start(url.as_str().to_owned(), || {
            let (shared, url) = (Arc::clone(&self.shared), url.clone());
            async move { shared.renew(&url, source).await }
        })
    }
}

impl Shared {
    /// The document as this replica or another one has it meanwhile, or else as its host gives it now.
    ///
    /// What is cached is read here and not by the caller: since the caller looked, another flight may have landed, with a
    /// new document or with the news that the old one does not count any more.
    async fn renew(&self, url: &MetadataUrl, source: IpAddr) -> Outcome {
        let cached = self.cache.find(url.as_str());
        if let Some(cached) = cached.as_ref().filter(|cached| self.clock.now() < cached.refresh_at()) {
            return Ok(Arc::clone(&cached.document));
        }
        let known = cached.as_ref().map(|cached| cached.fetched_at);
        let cached = match self.documents.newer(url, known, self.clock.now()).await {
            None => cached,
            Some(shared) => match self.adopt(url, &shared) {
                Some(adopted) if self.clock.now() < adopted.fresh_until => {
                    return Ok(Arc::clone(&adopted.document));
                }
                adopted => adopted,
            },
        };
        self.ask_host(url, source, cached).await
    }

    /// One conditional fetch, and what it means for the cache.
    async fn ask_host(&self, url: &MetadataUrl, source: IpAddr, cached: Option<Arc<Cached>>) -> Outcome {
        let _slot = match self.budget.spend(url, source).and_then(|()| self.budget.slot()) {
            Ok(slot) => slot,
            Err(exceeded) => {
                self.metrics.metadata_document_fetch("over_budget");
                return self.over_budget(url, cached.as_deref(), exceeded);
            }
        };
        let validators = cached.as_deref().map(|cached| Validators::from(&cached.headers));
        // Without a validator nothing was asked that 304 could answer.
        let validators = validators.filter(|validators| !validators.is_empty());
        let max_size = self.settings.max_document_size;
        let error = match (fetch::fetch(&self.egress, url, validators.as_ref(), max_size).await, &cached) {
            (Ok(Fetched::New(fetched)), _) => return self.judge(url, fetched, cached.is_some()).await,
            (Ok(Fetched::NotModified(headers)), Some(cached)) => {
                self.metrics.metadata_document_fetch("not_modified");
                let headers = revalidated(&cached.headers, &headers);
                return Ok(self.keep(url, Arc::clone(&cached.document), cached.body.clone(), headers).await);
            }
            (Ok(Fetched::NotModified(_)), None) => FetchError::Status(304),
            (Err(error), _) => error,
        };
        self.metrics.metadata_document_fetch("failed");
        tracing::warn!(
            cimd.url = url.as_str(),
            error.reason = error.reason(),
            error = thv_telemetry::chain(&error),
            "client metadata document could not be fetched"
        );
        if let Some(cached) = &cached {
            self.cache.keep(url.as_str(), Cached { failed_at: Some(self.clock.now()), ..(**cached).clone() });
        }
        self.stale(url, cached.as_deref(), ResolveError::Fetch(Arc::new(error)))
    }

    /// Takes over what another replica fetched. It is judged like what was fetched here; when it does not count, neither does
    /// what was known before it.
    fn adopt(&self, url: &MetadataUrl, shared: &StoredDocument) -> Option<Arc<Cached>> {
        let body = Bytes::from(shared.document.to_string());
        let Ok(metadata) = examine(url, &body, &self.settings.policy).into_result() else {
            self.cache.forget(url.as_str());
            return None;
        };
        let etag = shared.etag.as_deref().and_then(|etag| HeaderValue::from_str(etag).ok());
        let cached = Cached {
            document: Arc::new(Document::new(metadata)),
            body,
            headers: etag.map(|etag| (ETAG, etag)).into_iter().collect(),
            fetched_at: shared.fetched_at,
            // The other replica may go by other bounds.
            fresh_until: shared.fresh_until.min(shared.fetched_at + self.settings.freshness.max),
            failed_at: None,
        };
        Some(self.cache.keep(url.as_str(), cached))
    }

    /// Nothing was asked, so nothing is known against the former document: but it stands in only shortly, or somebody who
    /// uses up the budget could keep alive what the client has withdrawn.
    fn over_budget(&self, url: &MetadataUrl, cached: Option<&Cached>, exceeded: BudgetExceeded) -> Outcome {
        let now = self.clock.now();
        let since = cached.map(|cached| cached.failed_at.max(Some(cached.fresh_until)));
        let stands_in = since.flatten().is_some_and(|since| now < since + UNASKED_STALE);
        self.stale(url, cached.filter(|_| stands_in), ResolveError::Busy(exceeded))
    }

    async fn judge(&self, url: &MetadataUrl, fetched: fetch::Body, replaces: bool) -> Outcome {
        match examine(url, &fetched.body, &self.settings.policy).into_result() {
            Ok(metadata) => {
                self.metrics.metadata_document_fetch("success");
                tracing::info!(
                    cimd.url = url.as_str(),
                    client.name = metadata.client_name,
                    "client metadata document fetched"
                );
                let document = Arc::new(Document::new(metadata));
                Ok(self.keep(url, document, fetched.body, caching_headers(&fetched.headers)).await)
            }
            Err(refusal) => {
                // A new document that breaks a rule is the client's current word: the old one is not served any more.
                self.cache.forget(url.as_str());
                if replaces {
                    let (now, settings) = (self.clock.now(), &self.settings);
                    // As long as a replica could go on with the former document.
                    let until = now + settings.freshness.max + settings.stale_if_error;
                    self.documents.withdraw(url, until, now).await;
                }
                self.metrics.metadata_document_fetch("refused");
                tracing::warn!(
                    cimd.url = url.as_str(),
                    error.reason = refusal.rule.reason(),
                    rule = refusal.rule.row(),
                    detail = refusal.detail,
                    "client metadata document refused"
                );
                Err(ResolveError::Document(Arc::new(refusal)))
            }
        }
    }

    /// Keeps what was fetched or confirmed just now, for this replica and for the others.
    async fn keep(
        &self,
        url: &MetadataUrl,
        document: Arc<Document>,
        body: Bytes,
        headers: HeaderMap,
    ) -> Arc<Document> {
        let now = self.clock.now();
        let fresh_until = freshness::fresh_until(now, url.as_str(), &headers, &self.settings.freshness);
        let cached = Cached { document, body, headers, fetched_at: now, fresh_until, failed_at: None };
        let cached = self.cache.keep(url.as_str(), cached);
        // It was read as JSON when it was judged.
        if let Ok(document) = serde_json::from_slice(&cached.body) {
            let etag = cached.headers.get(ETAG).and_then(|etag| etag.to_str().ok()).map(str::to_owned);
            let shared = StoredDocument { document, etag, fresh_until, fetched_at: now };
            self.documents.save(url, shared, fresh_until + self.settings.stale_if_error, now).await;
        }
        Arc::clone(&cached.document)
    }

    /// The former document, while it may stand in for one that cannot be fetched (RFC 5861 §4).
    fn stale(&self, url: &MetadataUrl, cached: Option<&Cached>, error: ResolveError) -> Outcome {
        let now = self.clock.now();
        match cached {
            Some(cached) if now < cached.fresh_until + self.settings.stale_if_error => {
                if now >= cached.fresh_until {
                    self.metrics.metadata_document_fetch("stale_served");
                    tracing::info!(cimd.url = url.as_str(), "stale client metadata document served");
                }
                Ok(Arc::clone(&cached.document))
            }
            Some(_) | None => Err(error),
        }
    }
}

/// The fields that say how long a response is kept and against what it is compared, every line of each.
fn caching_headers(headers: &HeaderMap) -> HeaderMap {
    let named = [AGE, CACHE_CONTROL, DATE, ETAG, EXPIRES, LAST_MODIFIED, VARY];
    let lines = headers.iter().filter(|(name, _)| named.contains(name));
    let mut kept = HeaderMap::new();
    for (name, value) in lines {
        kept.append(name, value.clone());
    }
    kept
}

/// The stored fields with those of a 304 in place of the same (RFC 9111 §4.3.4). `Age` is of one response only.
fn revalidated(stored: &HeaderMap, not_modified: &HeaderMap) -> HeaderMap {
    let mut headers = stored.clone();
    headers.remove(AGE);
    headers.extend(caching_headers(not_modified));
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use thv_clock::{ManualClock, Timestamp};
    use thv_egress::{Policy, Roots};
    use thv_oauth::scope::ScopeSet;

    const SOURCE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn resolver(clock: &ManualClock) -> Resolver {
        let minute = Duration::from_secs(60);
        let settings = CimdSettings {
            cache_max_size: 10,
            freshness: Bounds { fallback: minute, min: minute, max: minute },
            stale_if_error: Duration::from_secs(3600),
            max_document_size: 5 * 1024,
            allow_loopback: false,
            policy: DocumentPolicy {
                supported_auth_methods: Vec::new(),
                scopes_supported: ScopeSet::default(),
            },
        };
        let egress = Egress::new(Policy::public(), &Roots::load(None).unwrap());
        let metrics = Arc::new(Metrics::new("test"));
        let documents = thv_store::memory::stores(thv_store::memory::Capacity::default()).documents;
        Resolver::new(
            settings,
            HashMap::new(),
            documents,
            egress,
            clock.shared(),
            metrics,
            TaskTracker::new(),
        )
    }

    #[tokio::test]
    async fn c7_who_looked_just_before_a_flight_landed_gets_what_it_brought() {
        let clock = ManualClock::at(Timestamp::from_secs(1000));
        let resolver = resolver(&clock);
        let url = MetadataUrl::parse("https://127.0.0.1/c", false).unwrap();
        // The caller found nothing; meanwhile the document came.
        let document = Arc::new(Document::new(ClientMetadata::public(Vec::new())));
        resolver.shared.keep(&url, document, Bytes::new(), HeaderMap::new()).await;
        assert!(resolver.renew(&url, SOURCE).await.unwrap().is_ok());
        assert_eq!(resolver.shared.budget.spend(&url, SOURCE), Ok(()), "nothing was fetched for it");
        // The caller found a document that was due; meanwhile a new one was refused.
        clock.advance(Duration::from_secs(60));
        assert_eq!(resolver.shared.budget.spend(&url, SOURCE), Ok(()));
        resolver.shared.cache.forget(url.as_str());
        let outcome = resolver.renew(&url, SOURCE).await.unwrap();
        assert!(matches!(outcome, Err(ResolveError::Busy(BudgetExceeded::Url))), "{outcome:?}");
    }

    #[tokio::test]
    async fn as_72_a_document_whose_host_was_not_asked_stands_in_only_shortly() {
        let clock = ManualClock::at(Timestamp::from_secs(1000));
        let resolver = resolver(&clock);
        let url = MetadataUrl::parse("https://127.0.0.1/c", false).unwrap();
        let document = Arc::new(Document::new(ClientMetadata::public(Vec::new())));
        resolver.shared.keep(&url, document, Bytes::new(), HeaderMap::new()).await;
        let asked_over_budget = async || {
            assert_eq!(resolver.shared.budget.spend(&url, SOURCE), Ok(()));
            resolver.renew(&url, SOURCE).await.unwrap()
        };
        clock.advance(Duration::from_secs(60 + 299));
        assert!(asked_over_budget().await.is_ok());
        clock.advance(Duration::from_secs(1));
        assert!(matches!(asked_over_budget().await, Err(ResolveError::Busy(_))));
        clock.advance(Duration::from_secs(1));
        assert!(resolver.renew(&url, SOURCE).await.unwrap().is_ok(), "asked in vain: the host is down");
        clock.advance(Duration::from_secs(299));
        assert!(asked_over_budget().await.is_ok(), "and was, a moment ago");
    }
}
