//! Requests of clients that the server is working on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use thv_mcp::method;
use tokio::time::sleep;

use crate::connection::Connection;
use crate::edit;
use crate::jsonrpc::{self, Id};
use crate::lock::lock;
use crate::queue::{Receiver, Sender};
use crate::session::{Busy, Capabilities, Session};

/// How long requests of the server are gathered that a client is asked together.
const GATHERING: Duration = Duration::from_millis(10);

/// What a request came to: a result or an error object, as JSON.
pub(crate) type Outcome = Result<Bytes, Bytes>;

/// What the client of a request gets, in this order.
pub(crate) enum Event {
    /// A message, as an event of a stream.
    Frame(Bytes),
    /// A request of the server, for a client that can be asked by a result only.
    Input(Input),
    /// The end.
    Last(Outcome),
}

/// A request of the server that a stateless client answers by repeating its own.
pub(crate) struct Input {
    /// What the bridge knows it by.
    pub(crate) id: u64,
    pub(crate) method: String,
    /// As JSON.
    pub(crate) params: Option<String>,
}

/// How the client of a request can be reached before the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// By nothing but the response.
    Response,
    /// By notifications and requests on the response's stream.
    Stream,
    /// By notifications on the response's stream, and by results that ask for input (since 2026-07-28).
    Results {
        /// Whether the client accepts a stream.
        streams: bool,
    },
}

impl Reach {
    const fn streams(self) -> bool {
        match self {
            Self::Response => false,
            Self::Stream => true,
            Self::Results { streams } => streams,
        }
    }
}

/// Who makes a request.
pub(crate) struct Asker {
    /// None for a stateless client, and for the bridge itself.
    pub(crate) session: Option<Arc<Session>>,
    pub(crate) capabilities: Capabilities,
    pub(crate) reach: Reach,
    /// The id that the client gave to the request; none for the bridge itself.
    pub(crate) id: Option<Id>,
}

impl Asker {
    /// The bridge itself.
    pub(crate) fn bridge() -> Self {
        Self { session: None, capabilities: Capabilities::default(), reach: Reach::Response, id: None }
    }
}

/// A request in progress, as the reader of the server's output sees it.
pub(crate) struct Pending {
    pub(crate) asker: Asker,
    pub(crate) events: Sender<Event>,
    /// The client's own progress token, as JSON.
    progress_token: Mutex<Option<String>>,
}

impl Pending {
    pub(crate) fn new(asker: Asker, progress_token: Option<String>, events: Sender<Event>) -> Self {
        Self { asker, events, progress_token: Mutex::new(progress_token) }
    }

    /// Exchanges the progress token: the client has repeated its request.
    pub(crate) fn set_progress_token(&self, token: Option<String>) {
        *lock(&self.progress_token) = token;
    }

    /// The client's own progress token, when progress can be told.
    pub(crate) fn progress_token(&self) -> Option<String> {
        lock(&self.progress_token).clone().filter(|_| self.asker.reach.streams())
    }
}

/// All requests in progress, by the ids that the server knows them by: later ones are greater.
pub(crate) struct Exchanges {
    pending: Mutex<BTreeMap<u64, Arc<Pending>>>,
    limit: usize,
}

/// As many requests are in progress as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooManyRequests;

impl Exchanges {
    pub(crate) fn new(limit: usize) -> Self {
        Self { pending: Mutex::default(), limit }
    }

    fn insert(&self, id: u64, pending: Arc<Pending>) -> Result<(), TooManyRequests> {
        let mut all = lock(&self.pending);
        if all.len() >= self.limit {
            return Err(TooManyRequests);
        }
        all.insert(id, pending);
        Ok(())
    }

    /// The request with this id.
    pub(crate) fn get(&self, id: u64) -> Option<Arc<Pending>> {
        lock(&self.pending).get(&id).cloned()
    }

    /// All of them, the latest first.
    pub(crate) fn latest_first(&self) -> Vec<(u64, Arc<Pending>)> {
        lock(&self.pending).iter().rev().map(|(id, pending)| (*id, Arc::clone(pending))).collect()
    }

    /// Ends a request; false when there is none with this id.
    pub(crate) fn finish(&self, id: u64, outcome: Outcome) -> bool {
        let pending = lock(&self.pending).remove(&id);
        pending.is_some_and(|pending| {
            pending.events.finish(Event::Last(outcome));
            true
        })
    }

