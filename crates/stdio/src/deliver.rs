//! How a request is answered: by one JSON message, or by a stream of events.

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
use tokio::time::timeout;

use crate::body::{self, BridgeBody};
use crate::exchange::{Event, Exchange, Input, Outcome};
use crate::head::Accept;
use crate::hub::Hub;
use crate::jsonrpc::{self, Id};
use crate::sse;
use crate::stateless::StatelessRequest;

/// The request that is answered.
pub(crate) enum Answered {
    /// One within a session.
    InSession(Id),
    /// One that stands alone.
    Stateless(StatelessRequest),
}

/// A status and a message.
type Answer = (StatusCode, Vec<u8>);

impl Answered {
    fn outcome(&self, outcome: Outcome) -> Answer {
        match self {
            Self::InSession(id) => (StatusCode::OK, jsonrpc::response(id.as_json(), outcome)),
            Self::Stateless(request) => request.outcome(outcome),
        }
    }
}

/// Answers at once with what is already known.
pub(crate) fn answer(outcome: Outcome, answered: &Answered, accept: Accept) -> Response<BridgeBody> {
    respond(answered.outcome(outcome), accept)
}

/// Answers at once with an error object with code -32603.
pub(crate) fn error(message: &str, answered: &Answered, accept: Accept) -> Response<BridgeBody> {
    answer(Err(Bytes::from(jsonrpc::internal_error(message))), answered, accept)
}

fn respond((status, message): Answer, accept: Accept) -> Response<BridgeBody> {
    if accept.json {
        return body::json(status, message);
    }
    let mut response = body::events(futures_util::stream::iter([sse::frame(&message)]));
    *response.status_mut() = status;
    response
}

/// Answers with what the server sends: by one message if that comes first, else by a stream. A client that accepts streams
/// gets the head of one after a while, so that it and those between do not give up.
pub(crate) async fn deliver(
    hub: Arc<Hub>,
    mut exchange: Exchange,
    answered: Answered,
    accept: Accept,
) -> Response<BridgeBody> {
    let first = if accept.events {
        timeout(hub.options.keep_alive, exchange.next()).await
    } else {
        Ok(exchange.end().await)
    };
    match first {
        Ok(Event::Frame(frame)) => stream(hub, exchange, answered, frame),
        Err(_) => stream(hub, exchange, answered, sse::COMMENT),
        Ok(Event::Last(outcome)) => answer(outcome, &answered, accept),
        Ok(Event::Input(input)) => respond(hub.ask_for_input(exchange, answered, input).await, accept),
    }
}

/// What a stream has still to send.
enum Rest {
    First(Bytes, Exchange, Answered),
    More(Exchange, Answered),
    Nothing,
}

fn stream(hub: Arc<Hub>, exchange: Exchange, answered: Answered, first: Bytes) -> Response<BridgeBody> {
    let rest = Rest::First(first, exchange, answered);
    body::events(futures_util::stream::unfold((hub, rest), |(hub, rest)| async move {
        let (mut exchange, answered) = match rest {
            Rest::First(frame, exchange, answered) => {
                return Some((frame, (hub, Rest::More(exchange, answered))));
            }
            Rest::More(exchange, answered) => (exchange, answered),
            Rest::Nothing => return None,
        };
        let (frame, rest) = match timeout(hub.options.keep_alive, exchange.next()).await {
            Ok(Event::Frame(frame)) => (frame, Rest::More(exchange, answered)),
            Err(_) => (sse::COMMENT, Rest::More(exchange, answered)),
            Ok(Event::Last(outcome)) => (sse::frame(&answered.outcome(outcome).1), Rest::Nothing),
            Ok(Event::Input(input)) => {
                (sse::frame(&hub.ask_for_input(exchange, answered, input).await.1), Rest::Nothing)
            }
        };
        Some((frame, (hub, rest)))
    }))
}

impl Hub {
    /// Ends a request of a stateless client with the question for what the server wants to know.
    async fn ask_for_input(
        self: &Arc<Self>,
        mut exchange: Exchange,
        answered: Answered,
        first: Input,
    ) -> Answer {
        match answered {
            Answered::Stateless(request) => {
                let inputs = std::iter::once(first).chain(exchange.more_inputs().await).collect();
                self.suspend(exchange, request, inputs)
            }
            Answered::InSession(_) => {
                // Clients with sessions are asked by messages: see `Reach`.
                answered.outcome(Err(Bytes::from(jsonrpc::internal_error(
                    "the server's request cannot be delivered",
                ))))
            }
        }
    }
}
