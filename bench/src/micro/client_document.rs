//! Resolving a client by its metadata document, from the cache.
//!
//! The resolver has no door of its own. What is timed is the shortest way through the public one: a whole authorization
//! request that ends right after the client and its redirect URI were found good, because `response_type` is missing. The
//! resolution is a part of it, so the figure is an upper bound.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use thv_authserver::cimd::CimdSettings;
use thv_authserver::upstream::Upstream;
use thv_authserver::upstream::local::LocalUsers;
use thv_authserver::{AuthServer, ConsentMode, LoginChain, Parts, RegistrationRetention, Settings, Source};
use thv_clock::SystemClock;
use thv_egress::freshness::Bounds;
use thv_egress::{Client, Policy, Roots};
use thv_jose::algorithm::Algorithm;
use thv_jose::hmac::HmacRing;
use thv_jose::key::SigningKey;
use thv_jose::keyring::KeyRing;
use thv_jose::reload::Reloadable;
use thv_oauth::auth_method::AuthMethod;
use thv_oauth::issuer::{AllowHttp, Issuer};
use thv_oauth::metadata_document::DocumentPolicy;
use thv_oauth::resource::ResourceIndicator;
use thv_oauth::scope::ScopeSet;
use thv_store::memory::{Capacity, stores};
use thv_telemetry::Metrics;
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use super::{at_once, report};
use crate::error::{BenchError, During as _};

const ISSUER: &str = "https://mcp.example.com";
const RESOURCE: &str = "https://mcp.example.com/mcp";
const REDIRECT: &str = "https://client.example/callback";
const SOURCE: Source = Source { addr: IpAddr::V4(Ipv4Addr::LOCALHOST) };

/// Lets the server fetch a document and then times requests that need it.
pub(super) fn run() -> Result<(), BenchError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.during("starting the runtime")?.block_on(measure())
}

async fn measure() -> Result<(), BenchError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.during("binding a port")?;
    let url = format!("http://{}/client.json", listener.local_addr().during("reading the bound address")?);
    let document = format!(
        r#"{{"client_id":"{url}","client_name":"Bench","redirect_uris":["{REDIRECT}"],"token_endpoint_auth_method":"none"}}"#
    );
    tokio::spawn(publish(listener, Bytes::from(document)));
    let server = server()?;
    let fetched = server.handle(request(&url)?, SOURCE).await;
    if fetched.status() != StatusCode::SEE_OTHER {
        return Err(BenchError::unexpected("fetching a document", fetched.status(), fetched.body()));
    }
    let request = request(&url)?;
    report("authorization request, document from the cache", 5_000, || {
        let response = at_once(server.handle(request.clone(), SOURCE));
        response.is_some_and(|response| response.status() == StatusCode::SEE_OTHER)
    })
}

fn request(client_id: &str) -> Result<Request<Bytes>, BenchError> {
    let query = thv_oauth::params::encode(&[("client_id", client_id), ("redirect_uri", REDIRECT)]);
    Request::get(format!("/oauth/authorize?{query}")).body(Bytes::new()).during("writing a request")
}

/// Serves one document until the process ends.
async fn publish(listener: TcpListener, document: Bytes) {
    while let Ok((stream, _)) = listener.accept().await {
        let document = document.clone();
        let answer = service_fn(move |_| {
            let response = http::Response::builder()
                .header(http::header::CONTENT_TYPE, "application/json")
                .body(Full::new(document.clone()));
            async move { response }
        });
        let connection =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
        // The client's failure shows in its answer.
        let _ = connection.await;
    }
}

fn server() -> Result<AuthServer, BenchError> {
    let key = SigningKey::generate(Algorithm::ES256).during("making a signing key")?;
    let roots = Roots::load(None).during("loading root certificates")?;
    let hmac = HmacRing::new(vec![vec![7; 32].into()]).during("making an HMAC key")?;
    Ok(AuthServer::new(Parts {
        settings: settings()?,
        pinned_documents: HashMap::new(),
        chain: LoginChain::single(Upstream::local("local", LocalUsers::development("local", "dev"))),
        stores: stores(Capacity::default()),
        keys: Reloadable::new(KeyRing::new(vec![key]).during("making a key ring")?),
        hmac: Reloadable::new(hmac),
        egress: Client::new(Policy::with_loopback(), &roots),
        clock: SystemClock::shared(),
        metrics: Arc::new(Metrics::new("bench")),
        tasks: TaskTracker::new(),
    }))
}

fn settings() -> Result<Settings, BenchError> {
    let scopes = ScopeSet::parse("openid offline_access").during("making scopes")?;
    let minutes = |count: u64| Duration::from_secs(60 * count);
    Ok(Settings {
        issuer: Issuer::parse(ISSUER, AllowHttp::No).during("making the issuer")?,
        authorization_endpoint_base: ISSUER.to_owned(),
        audiences: vec![ResourceIndicator::parse(RESOURCE).during("making the resource")?],
        scopes_supported: scopes.clone(),
        baseline_scopes: ScopeSet::default(),
        access_token_lifetime: minutes(60),
        refresh_token_lifetime: minutes(60 * 24),
        code_lifetime: minutes(1),
        consent: ConsentMode::Required,
        cimd: Some(CimdSettings {
            cache_max_size: 256,
            freshness: Bounds { fallback: minutes(60), min: minutes(60), max: minutes(60) },
            stale_if_error: minutes(60),
            max_document_size: 5 * 1024,
            allow_loopback: true,
            policy: DocumentPolicy {
                supported_auth_methods: vec![AuthMethod::None],
                scopes_supported: scopes,
            },
        }),
        preregistered: Vec::new(),
        confidential_registration: false,
        registration_retention: RegistrationRetention::default(),
        registrations_per_minute: 1,
        development: true,
    })
}
