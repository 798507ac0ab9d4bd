//! What the authorization request carries.

use std::collections::BTreeMap;

use super::super::findings::Findings;
use super::super::text;
use super::super::url::{HttpUrl, UrlPart};

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

/// Characters that providers are known to put between scopes.
const SEPARATORS: [&str; 3] = [" ", ",", ";"];

pub(super) fn redirect_uri(at: &str, value: Option<&str>, insecure: bool, findings: &mut Findings) {
    let Some(value) = value else { return };
    let at = &format!("{at}.redirectUri");
    let forbidden = [UrlPart::Query, UrlPart::Fragment];
    let url: Option<HttpUrl<'_>> = findings.url(at, value, insecure, &forbidden);
    if url.is_some_and(|url| !url.path.ends_with(CALLBACK_PATH)) {
        findings.error(
            at,
            format!("{value:?} must end in {CALLBACK_PATH}, where this server receives the response"),
        );
    }
}

/// The resource indicator; a provider may name its resources by any absolute URI (RFC 8707 §2).
pub(super) fn resource(at: &str, value: Option<&str>, sent: bool, findings: &mut Findings) {
    let Some(value) = value else { return };
    if !text::is_absolute_uri(value) {
        let message =
            format!("{value:?} is not an absolute URI without fragment, such as https://api.example.com");
        findings.error(&format!("{at}.resource"), message);
    } else if !sent {
        let message = "has no effect while sendResource is false, as a preset sets it for a provider that refuses the \
                       parameter; remove it, or set sendResource: true";
        findings.warning(&format!("{at}.resource"), message);
    }
}

pub(super) fn scope_spelling(at: &str, parameter: &str, separator: &str, findings: &mut Findings) {
    let parameter_at = format!("{at}.scopeParameter");
    if !text::is_claim_name(parameter) {
        findings.error(&parameter_at, format!("{parameter:?} is not a parameter name such as user_scope"));
    } else if parameter != "scope" && RESERVED_PARAMETERS.contains(&parameter) {
        findings.error(&parameter_at, format!("{parameter:?} is set by this server itself"));
    }
    if !SEPARATORS.contains(&separator) {
        let message = format!("{separator:?} is not one of a space, a comma and a semicolon");
        findings.error(&format!("{at}.scopeSeparator"), message);
    }
}

/// Further parameters; `taken` are names that other keys have, each with its key and whether that key is set.
pub(super) fn parameters(
    at: &str,
    parameters: &BTreeMap<String, String>,
    taken: &[(&str, &str, bool)],
    findings: &mut Findings,
) {
    let at = &format!("{at}.additionalAuthorizationParams");
    if parameters.len() > MAX_PARAMETERS {
        findings.error(at, format!("has {} entries, more than {MAX_PARAMETERS}", parameters.len()));
    }
    for name in parameters.keys() {
        if RESERVED_PARAMETERS.contains(&name.as_str()) {
            findings.error(&format!("{at}.{name}"), format!("{name:?} is set by this server itself"));
        } else if let Some((_, key, _)) = taken.iter().find(|(taken, _, set)| *set && taken == name) {
            findings
                .error(&format!("{at}.{name}"), format!("{name:?} is what {key} sets; remove one of them"));
        } else if name.is_empty() {
            findings.error(at, "a parameter without a name");
        }
    }
}
