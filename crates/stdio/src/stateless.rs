//! Requests that stand alone (revision 2026-07-28), served by a server that was initialized once for all.
//!
//! The server knows nothing of this revision. What a request's envelope says is taken off before it gets it, and what the
//! revision asks of results is put on afterwards.

pub(crate) mod envelope;
mod input_responses;
pub(crate) mod listen;
mod result;
pub(crate) mod suspended;

use std::sync::Arc;

use bytes::Bytes;
use http::header::HeaderMap;
use http::{Response, StatusCode};
use thv_mcp::version::ProtocolVersion;
use thv_mcp::{error_code, meta, method};
use tokio::time::timeout;

use crate::body::{self, BridgeBody};
use crate::connection::Connection;
use crate::deliver::{self, Answered};
use crate::edit;
use crate::exchange::{Asker, Exchange, Outcome, Reach};
use crate::handshake::Initialized;
use crate::head::Accept;
use crate::hub::{Hub, Unavailable};
use crate::jsonrpc::{self, Id, Malformed, Message};
use crate::refusal::{Refusal, Refused};
use crate::stateless::envelope::Envelope;
use crate::stateless::input_responses::InputResponses;

/// What is needed to answer a request that stands alone.
pub(crate) struct StatelessRequest {
    pub(crate) id: Id,
    pub(crate) method: String,
    /// The tool, prompt or resource that it names.
    pub(crate) name: Option<String>,
    /// What the server said of itself.
    pub(crate) initialized: Option<Arc<Initialized>>,
}

impl StatelessRequest {
    /// The response with this outcome.
    pub(crate) fn outcome(&self, outcome: Outcome) -> (StatusCode, Vec<u8>) {
        let server_info =
            self.initialized.as_ref().and_then(|initialized| initialized.server_info.as_deref());
        match outcome {
            Ok(result) => {
                let result = std::str::from_utf8(&result).unwrap_or("{}");
                let result = result::complete(&self.method, result, server_info);
                (StatusCode::OK, jsonrpc::response(self.id.as_json(), Ok(result)))
            }
            Err(error) => {
                let (status, error) = result::error(error);
                (status, jsonrpc::response(self.id.as_json(), Err(error)))
            }
        }
    }
}

/// Methods that revision 2026-07-28 does not have any more.
const REMOVED: [&str; 5] = [
    method::INITIALIZE,
    method::PING,
    method::LOGGING_SET_LEVEL,
    method::RESOURCES_SUBSCRIBE,
    method::RESOURCES_UNSUBSCRIBE,
];

/// Methods whose results may ask for input ("Multi Round-Trip Requests").
const ASKING: [&str; 3] = [method::TOOLS_CALL, method::PROMPTS_GET, method::RESOURCES_READ];

impl Hub {
    pub(crate) async fn post_stateless(
        self: Arc<Self>,
        headers: &HeaderMap,
        accept: Accept,
        version: Option<&str>,
        message: Message<'_>,
    ) -> Result<Response<BridgeBody>, Refused> {
        let (id, method, params) = match message {
            Message::Request { id, method, params } => (id, method, params),
            // The revision has no notifications of clients over HTTP.
            Message::Notification { .. } => return Ok(body::empty(StatusCode::ACCEPTED)),
            Message::Response { .. } => {
                let refusal = Malformed::NotJsonRpc("clients of revision 2026-07-28 send no responses");
                return Err(Refusal::from(refusal).into());
            }
        };
        let envelope =
            Envelope::read(headers, version, &method, params).map_err(|refusal| refusal.of(&id))?;
        if REMOVED.contains(&method.as_str()) {
            return Err(Refusal::UnknownMethod(method).of(&id));
        }
        if method == method::SUBSCRIPTIONS_LISTEN && !accept.events {
            return Err(Refusal::EventsNotAcceptable.of(&id));
        }
        let mut request = StatelessRequest { id, method, name: envelope.name.clone(), initialized: None };
        match self.initialized_for(&envelope).await {
            Ok((connection, initialized)) => {
                request.initialized = Some(initialized);
                Ok(self.answer_stateless(&connection, request, params, &envelope, accept).await)
            }
            Err(error) => Ok(deliver::answer(Err(error), &Answered::Stateless(request), accept)),
        }
    }

