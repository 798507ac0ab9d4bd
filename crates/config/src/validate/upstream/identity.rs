//! Where the user's identity and tokens are in a provider's responses.

use crate::upstream::{IdentityFromToken, TokenResponseMapping, UserInfo};

use super::super::findings::Findings;
use super::super::text;
use super::super::url::UrlPart;

pub(super) fn user_info(at: &str, user_info: &UserInfo, insecure: bool, findings: &mut Findings) {
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

pub(super) fn token_response_mapping(at: &str, mapping: &TokenResponseMapping, findings: &mut Findings) {
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

pub(super) fn identity_from_token(at: &str, identity: &IdentityFromToken, findings: &mut Findings) {
    if findings.required(&format!("{at}.subjectPath"), &identity.subject_path, "such as authed_user.id") {
        dot_path(&format!("{at}.subjectPath"), Some(&identity.subject_path), true, findings);
    }
    dot_path(&format!("{at}.namePath"), identity.name_path.as_deref(), true, findings);
    dot_path(&format!("{at}.emailPath"), identity.email_path.as_deref(), true, findings);
}

fn dot_path(at: &str, path: Option<&str>, jwt_allowed: bool, findings: &mut Findings) {
    if let Some(path) = path
        && !text::is_dot_path(path, jwt_allowed)
    {
        let modifier = if jwt_allowed { "; the only modifier is @upstreamjwt" } else { "" };
        findings.error(at, format!("{path:?} is not a dot path such as authed_user.id{modifier}"));
    }
}
