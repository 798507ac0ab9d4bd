//! The pages: HTML from templates, no script, hardened headers.

use std::borrow::Cow;

use askama::Template;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Response, StatusCode, header};
use thv_oauth::client_id::{MetadataUrl, looks_like_url};
use thv_oauth::redirect_uri::{RedirectPolicy, RedirectUri};
use thv_store::records::ApprovedRequest;

use crate::chain::{LoginChain, asked_upstream};
use crate::clients::Preregistered;
use crate::respond::PageError;
use crate::settings::Settings;

/// Linked relatively: all pages are below the same `/oauth/`, wherever that is.
const STYLE: &str = include_str!("../templates/page.css");

/// No script at all, styles from our own origin only, never in a frame (AS-36). There is no `form-action`: browsers apply
/// it to the redirects that follow a form, and those lead to the upstream and to the client by design.
const POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What the consent page shows.
#[derive(Template)]
#[template(path = "consent.html")]
pub(crate) struct ConsentPage {
    base_path: String,
    ticket: String,
    client_id: String,
    client_name: String,
    publisher: Publisher,
    redirect_uri: String,
    redirect_host: String,
    on_this_machine: bool,
    resources: Vec<String>,
    scopes: Vec<ScopeInWords>,
    development: bool,
}

/// Who vouches for the client's name.
enum Publisher {
    /// The host of its URL `client_id`.
    Host(String),
    /// The operator, who configured it.
    Operator,
    /// Nobody: it registered itself.
    Unverified,
}

impl Publisher {
    fn of(client_id: &str, settings: &Settings) -> Self {
        let configured = |client: &Preregistered| client.metadata.client_id.as_deref() == Some(client_id);
        if settings.preregistered.iter().any(configured) {
            return Self::Operator;
        }
        // It was resolved as a document, so it parses.
        let url = looks_like_url(client_id).then(|| MetadataUrl::parse(client_id, true).ok()).flatten();
        url.map_or(Self::Unverified, |url| Self::Host(url.host().to_owned()))
    }
}

struct ScopeInWords {
    /// Empty for what follows from the client's grant types.
    token: String,
    words: Cow<'static, str>,
}

impl ConsentPage {
    pub(crate) fn of(request: &ApprovedRequest, settings: &Settings, chain: &LoginChain) -> Self {
        let client = &request.client;
        // It matched a registered URI, so it parses; a private scheme has no host and shows itself.
        let redirect = RedirectUri::parse(&request.redirect_uri, RedirectPolicy::PrivateSchemes).ok();
        let redirect_host =
            redirect.as_ref().and_then(RedirectUri::host).unwrap_or(&request.redirect_uri).to_owned();
        let mut scopes: Vec<ScopeInWords> = request
            .scopes
            .iter()
            .map(|token| ScopeInWords { token: token.to_owned(), words: in_words(token, chain) })
            .collect();
        if client.may_refresh && !request.scopes.contains(OFFLINE_ACCESS) {
            scopes.push(ScopeInWords { token: String::new(), words: in_words(OFFLINE_ACCESS, chain) });
        }
        Self {
            base_path: settings.base_path().to_owned(),
            ticket: String::new(),
            client_id: client.client_id.clone(),
            client_name: client.client_name.clone(),
            publisher: Publisher::of(&client.client_id, settings),
            redirect_host,
            on_this_machine: redirect.is_none_or(|uri| uri.is_loopback() || uri.is_private_scheme()),
            redirect_uri: request.redirect_uri.clone(),
            resources: request.resources.clone(),
            scopes,
            development: settings.development,
        }
    }
}

const OFFLINE_ACCESS: &str = "offline_access";

fn in_words(scope: &str, chain: &LoginChain) -> Cow<'static, str> {
    if let Some(leg) = asked_upstream(scope).and_then(|name| chain.leg(name)) {
        return Cow::Owned(format!("use your account at {}", leg.label));
    }
    Cow::Borrowed(match scope {
        "openid" => "know who you are",
        "profile" => "see your name",
        "email" => "see your e-mail address",
        OFFLINE_ACCESS => "stay signed in until you revoke it",
        _ => "use the permission",
    })
}

/// The consent page.
pub(crate) fn consent(page: ConsentPage, ticket: &str) -> Response<Bytes> {
    html(StatusCode::OK, &ConsentPage { ticket: ticket.to_owned(), ..page })
}

/// What the login page shows.
pub(crate) struct LoginPage {
    pub(crate) base_path: String,
    pub(crate) state: String,
    pub(crate) client_name: String,
    pub(crate) development_user: Option<String>,
    pub(crate) refusal: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginTemplate<'a> {
    form: &'a LoginPage,
}

/// The login page of a `local` upstream.
pub(crate) fn login(form: &LoginPage) -> Response<Bytes> {
    html(StatusCode::OK, &LoginTemplate { form })
}

/// What the page between the upstreams of a login shows.
#[derive(Template)]
#[template(path = "continue.html")]
pub(crate) struct ContinuePage {
    pub(crate) base_path: String,
    pub(crate) state: String,
    pub(crate) client_name: String,
    pub(crate) user: String,
    pub(crate) steps: Vec<Step>,
    /// The upstream that comes next, for people.
    pub(crate) label: String,
    pub(crate) may_skip: bool,
    pub(crate) failure: Option<String>,
}

/// One upstream of a login.
pub(crate) struct Step {
    pub(crate) label: String,
    pub(crate) state: StepState,
}

/// How far one upstream of a login is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum StepState {
    Done,
    Skipped,
    Next,
    Later,
}

impl StepState {
    fn in_words(self) -> &'static str {
        match self {
            Self::Done => "connected",
            Self::Skipped => "skipped",
            Self::Next => "next",
            Self::Later => "later",
        }
    }
}

/// The page between the upstreams of a login.
pub(crate) fn continue_login(page: &ContinuePage) -> Response<Bytes> {
    html(StatusCode::OK, page)
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorTemplate<'a> {
    message: &'a str,
    hint: &'a str,
    reason: &'a str,
    error: &'a str,
    correlation: &'a str,
    way_back: Option<&'a str>,
}

/// An error page.
pub(crate) fn error(error: &PageError, correlation: &str, way_back: Option<&str>) -> Response<Bytes> {
    let template = ErrorTemplate {
        message: &error.message,
        hint: &error.hint,
        reason: error.reason,
        error: error.code.as_str(),
        correlation,
        way_back,
    };
    html(error.status, &template)
}

/// A file that the pages use.
pub(crate) fn asset(path: &str) -> Option<Response<Bytes>> {
    if path != "/oauth/assets/page.css" {
        return None;
    }
    let mut response = Response::new(Bytes::from_static(STYLE.as_bytes()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/css; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Some(response)
}

/// A page, from its template.
pub(crate) fn html(status: StatusCode, template: &impl Template) -> Response<Bytes> {
    // Templates of strings cannot fail to render.
    let mut response = Response::new(Bytes::from(template.render().unwrap_or_default()));
    *response.status_mut() = status;
    harden(response.headers_mut());
    response
}

fn harden(headers: &mut HeaderMap) {
    let set = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in set {
        headers.insert(name, HeaderValue::from_static(value));
    }
}
