//! The top level: listener, MCP server, egress, and the choice of authorization server.

use crate::auth_server::AuthServer;
use crate::config::{Config, HeaderStrategy, Oidc, Transport, UpstreamInject};
use crate::problem::Problem;
use crate::upstream::{UpstreamProvider, UpstreamType};

use super::findings::Findings;
use super::url::{UrlPart, host_and_port};
use super::{Profile, auth_server, text, url};

/// Paths that the gateway serves itself.
const RESERVED_PATHS: [&str; 5] = ["/oauth", "/.well-known", "/health", "/readyz", "/metrics"];

/// Header fields that cannot carry a credential: they have their own meaning, or are dropped on the way.
const RESERVED_HEADERS: [&str; 16] = [
    "accept",
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "forwarded",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

pub(super) fn check(config: &Config, profile: Profile, findings: &mut Findings) {
    listener(config, findings);
    server(config, profile, findings);
    origins(config, findings);
    match (&config.auth_server, &config.oidc) {
        (Some(auth_server), None) => auth_server::check(config, auth_server, profile, findings),
        (None, Some(oidc)) => external_issuer(config, oidc, findings),
        (Some(_), Some(_)) => findings.error(
            "oidc",
            "authServer and oidc are mutually exclusive: keep authServer to log users in here, or oidc to accept \
             tokens of another issuer",
        ),
        (None, None) => findings.error(
            "authServer",
            "one of authServer (users log in here) and oidc (tokens of another issuer) is required",
        ),
    }
    for host in config.egress.host_overrides.keys() {
        if !host_and_port(host).is_ok_and(|(_, port)| port.is_some()) {
            let at = format!("egress.hostOverrides.{host}");
            findings.error(&at, format!("{host:?} is not host:port; write for example idp.example.com:443"));
        }
    }
    limits(config, findings);
}

fn listener(config: &Config, findings: &mut Findings) {
    let hint = "the origin under which clients reach this server, such as https://mcp.example.com";
    if findings.required("publicUrl", &config.public_url, hint) {
        let url =
            findings.url("publicUrl", &config.public_url, config.insecure_allow_http, UrlPart::NOT_IN_ORIGIN);
        if let Some(url) = url {
            if url.scheme == "http" && config.tls.is_some() {
                findings
                    .warning("publicUrl", "is http although tls is configured: clients would not use TLS");
            }
            if url.scheme == "http" && !url.is_loopback() {
                findings.warning("insecureAllowHTTP", "tokens travel unencrypted; for test networks only");
            }
        }
    }
    if let Some(tls) = &config.tls {
        for (key, file) in [("tls.certFile", &tls.cert_file), ("tls.keyFile", &tls.key_file)] {
            if file.as_os_str().is_empty() {
                findings.error(key, "is required");
            }
        }
    }
    if config.metrics_listen.is_some_and(|address| address == config.listen && address.port() != 0) {
        findings.error("metricsListen", "must differ from listen: metrics are not for clients");
    }
    if config.state_dir.as_ref().is_some_and(|dir| dir.as_os_str().is_empty()) {
        findings.error("stateDir", "must not be empty");
    }
}

fn server(config: &Config, profile: Profile, findings: &mut Findings) {
    let server = &config.server;
    match (&server.url, profile) {
        (Some(target), _) => {
            // The operator's own server, often on a trusted network: http is fine here.
            findings.url("server.url", target, true, &[UrlPart::Fragment]);
        }
        (None, Profile::Production) => {
            let hint = "the MCP endpoint behind the gateway, such as http://127.0.0.1:3001/mcp";
            findings.required("server.url", "", hint);
        }
        (None, Profile::Development) => {}
    }
    let path = &server.path;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/-._~".contains(&b);
    if !path.starts_with('/') || !path.bytes().all(plain) || path.contains("//") || url::has_dot_segment(path)
    {
        findings.error("server.path", format!("{path:?} is not a plain absolute path such as /mcp"));
    } else if path.len() > 1 && path.ends_with('/') {
        findings.error("server.path", format!("{path:?} must not end in a slash"));
    } else if RESERVED_PATHS.iter().any(|reserved| {
        path.strip_prefix(reserved).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }) {
        findings
            .error("server.path", format!("{path:?} is served by the gateway itself; choose another path"));
    }
    if server.transport == Transport::Sse {
        let message =
            "the 2024-11-05 HTTP+SSE transport is not served; streamable-http carries SSE responses";
        findings.error("server.transport", message);
    }
    upstream_inject(config, &server.upstream_inject, findings);
    findings.scopes("server.requiredScopes", &server.required_scopes);
    if let Some(auth_server) = &config.auth_server {
        let supported = &auth_server.scopes_supported;
        findings.subset("server.requiredScopes", "requiredScopes", &server.required_scopes, supported);
    }
}

fn upstream_inject(config: &Config, inject: &UpstreamInject, findings: &mut Findings) {
    let at = "server.upstreamInject";
    match (inject.header_strategy, &inject.custom_header_name) {
        (HeaderStrategy::Replace, None) => {}
        (HeaderStrategy::Replace, Some(_)) => {
            findings.error(&format!("{at}.customHeaderName"), "is only for headerStrategy: custom");
        }
        (HeaderStrategy::Custom, None) => {
            findings.error(&format!("{at}.customHeaderName"), "is required for headerStrategy: custom");
        }
        (HeaderStrategy::Custom, Some(name)) => {
            let lower = name.to_ascii_lowercase();
            if !text::is_header_name(name) {
                findings
                    .error(&format!("{at}.customHeaderName"), format!("{name:?} is not a header field name"));
            } else if RESERVED_HEADERS.contains(&lower.as_str())
                || lower.starts_with("mcp-")
                || lower.starts_with("x-thv-")
            {
                let message = format!(
                    "{name:?} has a meaning of its own; choose another name such as X-Upstream-Token"
                );
                findings.error(&format!("{at}.customHeaderName"), message);
            }
        }
    }
    if let Some(auth_server) = &config.auth_server {
        injected_provider(auth_server, inject, findings);
    }
    if *inject == UpstreamInject::default() {
        return;
    }
    match &config.auth_server {
        None if config.oidc.is_some() => {
            findings.error(at, "needs authServer: tokens of another issuer come without an upstream token");
        }
        Some(auth_server) if auth_server.disable_upstream_token_injection => {
            findings
                .error(at, "has no effect with authServer.disableUpstreamTokenInjection; remove one of them");
        }
        _ => {}
    }
}

/// Whose token is handed on: it must be somebody's who has tokens.
fn injected_provider(auth_server: &AuthServer, inject: &UpstreamInject, findings: &mut Findings) {
    let at = "server.upstreamInject.providerName";
    let is_local = |provider: &UpstreamProvider| provider.upstream_type == Some(UpstreamType::Local);
    let others = auth_server.upstream_providers.iter().filter(|provider| !is_local(provider));
    let others: Vec<&str> = others.map(|provider| provider.name.as_str()).collect();
    match &inject.provider_name {
        Some(name) => match auth_server.provider(name) {
            None => {
                let message = format!("{name:?} is not the name of one of authServer.upstreamProviders");
                findings.error(at, message);
            }
            Some(provider) if is_local(provider) => {
                let hint = match others.as_slice() {
                    [] => "remove it".to_owned(),
                    others => format!("name one of {}", others.join(", ")),
                };
                let message = format!("{name:?} is of type local, which has no token to hand on");
                findings.push(Problem::error(at, message).with_hint(hint));
            }
            Some(_) => {}
        },
        None => {
            let first_is_local = auth_server.identity_provider().is_some_and(is_local);
            if first_is_local && !others.is_empty() && !auth_server.disable_upstream_token_injection {
                let message =
                    "is not set, and the first provider is of type local, which has no token to hand on";
                let hint = format!("name one of {}", others.join(", "));
                findings.push(Problem::warning(at, message).with_hint(hint));
            }
        }
    }
}

fn origins(config: &Config, findings: &mut Findings) {
    for (index, origin) in config.allowed_origins.iter().enumerate() {
        let at = format!("allowedOrigins[{index}]");
        if origin == "*" || origin == "null" {
            let message =
                format!("{origin:?} would let every web page use the tokens of its visitors' MCP clients");
            findings.push(
                Problem::error(at, message).with_hint("list the origins, such as https://app.example.com"),
            );
        } else {
            // An origin is compared, not connected to.
            findings.url(&at, origin, true, UrlPart::NOT_IN_ORIGIN);
        }
    }
}

fn external_issuer(config: &Config, oidc: &Oidc, findings: &mut Findings) {
    let insecure = config.insecure_allow_http;
    if findings.required("oidc.issuer", &oidc.issuer, "the value of iss in the tokens") {
        findings.issuer("oidc.issuer", &oidc.issuer, insecure, false);
    }
    if oidc.audience.as_ref().is_some_and(String::is_empty) {
        findings.error(
            "oidc.audience",
            "must not be empty; leave it out to require the gateway's own resource identifier",
        );
    }
    for (key, value) in [("oidc.jwksUrl", &oidc.jwks_url), ("oidc.introspectionUrl", &oidc.introspection_url)]
    {
        if let Some(value) = value {
            findings.url(key, value, insecure, &[UrlPart::Fragment]);
        }
    }
    match (&oidc.introspection_url, &oidc.client_id, &oidc.client_secret_ref) {
        (Some(_), Some(id), Some(_)) if !id.is_empty() => {}
        (Some(_), _, _) => findings.error(
            "oidc.introspectionUrl",
            "needs clientId and clientSecretRef: an introspection endpoint answers to authenticated callers only",
        ),
        (None, None, None) => {}
        (None, _, _) => findings.error(
            "oidc.introspectionUrl",
            "is required with clientId and clientSecretRef, which are used for introspection only",
        ),
    }
    findings.scopes("oidc.scopes", &oidc.scopes);
}

fn limits(config: &Config, findings: &mut Findings) {
    if config.limits.max_connections == 0 {
        findings.error("limits.maxConnections", "must be at least 1");
    }
    if config.limits.max_connections_per_source == 0 {
        findings.error("limits.maxConnectionsPerSource", "must be at least 1");
    }
    if config.limits.max_request_body.get() == 0 {
        findings.error("limits.maxRequestBody", "must be at least 1 byte");
    }
}
