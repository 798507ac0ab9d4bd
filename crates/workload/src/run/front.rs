//! The door of a workload on this machine: Host and Origin, then the remote server or the command.
//!
//! No login is asked for here: whoever can connect to this machine's loopback address is its user. Web pages are kept out by
//! what browsers say about them.

use std::sync::Arc;

use http::header::{HeaderValue, ORIGIN};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Either;
use hyper::body::Incoming;
use thv_gateway::front::{cors, reply};
use thv_gateway::listener::{Origin, Respond};
use thv_proxy::{HostOriginGuard, ResponseBody};
use thv_remote::forward::Forward;
use thv_stdio::{Bridge, BridgeBody};

/// The path of the MCP endpoint.
pub(super) const MCP_PATH: &str = "/mcp";
const METHODS: &str = "GET, POST, DELETE, OPTIONS";

/// The body of a response: ours or the remote server's, or the command's.
pub(super) type Body = Either<ResponseBody, BridgeBody>;

/// What requests are passed on to.
pub(super) enum Backend {
    Remote(Box<Forward>),
    Command(Bridge),
}

/// The service. Clones share everything.
#[derive(Clone)]
pub(super) struct Front(Arc<Inner>);

struct Inner {
    guard: HostOriginGuard,
    backend: Arc<Backend>,
}

impl Front {
    pub(super) fn new(guard: HostOriginGuard, backend: Arc<Backend>) -> Self {
        Self(Arc::new(Inner { guard, backend }))
    }

    async fn mcp(&self, request: Request<Incoming>) -> Response<Body> {
        // A present origin is an allowed one here.
        let origin = request.headers().get(ORIGIN).cloned();
        match (request.method(), origin) {
            (&Method::OPTIONS, Some(origin)) if cors::is_preflight(request.headers()) => {
                cors::granted_preflight(request.headers(), METHODS, origin).map(Either::Left)
            }
            (&Method::POST | &Method::GET | &Method::DELETE, origin) => {
                let mut response = match &*self.0.backend {
                    Backend::Remote(forward) => forward.forward(request).await.map(Either::Left),
                    Backend::Command(bridge) => bridge.respond(request).await.map(Either::Right),
                };
                grant(&mut response, origin);
                response
            }
            _ => reply::method_not_allowed(METHODS).map(Either::Left),
        }
    }
}

impl Respond for Front {
    type Body = Body;

    async fn respond(&self, request: Request<Incoming>, _: Origin) -> Response<Body> {
        if let Err(refusal) = self.0.guard.check(request.uri(), request.headers()) {
            let response = reply::refusal(refusal.status(), refusal.reason(), &refusal.to_string());
            return response.map(Either::Left);
        }
        match request.uri().path() {
            MCP_PATH => self.mcp(request).await,
            "/health" => reply::empty(StatusCode::NO_CONTENT).map(Either::Left),
            // Nothing about authorization is found here: clients then use the endpoint as it is.
            _ => reply::not_found().map(Either::Left),
        }
    }
}

fn grant(response: &mut Response<Body>, origin: Option<HeaderValue>) {
    if let Some(origin) = origin {
        cors::grant(response.headers_mut(), origin);
    }
}
