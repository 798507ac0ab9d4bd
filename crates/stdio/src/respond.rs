//! The MCP endpoint (revisions 2025-03-26 to 2026-07-28, "Streamable HTTP").

use std::error::Error;
use std::sync::Arc;

use bytes::Bytes;
use http::header::HeaderMap;
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use thv_mcp::headers::{MCP_PROTOCOL_VERSION, MCP_SESSION_ID};
use thv_mcp::method;
use thv_mcp::version::ProtocolVersion;

use crate::body::{self, BridgeBody};
use crate::edit::Meta;
use crate::exchange::Event;
use crate::head::{self, Accept};
use crate::hub::Hub;
use crate::jsonrpc::Message;
use crate::queue::{Sender, queue};
use crate::refusal::{Refusal, Refused};
use crate::session::{Busy, Session};

impl Hub {
    pub(crate) async fn respond<B>(self: Arc<Self>, request: Request<B>) -> Response<BridgeBody>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send,
    {
        let (head, body) = request.into_parts();
        let response = match head.method {
            Method::POST => self.post(&head.headers, body).await,
            Method::GET => self.get(&head.headers),
            Method::DELETE => self.delete(&head.headers),
            _ => Err(Refusal::Method.into()),
        };
        response.unwrap_or_else(Refused::respond)
    }

    async fn post<B>(self: Arc<Self>, headers: &HeaderMap, body: B) -> Result<Response<BridgeBody>, Refused>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send,
    {
        let accept = Accept::of(headers);
        if !accept.json && !accept.events {
            return Err(Refusal::NothingAcceptable.into());
        }
        if !head::is_json(headers) {
            return Err(Refusal::ContentType.into());
        }
        let version = version(headers)?;
        let body = read(body, self.options.limits.body).await?;
        let message = Message::parse(&body).map_err(Refusal::from)?;
        if is_stateless(&message, version) {
            self.post_stateless(headers, accept, version, message).await
        } else {
            self.post_in_session(headers, accept, version, message).await
        }
    }

    /// Opens a client's stream for what belongs to no request.
    fn get(self: Arc<Self>, headers: &HeaderMap) -> Result<Response<BridgeBody>, Refused> {
        if !Accept::of(headers).events {
            return Err(Refusal::EventsNotAcceptable.into());
        }
        let (session, busy) = self.session(headers)?;
        let (stream, receiver) = queue(self.bounds());
        session.set_stream(stream.clone());
        self.now_reachable();
        let keep_alive = self.options.keep_alive;
        Ok(body::notifications(receiver, keep_alive, Listening { session, stream, _busy: busy }))
    }

    /// Ends a session.
    fn delete(self: Arc<Self>, headers: &HeaderMap) -> Result<Response<BridgeBody>, Refused> {
        let (session, _) = self.session(headers)?;
        self.end_session(&session);
        Ok(body::empty(StatusCode::NO_CONTENT))
    }

    /// The session that a request belongs to, if its headers are right.
    pub(crate) fn session(&self, headers: &HeaderMap) -> Result<(Arc<Session>, Busy), Refusal> {
        match version(headers)?.map(|version| version.parse::<ProtocolVersion>().map_err(|_| version)) {
            Some(Ok(version)) if version.is_stateless() => return Err(Refusal::Method),
            Some(Err(unknown)) => return Err(Refusal::Version(unknown.to_owned())),
            _ => {}
        }
        let id = head::single(headers, &MCP_SESSION_ID, "Mcp-Session-Id")?.ok_or(Refusal::SessionMissing)?;
        self.sessions.enter(id).ok_or(Refusal::SessionUnknown)
    }
}

/// A client's stream, as long as its response's body lives.
struct Listening {
    session: Arc<Session>,
    stream: Sender<Event>,
    _busy: Busy,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.session.drop_stream(&self.stream);
    }
}

fn version(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    head::single(headers, &MCP_PROTOCOL_VERSION, "MCP-Protocol-Version")
}

/// Whether a message is to be taken by the rules of the stateless revisions: its body says so, or else its header.
fn is_stateless(message: &Message<'_>, version: Option<&str>) -> bool {
    let stateless = |version: &str| version.parse().is_ok_and(ProtocolVersion::is_stateless);
    match message {
        Message::Request { method, params, .. } => {
            let claimed = Meta::of(*params).ok().filter(Meta::is_envelope).map(|meta| meta.version());
            match claimed {
                // Older revisions give the key no meaning.
                Some(Some(claimed)) => {
                    claimed.parse::<ProtocolVersion>().map_or(true, ProtocolVersion::is_stateless)
                }
                Some(None) => true,
                None => method != method::INITIALIZE && version.is_some_and(stateless),
            }
        }
        Message::Notification { .. } | Message::Response { .. } => version.is_some_and(stateless),
    }
}

async fn read<B>(body: B, limit: usize) -> Result<Bytes, Refusal>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>>,
{
    let collected = Limited::new(body, limit).collect().await;
    collected.map(http_body_util::Collected::to_bytes).map_err(|error| {
        if error.is::<LengthLimitError>() { Refusal::TooLarge(limit) } else { Refusal::BodyBroken }
    })
}
