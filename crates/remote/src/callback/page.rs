//! What the user sees in the browser when the login has come back.

use askama::Template;
use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{Response, StatusCode};
use http_body_util::Full;
use serde::{Deserialize, Serialize};
use thv_jose::random;

/// What came of an authorization response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Logged in at this server.
    LoggedIn(String),
    /// It failed, for this reason.
    Failed(String),
    /// Nobody waits for such a response.
    Unexpected,
}

#[derive(Template)]
#[template(path = "callback.html")]
struct Page<'a> {
    title: &'a str,
    text: &'a str,
    good: bool,
    nonce: &'a str,
}

pub(super) fn render(outcome: &Outcome) -> Response<Full<Bytes>> {
    let (status, title, text) = match outcome {
        Outcome::LoggedIn(server) => {
            (StatusCode::OK, "You are logged in", format!("Your MCP clients can now use {server}."))
        }
        Outcome::Failed(reason) => (StatusCode::BAD_REQUEST, "The login did not succeed", reason.clone()),
        Outcome::Unexpected => (
            StatusCode::NOT_FOUND,
            "No login is waiting for this",
            "It may have taken too long, or was completed already. Start the login again.".to_owned(),
        ),
    };
    let nonce = random::token();
    let good = matches!(outcome, Outcome::LoggedIn(_));
    // A template of strings does not fail.
    let page = Page { title, text: &text, good, nonce: &nonce }.render().unwrap_or_default();
    let mut response = bare(status);
    *response.body_mut() = Full::new(Bytes::from(page));
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    if let Ok(policy) = HeaderValue::try_from(policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// A response without a page.
pub(super) fn bare(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    response
}
