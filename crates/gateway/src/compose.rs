//! From configuration to the gateway's parts.

mod embedded;
mod foreign;
pub(crate) mod settings;
pub(crate) mod storage;
pub(crate) mod upstream;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::Uri;
use http::header::HeaderName;
use http::uri::Authority;
use thv_clock::SharedClock;
use thv_config::config::HeaderStrategy;
use thv_config::{Config, Problem, Problems, Profile};
use thv_egress::target::TargetClient;
use thv_egress::{Policy, Roots};
use thv_oauth::auth_method::AuthMethod;
use thv_oauth::scope::ScopeSet;
use thv_proxy::{HostOriginGuard, Inject, Proxy, ProxyConfig};
use thv_resource::credential::CredentialCache;
use thv_resource::verifier::{Sessions, Unavailable};
use thv_resource::{ProtectedResource, ProtectedResourceConfig, Verifier};
use thv_telemetry::SharedMetrics;
use thv_telemetry::metrics::Cache;

pub(crate) use embedded::Embedded;

use crate::front::McpDoor;
use crate::tls::CertificateFiles;

/// How clients with a metadata document may authenticate.
pub(crate) const DOCUMENT_AUTH_METHODS: [AuthMethod; 2] = [AuthMethod::None, AuthMethod::PrivateKeyJwt];

/// Verified tokens and upstream credentials that are remembered; the reference load has 10 000 clients.
const REMEMBERED: u64 = 20_000;
/// Look-up, connect and TLS towards the MCP server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What all parts share.
pub(crate) struct Shared {
    pub(crate) clock: SharedClock,
    pub(crate) metrics: SharedMetrics,
    pub(crate) roots: Roots,
}

/// The files of the listener's certificate.
pub(crate) fn certificate_files(tls: &thv_config::config::Tls) -> CertificateFiles {
    CertificateFiles { certificates: tls.cert_file.clone(), private_key: tls.key_file.clone() }
}

/// Which addresses may be dialled for others than the MCP server.
pub(crate) fn egress_policy(config: &Config, profile: Profile) -> Policy {
    let mut policy = match profile {
        Profile::Production => Policy::public(),
        Profile::Development => Policy::with_loopback(),
    };
    policy.allow_cidrs.extend(config.egress.allow_cidrs.iter().copied());
    let overrides = &config.egress.host_overrides;
    policy.host_overrides = overrides
        .iter()
        .map(|(host, address)| (host.to_ascii_lowercase(), *address))
        .collect::<HashMap<_, _>>();
    policy
}

/// As [`egress_policy`], for what belongs to the issuer in `oidc`.
pub(crate) fn foreign_issuer_policy(config: &Config, profile: Profile) -> Policy {
    Policy { plain_http: config.insecure_allow_http, ..egress_policy(config, profile) }
}

/// The header that carries the upstream credential to the MCP server.
pub(crate) fn inject(config: &Config) -> Inject {
    let disabled = config.auth_server.as_ref().is_none_or(|server| server.disable_upstream_token_injection);
    let upstream = &config.server.upstream_inject;
    let custom = || upstream.custom_header_name.as_deref().and_then(|name| name.parse::<HeaderName>().ok());
    match upstream.header_strategy {
        _ if disabled => Inject::None,
        HeaderStrategy::Replace => Inject::Authorization,
        HeaderStrategy::Custom => custom().map_or(Inject::None, Inject::Header),
    }
}

/// The MCP server behind the gateway.
pub(crate) struct Backend<'a> {
    pub(crate) url: &'a str,
    /// Where it listens in place of the URL's host.
    pub(crate) socket: Option<&'a Path>,
    /// Whether it is the one that is built in for development.
    pub(crate) built_in: bool,
}

/// Everything between a client and the MCP server.
pub(crate) fn mcp_door(
    config: &Config,
    profile: Profile,
    backend: &Backend<'_>,
    embedded: Option<&Embedded>,
    shared: &Shared,
) -> Result<McpDoor, Problems> {
    let resource = Arc::new(protected_resource(config)?);
    let inject = inject(config);
    let credentials = embedded.filter(|_| inject != Inject::None).map(|embedded| {
        Arc::new(CredentialCache::new(Arc::new(embedded.clone()), Arc::clone(&shared.clock), REMEMBERED))
    });
    let client = match backend.socket {
        Some(socket) => TargetClient::on_socket(socket, backend.url, &shared.roots, CONNECT_TIMEOUT),
        None => TargetClient::new(backend.url, &shared.roots, CONNECT_TIMEOUT),
    };
    let client = client.map_err(|error| at("server.url", &error))?;
    let proxy = ProxyConfig {
        public_url: config.public_url.parse::<Uri>().map_err(|error| at("publicUrl", &error))?,
        inject,
        // The built-in server is there to show who is calling.
        forward_identity: config.server.forward_identity || backend.built_in,
        response_deadline: Some(config.server.response_timeout.get()).filter(|timeout| !timeout.is_zero()),
    };
    let proxy = Proxy::new(proxy, client, Arc::clone(&resource), credentials.clone())
        .map_err(|error| at("publicUrl", &error))?;
    let verifier = Arc::new(verifier(config, profile, embedded, shared)?);
    if let Some(embedded) = embedded {
        embedded.tell_events(&verifier, credentials.as_ref());
    }
    Ok(McpDoor {
        guard: guard(config, profile),
        verifier,
        resource,
        credentials,
        proxy,
        max_body: config.limits.max_request_body.get(),
        metrics: Arc::clone(&shared.metrics),
    })
}

