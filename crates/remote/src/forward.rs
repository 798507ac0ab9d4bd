//! A client's request on its way to the remote server, with the user's token.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, ORIGIN};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Extensions, Request, Response, StatusCode, Version};
use http_body::Body;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use serde_json::json;
use thv_egress::Roots;
use thv_egress::target::{InvalidTarget, TargetClient};
use thv_proxy::{Passage, Passing, RequestBody, ResponseBody, backend_path, strip_request, strip_response};

use crate::challenge::challenge_of;
use crate::error::LoginError;
use crate::session::{Access, Demand, Session, SharedLoginError};

/// The longest request body that is kept for another attempt. It is this machine's memory, and its user's request.
const MAX_KEPT: u64 = 8 * 1024 * 1024;
/// Look-up, connect and TLS towards the server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often one request may ask for another token: to log in, and to step up twice (CL-49: three authorization requests).
const MAX_RENEWALS: u32 = 3;

/// Passes requests on to the remote server and nothing else. `B` is the body of the clients' requests.
pub struct Forward<B = Incoming> {
    client: TargetClient<RequestBody<B>>,
    path: PathAndQuery,
    session: Session,
}

/// A request that may be sent more than once.
struct Outgoing<B> {
    head: Parts,
    body: Option<B>,
    passage: Arc<Passage>,
}

impl<B> Forward<B>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + Unpin + 'static,
{
    /// To the server of `session`.
    ///
    /// # Errors
    /// When the server's URL cannot be dialled.
    pub fn new(session: Session, roots: &Roots) -> Result<Self, InvalidTarget> {
        let client = TargetClient::new(session.server_url(), roots, CONNECT_TIMEOUT)?;
        let path = client.uri().path_and_query().cloned();
        let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
        Ok(Self { client, path, session })
    }

    /// Passes a request on, and returns as soon as the response begins. A server that wants another token gets one: the
    /// client only sees that it takes a moment longer. Where that needs the user, the request waits for them.
    pub async fn forward(&self, request: Request<B>) -> Response<ResponseBody> {
        let access = match self.session.access().await {
            Ok(access) => access,
            Err(error) => return no_login(&error),
        };
        let (head, body) = request.into_parts();
        let passage = Arc::new(Passage::keeping(&body, MAX_KEPT));
        let mut outgoing = Outgoing { head: self.rewrite(head), body: Some(body), passage };
        self.exchange(&mut outgoing, access).await
    }

    async fn exchange(
        &self,
        outgoing: &mut Outgoing<B>,
        mut access: Option<Arc<Access>>,
    ) -> Response<ResponseBody> {
        for renewals in 0.. {
            let Some(request) = outgoing.next(access.as_deref()) else { return unrepeatable() };
            let response = match self.client.send(request).await {
                Ok(response) => response,
                Err(error) => return self.unreachable(&error),
            };
            let Some(demand) = demand(&response, access.is_some()) else {
                // A server that fails has not looked at who asks.
                let accepted = access.filter(|_| !response.status().is_server_error());
                accepted.inspect(|access| self.session.accepted(access));
                return answer(response);
            };
            let is_step_up = matches!(demand, Demand::InsufficientScope(_));
            if is_step_up {
                access.as_ref().inspect(|access| self.session.accepted(access));
            }
            if renewals == MAX_RENEWALS {
                return if is_step_up { answer(response) } else { refusing() };
            }
            match self.session.obtain(demand, access.as_ref()).await {
                Ok(obtained) => access = Some(obtained),
                // The server's own words are the best there are.
                Err(error) if is_step_up && is_about_scope(&error) => {
                    return answer(response);
                }
                Err(error) => return no_login(&error),
            }
        }
        unrepeatable()
    }

    /// Makes the client's request ours. Where it comes from is nothing to a server elsewhere.
    fn rewrite(&self, mut head: Parts) -> Parts {
        strip_request(&mut head.headers);
        head.headers.remove(ORIGIN);
        for (name, value) in self.session.headers() {
            head.headers.insert(name, value.clone());
        }
        head.uri = backend_path(&self.path, head.uri.query()).into();
        head.extensions = Extensions::new();
        head
    }

    fn unreachable(&self, error: &(dyn Error + 'static)) -> Response<ResponseBody> {
        // The query may be somebody's key.
        let server = self.session.server_url().split('?').next().unwrap_or_default();
        let description = format!("{server} cannot be reached: {}", thv_telemetry::chain(error));
        tracing::warn!("{description}");
        own(StatusCode::BAD_GATEWAY, "server_unreachable", &description)
    }
}

impl<B> Outgoing<B>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + Unpin + 'static,
{
    /// The request with this token: the client's own body first, then copies of it. None when there is no copy.
    fn next(&mut self, access: Option<&Access>) -> Option<Request<RequestBody<B>>> {
        let body = match self.body.take() {
            Some(body) => Either::Left(Passing::new(body, Arc::clone(&self.passage))),
            None => Either::Right(self.passage.replay()?),
        };
        let mut head = self.head.clone();
        if let Some(access) = access {
            let (name, value): (&HeaderName, &HeaderValue) = access.header();
            head.headers.insert(name, value.clone());
        }
        Some(Request::from_parts(head, body))
    }
}

/// What a response wants before it can be passed on.
fn demand(response: &Response<Incoming>, had_token: bool) -> Option<Demand> {
    let challenge = || challenge_of(response.headers());
    match response.status() {
        StatusCode::UNAUTHORIZED => Some(Demand::Unauthorized(challenge())),
        StatusCode::FORBIDDEN => {
            let challenge = challenge()?;
            match challenge.error() {
                Some("insufficient_scope") if had_token => Some(Demand::InsufficientScope(challenge)),
                _ if !had_token => Some(Demand::Unauthorized(Some(challenge))),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Makes the server's response ours.
fn answer(response: Response<Incoming>) -> Response<ResponseBody> {
    let (mut head, body) = response.into_parts();
    strip_response(&mut head.headers);
    head.extensions = Extensions::new();
    head.version = Version::HTTP_11;
    Response::from_parts(head, Either::Left(body))
}

/// Not 401: a client would look for an authorization server here and find none.
fn no_login(error: &SharedLoginError) -> Response<ResponseBody> {
    let mut description = thv_telemetry::chain(&**error);
    if let Some(hint) = error.hint() {
        description.push_str(&format!(" (hint: {hint})"));
    }
    let reason = if error.is_temporary() { "server_unreachable" } else { "login_required" };
    own(StatusCode::SERVICE_UNAVAILABLE, reason, &description)
}

/// Here too, not 401.
fn refusing() -> Response<ResponseBody> {
    own(
        StatusCode::SERVICE_UNAVAILABLE,
        "login_required",
        "the server goes on refusing the tokens that were issued for it",
    )
}

fn unrepeatable() -> Response<ResponseBody> {
    let description = "the login was renewed while this request was on its way, and it is too long to be sent again: repeat it";
    own(StatusCode::SERVICE_UNAVAILABLE, "login_renewed", description)
}

/// An answer of our own.
fn own(status: StatusCode, reason: &str, description: &str) -> Response<ResponseBody> {
    let body = json!({"error": reason, "error_description": description});
    let mut response = Response::new(Either::Right(Full::new(Bytes::from(body.to_string()))));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Whether there is no other token, so that what the server says of this one stands.
fn is_about_scope(error: &LoginError) -> bool {
    matches!(error, LoginError::ScopeRefused { .. } | LoginError::BearerRefused)
}
