//! The only place that writes an error of the authorization server.
//!
//! What may be said where is a matter of type: until the redirect URI is proven an authorization error is a [`PageError`]
//! and becomes a page (RFC 6749 §4.1.2.1, AS-23); only [`RedirectProven`] can carry an error to the client.

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_TYPE, HeaderValue, LOCATION, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{Response, StatusCode};
use thv_oauth::error::{ErrorBody, ErrorCode};
use thv_oauth::params;

use crate::authorize::RedirectProven;
use crate::clients::for_log;
use crate::pages;

/// The stable reason code of a refusal, in the response's extensions, for the metric.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reason(pub(crate) &'static str);

fn with_reason(mut response: Response<Bytes>, reason: &'static str) -> Response<Bytes> {
    response.extensions_mut().insert(Reason(reason));
    response
}

/// A refusal that is shown to the person in front of the browser.
#[derive(Debug)]
pub(crate) struct PageError {
    pub(crate) status: StatusCode,
    /// The OAuth error it corresponds to.
    pub(crate) code: ErrorCode,
    /// Stable reason code.
    pub(crate) reason: &'static str,
    /// What was wrong, in a sentence for the user.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) hint: String,
}

impl PageError {
    /// A refusal for which the request is to blame.
    pub(crate) fn bad_request(
        code: ErrorCode,
        reason: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code, reason, message: message.into(), hint: hint.into() }
    }

    /// Writes the page, and a log line with the correlation id that the page shows.
    pub(crate) fn into_response(self) -> Response<Bytes> {
        self.written(None)
    }

    /// The same with a link that leads back to the client.
    fn with_way_back(self, location: &str) -> Response<Bytes> {
        self.written(Some(location))
    }

    fn written(self, way_back: Option<&str>) -> Response<Bytes> {
        let correlation = correlation_id();
        tracing::info!(
            error.code = self.code.as_str(),
            error.reason = self.reason,
            correlation.id = correlation,
            detail = self.message,
            "authorization refused with a page"
        );
        let mut response = with_reason(pages::error(&self, &correlation, way_back), self.reason);
        let retry_after = match self.status {
            StatusCode::TOO_MANY_REQUESTS => Some(60),
            StatusCode::SERVICE_UNAVAILABLE => Some(5),
            _ => None,
        };
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// An error that the client is told through its redirect URI (RFC 6749 §4.1.2.1).
#[derive(Debug)]
pub(crate) struct RedirectError {
    pub(crate) code: ErrorCode,
    /// Stable reason code, also at the front of the description.
    pub(crate) reason: &'static str,
    pub(crate) description: String,
}

impl RedirectError {
    pub(crate) fn new(code: ErrorCode, reason: &'static str, description: impl Into<String>) -> Self {
        Self { code, reason, description: description.into() }
    }

    /// Where the redirect leads, with `state` and `iss` (RFC 9207).
    fn location(&self, to: &RedirectProven, issuer: &str) -> String {
        let description = format!("{}: {}", self.reason, self.description);
        to.location(&[("error", self.code.as_str()), ("error_description", &description)], issuer)
    }

    /// Writes the redirect.
    pub(crate) fn into_response(self, to: &RedirectProven, issuer: &str) -> Response<Bytes> {
        tracing::info!(
            error.code = self.code.as_str(),
            error.reason = self.reason,
            client.id = &*for_log(to.client_id()),
            detail = self.description,
            "authorization refused by redirect"
        );
        with_reason(see_other(&self.location(to, issuer)), self.reason)
    }
}

/// An authorization request's refusal: a page, or a redirect once that is proven to be safe.
#[derive(Debug)]
pub(crate) enum AuthorizationError {
    Page(PageError),
    Redirect(Box<RedirectProven>, RedirectError),
    /// A page for what may pass, with a link that tells the client.
    PageAndWayBack(Box<PageError>, Box<RedirectProven>, RedirectError),
}

impl AuthorizationError {
    pub(crate) fn into_response(self, issuer: &str) -> Response<Bytes> {
        match self {
            Self::Page(error) => error.into_response(),
            Self::Redirect(to, error) => error.into_response(&to, issuer),
            Self::PageAndWayBack(page, to, error) => page.with_way_back(&error.location(&to, issuer)),
        }
    }
}

impl From<PageError> for AuthorizationError {
    fn from(error: PageError) -> Self {
        Self::Page(error)
    }
}

/// An error of an endpoint that clients call directly (RFC 6749 §5.2, RFC 7591 §3.2.2).
#[derive(Debug)]
pub(crate) struct EndpointError {
    pub(crate) code: ErrorCode,
    /// Stable reason code, also at the front of the description.
    pub(crate) reason: &'static str,
    pub(crate) description: String,
    /// The client used the `Authorization` header, so the answer names the scheme.
    pub(crate) basic: bool,
    /// Seconds after which to try again, for refusals of rate and capacity.
    pub(crate) retry_after: Option<u64>,
}

impl EndpointError {
    pub(crate) fn new(code: ErrorCode, reason: &'static str, description: impl Into<String>) -> Self {
        Self { code, reason, description: description.into(), basic: false, retry_after: None }
    }

    pub(crate) fn invalid_request(reason: &'static str, description: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidRequest, reason, description)
    }

    pub(crate) fn too_many(reason: &'static str, description: impl Into<String>) -> Self {
        Self { retry_after: Some(1), ..Self::new(ErrorCode::TemporarilyUnavailable, reason, description) }
    }

    fn status(&self) -> StatusCode {
        match self.code {
            ErrorCode::InvalidClient | ErrorCode::InvalidToken => StatusCode::UNAUTHORIZED,
            ErrorCode::TemporarilyUnavailable if self.retry_after.is_some() => StatusCode::TOO_MANY_REQUESTS,
            ErrorCode::TemporarilyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            ErrorCode::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    pub(crate) fn into_response(self) -> Response<Bytes> {
        let status = self.status();
        tracing::info!(
            error.code = self.code.as_str(),
            error.reason = self.reason,
            http.status = status.as_u16(),
            detail = self.description,
            "request of a client refused"
        );
        let body = ErrorBody {
            error: self.code,
            error_description: format!("{}: {}", self.reason, self.description),
        };
        let mut response = json(status, &body);
        let challenge = match self.code {
            ErrorCode::InvalidToken => Some("Bearer error=\"invalid_token\""),
            _ => self.basic.then_some("Basic realm=\"token\""),
        };
        if let Some(challenge) = challenge {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Some(seconds) = self.retry_after.or((status == StatusCode::SERVICE_UNAVAILABLE).then_some(5)) {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        with_reason(response, self.reason)
    }
}

impl From<params::ParamsError> for EndpointError {
    fn from(error: params::ParamsError) -> Self {
        Self::invalid_request("malformed_parameters", error.to_string())
    }
}

impl From<thv_store::StoreError> for EndpointError {
    fn from(error: thv_store::StoreError) -> Self {
        tracing::error!(error = &error as &dyn std::error::Error, "store operation failed");
        Self::new(ErrorCode::TemporarilyUnavailable, "store_unavailable", "try again in a moment")
    }
}

impl From<thv_store::StoreError> for PageError {
    fn from(error: thv_store::StoreError) -> Self {
        tracing::error!(error = &error as &dyn std::error::Error, "store operation failed");
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: ErrorCode::TemporarilyUnavailable,
            reason: "store_unavailable",
            message: "The sign-in service cannot reach its storage at the moment.".to_owned(),
            hint: "Wait a moment and start again from your application.".to_owned(),
        }
    }
}

/// A JSON response that is never cached (RFC 6749 §5.1, AS-120).
pub(crate) fn json(status: StatusCode, body: &impl serde::Serialize) -> Response<Bytes> {
    // Serializing our own structs of strings and numbers cannot fail; an empty object is the honest fallback.
    let body = serde_json::to_vec(body).unwrap_or_else(|_| b"{}".to_vec());
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

/// A response without a body that is never cached.
pub(crate) fn empty(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A 303 redirect (AS-35) that is not cached and leaks no referrer.
pub(crate) fn see_other(location: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    let Ok(location) = HeaderValue::from_str(location) else {
        // Redirect URIs and upstream endpoints were checked to be visible ASCII when they were accepted.
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        return response;
    };
    *response.status_mut() = StatusCode::SEE_OTHER;
    let headers = response.headers_mut();
    headers.insert(LOCATION, location);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(http::header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// Ties what a person sees to a log line.
pub(crate) fn correlation_id() -> String {
    thv_jose::random::bytes::<6>().iter().map(|byte| format!("{byte:02x}")).collect()
}
