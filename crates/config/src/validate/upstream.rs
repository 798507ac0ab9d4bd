//! Upstream providers.

use std::collections::{BTreeMap, BTreeSet};

use crate::auth_server::AuthServer;
use crate::problem::Problem;
use crate::upstream::{
    LocalUpstream, OAuth2Upstream, OidcUpstream, UpstreamProvider, UpstreamType, UserInfo,
};

use super::findings::Findings;
use super::url::{HttpUrl, UrlPart};
use super::{Profile, text};

const MAX_NAME: usize = 63;
const MAX_PARAMETERS: usize = 16;

/// Parameters that this server itself puts into the authorization request.
const RESERVED_PARAMETERS: [&str; 8] = [
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "code_challenge",
    "code_challenge_method",
    "nonce",
];

/// Where this server receives the responses of upstream providers.
const CALLBACK_PATH: &str = "/oauth/callback";

const GITHUB_HINT: &str = "write instead:
type: oauth2
oauth2Config:
  authorizationEndpoint: https://github.com/login/oauth/authorize
  tokenEndpoint: https://github.com/login/oauth/access_token
  clientId: …
  clientSecretRef: {file: …}
  scopes: [read:user, user:email]
  userInfo:
    endpointUrl: https://api.github.com/user
    additionalHeaders: {Accept: application/vnd.github+json}
    fieldMapping: {subjectFields: [id], nameFields: [name, login], emailFields: [email]}";

pub(super) fn check(auth_server: &AuthServer, profile: Profile, findings: &mut Findings) {
    let at = "authServer.upstreamProviders";
    let providers = &auth_server.upstream_providers;
    match providers.len() {
        0 => findings.error(at, "at least one upstream provider is required: it is where users log in"),
        1 => {}
        count => findings.error(
            at,
            format!("has {count} entries: several upstreams in one login are not available yet; keep one"),
        ),
    }
    let mut seen = BTreeSet::new();
    for (index, provider) in providers.iter().enumerate() {
        let at = format!("{at}[{index}]");
        name(&at, &provider.name, findings);
        if !provider.name.is_empty() && !seen.insert(&provider.name) {
            findings.error(&format!("{at}.name"), format!("{:?} occurs twice", provider.name));
        }
        block(&at, provider, profile, findings);
    }
    if let Some(name) = &auth_server.primary_upstream_provider
        && !seen.contains(name)
    {
        findings.error(
            "authServer.primaryUpstreamProvider",
            format!("{name:?} is not the name of one of the upstreamProviders"),
        );
    }
}

fn name(at: &str, name: &str, findings: &mut Findings) {
    let at = format!("{at}.name");
    if !findings.required(&at, name, "a short name such as corp, seen in paths and logs") {
        return;
    }
    if !text::is_provider_name(name) || name.len() > MAX_NAME {
        let rule = format!("at most {MAX_NAME} lower-case letters, digits and inner hyphens");
        findings.error(&at, format!("{name:?} is not a valid name: {rule}"));
    } else if matches!(name, "http" | "https" | "urn") {
        findings.error(&at, format!("{name:?} is reserved, because it would read like a URI scheme"));
    }
}

fn block(at: &str, provider: &UpstreamProvider, profile: Profile, findings: &mut Findings) {
    let Some(wanted) = provider.upstream_type else {
        findings.required(&format!("{at}.type"), "", "one of oidc, oauth2, local");
        return;
    };
    let blocks = [
        (UpstreamType::Oidc, "oidcConfig", provider.oidc_config.is_some()),
        (UpstreamType::Oauth2, "oauth2Config", provider.oauth2_config.is_some()),
        (UpstreamType::Local, "localConfig", provider.local_config.is_some()),
    ];
    for (upstream_type, key, present) in blocks {
        let message = match (upstream_type == wanted, present) {
            (true, false) => format!("is required for type {}", wanted.as_str()),
            (false, true) => {
                format!("does not belong to type {}; remove it or change the type", wanted.as_str())
            }
            _ => continue,
        };
        findings.error(&format!("{at}.{key}"), message);
    }
    match (wanted, &provider.oidc_config, &provider.oauth2_config, &provider.local_config) {
        (UpstreamType::Oidc, Some(oidc), _, _) => check_oidc(&format!("{at}.oidcConfig"), oidc, findings),
        (UpstreamType::Oauth2, _, Some(oauth2), _) => {
            check_oauth2(&format!("{at}.oauth2Config"), oauth2, findings);
        }
        (UpstreamType::Local, _, _, Some(local)) => {
            check_local(&format!("{at}.localConfig"), local, profile, findings);
        }
        _ => {}
    }
}

