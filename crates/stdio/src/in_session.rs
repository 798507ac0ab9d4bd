//! Messages of clients with sessions (revisions 2025-03-26 to 2025-11-25).

use std::sync::Arc;

use bytes::Bytes;
use http::header::HeaderMap;
use http::{HeaderValue, Response, StatusCode};
use thv_mcp::headers::MCP_SESSION_ID;
use thv_mcp::version::ProtocolVersion;
use thv_mcp::{error_code, meta, method};

use crate::body::{self, BridgeBody};
use crate::connection::Connection;
use crate::deliver::{self, Answered};
use crate::dispatch::withdrawn;
use crate::edit::Meta;
use crate::exchange::{Asker, Exchange, Outcome, Reach};
use crate::head::Accept;
use crate::hub::{self, Hub, Link, cancel_exchange};
use crate::jsonrpc::{self, Id, Message};
use crate::refusal::{Refusal, Refused};
use crate::server_request::Answerer;
use crate::session::{Busy, Capabilities, Session};
use crate::subscriptions::uri;

const TOO_MANY: &str = "too many requests are in progress: try again later";

/// A request within a session.
struct InSession<'a> {
    session: Arc<Session>,
    busy: Busy,
    id: Id,
    method: String,
    params: Option<&'a str>,
    accept: Accept,
}

impl Hub {
    pub(crate) async fn post_in_session(
        self: Arc<Self>,
        headers: &HeaderMap,
        accept: Accept,
        version: Option<&str>,
        message: Message<'_>,
    ) -> Result<Response<BridgeBody>, Refused> {
        if let Message::Request { id, method, params } = &message
            && method == method::INITIALIZE
        {
            if let Some(version) =
                version.filter(|version| version.parse().is_ok_and(ProtocolVersion::is_stateless))
            {
                let mismatch = format!("initialize is not a method of revision {version}");
                return Err(Refusal::HeaderMismatch(mismatch).of(id));
            }
            return self.open_session(id, params.unwrap_or("{}"), accept).await;
        }
        let (session, busy) = self.session(headers)?;
        match message {
            Message::Request { id, method, params } => {
                Ok(self.request(InSession { session, busy, id, method, params, accept }).await)
            }
            Message::Notification { method, params } => {
                self.notification(&session, &method, params).await;
                Ok(body::empty(StatusCode::ACCEPTED))
            }
            Message::Response { id, outcome } => {
                self.response(&session, &id, outcome).await;
                Ok(body::empty(StatusCode::ACCEPTED))
            }
        }
    }

    /// Answers `initialize`. The session exists before the server hears of it, because a server may ask its client for
    /// something as soon as it is initialized.
    async fn open_session(
        self: Arc<Self>,
        id: &Id,
        params: &str,
        accept: Accept,
    ) -> Result<Response<BridgeBody>, Refused> {
        let opened = self.sessions.open(Capabilities::of_initialize(params));
        let (session, ended) = opened.map_err(|_| Refusal::TooManySessions.of(id))?;
        for ended in ended {
            self.end_session(&ended);
        }
        let session = Opening { hub: Arc::clone(&self), session: Some(session) };
        let outcome = match self.connection_in_time().await {
            Ok(connection) => {
                self.initialize(&connection, params).await.map(|initialized| initialized.result.clone())
            }
            Err(unavailable) => Err(Bytes::from(jsonrpc::internal_error(&unavailable.to_string()))),
        };
        let id_header = outcome.is_ok().then(|| session.opened()).flatten();
        let mut response = deliver::answer(outcome, &Answered::InSession(id.clone()), accept);
        if let Some(value) = id_header {
            response.headers_mut().insert(MCP_SESSION_ID, value);
        }
        Ok(response)
    }

    async fn request(self: Arc<Self>, request: InSession<'_>) -> Response<BridgeBody> {
        let (answered, accept) = (Answered::InSession(request.id.clone()), request.accept);
        let connection = match self.ready().await {
            Ok((connection, _)) => connection,
            Err(unavailable) => return deliver::error(&unavailable.to_string(), &answered, accept),
        };
        let outcome = match request.method.as_str() {
            method::RESOURCES_SUBSCRIBE => self.subscribe(&connection, request).await,
            method::RESOURCES_UNSUBSCRIBE => self.unsubscribe(&connection, request).await,
            method::LOGGING_SET_LEVEL => self.set_log_level(&connection, request).await,
            _ => match self.forward(&connection, request).await {
                Ok(exchange) => return deliver::deliver(self, exchange, answered, accept).await,
                Err(error) => Err(error),
            },
        };
        deliver::answer(outcome, &answered, accept)
    }

