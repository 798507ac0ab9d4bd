//! Requests whose clients were asked for input, until they repeat them ("Multi Round-Trip Requests").
//!
//! The server has asked by a request of its own, and waits within the call. So the call is kept as it is, and the client's
//! repeated request takes it up again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::StatusCode;
use thv_jose::random;
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::edit;
use crate::exchange::{Exchange, Input};
use crate::hub::{self, Hub};
use crate::jsonrpc;
use crate::lock::lock;
use crate::server_request::Answerer;
use crate::stateless::envelope::Envelope;
use crate::stateless::input_responses::InputResponses;
use crate::stateless::{StatelessRequest, invalid_params};

/// Requests that wait for their clients, by the `requestState` that their clients were given.
pub(crate) struct Suspended {
    waiting: Mutex<HashMap<String, Waiting>>,
    limit: usize,
}

/// Dropping it cancels the request at the server.
struct Waiting {
    exchange: Exchange,
    inputs: Vec<Input>,
    method: String,
    name: Option<String>,
    _timer: DropGuard,
}

impl Suspended {
    pub(crate) fn new(limit: usize) -> Self {
        Self { waiting: Mutex::default(), limit }
    }

    /// Keeps a request; false, and it is cancelled, when there are too many.
    fn insert(&self, state: &str, waiting: Waiting) -> bool {
        let mut all = lock(&self.waiting);
        let has_room = all.len() < self.limit;
        if has_room {
            all.insert(state.to_owned(), waiting);
        }
        has_room
    }

    fn remove(&self, state: &str) -> Option<Waiting> {
        lock(&self.waiting).remove(state)
    }
}

impl Hub {
    /// Keeps a request, and asks its client for what the server wants to know.
    pub(crate) fn suspend(
        self: &Arc<Self>,
        exchange: Exchange,
        request: StatelessRequest,
        inputs: Vec<Input>,
    ) -> (StatusCode, Vec<u8>) {
        let state = random::token();
        let timer = CancellationToken::new();
        let result = input_required(&state, &inputs);
        let StatelessRequest { method, name, .. } = &request;
        let waiting = Waiting {
            exchange,
            inputs,
            method: method.clone(),
            name: name.clone(),
            _timer: timer.clone().drop_guard(),
        };
        if !self.suspended.insert(&state, waiting) {
            let error = jsonrpc::internal_error("too many requests are waiting for input of their clients");
            return request.outcome(Err(Bytes::from(error)));
        }
        let hub = Arc::clone(self);
        tokio::spawn(async move {
            tokio::select! {
                () = timer.cancelled() => {}
                () = sleep(hub.options.input_timeout) => drop(hub.suspended.remove(&state)),
            }
        });
        request.outcome(Ok(Bytes::from(result)))
    }

    /// Takes a request up again that its client has repeated with answers.
    ///
    /// # Errors
    ///
    /// An error object.
    pub(crate) async fn resume_request(
        &self,
        request: &StatelessRequest,
        responses: &InputResponses<'_>,
        envelope: &Envelope<'_>,
    ) -> Result<Exchange, Bytes> {
        let waiting = self.suspended.remove(&responses.request_state);
        let is_its = |waiting: &Waiting| waiting.method == request.method && waiting.name == request.name;
        let Some(Waiting { exchange, inputs, .. }) = waiting.filter(is_its) else {
            return Err(invalid_params("requestState is unknown or expired, or belongs to another request"));
        };
        let connection = Arc::clone(&exchange.connection);
        if let Some(pending) = connection.exchanges.get(exchange.id) {
            pending.set_progress_token(envelope.progress_token());
        }
        let by = Answerer::Exchange(exchange.id);
        for input in inputs {
            let Some(response) = responses.input_responses.get(&input.id.to_string()) else {
                exchange.ask_again(input);
                continue;
            };
            if let Some(server_id) = connection.server_requests.answered(input.id, by) {
                hub::answer(&connection, &server_id, Ok(response.get())).await;
            }
        }
        Ok(exchange)
    }
}

/// An `InputRequiredResult`.
fn input_required(state: &str, inputs: &[Input]) -> String {
    let questions: Vec<(String, String)> = inputs
        .iter()
        .map(|input| {
            let method = jsonrpc::string(&input.method);
            let params = input.params.as_deref().map(|params| ("params", params));
            let question = edit::object([("method", method.as_str())].into_iter().chain(params));
            (input.id.to_string(), question)
        })
        .collect();
    let questions = edit::object(questions.iter().map(|(id, question)| (id.as_str(), question.as_str())));
    edit::object([
        ("resultType", "\"input_required\""),
        ("inputRequests", &questions),
        ("requestState", &jsonrpc::string(state)),
    ])
}
