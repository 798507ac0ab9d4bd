//! Telling the backend who makes the request.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use thv_resource::Verified;

const ISSUER: HeaderName = HeaderName::from_static("x-thv-issuer");
const SUBJECT: HeaderName = HeaderName::from_static("x-thv-subject");
const CLIENT_ID: HeaderName = HeaderName::from_static("x-thv-client-id");
const SCOPE: HeaderName = HeaderName::from_static("x-thv-scope");
const NAME: HeaderName = HeaderName::from_static("x-thv-name");
const EMAIL: HeaderName = HeaderName::from_static("x-thv-email");

/// What is written as `%XX`, in UTF-8: whatever is not printable ASCII, and the percent sign itself.
const ESCAPED: &AsciiSet = &CONTROLS.add(b'%');

/// Adds `X-Thv-*`, from the verified token alone; the client's own have been stripped before.
pub(crate) fn add(headers: &mut HeaderMap, verified: &Verified) {
    let scope = verified.scopes.to_string();
    let fields = [
        (ISSUER, Some(&verified.issuer)),
        (SUBJECT, Some(&verified.subject)),
        (CLIENT_ID, Some(&verified.client_id)),
        (SCOPE, Some(&scope)),
        (NAME, verified.name.as_ref()),
        (EMAIL, verified.email.as_ref()),
    ];
    for (name, text) in fields {
        let Some(text) = text else { continue };
        let value = utf8_percent_encode(text, ESCAPED).to_string();
        // What is left after escaping is always a header value.
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
}
