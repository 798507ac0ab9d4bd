//! The door of the MCP endpoint: guard ▶ token ▶ scope ▶ upstream credential ▶ proxy.

use std::sync::Arc;

use http::header::{HeaderValue, ORIGIN};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use thv_proxy::{HostOriginGuard, Peer, Proxy, ResponseBody};
use thv_resource::credential::CredentialCache;
use thv_resource::{ProtectedResource, Reason, Refusal, Verified, Verifier};
use thv_telemetry::SharedMetrics;

use super::bounded::Bounded;
use super::{cors, reply};

const METHODS: &str = "GET, POST, DELETE, OPTIONS";

/// What stands between a client and the MCP server.
pub(crate) struct McpDoor {
    pub(crate) guard: HostOriginGuard,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) resource: Arc<ProtectedResource>,
    /// Where upstream credentials come from; none when the MCP server gets none.
    pub(crate) credentials: Option<Arc<CredentialCache>>,
    pub(crate) proxy: Proxy<Bounded>,
    /// Longest request body, in bytes.
    pub(crate) max_body: u64,
    pub(crate) metrics: SharedMetrics,
}

impl McpDoor {
    pub(super) async fn answer(&self, request: Request<Incoming>, peer: &Peer) -> Response<ResponseBody> {
        if let Err(refusal) = self.guard.check(request.uri(), request.headers()) {
            self.metrics.refused(refusal.reason());
            return reply::refusal(refusal.status(), refusal.reason(), &refusal.to_string());
        }
        // A present origin is an allowed one from here on.
        let origin = request.headers().get(ORIGIN).cloned();
        match (request.method(), origin) {
            (&Method::OPTIONS, Some(origin)) if cors::is_preflight(request.headers()) => {
                cors::granted_preflight(request.headers(), METHODS, origin)
            }
            (&Method::POST | &Method::GET | &Method::DELETE, origin) => {
                let query = request.uri().query();
                let mut response =
                    match self.resource.authenticate(&self.verifier, request.headers(), query).await {
                        Ok(verified) => self.forward(request, &verified, peer).await,
                        Err(refusal) => self.refuse(&refusal),
                    };
                grant(&mut response, origin);
                response
            }
            _ => reply::method_not_allowed(METHODS),
        }
    }

    async fn forward(
        &self,
        request: Request<Incoming>,
        verified: &Verified,
        peer: &Peer,
    ) -> Response<ResponseBody> {
        let credential = match self.credentials.as_ref().zip(verified.session.as_ref()) {
            Some((credentials, session)) => match credentials.credential(session).await {
                Ok(credential) => credential,
                Err(error) => return self.refuse(&Refusal::without_credential(error, &verified.scopes)),
            },
            None => None,
        };
        let (head, body) = request.into_parts();
        let Ok((body, exceeded)) = Bounded::new(body, self.max_body) else { return self.too_long() };
        let request = Request::from_parts(head, body);
        let response = self.proxy.forward(request, verified, credential.as_deref(), peer).await;
        if exceeded.is_set() {
            return self.too_long();
        }
        if let Some(&Reason(reason)) = response.extensions().get() {
            self.metrics.refused(reason);
        }
        response
    }

    fn refuse(&self, refusal: &Refusal) -> Response<ResponseBody> {
        self.metrics.refused(refusal.reason());
        // Every client begins without a token; that is no event.
        if matches!(refusal, Refusal::NoToken) {
            tracing::debug!(error.reason = refusal.reason(), "no access token: {refusal}");
        } else {
            tracing::info!(
                error.reason = refusal.reason(),
                "request for the protected resource refused: {refusal}"
            );
        }
        reply::ready(self.resource.refuse(refusal))
    }

    fn too_long(&self) -> Response<ResponseBody> {
        self.metrics.refused("body_too_large");
        let description = format!("the request body is longer than {} bytes", self.max_body);
        reply::refusal(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", &description)
    }
}

fn grant(response: &mut Response<ResponseBody>, origin: Option<HeaderValue>) {
    if let Some(origin) = origin {
        cors::grant(response.headers_mut(), origin);
    }
}
