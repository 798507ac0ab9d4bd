//! OpenID Connect providers.

use crate::problem::Problem;
use crate::upstream::{OidcUpstream, UpstreamProvider};

use super::super::findings::Findings;
use super::super::text;
use super::super::url::HttpUrl;
use super::registration::{self, ClientKeys};
use super::{identity, mistaken_issuer, request};

pub(super) fn check(at: &str, provider: &UpstreamProvider, oidc: &OidcUpstream, findings: &mut Findings) {
    let client = ClientKeys {
        client_id: &oidc.client_id,
        secret: oidc.client_secret_ref.is_some(),
        dcr: oidc.dcr_config.as_ref(),
        metadata_known: true,
        identified_by_discovery: false,
        insecure: oidc.insecure_allow_http,
    };
    let provider_at = at;
    let at = &format!("{at}.oidcConfig");
    issuer_url(&format!("{at}.issuerUrl"), provider, oidc, findings);
    registration::check(provider_at, at, provider.registration, &client, findings);
    request::redirect_uri(at, oidc.redirect_uri.as_deref(), oidc.insecure_allow_http, findings);
    let scopes_at = format!("{at}.scopes");
    findings.scopes(&scopes_at, &oidc.scopes);
    if !oidc.scopes.iter().any(|scope| scope == "openid") {
        findings.error(&scopes_at, "must contain openid: without it the provider sends no ID token");
    }
    if !text::is_claim_name(&oidc.subject_claim) {
        let message = format!("{:?} is not a claim name: letters, digits and underscore", oidc.subject_claim);
        findings.error(&format!("{at}.subjectClaim"), message);
    }
    request::resource(at, oidc.resource.as_deref(), oidc.send_resource, findings);
    let taken = [("resource", "resource", oidc.resource.is_some())];
    request::parameters(at, &oidc.additional_authorization_params, &taken, findings);
    if let Some(user_info) = &oidc.user_info_override {
        let at = format!("{at}.userInfoOverride");
        identity::user_info(&at, user_info, oidc.insecure_allow_http, findings);
    }
}

fn issuer_url(at: &str, provider: &UpstreamProvider, oidc: &OidcUpstream, findings: &mut Findings) {
    let value = &oidc.issuer_url;
    let hint = match provider.preset.as_deref() {
        Some("entra") => "https://login.microsoftonline.com/TENANT/v2.0 with the identifier of your tenant",
        Some("okta") => "https://COMPANY.okta.com, or an authorization server below its /oauth2/",
        Some("keycloak") => "https://HOST/realms/REALM",
        Some("auth0") => "https://TENANT.REGION.auth0.com/ with the slash at its end",
        _ => "the provider's issuer, such as https://accounts.google.com",
    };
    if !findings.required(at, value, hint) {
        return;
    }
    if let Some((issuer, _)) = value.split_once("/.well-known/") {
        findings.error(at, format!("is the address of the metadata; write the issuer alone: {issuer}"));
        return;
    }
    if findings.issuer(at, value, oidc.insecure_allow_http, false).is_none() {
        return;
    }
    let Ok(url) = HttpUrl::parse(value) else { return };
    if let Some(problem) = mistaken_issuer::recognize(at, &url) {
        findings.push(problem);
    }
    if url.host == "accounts.google.com" && oidc.scopes.iter().any(|scope| scope == "offline_access") {
        let hint =
            "remove it and write preset: google, which asks with access_type: offline and prompt: consent";
        let scopes_at = at.replace("issuerUrl", "scopes");
        findings.push(Problem::error(scopes_at, "Google refuses the scope offline_access").with_hint(hint));
    }
}