    async fn answer_stateless(
        self: Arc<Self>,
        connection: &Arc<Connection>,
        request: StatelessRequest,
        params: Option<&str>,
        envelope: &Envelope<'_>,
        accept: Accept,
    ) -> Response<BridgeBody> {
        match request.method.as_str() {
            method::DISCOVER => {
                let result = request.initialized.as_deref().map(result::discover).unwrap_or_default();
                return deliver::answer(Ok(Bytes::from(result)), &Answered::Stateless(request), accept);
            }
            method::SUBSCRIPTIONS_LISTEN => return self.listen(connection, request, params, accept).await,
            _ => {}
        }
        let begun = match InputResponses::read(params) {
            Some(responses) => self.resume_request(&request, &responses, envelope).await,
            None => self.forward_stateless(connection, &request, params, envelope, accept).await,
        };
        match begun {
            Ok(exchange) => deliver::deliver(self, exchange, Answered::Stateless(request), accept).await,
            Err(error) => deliver::answer(Err(error), &Answered::Stateless(request), accept),
        }
    }

    /// A server that was initialized, if need be in the name of this request's client.
    async fn initialized_for(
        self: &Arc<Self>,
        envelope: &Envelope<'_>,
    ) -> Result<(Arc<Connection>, Arc<Initialized>), Bytes> {
        let unavailable = |error: Unavailable| Bytes::from(jsonrpc::internal_error(&error.to_string()));
        if self.is_initialized() {
            return self.ready().await.map_err(unavailable);
        }
        let connection = self.connection_in_time().await.map_err(unavailable)?;
        let params = envelope.initialize_params();
        let limit = self.options.ready_timeout;
        let initialized = timeout(limit, self.initialize(&connection, &params)).await;
        let initialized = initialized.unwrap_or_else(|_| Err(unavailable(Unavailable::NotReady(limit))))?;
        Ok((connection, initialized))
    }

    async fn forward_stateless(
        &self,
        connection: &Arc<Connection>,
        request: &StatelessRequest,
        params: Option<&str>,
        envelope: &Envelope<'_>,
        accept: Accept,
    ) -> Result<Exchange, Bytes> {
        let reach = match (ASKING.contains(&request.method.as_str()), accept.events) {
            (true, streams) => Reach::Results { streams },
            (false, true) => Reach::Stream,
            (false, false) => Reach::Response,
        };
        let capabilities = envelope.capabilities.clone();
        let asker = Asker { session: None, capabilities, reach, id: Some(request.id.clone()) };
        let exchange = self.open_exchange(connection, asker, envelope.progress_token(), None);
        let exchange = exchange
            .map_err(|_| Bytes::from(jsonrpc::internal_error("too many requests are in progress")))?;
        let params = params.map(|params| envelope.meta.without_envelope(params, exchange.id));
        // A failure to send is the connection's end, which ends the exchange.
        let _ = connection.send(jsonrpc::request(exchange.id, &request.method, params.as_deref())).await;
        Ok(exchange)
    }
}

/// An error object for parameters that are not what the method takes.
fn invalid_params(message: &str) -> Bytes {
    Bytes::from(jsonrpc::error(error_code::INVALID_PARAMS, message, None))
}

/// `_meta` with the subscription that a notification belongs to.
fn subscription_meta(id: &Id) -> String {
    edit::object([(meta::SUBSCRIPTION_ID, id.as_json())])
}

/// The revision that is served here.
const REVISION: ProtocolVersion = ProtocolVersion::V2026_07_28;
