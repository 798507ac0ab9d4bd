//! The embedded authorization server.

use std::collections::BTreeSet;

use thv_oauth::client_id::MetadataUrl;
use thv_oauth::issuer::{AllowHttp, Issuer};
use thv_oauth::resource::ResourceIndicator;

use crate::auth_server::{AuthServer, Cimd, ConsentMode, TokenLifespans};
use crate::byte_size::ByteSize;
use crate::config::Config;
use crate::duration::GoDuration;
use crate::problem::Problem;

use super::findings::Findings;
use super::{Profile, clients, storage, upstream};

/// Secrets that one list of references may have.
pub(super) const MAX_SECRETS: usize = 5;
const MAX_BASELINE_SCOPES: usize = 10;
const MAX_DOCUMENT_SIZE: ByteSize = ByteSize::kibibytes(10);

pub(super) fn check(config: &Config, auth_server: &AuthServer, profile: Profile, findings: &mut Findings) {
    issuer(config, auth_server, findings);
    upstream::check(auth_server, profile, findings);
    keys(auth_server, findings);
    lifespans(&auth_server.token_lifespans, findings);
    scopes(auth_server, findings);
    audiences(config, auth_server, findings);
    if auth_server.consent.mode == ConsentMode::Off {
        findings.warning(
            "authServer.consent.mode",
            "off lets any client obtain tokens from a user who follows its link; use required or remember",
        );
    }
    cimd(&auth_server.cimd, profile, findings);
    clients::check(auth_server, findings);
    storage::check(auth_server, profile, findings);
}

fn issuer(config: &Config, auth_server: &AuthServer, findings: &mut Findings) {
    let at = "authServer.issuer";
    let insecure = auth_server.insecure_allow_http;
    let hint = if config.public_url.is_empty() {
        "usually the same as publicUrl".to_owned()
    } else {
        format!("usually the same as publicUrl: {}", config.public_url)
    };
    if findings.required(at, &auth_server.issuer, &hint)
        && let Some(issuer) = findings.issuer(at, &auth_server.issuer, insecure, true)
    {
        let unencrypted = insecure && Issuer::parse(issuer.as_str(), AllowHttp::Loopback).is_err();
        if unencrypted {
            findings
                .warning("authServer.insecureAllowHTTP", "logins travel unencrypted; for test networks only");
        }
        if !config.public_url.is_empty() && issuer.origin() != config.public_url {
            let message = format!(
                "differs from publicUrl ({}): clients will use {}, which must be routed to this server too",
                config.public_url,
                issuer.origin()
            );
            findings.warning(at, message);
        }
        if auth_server.allow_confidential_client_registration && unencrypted {
            findings.error(
                "authServer.allowConfidentialClientRegistration",
                "needs an https issuer: client secrets would travel unencrypted",
            );
        }
    }
    if let Some(base) = &auth_server.authorization_endpoint_base_url {
        findings.issuer("authServer.authorizationEndpointBaseUrl", base, insecure, true);
    }
}

fn keys(auth_server: &AuthServer, findings: &mut Findings) {
    let lists = [
        ("signingKeySecretRefs", auth_server.signing_key_secret_refs.len()),
        ("hmacSecretRefs", auth_server.hmac_secret_refs.len()),
    ];
    for (key, count) in lists.into_iter().filter(|(_, count)| *count > MAX_SECRETS) {
        findings.error(
            &format!("authServer.{key}"),
            format!("has {count} entries; at most {MAX_SECRETS} are used"),
        );
    }
}

fn lifespans(lifespans: &TokenLifespans, findings: &mut Findings) {
    let (second, minute, hour) = (1, 60, 3600);
    let bounds = [
        ("accessTokenLifespan", lifespans.access_token_lifespan, minute, 24 * hour),
        ("refreshTokenLifespan", lifespans.refresh_token_lifespan, hour, 720 * hour),
        ("authCodeLifespan", lifespans.auth_code_lifespan, 30 * second, 10 * minute),
    ];
    for (key, value, least, most) in bounds {
        let (least, most) = (GoDuration::from_secs(least), GoDuration::from_secs(most));
        if value < least || value > most {
            let at = format!("authServer.tokenLifespans.{key}");
            findings.error(&at, format!("{value} is outside of {least} to {most}"));
        }
    }
}