fn check_oidc(at: &str, oidc: &OidcUpstream, findings: &mut Findings) {
    let insecure = oidc.insecure_allow_http;
    issuer_url(&format!("{at}.issuerUrl"), oidc, findings);
    findings.required(
        &format!("{at}.clientId"),
        &oidc.client_id,
        "the provider shows it where you register this server",
    );
    redirect_uri(&format!("{at}.redirectUri"), oidc.redirect_uri.as_deref(), insecure, findings);
    let scopes_at = format!("{at}.scopes");
    findings.scopes(&scopes_at, &oidc.scopes);
    if !oidc.scopes.iter().any(|scope| scope == "openid") {
        findings.error(&scopes_at, "must contain openid: without it the provider sends no ID token");
    }
    if !text::is_claim_name(&oidc.subject_claim) {
        let message = format!("{:?} is not a claim name: letters, digits and underscore", oidc.subject_claim);
        findings.error(&format!("{at}.subjectClaim"), message);
    }
    parameters(
        &format!("{at}.additionalAuthorizationParams"),
        &oidc.additional_authorization_params,
        findings,
    );
    if let Some(user_info) = &oidc.user_info_override {
        check_user_info(&format!("{at}.userInfoOverride"), user_info, insecure, findings);
    }
}

fn issuer_url(at: &str, oidc: &OidcUpstream, findings: &mut Findings) {
    let value = &oidc.issuer_url;
    if !findings.required(at, value, "the provider's issuer, such as https://accounts.google.com") {
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
    match url.host.to_ascii_lowercase().as_str() {
        "github.com" | "www.github.com" | "api.github.com" => {
            let message = "GitHub is not an OpenID Connect provider for logins";
            findings.push(Problem::error(at, message).with_hint(GITHUB_HINT));
        }
        "accounts.google.com" if oidc.scopes.iter().any(|scope| scope == "offline_access") => {
            let hint =
                "remove it and set additionalAuthorizationParams: {access_type: offline, prompt: consent}";
            let scopes_at = at.replace("issuerUrl", "scopes");
            findings
                .push(Problem::error(scopes_at, "Google refuses the scope offline_access").with_hint(hint));
        }
        _ => {}
    }
}

fn check_oauth2(at: &str, oauth2: &OAuth2Upstream, findings: &mut Findings) {
    let insecure = oauth2.insecure_allow_http;
    let endpoints = [
        ("authorizationEndpoint", &oauth2.authorization_endpoint, "where the browser is sent to log in"),
        ("tokenEndpoint", &oauth2.token_endpoint, "where the authorization code is exchanged"),
    ];
    for (key, value, hint) in endpoints {
        let at = format!("{at}.{key}");
        if findings.required(&at, value, hint) {
            findings.url(&at, value, insecure, &[UrlPart::Fragment]);
        }
    }
    findings.required(
        &format!("{at}.clientId"),
        &oauth2.client_id,
        "the provider shows it where you register this server",
    );
    redirect_uri(&format!("{at}.redirectUri"), oauth2.redirect_uri.as_deref(), insecure, findings);
    findings.scopes(&format!("{at}.scopes"), &oauth2.scopes);
    parameters(
        &format!("{at}.additionalAuthorizationParams"),
        &oauth2.additional_authorization_params,
        findings,
    );
    if let Some(user_info) = &oauth2.user_info {
        check_user_info(&format!("{at}.userInfo"), user_info, insecure, findings);
    }
    if let Some(mapping) = &oauth2.token_response_mapping {
        let at = format!("{at}.tokenResponseMapping");
        if findings.required(
            &format!("{at}.accessTokenPath"),
            &mapping.access_token_path,
            "such as authed_user.access_token",
        ) {
            dot_path(&format!("{at}.accessTokenPath"), Some(&mapping.access_token_path), false, findings);
        }
        dot_path(&format!("{at}.scopePath"), mapping.scope_path.as_deref(), false, findings);
        dot_path(&format!("{at}.refreshTokenPath"), mapping.refresh_token_path.as_deref(), false, findings);
        dot_path(&format!("{at}.expiresInPath"), mapping.expires_in_path.as_deref(), false, findings);
    }
    if let Some(identity) = &oauth2.identity_from_token {
        let at = format!("{at}.identityFromToken");
        if findings.required(&format!("{at}.subjectPath"), &identity.subject_path, "such as authed_user.id") {
            dot_path(&format!("{at}.subjectPath"), Some(&identity.subject_path), true, findings);
        }
        dot_path(&format!("{at}.namePath"), identity.name_path.as_deref(), true, findings);
        dot_path(&format!("{at}.emailPath"), identity.email_path.as_deref(), true, findings);
    }
    if oauth2.user_info.is_none() && oauth2.identity_from_token.is_none() {
        findings.warning(
            at,
            "has neither userInfo nor identityFromToken: who logs in is unknown, so every login counts as a new user",
        );
    }
}

fn check_local(at: &str, local: &LocalUpstream, profile: Profile, findings: &mut Findings) {
    match (&local.users_file, &local.development_user) {
        (Some(file), None) if file.as_os_str().is_empty() => {
            findings.error(&format!("{at}.usersFile"), "must not be empty");
        }
        (Some(_), None) => {}
        (None, Some(user)) => {
            let at = format!("{at}.developmentUser");
            if profile == Profile::Production {
                findings
                    .error(&at, "logs in without a password and is for thv serve --dev only; use usersFile");
            } else if user.is_empty() || !user.bytes().all(|b| b.is_ascii_graphic()) {
                findings.error(&at, "must be printable ASCII without spaces");
            }
        }
        (None, None) => {
            findings.required(
                &format!("{at}.usersFile"),
                "",
                "a YAML file of users with argon2id password hashes",
            );
        }
        (Some(_), Some(_)) => {
            findings.error(&format!("{at}.developmentUser"), "cannot be combined with usersFile");
        }
    }
}

fn check_user_info(at: &str, user_info: &UserInfo, insecure: bool, findings: &mut Findings) {
    let url_at = format!("{at}.endpointUrl");
    if findings.required(&url_at, &user_info.endpoint_url, "such as https://api.github.com/user") {
        findings.url(&url_at, &user_info.endpoint_url, insecure, &[UrlPart::Fragment]);
    }
    for (name, value) in &user_info.additional_headers {
        let at = format!("{at}.additionalHeaders.{name}");
        if !text::is_header_name(name) {
            findings.error(&at, format!("{name:?} is not a header field name"));
        } else if matches!(
            name.to_ascii_lowercase().as_str(),
            "authorization" | "host" | "content-length" | "cookie"
        ) {
            findings.error(&at, format!("{name:?} is set by this server itself"));
        } else if !text::is_header_value(value) {
            findings.error(&at, "the value has a character that a header field cannot carry");
        }
    }
    let mapping = &user_info.field_mapping;
    let lists = [
        ("subjectFields", &mapping.subject_fields),
        ("nameFields", &mapping.name_fields),
        ("emailFields", &mapping.email_fields),
    ];
    for (key, fields) in lists {
        let at = format!("{at}.fieldMapping.{key}");
        if key == "subjectFields" && fields.is_empty() {
            findings.error(&at, "must not be empty: something must identify the user");
        }
        for (index, field) in fields.iter().enumerate() {
            dot_path(&format!("{at}[{index}]"), Some(field), false, findings);
        }
    }
}

fn redirect_uri(at: &str, value: Option<&str>, insecure: bool, findings: &mut Findings) {
    let Some(value) = value else { return };
    let forbidden = [UrlPart::Query, UrlPart::Fragment];
    let url: Option<HttpUrl<'_>> = findings.url(at, value, insecure, &forbidden);
    if url.is_some_and(|url| !url.path.ends_with(CALLBACK_PATH)) {
        findings.error(
            at,
            format!("{value:?} must end in {CALLBACK_PATH}, where this server receives the response"),
        );
    }
}

fn parameters(at: &str, parameters: &BTreeMap<String, String>, findings: &mut Findings) {
    if parameters.len() > MAX_PARAMETERS {
        findings.error(at, format!("has {} entries, more than {MAX_PARAMETERS}", parameters.len()));
    }
    for name in parameters.keys() {
        if RESERVED_PARAMETERS.contains(&name.as_str()) {
            findings.error(&format!("{at}.{name}"), format!("{name:?} is set by this server itself"));
        } else if name.is_empty() {
            findings.error(at, "a parameter without a name");
        }
    }
}

fn dot_path(at: &str, path: Option<&str>, jwt_allowed: bool, findings: &mut Findings) {
    if let Some(path) = path
        && !text::is_dot_path(path, jwt_allowed)
    {
        let modifier = if jwt_allowed { "; the only modifier is @upstreamjwt" } else { "" };
        findings.error(at, format!("{path:?} is not a dot path such as authed_user.id{modifier}"));
    }
}
