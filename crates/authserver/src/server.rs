//! The authorization server as one value: its parts, and the table of its endpoints.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{ALLOW, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use serde_json::json;
use thv_clock::SharedClock;
use thv_egress::client::Client as Egress;
use thv_jose::digest::{Digest, sha256};
use thv_jose::reload::{HmacHandle, KeyHandle};
use thv_store::records::GrantId;
use thv_store::{Event, StoreError, Stores};
use thv_telemetry::metrics::Metrics;
use tokio_util::task::TaskTracker;

use crate::chain::LoginChain;
use crate::cimd::Resolver;
use crate::clients::ClientResolver;
use crate::documents::Documents;
use crate::limits::{Rate, RateLimit};
use crate::respond::{self, Reason};
use crate::settings::Settings;
use crate::token::client_keys::ClientKeys;
use crate::upstream::Removal;
use crate::vault::Vault;

/// Where a request came from.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// The client's address, after trusted proxies were looked through.
    pub addr: IpAddr,
}

/// What an authorization server is made of.
pub struct Parts {
    /// Its settings.
    pub settings: Settings,
    /// Metadata documents known without fetching, by `client_id`.
    pub pinned_documents: std::collections::HashMap<String, thv_oauth::client_metadata::ClientMetadata>,
    /// The upstreams where users log in.
    pub chain: LoginChain,
    /// What it remembers.
    pub stores: Stores,
    /// Keys that sign access tokens.
    pub keys: KeyHandle,
    /// Secrets that seal codes, refresh tokens, registrations and cookies.
    pub hmac: HmacHandle,
    /// The guarded way out, for metadata documents and clients' keys.
    pub egress: Egress,
    /// Time.
    pub clock: SharedClock,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Background work, awaited at shutdown.
    pub tasks: TaskTracker,
}

/// The embedded OAuth 2.1 authorization server. Clones share everything.
#[derive(Clone)]
pub struct AuthServer {
    pub(crate) inner: Arc<Inner>,
}

/// Who is told what ended or changed.
type Tell = Box<dyn Fn(&Event) + Send + Sync>;

pub(crate) struct Inner {
    pub(crate) settings: Settings,
    pub(crate) clients: ClientResolver,
    pub(crate) client_keys: ClientKeys,
    pub(crate) chain: Arc<LoginChain>,
    pub(crate) stores: Stores,
    pub(crate) keys: KeyHandle,
    pub(crate) hmac: HmacHandle,
    pub(crate) clock: SharedClock,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) limits: Limits,
    pub(crate) vault: Vault,
    /// Background work, awaited at shutdown.
    pub(crate) tasks: TaskTracker,
    documents: ArcSwap<Documents>,
    on_event: OnceLock<Tell>,
}

impl Inner {
    /// Sees to our registrations at upstreams in the background.
    fn start_upstreams(&self, egress: Egress, tasks: &TaskTracker) {
        self.chain.legs().for_each(|leg| leg.upstream.start());
        let removal = Removal {
            stores: self.stores.clone(),
            egress,
            clock: Arc::clone(&self.clock),
            issuer: self.settings.issuer.as_str().to_owned(),
            configured: self
                .chain
                .legs()
                .filter_map(|leg| leg.upstream.registration_key().cloned())
                .collect(),
        };
        tasks.spawn(removal.run());
    }

    /// Tells whoever keeps verified access tokens or upstream credentials in this process.
    pub(crate) fn told(&self, event: &Event) {
        if let Some(tell) = self.on_event.get() {
            tell(event);
        }
    }
}

pub(crate) struct Limits {
    pub(crate) registrations: RateLimit<IpAddr>,
    /// Registrations that take a place in the store.
    pub(crate) stored_registrations: RateLimit<IpAddr>,
    /// Approved requests, which wait for their login or for the redemption of their code.
    pub(crate) pending: RateLimit<IpAddr>,
    /// Client assertions that no grant speaks for: each takes a place in the store.
    pub(crate) assertions: RateLimit<IpAddr>,
    pub(crate) logins: RateLimit<IpAddr>,
    pub(crate) login_names: RateLimit<Digest>,
}

