//! The door of the authorization server.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::uri::{PathAndQuery, Uri};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use thv_proxy::ResponseBody;
use thv_telemetry::metrics::Route;

use super::discovery::Metadata;
use super::health::Check;
use super::{cors, reply};
use crate::peer::Peer;

/// Longest request body of the authorization server.
const MAX_BODY: usize = 64 * 1024;
/// Deadline of such a body.
const BODY_DEADLINE: Duration = Duration::from_secs(10);

/// What answers below `/oauth/`.
#[async_trait]
pub trait AuthorizationServer: Send + Sync + 'static {
    /// Answers a request whose path begins with `/oauth/`.
    async fn handle(&self, request: Request<Bytes>, peer: Peer) -> Response<Bytes>;

    /// The discovery documents, written with the keys in force.
    fn metadata(&self) -> Metadata;

    /// What it needs to work, and whether it has it.
    async fn readiness(&self) -> Vec<Check>;
}

/// The authorization server below the issuer's path.
pub(super) struct OAuthDoor {
    pub(super) server: Arc<dyn AuthorizationServer>,
    /// The issuer's path, without a final slash; usually empty.
    pub(super) issuer_path: String,
}

impl OAuthDoor {
    /// The endpoint's path from `/oauth/` on, when `path` belongs to the authorization server.
    pub(super) fn endpoint<'a>(&self, path: &'a str) -> Option<&'a str> {
        path.strip_prefix(self.issuer_path.as_str()).filter(|endpoint| endpoint.starts_with("/oauth/"))
    }

    pub(super) async fn answer(&self, request: Request<Incoming>, peer: Peer) -> Response<ResponseBody> {
        let endpoint = self.endpoint(request.uri().path()).unwrap_or_default();
        let methods = open_to_pages(endpoint);
        if let (Some(methods), &Method::OPTIONS) = (methods, request.method())
            && cors::is_preflight(request.headers())
        {
            return cors::open_preflight(request.headers(), methods);
        }
        let Some(uri) = below_issuer(request.uri(), &self.issuer_path) else { return reply::not_found() };
        let mut response = match read(request).await {
            Ok(mut request) => {
                *request.uri_mut() = uri;
                reply::ready(self.server.handle(request, peer).await)
            }
            Err(refusal) => refusal,
        };
        if methods.is_some() {
            cors::open(response.headers_mut());
        }
        response
    }
}

/// The label under which requests to an endpoint are counted.
pub(super) fn route(endpoint: &str) -> Route {
    match endpoint {
        "/oauth/token" => Route::Token,
        "/oauth/authorize" => Route::Authorize,
        "/oauth/register" => Route::Register,
        _ => Route::AuthorizationServer,
    }
}

/// The methods that web pages of any origin may use: only where no cookie is looked at (AS-41).
fn open_to_pages(endpoint: &str) -> Option<&'static str> {
    match endpoint {
        "/oauth/token" | "/oauth/register" | "/oauth/revoke" => Some("POST, OPTIONS"),
        _ if endpoint.starts_with("/oauth/register/") => Some("GET, PUT, DELETE, OPTIONS"),
        "/oauth/client-metadata.json" => Some("GET, HEAD, OPTIONS"),
        _ => None,
    }
}

/// The request target as the authorization server knows it: path and query below the issuer's path.
fn below_issuer(uri: &Uri, issuer_path: &str) -> Option<Uri> {
    let target = uri.path_and_query()?;
    if issuer_path.is_empty() && uri.authority().is_none() {
        return Some(uri.clone());
    }
    let below = target.as_str().strip_prefix(issuer_path)?;
    PathAndQuery::try_from(below).ok().map(Uri::from)
}

async fn read(request: Request<Incoming>) -> Result<Request<Bytes>, Response<ResponseBody>> {
    let (head, body) = request.into_parts();
    if hyper::body::Body::is_end_stream(&body) {
        return Ok(Request::from_parts(head, Bytes::new()));
    }
    let whole = tokio::time::timeout(BODY_DEADLINE, Limited::new(body, MAX_BODY).collect()).await;
    match whole {
        Ok(Ok(body)) => Ok(Request::from_parts(head, body.to_bytes())),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let description = format!("the request body is longer than {MAX_BODY} bytes");
            Err(reply::refusal(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", &description))
        }
        Ok(Err(_)) => {
            Err(reply::refusal(StatusCode::BAD_REQUEST, "body_broken", "the request body broke off"))
        }
        Err(_) => Err(reply::refusal(
            StatusCode::REQUEST_TIMEOUT,
            "body_timeout",
            "the request body did not arrive in time",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_issuers_path_is_taken_off_the_target() {
        let below =
            |uri: &'static str, path| below_issuer(&Uri::from_static(uri), path).map(|uri| uri.to_string());
        assert_eq!(below("/oauth/token?a=b", "").as_deref(), Some("/oauth/token?a=b"));
        assert_eq!(below("/tenant/oauth/token?a=b", "/tenant").as_deref(), Some("/oauth/token?a=b"));
        assert_eq!(below("https://h.example/oauth/token", "").as_deref(), Some("/oauth/token"));
        assert_eq!(below("/other/oauth/token", "/tenant"), None);
    }

    #[test]
    fn as_41_the_authorization_endpoint_is_open_to_no_page() {
        for endpoint in ["/oauth/authorize", "/oauth/login", "/oauth/consent", "/oauth/callback"] {
            assert_eq!(open_to_pages(endpoint), None, "{endpoint}");
        }
        assert!(open_to_pages("/oauth/token").is_some());
    }
}
