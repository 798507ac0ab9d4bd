//! OAuth 2.0 authorization servers without ID tokens.

use crate::problem::Problem;
use crate::upstream::{OAuth2Upstream, Registration, UpstreamProvider};

use super::super::findings::Findings;
use super::super::url::UrlPart;
use super::registration::{self, ClientKeys};
use super::{identity, request};

pub(super) fn check(
    at: &str,
    provider: &UpstreamProvider,
    oauth2: &OAuth2Upstream,
    first: bool,
    findings: &mut Findings,
) {
    let client = ClientKeys {
        client_id: &oauth2.client_id,
        secret: oauth2.client_secret_ref.is_some(),
        dcr: oauth2.dcr_config.as_ref(),
        metadata_known: oauth2.discovery_url.is_some(),
        identified_by_discovery: oauth2.discovery_url.is_some(),
        insecure: oauth2.insecure_allow_http,
    };
    let provider_at = at;
    let at = &format!("{at}.oauth2Config");
    endpoints(at, provider, oauth2, findings);
    registration::check(provider_at, at, provider.registration, &client, findings);
    request::redirect_uri(at, oauth2.redirect_uri.as_deref(), oauth2.insecure_allow_http, findings);
    findings.scopes(&format!("{at}.scopes"), &oauth2.scopes);
    request::scope_spelling(at, &oauth2.scope_parameter, &oauth2.scope_separator, findings);
    request::resource(at, oauth2.resource.as_deref(), oauth2.send_resource, findings);
    let taken = [
        ("resource", "resource", oauth2.resource.is_some()),
        (oauth2.scope_parameter.as_str(), "scopeParameter", true),
    ];
    request::parameters(at, &oauth2.additional_authorization_params, &taken, findings);
    if let Some(user_info) = &oauth2.user_info {
        identity::user_info(&format!("{at}.userInfo"), user_info, oauth2.insecure_allow_http, findings);
    }
    if let Some(mapping) = &oauth2.token_response_mapping {
        identity::token_response_mapping(&format!("{at}.tokenResponseMapping"), mapping, findings);
    }
    if let Some(identity) = &oauth2.identity_from_token {
        identity::identity_from_token(&format!("{at}.identityFromToken"), identity, findings);
    }
    if first && oauth2.user_info.is_none() && oauth2.identity_from_token.is_none() {
        findings.warning(
            at,
            "has neither userInfo nor identityFromToken: who logs in is unknown, so every login counts as a new user",
        );
    }
}

/// Where the endpoints are, or the metadata that names them.
fn endpoints(at: &str, provider: &UpstreamProvider, oauth2: &OAuth2Upstream, findings: &mut Findings) {
    let insecure = oauth2.insecure_allow_http;
    let dcr = oauth2.dcr_config.as_ref();
    let discovery_at = format!("{at}.discoveryUrl");
    registration::discovery_url(&discovery_at, oauth2.discovery_url.as_deref(), insecure, findings);
    if oauth2.discovery_url.is_some() && dcr.is_some_and(|dcr| dcr.discovery_url.is_some()) {
        let message = "means the same as discoveryUrl of oauth2Config; keep one of them";
        findings.error(&format!("{at}.dcrConfig.discoveryUrl"), message);
    }
    let undiscovered = oauth2.metadata_url().is_none();
    if undiscovered && goes_by_metadata(provider, oauth2) {
        let mode = provider.registration_mode().as_str();
        let hint = match provider.preset.as_deref() {
            Some("datadog") => {
                "https://mcp.datadoghq.com/v1/mcp for the site US1; other sites have other hosts"
            }
            _ => "the provider's issuer, or the address of its metadata; or set clientId",
        };
        let message = format!("is required for registration: {mode}, which goes by the provider's metadata");
        findings.push(Problem::error(discovery_at, message).with_hint(hint));
        return;
    }
    // A registration without any source has been reported as that.
    let sourceless = dcr.is_some() && oauth2.registration_endpoint().is_none();
    let required = undiscovered && !sourceless;
    let endpoints = [
        ("authorizationEndpoint", &oauth2.authorization_endpoint, "where the browser is sent to log in"),
        ("tokenEndpoint", &oauth2.token_endpoint, "where the authorization code is exchanged"),
    ];
    for (key, value, what) in endpoints {
        let at = format!("{at}.{key}");
        let hint = format!("{what}; or set discoveryUrl to have it from the provider's metadata");
        if (!required && value.is_empty()) || !findings.required(&at, value, &hint) {
            continue;
        }
        findings.url(&at, value, insecure, &[UrlPart::Fragment]);
    }
    if let Some(endpoint) = &oauth2.revocation_endpoint {
        findings.url(&format!("{at}.revocationEndpoint"), endpoint, insecure, &[UrlPart::Fragment]);
    }
}

/// Whether only metadata can tell how this server becomes a client.
fn goes_by_metadata(provider: &UpstreamProvider, oauth2: &OAuth2Upstream) -> bool {
    oauth2.client_id.is_empty()
        && match provider.registration {
            Some(Registration::Auto | Registration::Cimd) => true,
            Some(Registration::Dcr) => oauth2.dcr_config.is_none(),
            Some(Registration::Preregistered) | None => false,
        }
}
