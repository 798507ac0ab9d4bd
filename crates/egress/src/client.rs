//! The guarded client: one request, one response, one deadline.
//!
//! What a stranger can learn from a failed fetch is kept to one bit, "it failed". The text is the caller's care
//! ([`EgressError`]), the time is ours, where it would tell something: a refused target is never
//! dialled, so how long the refusal takes depends on the resolver alone and cannot depend on whether the target's port is
//! open, closed or filtered, or on whether anything is there at all.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, USER_AGENT,
};
use http::response::Parts;
use http::{Method, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{CaptureConnection, capture_connection};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::connector::GuardedConnector;
use crate::error::EgressError;
use crate::judgement;
use crate::literal;
use crate::policy::Policy;
use crate::resolve::{Resolve, SystemResolver};
use crate::roots::Roots;

/// Room for a response's head. The body has its own cap.
const MAX_HEAD: usize = 64 * 1024;

/// How long an idle connection to a configured host is kept: less than the five seconds after which a Node.js server closes
/// it. A request that meets the close may have been processed, and a refresh token that was in it is then as good as lost.
const IDLE: Duration = Duration::from_secs(4);

/// A request to be sent as it is: no cookies, no redirects, no environment proxies.
#[derive(Clone)]
pub struct Request<'a> {
    /// The method.
    pub method: Method,
    /// The absolute URL. It is sent as it was given: dot segments, percent-encoding, case and an explicit default port
    /// stay (only a fragment is dropped, as `http::Uri` does), because a client ID metadata document's URL is an
    /// identifier, and the server shall see the same one that the client has shown.
    pub url: &'a str,
    /// The header fields; `Host` and `Accept-Encoding` are replaced.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// What an exchange may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long the whole exchange may take: look-up, connect, TLS, head and body.
    pub total: Duration,
    /// How many bytes the response's body may have.
    pub max_body: usize,
}

/// A complete response, whatever its status.
#[derive(Clone)]
pub struct Response {
    /// The status; 3xx too, since redirects are not followed (AS-56).
    pub status: StatusCode,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl fmt::Debug for Response {
    /// Without header fields and body, which may carry tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("length", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// Sends requests to hosts that the policy permits. Clones share their connections.
#[derive(Clone)]
pub struct Client {
    inner: legacy::Client<HttpsConnector<GuardedConnector>, Full<Bytes>>,
    policy: Arc<Policy>,
}

impl Client {
    /// A client for unknown hosts: every request has its own connection.
    pub fn new(policy: Policy, roots: &Roots) -> Self {
        Self::with_resolver(policy, roots, Arc::new(SystemResolver))
    }

    /// As [`Self::new`], with another source of addresses.
    pub fn with_resolver(policy: Policy, roots: &Roots, resolver: Arc<dyn Resolve>) -> Self {
        Self::build(policy, roots, resolver, 0)
    }

    /// A client for the hosts that the operator configured: connections are kept for the next request.
    pub fn pooled(policy: Policy, roots: &Roots) -> Self {
        Self::build(policy, roots, Arc::new(SystemResolver), 8)
    }

    fn build(policy: Policy, roots: &Roots, resolver: Arc<dyn Resolve>, idle_connections: usize) -> Self {
        let policy = Arc::new(policy);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(roots.client_config())
            .https_or_http()
            .with_server_name_resolver(literal::server_name)
            .enable_http1()
            .wrap_connector(GuardedConnector::new(Arc::clone(&policy), resolver));
        let inner = legacy::Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(idle_connections)
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            .http1_max_buf_size(MAX_HEAD)
            .build(connector);
        Self { inner, policy }
    }

    /// Sends one request and reads the whole response. Redirects are returned, not followed.
    ///
    /// # Errors
    /// See [`EgressError`]. A response of any status is a success here.
    pub async fn send(&self, request: Request<'_>, limits: Limits) -> Result<Response, EgressError> {
        let mut connection = None;
        let exchange = self.exchange(request, limits.max_body, &mut connection);
        match tokio::time::timeout(limits.total, exchange).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Self::timed_out(limits.total, connection)),
        }
    }

    /// Sends one request and reads the response's head alone: what follows may be a stream without an end.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn head(
        &self,
        request: Request<'_>,
        within: Duration,
    ) -> Result<(StatusCode, HeaderMap), EgressError> {
        let mut connection = None;
        let exchange = self.begin(request, &mut connection);
        match tokio::time::timeout(within, exchange).await {
            Ok(outcome) => outcome.map(|(_, head, _)| (head.status, head.headers)),
            Err(_) => Err(Self::timed_out(within, connection)),
        }
    }

    fn timed_out(after: Duration, connection: Option<CaptureConnection>) -> EgressError {
        let connected = connection.is_some_and(|seen| seen.connection_metadata().is_some());
        EgressError::Timeout { after, connected }
    }

    /// A GET.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn get(&self, url: &str, headers: HeaderMap, limits: Limits) -> Result<Response, EgressError> {
        self.send(Request { method: Method::GET, url, headers, body: Bytes::new() }, limits).await
    }

    /// A POST of an encoded form (`application/x-www-form-urlencoded`).
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn post_form(
        &self,
        url: &str,
        mut headers: HeaderMap,
        body: impl Into<Bytes>,
        limits: Limits,
    ) -> Result<Response, EgressError> {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        self.send(Request { method: Method::POST, url, headers, body: body.into() }, limits).await
    }

    async fn exchange(
        &self,
        request: Request<'_>,
        max_body: usize,
        connection: &mut Option<CaptureConnection>,
    ) -> Result<Response, EgressError> {
        let (host, head, body) = self.begin(request, connection).await?;
        if head
            .headers
            .get_all(CONTENT_ENCODING)
            .iter()
            .any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
        {
            return Err(EgressError::Encoding);
        }
        let body = read(&host, body, max_body).await?;
        Ok(Response { status: head.status, headers: head.headers, body })
    }

    /// Sends a request to its host. `connection` is told of the connection before the request is sent on it.
    async fn begin(
        &self,
        request: Request<'_>,
        connection: &mut Option<CaptureConnection>,
    ) -> Result<(String, Parts, Incoming), EgressError> {
        let uri = judgement::parse(request.url)?;
        self.policy.permits_scheme(&uri)?;
        let host = uri.host().unwrap_or_default().to_owned();
        let mut outgoing = http::Request::new(Full::new(request.body));
        *outgoing.method_mut() = request.method;
        *outgoing.uri_mut() = uri;
        *outgoing.headers_mut() = request.headers;
        *connection = Some(capture_connection(&mut outgoing));
        let headers = outgoing.headers_mut();
        headers.remove(HOST);
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers
            .entry(USER_AGENT)
            .or_insert(HeaderValue::from_static(concat!("toolhive/", env!("CARGO_PKG_VERSION"))));

        let response = self.inner.request(outgoing).await;
        let (head, body) = response.map_err(|error| EgressError::from_exchange(&host, error))?.into_parts();
        Ok((host, head, body))
    }
}

/// Reads a body to its end, or up to its cap: what `Content-Length` announces is believed only when it is too much.
async fn read(host: &str, mut body: Incoming, limit: usize) -> Result<Bytes, EgressError> {
    if body.size_hint().lower() > limit as u64 {
        return Err(EgressError::TooLarge { limit });
    }
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| EgressError::from_body(host, error))?;
        let Some(data) = frame.data_ref() else { continue };
        if data.len() > limit - read.len() {
            return Err(EgressError::TooLarge { limit });
        }
        read.extend_from_slice(data);
    }
    Ok(read.freeze())
}
