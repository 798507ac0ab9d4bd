//! Asking the authorization endpoint, before a browser does, whether it will have this client.
//!
//! A server that does not accept a `client_id` shows the user an error page and redirects nowhere (RFC 6749 §4.1.2.1), so the
//! client at the redirect URI would wait in vain. The same request, sent without cookies and without following a redirect,
//! shows that page to the client.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, HeaderMap, HeaderValue, LOCATION};
use http::{Method, StatusCode};
use serde_json::{Map, Value};
use thv_egress::{Client, Limits, Request, Response, json};
use thv_oauth::params::Params;

use crate::server_text;

const LIMITS: Limits = Limits { total: Duration::from_secs(10), max_body: 256 * 1024 };

/// The codes that are about the client (RFC 6749 §4.1.2.1, §5.2): another identity may be accepted.
const ABOUT_THE_CLIENT: [&str; 3] = ["invalid_client", "unauthorized_client", "invalid_client_metadata"];

/// Other codes of authorization endpoints (RFC 6749 §4.1.2.1, RFC 8707 §2), as they appear on error pages.
const ABOUT_THE_REQUEST: [&str; 6] = [
    "invalid_request",
    "invalid_redirect_uri",
    "unsupported_response_type",
    "invalid_scope",
    "invalid_target",
    "redirect_uri_mismatch",
];

/// Whether an error code says that the server does not accept this client, so that another way of identification may help.
/// `invalid_request` does not (T-5).
pub fn is_about_client(code: &str) -> bool {
    ABOUT_THE_CLIENT.contains(&code)
}

/// What the authorization endpoint makes of a request.
#[derive(Clone, PartialEq, Eq)]
pub enum Preflight {
    /// The user may go there: a login page, or a redirect to one.
    Open,
    /// It answered at once, to the redirect URI: the response's parameters, which are still to be judged.
    Answered(String),
    /// An error page about the client.
    ClientRefused(ErrorPage),
    /// An error page about something else: the browser would see the same.
    RequestRefused(ErrorPage),
    /// It cannot be told from here: the browser may fare better.
    Unknown(String),
}

impl fmt::Debug for Preflight {
    /// Without the answer's parameters, which may have an authorization code.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_str("Open"),
            Self::Answered(_) => f.write_str("Answered"),
            Self::ClientRefused(page) => f.debug_tuple("ClientRefused").field(page).finish(),
            Self::RequestRefused(page) => f.debug_tuple("RequestRefused").field(page).finish(),
            Self::Unknown(reason) => f.debug_tuple("Unknown").field(reason).finish(),
        }
    }
}

/// An error that was shown instead of a login page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorPage {
    /// The error code; the status where there is none.
    pub error: String,
    /// The server's own words.
    pub description: Option<String>,
}

impl fmt::Display for ErrorPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.description {
            Some(description) => write!(f, "{}: {description}", self.error),
            None => f.write_str(&self.error),
        }
    }
}

/// Sends the authorization request at `url`, whose answer goes to `redirect_uri`.
pub async fn preflight(egress: &Client, url: &str, redirect_uri: &str) -> Preflight {
    let accept = HeaderValue::from_static("text/html,application/xhtml+xml,application/json;q=0.9,*/*;q=0.8");
    let headers = HeaderMap::from_iter([(ACCEPT, accept)]);
    let request = Request { method: Method::GET, url, headers, body: Bytes::new() };
    match egress.send(request, LIMITS).await {
        Ok(response) => judge(&response, redirect_uri),
        Err(error) => Preflight::Unknown(error.to_string()),
    }
}

fn judge(response: &Response, redirect_uri: &str) -> Preflight {
    let status = response.status;
    if status.is_redirection() {
        let location = response.headers.get(LOCATION).and_then(|location| location.to_str().ok());
        return location.map_or(Preflight::Open, |location| redirected(location, redirect_uri));
    }
    let shown = error_of(response);
    match status {
        StatusCode::OK => match shown {
            Some(page) if is_about_client(&page.error) => Preflight::ClientRefused(page),
            _ => Preflight::Open,
        },
        // Said without a code that anybody could read, these are about who asks (T-5).
        StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED => match shown {
            Some(page) if is_about_client(&page.error) => Preflight::ClientRefused(page),
            Some(page) => Preflight::RequestRefused(page),
            None => Preflight::ClientRefused(ErrorPage {
                error: format!("status {}", status.as_u16()),
                description: None,
            }),
        },
        // Often a firewall that takes us for a robot.
        _ => match shown {
            Some(page) if is_about_client(&page.error) => Preflight::ClientRefused(page),
            _ => Preflight::Unknown(format!("status {}", status.as_u16())),
        },
    }
}

