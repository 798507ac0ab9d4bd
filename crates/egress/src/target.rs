//! The streaming client for the one MCP backend.
//!
//! The operator named this destination, so it may be private or plain `http`; it is exempt from the address rules and
//! from nothing else. Bodies stream both ways without being looked at.

mod dial;

use std::error::Error;
use std::future::{Future, poll_fn};
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::HOST;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, Uri, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower_service::Service;

use self::dial::Dial;
use crate::roots::Roots;

/// How long an idle connection is kept: less than the five seconds after which a Node.js server closes it, since a
/// request that meets the close cannot always be repeated.
const IDLE: Duration = Duration::from_secs(4);

/// How long an event stream may be quiet before the kernel asks whether the backend is still there.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// The configured URL cannot be a backend.
#[derive(Debug, thiserror::Error)]
#[error("the target URL cannot be used: {reason}")]
pub struct InvalidTarget {
    reason: &'static str,
}

/// Why the backend gave no response.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// No connection, or no TLS, within the connect timeout.
    #[error("the target could not be connected to")]
    Connect {
        /// What was met.
        #[source]
        source: legacy::Error,
    },
    /// The connection was made, but the exchange failed; the backend may have acted on the request.
    #[error("the exchange with the target failed")]
    Exchange {
        /// What was met.
        #[source]
        source: legacy::Error,
    },
}

/// Sends requests to the configured backend, and to nothing else. Clones share their connections.
pub struct TargetClient<B> {
    inner: legacy::Client<Within<HttpsConnector<Dial>>, B>,
    uri: Uri,
    scheme: Scheme,
    authority: Authority,
}

impl<B> Clone for TargetClient<B> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            uri: self.uri.clone(),
            scheme: self.scheme.clone(),
            authority: self.authority.clone(),
        }
    }
}

impl<B> TargetClient<B>
where
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    /// A client for the backend at an `http` or `https` URL; `connect_timeout` covers look-up, connect and TLS.
    ///
    /// # Errors
    /// When the text is no such URL, or carries user information.
    pub fn new(target: &str, roots: &Roots, connect_timeout: Duration) -> Result<Self, InvalidTarget> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(KEEPALIVE));
        Self::build(target, roots, connect_timeout, Dial::Tcp(tcp))
    }

    /// A client for a backend that listens on a Unix socket; `target` is what it is asked for there.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn on_socket(
        socket: &Path,
        target: &str,
        roots: &Roots,
        connect_timeout: Duration,
    ) -> Result<Self, InvalidTarget> {
        Self::build(target, roots, connect_timeout, Dial::Unix(socket.into()))
    }

    fn build(
        target: &str,
        roots: &Roots,
        connect_timeout: Duration,
        dial: Dial,
    ) -> Result<Self, InvalidTarget> {
        let uri: Uri = target.parse().map_err(|_| InvalidTarget { reason: "it is malformed" })?;
        let (Some(scheme), Some(authority)) = (uri.scheme().cloned(), uri.authority().cloned()) else {
            return Err(InvalidTarget { reason: "it is not absolute" });
        };
        if scheme != Scheme::HTTP && scheme != Scheme::HTTPS {
            return Err(InvalidTarget { reason: "its scheme is neither http nor https" });
        }
        if authority.as_str().contains('@') {
            return Err(InvalidTarget { reason: "it carries user information" });
        }
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(roots.client_config())
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(dial);
        let inner = legacy::Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .build(Within { inner: Arc::new(connector), timeout: connect_timeout });
        Ok(Self { inner, uri, scheme, authority })
    }

    /// The configured URL, whose path the caller joins with its own.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Sends a request and returns as soon as the response's head is there.
    ///
    /// Path and query are the request's own; scheme, authority and `Host` are the backend's, whatever the request says.
    ///
    /// # Errors
    /// When there is no connection, or when it fails before the response's head.
    pub async fn send(&self, request: Request<B>) -> Result<Response<Incoming>, TargetError> {
        let (mut head, body) = request.into_parts();
        let mut uri = http::uri::Parts::default();
        uri.scheme = Some(self.scheme.clone());
        uri.authority = Some(self.authority.clone());
        uri.path_and_query =
            Some(head.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/")));
        // All three parts are there, so this always has a value; the configured URL is a safe one in any case.
        head.uri = Uri::from_parts(uri).unwrap_or_else(|_| self.uri.clone());
        head.headers.remove(HOST);
        // What ALPN chose decides, not what the caller was reached by.
        head.version = Version::HTTP_11;
        self.inner.request(Request::from_parts(head, body)).await.map_err(|source| {
            if source.is_connect() {
                TargetError::Connect { source }
            } else {
                TargetError::Exchange { source }
            }
        })
    }
}

/// A connector with a deadline, the TLS handshake included. Shared, because the pool clones it at every request.
struct Within<C> {
    inner: Arc<C>,
    timeout: Duration,
}

impl<C> Clone for Within<C> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), timeout: self.timeout }
    }
}

impl<C> Service<Uri> for Within<C>
where
    C: Service<Uri, Error = Box<dyn Error + Send + Sync>> + Clone + Send + Sync + 'static,
    C::Future: Send + 'static,
{
    type Response = C::Response;
    type Error = C::Error;
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, C::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let mut connector = C::clone(&self.inner);
        let connecting = async move {
            poll_fn(|cx| connector.poll_ready(cx)).await?;
            connector.call(uri).await
        };
        let connecting = tokio::time::timeout(self.timeout, connecting);
        Box::pin(async move {
            match connecting.await {
                Ok(outcome) => outcome,
                Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
            }
        })
    }
}