fn scopes(auth_server: &AuthServer, findings: &mut Findings) {
    let supported = &auth_server.scopes_supported;
    if supported.is_empty() {
        findings.error("authServer.scopesSupported", "must not be empty; leave it out for the default");
    }
    findings.scopes("authServer.scopesSupported", supported);
    let (at, baseline) = ("authServer.baselineClientScopes", &auth_server.baseline_client_scopes);
    if baseline.len() > MAX_BASELINE_SCOPES {
        findings.error(at, format!("has {} entries, more than {MAX_BASELINE_SCOPES}", baseline.len()));
    }
    findings.scopes(at, baseline);
    findings.subset(at, "baselineClientScopes", baseline, supported);
}

fn audiences(config: &Config, auth_server: &AuthServer, findings: &mut Findings) {
    let at = "authServer.allowedAudiences";
    let mut seen = BTreeSet::new();
    for (index, audience) in auth_server.allowed_audiences.iter().enumerate() {
        let at = format!("{at}[{index}]");
        if let Err(error) = ResourceIndicator::parse(audience) {
            findings.error(&at, format!("{audience:?}: {error}"));
        }
        if !seen.insert(audience) {
            findings.error(&at, format!("{audience:?} occurs twice"));
        }
    }
    let resource = config.resource();
    if !seen.is_empty() && !seen.contains(&resource) {
        let message = format!("does not contain the gateway's own resource identifier {resource}");
        findings.push(
            Problem::warning(at, message)
                .with_hint("clients cannot get a token for this gateway unless you add it"),
        );
    }
}

fn cimd(cimd: &Cimd, profile: Profile, findings: &mut Findings) {
    let at = |key: &str| format!("authServer.cimd.{key}");
    if cimd.cache_max_size == 0 {
        findings.error(&at("cacheMaxSize"), "must be at least 1");
    }
    let (min, fallback, max) = (cimd.cache_min_ttl, cimd.cache_fallback_ttl, cimd.cache_max_ttl);
    if fallback.is_zero() {
        findings.error(&at("cacheFallbackTtl"), "must be more than 0s");
    } else if fallback < min {
        findings.error(&at("cacheFallbackTtl"), format!("{fallback} is less than cacheMinTtl ({min})"));
    } else if fallback > max {
        findings.error(&at("cacheFallbackTtl"), format!("{fallback} is more than cacheMaxTtl ({max})"));
    }
    if min > max {
        findings.error(&at("cacheMinTtl"), format!("{min} is more than cacheMaxTtl ({max})"));
    }
    if cimd.max_document_size.get() == 0 || cimd.max_document_size > MAX_DOCUMENT_SIZE {
        let message = format!("{} is outside of 1B to {MAX_DOCUMENT_SIZE}", cimd.max_document_size);
        findings.error(&at("maxDocumentSize"), message);
    }
    if !cimd.enabled && !cimd.pinned_documents.is_empty() {
        findings.warning(&at("pinnedDocuments"), "has no effect while cimd.enabled is false");
    }
    let mut seen = BTreeSet::new();
    for (index, pinned) in cimd.pinned_documents.iter().enumerate() {
        let at = |key: &str| format!("authServer.cimd.pinnedDocuments[{index}].{key}");
        if findings.required(
            &at("clientId"),
            &pinned.client_id,
            "the URL that the client uses as its client_id",
        ) {
            let loopback_http = profile == Profile::Development;
            if let Err(error) = MetadataUrl::parse(&pinned.client_id, loopback_http) {
                findings.error(&at("clientId"), format!("{:?}: {error}", pinned.client_id));
            }
        }
        if !seen.insert(&pinned.client_id) {
            findings.error(&at("clientId"), format!("{:?} occurs twice", pinned.client_id));
        }
        if pinned.file.as_os_str().is_empty() {
            findings.error(&at("file"), "is required");
        }
    }
}