fn redirected(location: &str, redirect_uri: &str) -> Preflight {
    let query = location.split_once('?').map(|(_, query)| query.split('#').next().unwrap_or_default());
    let back =
        location.strip_prefix(redirect_uri).is_some_and(|rest| rest.is_empty() || rest.starts_with('?'));
    if back {
        return Preflight::Answered(query.unwrap_or_default().to_owned());
    }
    let Some(params) = query.and_then(|query| Params::parse(query.as_bytes()).ok()) else {
        return Preflight::Open;
    };
    let one = |name| params.one(name).ok().flatten();
    match one("error") {
        // To a page of the server's own that shows the error.
        Some(code) if is_about_client(code) => Preflight::ClientRefused(page(code, one("error_description"))),
        _ => Preflight::Open,
    }
}

/// The error that a page shows: as JSON, or as a code that appears in its text. A page with a form is no error page.
fn error_of(response: &Response) -> Option<ErrorPage> {
    if json::is_json(&response.headers) {
        let members: Map<String, Value> = serde_json::from_slice(&response.body).ok()?;
        let text = |name: &str| members.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        return text("error").map(|code| page(code, text("error_description")));
    }
    let text = String::from_utf8_lossy(&response.body).to_ascii_lowercase();
    if response.status == StatusCode::OK && text.contains("<form") {
        return None;
    }
    let codes = ABOUT_THE_CLIENT.iter().chain(&ABOUT_THE_REQUEST);
    let shown = codes.filter(|code| has_word(&text, code)).min_by_key(|code| text.find(**code));
    shown.map(|code| page(code, None))
}

fn has_word(text: &str, word: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let after = text.get(at + word.len()..).and_then(|after| after.chars().next());
        !before.is_some_and(part) && !after.is_some_and(part)
    })
}

fn page(code: &str, description: Option<&str>) -> ErrorPage {
    ErrorPage {
        error: server_text::code(code, |_| false),
        description: description.and_then(|text| server_text::description(text, |_| false)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::CONTENT_TYPE;

    const REDIRECT: &str = "http://localhost:8666/callback";

    fn answer(status: u16, kind: &'static str, body: &'static str) -> Preflight {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]);
        let body = Bytes::from_static(body.as_bytes());
        judge(&Response { status: StatusCode::from_u16(status).unwrap(), headers, body }, REDIRECT)
    }

    fn redirect(location: &'static str) -> Preflight {
        let headers = HeaderMap::from_iter([(LOCATION, HeaderValue::from_static(location))]);
        judge(&Response { status: StatusCode::FOUND, headers, body: Bytes::new() }, REDIRECT)
    }

    fn code(outcome: Preflight) -> (bool, String) {
        match outcome {
            Preflight::ClientRefused(page) => (true, page.error),
            Preflight::RequestRefused(page) => (false, page.error),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn r3_an_error_page_about_the_client_is_told_from_one_about_the_request() {
        const JSON: &str = "application/json";
        const HTML: &str = "text/html; charset=utf-8";
        for (status, kind, body, about_client, error) in [
            (
                400,
                JSON,
                r#"{"error":"invalid_client","error_description":"no such client"}"#,
                true,
                "invalid_client",
            ),
            (401, JSON, r#"{"error":"unauthorized_client"}"#, true, "unauthorized_client"),
            (400, HTML, "<h1>oops</h1><p>error: Invalid_Client</p>", true, "invalid_client"),
            (403, HTML, "<p>invalid_client</p>", true, "invalid_client"),
            (200, HTML, "<h1>invalid_client</h1>", true, "invalid_client"),
            (400, HTML, "<h1>Bad Request</h1>", true, "status 400"),
            (401, "text/plain", "", true, "status 401"),
            (400, JSON, r#"{"error":"invalid_request"}"#, false, "invalid_request"),
            (400, HTML, "<p>invalid_scope</p>", false, "invalid_scope"),
        ] {
            assert_eq!(code(answer(status, kind, body)), (about_client, error.to_owned()), "{status} {body}");
        }
    }

    #[test]
    fn r3_login_pages_and_firewalls_are_no_refusal() {
        assert_eq!(answer(200, "text/html", "<form>client_id invalid_client_x</form>"), Preflight::Open);
        assert_eq!(answer(200, "text/html", "<form></form> invalid_client"), Preflight::Open);
        assert_eq!(answer(200, "text/html", "<p>invalid_request</p>"), Preflight::Open);
        for status in [403, 404, 405, 429, 500, 503] {
            assert_eq!(
                answer(status, "text/html", "blocked"),
                Preflight::Unknown(format!("status {status}"))
            );
        }
    }

    #[test]
    fn r3_redirects_are_told_apart_by_where_they_lead() {
        assert_eq!(redirect("/login?error=0"), Preflight::Open);
        assert_eq!(redirect("https://as.example/login"), Preflight::Open);
        assert_eq!(
            redirect("http://localhost:8666/callback?code=a&state=b#_"),
            Preflight::Answered("code=a&state=b".into())
        );
        assert_eq!(redirect("http://localhost:8666/callback"), Preflight::Answered(String::new()));
        assert_eq!(redirect("http://localhost:8666/callback2?code=a"), Preflight::Open);
        assert_eq!(code(redirect("/error?error=unauthorized_client")).1, "unauthorized_client");
    }
}