    /// Sends a request to the server, with an id and a progress token that no other client's request has.
    async fn forward(&self, connection: &Arc<Connection>, request: InSession<'_>) -> Result<Exchange, Bytes> {
        let meta = Meta::of(request.params).map_err(|error| {
            Bytes::from(jsonrpc::error(error_code::INVALID_PARAMS, &error.to_string(), None))
        })?;
        let asker = Asker {
            capabilities: request.session.capabilities.clone(),
            session: Some(request.session),
            reach: if request.accept.events { Reach::Stream } else { Reach::Response },
            id: Some(request.id),
        };
        let token = meta.get(meta::PROGRESS_TOKEN).map(str::to_owned);
        let exchange = self.open_exchange(connection, asker, token, Some(request.busy));
        let exchange = exchange.map_err(|_| Bytes::from(jsonrpc::internal_error(TOO_MANY)))?;
        let params = request.params.map(|params| meta.with_progress_token(params, exchange.id));
        // A failure to send is the connection's end, which ends the exchange.
        let _ = connection.send(jsonrpc::request(exchange.id, &request.method, params.as_deref())).await;
        Ok(exchange)
    }

    async fn subscribe(&self, connection: &Arc<Connection>, request: InSession<'_>) -> Outcome {
        let (uri, key) = (uri(request.params), request.session.key);
        let begun = {
            let _in_order = self.subscriptions.order.lock().await;
            if let Some(uri) = &uri {
                let too_many = |_| Bytes::from(jsonrpc::internal_error("there are too many subscriptions"));
                self.subscriptions.add(uri, key).map_err(too_many)?;
            }
            self.forward(connection, request).await
        };
        let outcome = match begun {
            Ok(exchange) => exchange.outcome().await,
            Err(error) => Err(error),
        };
        if let (Err(_), Some(uri)) = (&outcome, uri) {
            self.subscriptions.remove(&uri, key);
        }
        outcome
    }

    async fn unsubscribe(&self, connection: &Arc<Connection>, request: InSession<'_>) -> Outcome {
        let exchange = {
            let _in_order = self.subscriptions.order.lock().await;
            if let Some(uri) = uri(request.params) {
                self.subscriptions.remove(&uri, request.session.key);
                if self.subscriptions.has(&uri) {
                    return Ok(Bytes::from_static(b"{}"));
                }
            }
            self.forward(connection, request).await?
        };
        exchange.outcome().await
    }

    async fn set_log_level(&self, connection: &Arc<Connection>, request: InSession<'_>) -> Outcome {
        let params = request.params.map(str::to_owned);
        let result = self.forward(connection, request).await?.outcome().await?;
        if let Some(params) = params {
            self.remember_log_level(params);
        }
        Ok(result)
    }

    async fn notification(&self, session: &Session, method: &str, params: Option<&str>) {
        let Link::Up(connection) = self.link.borrow().clone() else { return };
        match method {
            // The bridge has told the server itself.
            method::INITIALIZED => {}
            method::CANCELLED => {
                let Some((id, reason)) = withdrawn(params) else { return };
                if let Some(id) = connection.exchanges.find(session, &id) {
                    cancel_exchange(
                        &connection,
                        id,
                        reason.as_deref().unwrap_or("the client cancelled its request"),
                    );
                }
            }
            _ if !connection.is_ready() => {}
            _ => {
                // When the server has gone, there is nobody to be notified.
                let _ = connection.send(jsonrpc::notification(method, params)).await;
            }
        }
    }

    /// Gives a client's answer to the server, if the server still waits for it and has asked this client.
    async fn response(&self, session: &Session, id: &Id, outcome: Result<&str, &str>) {
        let Link::Up(connection) = self.link.borrow().clone() else { return };
        let by = Answerer::Session(session.key);
        let server_id = id.as_u64().and_then(|id| connection.server_requests.answered(id, by));
        match server_id {
            Some(server_id) => hub::answer(&connection, &server_id, outcome).await,
            None => tracing::debug!(?id, "a client answered a request that nobody waits for"),
        }
    }
}

/// A session that the client does not know of yet. It ends when the client cannot be told.
struct Opening {
    hub: Arc<Hub>,
    session: Option<Arc<Session>>,
}

impl Opening {
    /// The session's id, for the client.
    fn opened(mut self) -> Option<HeaderValue> {
        self.session.take().and_then(|session| HeaderValue::from_str(&session.id).ok())
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        if let Some(session) = &self.session {
            self.hub.end_session(session);
        }
    }
}