fn protected_resource(config: &Config) -> Result<ProtectedResource, Problems> {
    let (issuer, scopes) = match (&config.auth_server, &config.oidc) {
        (Some(server), _) => (server.issuer.clone(), &server.scopes_supported),
        (None, Some(oidc)) => (oidc.issuer.clone(), &oidc.scopes),
        (None, None) => {
            return Err(Problem::error("authServer", "neither `authServer` nor `oidc` is set").into());
        }
    };
    let required = &config.server.required_scopes;
    let metadata = ProtectedResourceConfig {
        resource: config.resource(),
        authorization_servers: vec![issuer],
        scopes_supported: scope_set("authServer.scopesSupported", scopes)?,
        required_scopes: scope_set("server.requiredScopes", required)?,
        name: None,
    };
    ProtectedResource::new(metadata).map_err(|error| at("publicUrl", &error).into())
}

/// The scopes of a configured list.
pub(crate) fn scope_set(path: &str, scopes: &[String]) -> Result<ScopeSet, Problem> {
    ScopeSet::from_tokens(scopes.iter().map(String::as_str)).map_err(|error| at(path, &error))
}

fn verifier(
    config: &Config,
    profile: Profile,
    embedded: Option<&Embedded>,
    shared: &Shared,
) -> Result<Verifier, Problem> {
    let issuer = config.auth_server.as_ref().map(|server| server.issuer.clone()).unwrap_or_default();
    let sessions: Arc<dyn Sessions> = match embedded {
        Some(embedded) => Arc::new(embedded.clone()),
        None => Arc::new(NoSessions),
    };
    let keys = embedded.map(Embedded::keys);
    let audience = config.oidc.as_ref().and_then(|oidc| oidc.audience.clone());
    let audiences = audience.map_or_else(|| config.audiences(), |audience| vec![audience]);
    let metrics = Arc::clone(&shared.metrics);
    let verifier = Verifier::new(keys, issuer, audiences, Arc::clone(&shared.clock), sessions, REMEMBERED)
        .observed(move |known| metrics.token_cache(if known { Cache::Hit } else { Cache::Miss }));
    match &config.oidc {
        Some(oidc) => foreign::trust(verifier, oidc, config, profile, shared),
        None => Ok(verifier),
    }
}

/// Tokens of other issuers belong to no session of ours.
struct NoSessions;

#[async_trait]
impl Sessions for NoSessions {
    async fn is_live(&self, _: &str) -> Result<bool, Unavailable> {
        Ok(false)
    }
}

/// Our own names, and the web origins that may call.
fn guard(config: &Config, profile: Profile) -> HostOriginGuard {
    let mut urls = vec![config.public_url.as_str()];
    if let Some(server) = &config.auth_server {
        urls.push(server.issuer.as_str());
        urls.push(server.authorization_base());
    }
    let uris = urls.iter().filter_map(|url| url.parse::<Uri>().ok());
    let mut hosts: Vec<String> = uris.filter_map(|uri| uri.authority().map(|own| own.to_string())).collect();
    let mut origins = vec![config.public_url.clone()];
    if profile == Profile::Development {
        let port = config
            .public_url
            .parse::<Uri>()
            .ok()
            .as_ref()
            .and_then(Uri::authority)
            .and_then(Authority::port_u16);
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        for name in ["localhost", "127.0.0.1", "[::1]"] {
            hosts.push(format!("{name}{port}"));
            origins.push(format!("http://{name}{port}"));
        }
    }
    origins.extend(config.allowed_origins.iter().cloned());
    HostOriginGuard::new(hosts, origins)
}

/// A problem at this key path, with the error's whole chain.
pub(crate) fn at(path: &str, error: &(dyn std::error::Error + 'static)) -> Problem {
    Problem::error(path, thv_telemetry::chain(error))
}