const REMEMBERED_SOURCES: u64 = 10_000;
const LOGIN_ATTEMPTS_PER_MINUTE: u32 = 10;
const STORED_REGISTRATIONS_PER_MINUTE: u32 = 10;
const ASSERTIONS_PER_MINUTE: u32 = 60;
/// How long a proof that the store takes writes is good for.
const PROBED_EVERY: Duration = Duration::from_secs(10);
/// A company may sit behind one address; a single address must not fill the store of logins in flight.
const PENDING_PER_MINUTE: u32 = 300;

impl AuthServer {
    /// Puts the parts together, within a runtime. Nothing is waited for: upstreams may be down, and where we have to become
    /// their client, that is begun in the background.
    pub fn new(parts: Parts) -> Self {
        let Parts { settings, pinned_documents, chain, stores, keys, hmac, egress, clock, metrics, tasks } =
            parts;
        let documents = settings.cimd.clone().map(|cimd| {
            let (egress, clock, metrics) = (egress.clone(), Arc::clone(&clock), Arc::clone(&metrics));
            let shared = stores.documents.clone();
            Resolver::new(cimd, pinned_documents, shared, egress, clock, metrics, tasks.clone())
        });
        let chain = Arc::new(chain);
        let preregistered = settings
            .preregistered
            .iter()
            .filter_map(|client| Some((client.metadata.client_id.clone()?, client.clone())))
            .collect();
        let inner = Inner {
            clients: ClientResolver {
                preregistered,
                documents,
                stored: stores.clients.clone(),
                clock: Arc::clone(&clock),
                hmac: hmac.clone(),
                scopes_supported: settings.scopes_supported.clone(),
                baseline: settings.baseline_scopes.clone(),
            },
            client_keys: ClientKeys::new(egress.clone(), Arc::clone(&clock)),
            vault: Vault::new(
                Arc::clone(&chain),
                stores.clone(),
                Arc::clone(&clock),
                Arc::clone(&metrics),
                tasks.clone(),
            ),
            limits: Limits {
                registrations: per_minute(settings.registrations_per_minute, &clock),
                stored_registrations: per_minute(STORED_REGISTRATIONS_PER_MINUTE, &clock),
                pending: per_minute(PENDING_PER_MINUTE, &clock),
                assertions: per_minute(ASSERTIONS_PER_MINUTE, &clock),
                logins: per_minute(LOGIN_ATTEMPTS_PER_MINUTE, &clock),
                login_names: per_minute(LOGIN_ATTEMPTS_PER_MINUTE, &clock),
            },
            tasks: tasks.clone(),
            documents: ArcSwap::from_pointee(Documents::new(&settings, &keys.load())),
            on_event: OnceLock::new(),
            settings,
            chain,
            stores,
            keys,
            hmac,
            clock,
            metrics,
        };
        inner.start_upstreams(egress, &tasks);
        Self { inner: Arc::new(inner) }
    }

    /// Answers a request to one of the `/oauth/` endpoints; the body was read before, and bounded.
    pub async fn handle(&self, request: Request<Bytes>, source: Source) -> Response<Bytes> {
        let response = self.route(request, source).await;
        if let Some(Reason(reason)) = response.extensions().get() {
            self.inner.metrics.refused(reason);
        }
        response
    }

