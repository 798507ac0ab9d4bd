//! Issuer and discovery URLs that look right and are not, for providers that have a preset.

use crate::preset;
use crate::problem::Problem;

use super::super::url::HttpUrl;

/// (host, or suffix that begins with a dot; preset; what is wrong)
const MISTAKEN: &[(&[&str], &str, &str)] = &[
    (
        &["github.com", "www.github.com", "api.github.com"],
        "github",
        "GitHub is not an OpenID Connect provider for logins",
    ),
    (
        &["www.slack.com", "api.slack.com", "mcp.slack.com", ".slack.com"],
        "slack",
        "is not an issuer of Slack's",
    ),
    (
        &["atlassian.com", "www.atlassian.com", "api.atlassian.com", "mcp.atlassian.com", ".atlassian.net"],
        "atlassian",
        "Atlassian is not an OpenID Connect provider for access to its products",
    ),
    (
        &["google.com", "www.google.com", "googleapis.com", ".googleapis.com"],
        "google",
        "is not Google's issuer, which is https://accounts.google.com",
    ),
    (
        &[".datadoghq.com", ".datadoghq.eu", ".ddog-gov.com"],
        "datadog",
        "Datadog is not an OpenID Connect provider",
    ),
];

/// What is wrong with an issuer of a well-known provider.
pub(super) fn recognize(at: &str, issuer: &HttpUrl<'_>) -> Option<Problem> {
    let host = issuer.host.to_ascii_lowercase();
    match host.as_str() {
        "slack.com" => {
            let message = "OpenID Connect tokens of Slack say who somebody is and open nothing else";
            let hint = format!("for tokens that Slack's API accepts {}", instead("slack"));
            return Some(Problem::warning(at, message).with_hint(hint));
        }
        "login.microsoftonline.com" => return microsoft(at, issuer),
        _ => {}
    }
    let (preset, message) = mistaken(&host)?;
    Some(Problem::error(at, message).with_hint(instead(preset)))
}

/// What is wrong with the address of the metadata of a well-known provider: a site that publishes none at its root. Hosts of
/// MCP servers do, also where the provider's own site does not.
pub(super) fn recognize_discovery(at: &str, url: &HttpUrl<'_>) -> Option<Problem> {
    let host = url.host.to_ascii_lowercase();
    if !matches!(url.path, "" | "/") || host.starts_with("mcp.") {
        return None;
    }
    let (preset, _) = mistaken(&host)?;
    Some(Problem::error(at, "no metadata is published there").with_hint(instead(preset)))
}

/// The preset for a host that is no issuer, and why it is none.
fn mistaken(host: &str) -> Option<(&'static str, &'static str)> {
    let is_meant =
        |pattern: &&str| host == *pattern || (pattern.starts_with('.') && host.ends_with(*pattern));
    let (_, preset, message) = MISTAKEN.iter().find(|(hosts, ..)| hosts.iter().any(is_meant))?;
    Some((preset, message))
}

/// The issuer names a tenant and the version; anything else serves metadata of another issuer.
fn microsoft(at: &str, issuer: &HttpUrl<'_>) -> Option<Problem> {
    let mut segments = issuer.path.trim_matches('/').split('/');
    let (tenant, version) = (segments.next().unwrap_or_default(), segments.next());
    let message = match (tenant, version) {
        ("" | "common" | "organizations" | "consumers", _) => {
            "names no tenant: ID tokens carry the issuer of the user's own"
        }
        (_, Some("v2.0")) => return None,
        _ => "lacks /v2.0: the metadata there is of the older issuer at sts.windows.net",
    };
    let hint = "write preset: entra with issuerUrl: https://login.microsoftonline.com/TENANT/v2.0";
    Some(Problem::error(at, message).with_hint(hint))
}

/// What to write for a preset.
fn instead(preset: &str) -> String {
    let (block, source) = match (preset::upstream_type(preset), preset) {
        (_, "datadog") => ("oauth2Config", "discoveryUrl: https://mcp.datadoghq.com/v1/mcp"),
        (Some("oidc"), _) => ("oidcConfig", "clientId: …\n  clientSecretRef: {file: …}"),
        _ => ("oauth2Config", "clientId: …\n  clientSecretRef: {file: …}"),
    };
    format!("write instead:\npreset: {preset}\n{block}:\n  {source}")
}
