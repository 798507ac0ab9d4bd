//! A request's way to the backend, and the response's way back.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Extensions, Method, Request, Response, StatusCode, Version};
use http_body::Body;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use thv_egress::target::TargetClient;
use thv_mcp::headers::MCP_SESSION_ID;
use thv_resource::credential::{Credential, CredentialCache, CredentialError};
use thv_resource::{ProtectedResource, Refusal, TokenFault, Verified};

use crate::body::{Passage, Passing, RequestBody, ResponseBody};
use crate::config::{Forwarded, Peer, ProxyConfig, UnusablePublicUrl, backend_path};
use crate::exchange::{Failed, exchange};
use crate::headers::{strip_request, strip_response};
use crate::identity;
use crate::respond::Failure;
use crate::session_binding::SessionBinding;

/// The longest request body that is kept for a second attempt.
const MAX_KEPT: u64 = 64 * 1024;

/// How many backend sessions are remembered with their owners, at some 200 bytes each.
const MAX_SESSIONS: u64 = 50_000;

/// The transparent proxy. `B` is the body of the clients' requests.
pub struct Proxy<B = Incoming> {
    client: TargetClient<RequestBody<B>>,
    path: PathAndQuery,
    resource: Arc<ProtectedResource>,
    credentials: Option<Arc<CredentialCache>>,
    sessions: SessionBinding,
    inject: Option<HeaderName>,
    forward_identity: bool,
    forwarded: Forwarded,
    response_deadline: Option<Duration>,
}

/// Why the backend's response does not pass.
enum Stopped {
    Failed(Failed),
    /// The client has to do something about its token first.
    Refused(TokenFault),
    /// There is no credential that the backend accepts.
    NoCredential(CredentialError),
}

impl From<Failed> for Stopped {
    fn from(failed: Failed) -> Self {
        Self::Failed(failed)
    }
}

impl From<TokenFault> for Stopped {
    fn from(fault: TokenFault) -> Self {
        Self::Refused(fault)
    }
}

impl From<CredentialError> for Stopped {
    fn from(error: CredentialError) -> Self {
        Self::NoCredential(error)
    }
}

impl<B> Proxy<B>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + Unpin + 'static,
{
    /// A proxy to the backend of `client`. `resource` words the refusals; `credentials` is asked for another credential
    /// when the backend does not accept one.
    ///
    /// # Errors
    ///
    /// [`UnusablePublicUrl`].
    pub fn new(
        config: ProxyConfig,
        client: TargetClient<RequestBody<B>>,
        resource: Arc<ProtectedResource>,
        credentials: Option<Arc<CredentialCache>>,
    ) -> Result<Self, UnusablePublicUrl> {
        let path = client.uri().path_and_query().cloned();
        Ok(Self {
            client,
            path: path.unwrap_or_else(|| PathAndQuery::from_static("/")),
            resource,
            credentials,
            sessions: SessionBinding::new(MAX_SESSIONS),
            inject: config.inject.into_header(),
            forward_identity: config.forward_identity,
            forwarded: Forwarded::new(&config.public_url)?,
            response_deadline: config.response_deadline,
        })
    }