    async fn route(&self, request: Request<Bytes>, source: Source) -> Response<Bytes> {
        let (method, path) = (request.method().clone(), request.uri().path());
        let get = matches!(method, Method::GET | Method::HEAD);
        if let Some(client_id) = path.strip_prefix("/oauth/register/") {
            return match method {
                _ if get => self.read_registration(&request, client_id).await,
                Method::PUT => self.replace_registration(&request, client_id, source).await,
                Method::DELETE => self.delete_registration(&request, client_id).await,
                _ => not_allowed("GET, PUT, DELETE"),
            };
        }
        match path {
            "/oauth/authorize" if get || method == Method::POST => self.authorize(&request, source).await,
            "/oauth/authorize" => not_allowed("GET, POST"),
            "/oauth/consent" if method == Method::POST => self.consent_decision(&request, source).await,
            "/oauth/consent" => not_allowed("POST"),
            "/oauth/login" if get => self.login_page(&request).await,
            "/oauth/login" if method == Method::POST => self.login(&request, source).await,
            "/oauth/login" => not_allowed("GET, POST"),
            "/oauth/callback" if get => self.callback(&request).await,
            "/oauth/callback" => not_allowed("GET"),
            "/oauth/continue" if get => self.continue_page(&request).await,
            "/oauth/continue" if method == Method::POST => self.continue_decision(&request).await,
            "/oauth/continue" => not_allowed("GET, POST"),
            "/oauth/token" if method == Method::POST => self.token(&request, source).await,
            "/oauth/token" => not_allowed("POST"),
            "/oauth/revoke" if method == Method::POST => self.revoke(&request, source).await,
            "/oauth/revoke" => not_allowed("POST"),
            "/oauth/introspect" if method == Method::POST => self.introspect(&request, source).await,
            "/oauth/introspect" => not_allowed("POST"),
            "/oauth/logout" if get => self.logout_page(request.headers()).await,
            "/oauth/logout" if method == Method::POST => self.logout(&request).await,
            "/oauth/logout" => not_allowed("GET, POST"),
            "/oauth/register" if method == Method::POST => self.register(&request, source).await,
            "/oauth/register" => not_allowed("POST"),
            "/oauth/client-metadata.json" if get => self.own_metadata_document(),
            "/oauth/client-metadata.json" => not_allowed("GET"),
            _ if get => crate::pages::asset(path).unwrap_or_else(not_found),
            _ => not_found(),
        }
    }

    /// The discovery documents as they are to be served now.
    pub fn documents(&self) -> Arc<Documents> {
        self.inner.documents.load_full()
    }

    /// Rewrites what depends on the keys, after they changed.
    pub fn keys_changed(&self) {
        self.inner.documents.store(Arc::new(Documents::new(&self.inner.settings, &self.inner.keys.load())));
    }

    /// The keys that sign access tokens, for the resource server in the same process.
    pub fn keys(&self) -> KeyHandle {
        self.inner.keys.clone()
    }

    /// Calls `tell` whenever something changed that others may remember. The first caller is the one.
    pub fn on_event(&self, tell: impl Fn(&Event) + Send + Sync + 'static) {
        // A second caller would be a mistake in the composition; the first keeps its place.
        let _already_set = self.inner.on_event.set(Box::new(tell));
    }

    /// Whether the grant behind an access token's `tsid` is alive.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn is_live(&self, tsid: &str) -> Result<bool, StoreError> {
        let Some(grant) = GrantId::parse(tsid) else { return Ok(false) };
        Ok(self.inner.stores.grants.load(&grant, self.inner.clock.now()).await?.is_some())
    }

    /// Whether the store answers and takes writes. However often it is asked, it writes once in ten seconds.
    ///
    /// # Errors
    /// When it does not, for example because its memory or disk is full.
    pub async fn store_ready(&self) -> Result<(), StoreError> {
        let now = self.inner.clock.now();
        self.inner.stores.replays.claim(sha256(b"thv readiness"), now + PROBED_EVERY, now).await.map(drop)
    }

    /// The token vault.
    pub fn vault(&self) -> &Vault {
        &self.inner.vault
    }

    /// Each upstream by its name, and why it is not ready. A login to it would fail with a page; everything else works.
    pub async fn upstream_readiness(&self) -> Vec<(String, Result<(), String>)> {
        let legs = self.inner.chain.legs();
        let ready = legs.map(|leg| async { (leg.upstream.name().to_owned(), leg.upstream.ready().await) });
        futures_util::future::join_all(ready).await
    }
}

fn per_minute<K: Eq + std::hash::Hash + Send + Sync + 'static>(
    count: u32,
    clock: &SharedClock,
) -> RateLimit<K> {
    RateLimit::new(Rate::new(count, Duration::from_secs(60)), REMEMBERED_SOURCES, Arc::clone(clock))
}

fn not_allowed(allow: &'static str) -> Response<Bytes> {
    let body =
        json!({"error": "method_not_allowed", "error_description": format!("allowed methods: {allow}")});
    let mut response = respond::json(StatusCode::METHOD_NOT_ALLOWED, &body);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    response
}

fn not_found() -> Response<Bytes> {
    let body = json!({"error": "not_found", "error_description": "there is nothing at this path"});
    respond::json(StatusCode::NOT_FOUND, &body)
}
