//! The gateway's front door: one service that sorts requests by path, the hottest first.
//!
//! Paths are matched by hand, documents are written once and answered from memory, and responses are either bytes or the
//! MCP server's own stream, without a box around them.

mod bounded;
pub mod cors;
mod discovery;
mod health;
mod mcp;
mod oauth;
pub mod reply;

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response};
use hyper::body::Incoming;
use thv_proxy::{GuardRefusal, ResponseBody};
use thv_resource::ProtectedResource;
use thv_telemetry::SharedMetrics;
use thv_telemetry::metrics::Route;

pub use discovery::Metadata;
pub use health::Check;
pub use oauth::AuthorizationServer;

use crate::listener::{Origin, Respond};
use crate::peer::{Peer, TrustedProxies};
pub(crate) use bounded::Bounded;
use discovery::Discovery;
pub(crate) use mcp::McpDoor;
use oauth::OAuthDoor;

/// What the front door leads to.
pub(crate) struct Parts {
    /// The path of the MCP endpoint.
    pub(crate) mcp_path: String,
    pub(crate) mcp: McpDoor,
    /// The authorization server with the path of its issuer; none when tokens come from elsewhere.
    pub(crate) authorization_server: Option<(Arc<dyn AuthorizationServer>, String)>,
    pub(crate) trusted: TrustedProxies,
    pub(crate) metrics: SharedMetrics,
}

/// The service on the public listener. Clones share everything.
#[derive(Clone)]
pub(crate) struct Front(Arc<Inner>);

struct Inner {
    mcp_path: String,
    mcp: McpDoor,
    oauth: Option<OAuthDoor>,
    discovery: ArcSwap<Discovery>,
    trusted: TrustedProxies,
    metrics: SharedMetrics,
}

impl Front {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { mcp_path, mcp, authorization_server, trusted, metrics } = parts;
        let oauth = authorization_server.map(|(server, issuer_path)| OAuthDoor {
            server,
            issuer_path: issuer_path.trim_end_matches('/').to_owned(),
        });
        let discovery = ArcSwap::from_pointee(discovery(oauth.as_ref(), &mcp.resource));
        Self(Arc::new(Inner { mcp_path, mcp, oauth, discovery, trusted, metrics }))
    }

    /// Takes the authorization server's documents again, after its keys changed.
    pub(crate) fn refresh_discovery(&self) {
        let fresh = discovery(self.0.oauth.as_ref(), &self.0.mcp.resource);
        self.0.discovery.store(Arc::new(fresh));
    }

    async fn dispatch(&self, request: Request<Incoming>, origin: Origin) -> (Route, Response<ResponseBody>) {
        let inner = &*self.0;
        let path = request.uri().path();
        if path == inner.mcp_path {
            let peer = inner.trusted.peer(&origin, request.headers());
            let forwarded = match peer.address == origin.address.ip() {
                true => origin.forwarded,
                false => thv_proxy::Peer::new(peer.address),
            };
            return (Route::Mcp, inner.mcp.answer(request, &forwarded).await);
        }
        if let Some(document) = inner.discovery.load().find(path) {
            return (Route::Discovery, document.answer(request.method(), request.headers()));
        }
        if let Some(oauth) = &inner.oauth
            && let Some(endpoint) = oauth.endpoint(path)
        {
            let route = oauth::route(endpoint);
            let peer = inner.trusted.peer(&origin, request.headers());
            return (route, self.authorize(oauth, request, peer).await);
        }
        match path {
            "/health" => (Route::Health, health::live(request.method())),
            "/readyz" => (Route::Health, self.ready(request.method()).await),
            _ => (Route::Unknown, reply::not_found()),
        }
    }

    /// The authorization server answers for our hosts alone, against DNS rebinding. Origins are not looked at: browsers say
    /// `null` for the forms of pages that send no referrer, and what such requests may do hangs on the pages' own cookies.
    async fn authorize(
        &self,
        oauth: &OAuthDoor,
        request: Request<Incoming>,
        peer: Peer,
    ) -> Response<ResponseBody> {
        match self.0.mcp.guard.check(request.uri(), request.headers()) {
            Ok(()) | Err(GuardRefusal::OriginForeign) => oauth.answer(request, peer).await,
            Err(refusal) => {
                self.0.metrics.refused(refusal.reason());
                reply::refusal(refusal.status(), refusal.reason(), &refusal.to_string())
            }
        }
    }

    async fn ready(&self, method: &Method) -> Response<ResponseBody> {
        let checks = match &self.0.oauth {
            Some(oauth) => oauth.server.readiness().await,
            None => Vec::new(),
        };
        health::ready(method, &checks)
    }
}

fn discovery(oauth: Option<&OAuthDoor>, resource: &ProtectedResource) -> Discovery {
    let metadata = oauth.map(|oauth| oauth.server.metadata());
    let issuer_path = oauth.map_or("", |oauth| oauth.issuer_path.as_str());
    Discovery::new(metadata, issuer_path, resource.metadata(), resource.metadata_path())
}

impl Respond for Front {
    type Body = ResponseBody;

    async fn respond(&self, request: Request<Incoming>, origin: Origin) -> Response<ResponseBody> {
        let started = Instant::now();
        let (route, response) = self.dispatch(request, origin).await;
        self.0.metrics.requests().finished(route, response.status().as_u16(), started.elapsed());
        response
    }
}

/// The service on the operator's listener: `/metrics`, and health for probes that must not use the public one.
#[derive(Clone)]
pub(crate) struct OperatorFront {
    pub(crate) front: Front,
}

impl Respond for OperatorFront {
    type Body = ResponseBody;

    async fn respond(&self, request: Request<Incoming>, _: Origin) -> Response<ResponseBody> {
        const OPEN_METRICS: HeaderValue =
            HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
        match (request.uri().path(), request.method()) {
            ("/metrics", &Method::GET | &Method::HEAD) => {
                let page = Bytes::from(self.front.0.metrics.encode());
                let mut response = Response::new(reply::full(page));
                response.headers_mut().insert(CONTENT_TYPE, OPEN_METRICS);
                response
            }
            ("/metrics", _) => reply::method_not_allowed("GET, HEAD"),
            ("/health", method) => health::live(method),
            ("/readyz", method) => self.front.ready(method).await,
            _ => reply::not_found(),
        }
    }
}