    /// Passes a request on to the backend's URL and returns as soon as the response begins.
    ///
    /// The path is the backend's own, the query is the client's. Dropping the future, or the response's body, ends the
    /// backend's request too. `credential` is the one of `verified`'s session, if it has one. A response that does not come
    /// from the backend has a [`Reason`](thv_resource::Reason) among its extensions.
    pub async fn forward(
        &self,
        request: Request<B>,
        verified: &Verified,
        credential: Option<&Credential>,
        peer: &Peer,
    ) -> Response<ResponseBody> {
        let (mut head, body) = request.into_parts();
        let mut session_ids = head.headers.get_all(MCP_SESSION_ID).iter();
        let session_id = session_ids.next().cloned();
        if session_ids.next().is_some() {
            // The backend might believe another one than we check.
            return Failure::RepeatedSessionId.respond(None);
        }
        if session_id.as_ref().is_some_and(|id| !self.sessions.admits(id.as_bytes(), verified.owner())) {
            return Failure::ForeignSession.respond(None);
        }
        let closes = head.method == Method::DELETE;
        self.rewrite(&mut head, verified, peer);
        let outcome = match self.inject.as_ref().zip(credential) {
            None => self.pass(head, body, Passage::default()).await,
            Some((name, credential)) => self.pass_with(name, credential, head, body, verified).await,
        };
        match outcome {
            Ok(response) => self.answer(response, verified, session_id.as_ref(), closes),
            Err(Stopped::Refused(fault)) => self.refuse(&fault.into()),
            Err(Stopped::NoCredential(error)) => {
                self.refuse(&Refusal::without_credential(error, &verified.scopes))
            }
            Err(Stopped::Failed(Failed { failure, cause })) => {
                failure.respond(cause.as_ref().map(|cause| cause as &(dyn Error + 'static)))
            }
        }
    }

    fn refuse(&self, refusal: &Refusal) -> Response<ResponseBody> {
        tracing::info!(error.reason = refusal.reason(), "the backend refused its credential: {refusal}");
        self.resource.refuse(refusal).map(|body| Either::Right(Full::new(body)))
    }

    /// Makes the client's request ours.
    fn rewrite(&self, head: &mut Parts, verified: &Verified, peer: &Peer) {
        strip_request(&mut head.headers);
        if let Some(name) = &self.inject {
            head.headers.remove(name);
        }
        self.forwarded.add(&mut head.headers, peer);
        if self.forward_identity {
            identity::add(&mut head.headers, verified);
        }
        head.uri = backend_path(&self.path, head.uri.query()).into();
        head.extensions = Extensions::new();
    }

    /// One attempt without a credential.
    async fn pass(&self, head: Parts, body: B, passage: Passage) -> Result<Response<Incoming>, Stopped> {
        let response = self.attempt(head, body, &Arc::new(passage)).await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            // Passed on, it would send the client to log in here again and again, which cannot help.
            return Err(Failed { failure: Failure::Unauthorized, cause: None }.into());
        }
        Ok(response)
    }

    /// An attempt with a credential, and another one with a new credential if the backend does not accept the first and
    /// the request is short enough to be repeated.
    async fn pass_with(
        &self,
        name: &HeaderName,
        credential: &Credential,
        mut head: Parts,
        body: B,
        verified: &Verified,
    ) -> Result<Response<Incoming>, Stopped> {
        let passage = Arc::new(Passage::keeping(&body, MAX_KEPT));
        let again = passage.keeps().then(|| head.clone());
        head.headers.insert(name.clone(), credential.header_value().clone());
        let response = self.attempt(head, body, &passage).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        drop(response);
        let Some(other) = self.replace(credential, verified).await? else {
            return Err(self.refused_anew(credential, verified).await.into());
        };
        let (Some(mut head), Some(body)) = (again, passage.replay()) else {
            return Err(TokenFault::UpstreamCredentialReplaced.into());
        };
        head.headers.insert(name.clone(), other.header_value().clone());
        let request = Request::from_parts(head, Either::Right(body));
        let deadline = self.deadline(request.method());
        let response = exchange(&self.client, request, &Passage::default(), deadline).await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            return Err(self.refused_anew(&other, verified).await.into());
        }
        Ok(response)
    }

    async fn attempt(
        &self,
        head: Parts,
        body: B,
        passage: &Arc<Passage>,
    ) -> Result<Response<Incoming>, Failed> {
        let request = Request::from_parts(head, Either::Left(Passing::new(body, passage.clone())));
        let deadline = self.deadline(request.method());
        exchange(&self.client, request, passage, deadline).await
    }

    /// A stream's head may come with its first event, which may be a long time from now.
    fn deadline(&self, method: &Method) -> Option<Duration> {
        self.response_deadline.filter(|_| method != Method::GET)
    }

    async fn replace(
        &self,
        refused: &Credential,
        verified: &Verified,
    ) -> Result<Option<Arc<Credential>>, CredentialError> {
        match self.credentials.as_ref().zip(verified.session.as_ref()) {
            Some((credentials, session)) => credentials.replace(session, refused).await,
            None => Ok(None),
        }
    }

    /// The backend accepts no credential of this session: another login is all that may help.
    async fn refused_anew(&self, credential: &Credential, verified: &Verified) -> CredentialError {
        if let Some((credentials, session)) = self.credentials.as_ref().zip(verified.session.as_ref()) {
            credentials.refused_anew(session, credential).await;
        }
        credential.login_ended()
    }

    /// Makes the backend's response ours.
    fn answer(
        &self,
        response: Response<Incoming>,
        verified: &Verified,
        session_id: Option<&HeaderValue>,
        closes: bool,
    ) -> Response<ResponseBody> {
        let (mut head, body) = response.into_parts();
        match (head.headers.get(MCP_SESSION_ID), session_id) {
            (Some(opened), known) if known != Some(opened) => {
                self.sessions.bind(opened.as_bytes(), *verified.owner());
            }
            (_, Some(closed)) if closes && head.status.is_success() => {
                self.sessions.release(closed.as_bytes())
            }
            _ => {}
        }
        strip_response(&mut head.headers);
        head.extensions = Extensions::new();
        head.version = Version::HTTP_11;
        Response::from_parts(head, Either::Left(body))
    }
}