    /// Ends all requests with an error.
    pub(crate) fn fail_all(&self, message: &str) {
        let error = Bytes::from(jsonrpc::internal_error(message));
        let all = std::mem::take(&mut *lock(&self.pending));
        for pending in all.into_values() {
            pending.events.finish(Event::Last(Err(error.clone())));
        }
    }

    /// The request that this session's client knows by this id.
    pub(crate) fn find(&self, session: &Session, id: &str) -> Option<u64> {
        let all = lock(&self.pending);
        let is_it = |pending: &Pending| {
            pending.asker.session.as_ref().is_some_and(|own| own.key == session.key)
                && pending.asker.id.as_ref().is_some_and(|own| own.as_json() == id)
        };
        all.iter().find(|(_, pending)| is_it(pending)).map(|(id, _)| *id)
    }

    /// The requests of this session.
    pub(crate) fn of_session(&self, key: u64) -> Vec<u64> {
        let all = lock(&self.pending);
        let own = all
            .iter()
            .filter(|(_, pending)| pending.asker.session.as_ref().is_some_and(|session| session.key == key));
        own.map(|(id, _)| *id).collect()
    }
}

/// A request in progress, as its client's side sees it. Dropping it cancels the request at the server.
pub(crate) struct Exchange {
    /// The id that the server knows it by.
    pub(crate) id: u64,
    pub(crate) connection: Arc<Connection>,
    events: Receiver<Event>,
    _busy: Option<Busy>,
}

impl Exchange {
    /// Registers a request that is then to be sent with this id.
    ///
    /// # Errors
    ///
    /// [`TooManyRequests`].
    pub(crate) fn open(
        id: u64,
        connection: &Arc<Connection>,
        pending: Pending,
        events: Receiver<Event>,
        busy: Option<Busy>,
    ) -> Result<Self, TooManyRequests> {
        connection.exchanges.insert(id, Arc::new(pending))?;
        let connection = Arc::clone(connection);
        if connection.is_closed() {
            // It may have been closed just before the request was registered, and then nobody else would end it.
            connection.exchanges.fail_all(Connection::LOST);
        }
        Ok(Self { id, connection, events, _busy: busy })
    }

    /// What comes next.
    pub(crate) async fn next(&mut self) -> Event {
        let ended = || Event::Last(Err(Bytes::from(jsonrpc::internal_error(Connection::LOST))));
        self.events.next().await.unwrap_or_else(ended)
    }

    /// What ends the response, for a client that does not want to hear of anything before.
    pub(crate) async fn end(&mut self) -> Event {
        loop {
            match self.next().await {
                Event::Frame(_) => {}
                end => return end,
            }
        }
    }

    /// How it ends, for a request that nothing but its end is wanted of.
    pub(crate) async fn outcome(mut self) -> Outcome {
        loop {
            if let Event::Last(outcome) = self.next().await {
                return outcome;
            }
        }
    }

    /// Further requests of the server that come with the first one, or right after it: a server that wants to know several
    /// things at once asks for each by itself.
    pub(crate) async fn more_inputs(&mut self) -> Vec<Input> {
        sleep(GATHERING).await;
        let events = self.events.ready_while(|event| matches!(event, Event::Input(_)));
        let inputs = events.into_iter().filter_map(|event| match event {
            Event::Input(input) => Some(input),
            Event::Frame(_) | Event::Last(_) => None,
        });
        inputs.collect()
    }

    /// Asks the client again for something that it did not answer.
    pub(crate) fn ask_again(&self, input: Input) {
        if let Some(pending) = self.connection.exchanges.get(self.id) {
            // The queue has just been read, and the end of the request does without.
            let _ = pending.events.push(Event::Input(input), 0);
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let outcome = Err(Bytes::from(jsonrpc::internal_error("the client went away")));
        if self.connection.exchanges.finish(self.id, outcome) {
            self.connection.send_in_turn(cancelled(self.id, "the client went away"));
        }
    }
}

/// The notification that a request with this id is no longer wanted.
pub(crate) fn cancelled(id: u64, reason: &str) -> Vec<u8> {
    let params = edit::object([("requestId", id.to_string().as_str()), ("reason", &jsonrpc::string(reason))]);
    jsonrpc::notification(method::CANCELLED, Some(&params))
}
