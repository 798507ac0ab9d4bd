//! Requests of the server (`sampling/createMessage`, `elicitation/create`, `roots/list`), and which client answers them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use thv_mcp::error_code;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::connection::Connection;
use crate::exchange::{Event, Input, Reach, cancelled};
use crate::hub::Hub;
use crate::jsonrpc::{self, Id};
use crate::lock::lock;
use crate::queue::Sender;
use crate::session::Session;
use crate::sse;

/// Who may answer a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answerer {
    /// The client with this session.
    Session(u64),
    /// The stateless client of the request with this id.
    Exchange(u64),
}

/// Requests of the server that are not answered yet, by the ids that clients know them by.
pub(crate) struct ServerRequests {
    waiting: Mutex<BTreeMap<u64, Waiting>>,
    limit: usize,
}

struct Waiting {
    /// The id that the server gave to it.
    server_id: Id,
    /// Whom it was given to.
    given: Option<(Answerer, Sender<Event>)>,
    _settled: DropGuard,
}

impl ServerRequests {
    pub(crate) fn new(limit: usize) -> Self {
        Self { waiting: Mutex::default(), limit }
    }

    /// Registers a request. The token is cancelled when it is settled in one way or another. None when there are too many.
    fn insert(&self, id: u64, server_id: Id) -> Option<CancellationToken> {
        let mut waiting = lock(&self.waiting);
        if waiting.len() >= self.limit {
            return None;
        }
        let settled = CancellationToken::new();
        let request = Waiting { server_id, given: None, _settled: settled.clone().drop_guard() };
        waiting.insert(id, request);
        Some(settled)
    }

    fn given(&self, id: u64, to: Answerer, by: Sender<Event>) {
        if let Some(waiting) = lock(&self.waiting).get_mut(&id) {
            waiting.given = Some((to, by));
        }
    }

    /// Settles a request that `by` answers, and tells the server's own id of it.
    pub(crate) fn answered(&self, id: u64, by: Answerer) -> Option<Id> {
        let mut all = lock(&self.waiting);
        let is_its = all.get(&id)?.given.as_ref().is_some_and(|(answerer, _)| *answerer == by);
        if is_its { all.remove(&id).map(|waiting| waiting.server_id) } else { None }
    }

    /// Settles a request that nobody answers.
    fn failed(&self, id: u64) -> Option<Id> {
        lock(&self.waiting).remove(&id).map(|waiting| waiting.server_id)
    }

    /// Settles a request that the server does not want answered any more, and tells its client.
    pub(crate) fn withdrawn(&self, server_id: &str, reason: &str) {
        let mut all = lock(&self.waiting);
        let id = all.iter().find(|(_, waiting)| waiting.server_id.as_json() == server_id).map(|(id, _)| *id);
        if let Some((id, waiting)) = id.and_then(|id| Some((id, all.remove(&id)?))) {
            drop(all);
            waiting.tell_cancelled(id, reason);
        }
    }

    /// Settles all requests, because the server has gone.
    pub(crate) fn abandon_all(&self, reason: &str) {
        let all = std::mem::take(&mut *lock(&self.waiting));
        for (id, waiting) in all {
            waiting.tell_cancelled(id, reason);
        }
    }
}

impl Waiting {
    fn tell_cancelled(&self, id: u64, reason: &str) {
        // A stateless client has not got the request as a message, so there is nothing that it could be told.
        if let Some((Answerer::Session(_), stream)) = &self.given {
            sse::push(stream, &cancelled(id, reason));
        }
    }
}

/// What became of an attempt to give a request to a client.
enum Routed {
    /// A client has it, and may go away like this.
    Given(Vanishing),
    /// A client could answer, but cannot be reached at present.
    NotYet,
    /// No client could answer.
    Never,
}

/// How a client that was given a request goes away.
enum Vanishing {
    /// With the response's stream, or with its own request.
    Exchange(Sender<Event>),
    /// With its session, or with a stream that it does not use for its answer.
    Session(Sender<Event>, Arc<Session>),
}

/// A request of the server on its way to a client.
struct Relayed {
    id: u64,
    method: String,
    params: Option<String>,
}

impl Relayed {
    fn message(&self) -> Vec<u8> {
        jsonrpc::request(self.id, &self.method, self.params.as_deref())
    }

    fn input(&self) -> Input {
        Input { id: self.id, method: self.method.clone(), params: self.params.clone() }
    }
}

impl Hub {
    /// Gives a request of the server to a client that can answer it, at once if possible, so that it stays in order with
    /// what the server sends before and after it.
    pub(crate) fn relay(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        server_id: Id,
        method: String,
        params: Option<&str>,
    ) {
        let id = self.next_id();
        let Some(settled) = connection.server_requests.insert(id, server_id.clone()) else {
            let error = jsonrpc::internal_error("too many requests of this server are waiting for clients");
            return connection.send_urgent(jsonrpc::response(server_id.as_json(), Err(error.as_str())));
        };
        let request = Relayed { id, method, params: params.map(str::to_owned) };
        // Whoever opens a stream from here on is noticed.
        let reachable = self.reachable();
        match self.route(connection, &request) {
            Routed::Given(vanishing) => {
                tokio::spawn(Arc::clone(self).watch(Arc::clone(connection), id, vanishing, settled));
            }
            Routed::NotYet => {
                let (hub, connection) = (Arc::clone(self), Arc::clone(connection));
                tokio::spawn(async move {
                    let routing = hub.route_later(&connection, &request, reachable);
                    let routed = tokio::select! {
                        () = settled.cancelled() => return,
                        routed = timeout(hub.options.stream_grace, routing) => routed.ok().flatten(),
                    };
                    match routed {
                        Some(vanishing) => hub.watch(connection, id, vanishing, settled).await,
                        None => refuse(&connection, id, &request.method),
                    }
                });
            }
            Routed::Never => refuse(connection, id, &request.method),
        }
    }

    /// Tries again whenever a client can be reached anew.
    async fn route_later(
        &self,
        connection: &Connection,
        request: &Relayed,
        mut reachable: watch::Receiver<()>,
    ) -> Option<Vanishing> {
        while reachable.changed().await.is_ok() {
            if let Routed::Given(vanishing) = self.route(connection, request) {
                return Some(vanishing);
            }
        }
        None
    }

    /// The client whose request is in progress most recently comes first, then the one that was active last.
    fn route(&self, connection: &Connection, request: &Relayed) -> Routed {
        let mut able = false;
        for (exchange, pending) in connection.exchanges.latest_first() {
            let asker = &pending.asker;
            if !asker.capabilities.answer(&request.method) {
                continue;
            }
            let with_it = || Vanishing::Exchange(pending.events.clone());
            let given = match (asker.reach, &asker.session) {
                (Reach::Results { .. }, _) => {
                    give_as_input(connection, request, exchange, &pending.events).then(with_it)
                }
                (Reach::Stream, Some(session)) => give(connection, request, session, &pending.events)
                    .then(with_it)
                    .or_else(|| give_by_stream(connection, request, session)),
                (_, Some(session)) => give_by_stream(connection, request, session),
                // A request whose result may not ask for anything.
                (_, None) => continue,
            };
            able = true;
            if let Some(vanishing) = given {
                return Routed::Given(vanishing);
            }
        }
        for session in self.sessions.by_activity() {
            if session.capabilities.answer(&request.method) {
                able = true;
                if let Some(vanishing) = give_by_stream(connection, request, &session) {
                    return Routed::Given(vanishing);
                }
            }
        }
        if able { Routed::NotYet } else { Routed::Never }
    }

    /// Fails the request when its client goes away before it answers.
    async fn watch(
        self: Arc<Self>,
        connection: Arc<Connection>,
        id: u64,
        vanishing: Vanishing,
        settled: CancellationToken,
    ) {
        let gone = async {
            match vanishing {
                Vanishing::Exchange(events) => events.unread().await,
                Vanishing::Session(stream, session) => {
                    let lost_its_stream = async {
                        stream.unread().await;
                        sleep(self.options.stream_grace).await;
                    };
                    tokio::select! {
                        () = session.ended.cancelled() => {}
                        () = lost_its_stream => {}
                    }
                }
            }
        };
        tokio::select! {
            () = settled.cancelled() => {}
            () = gone => {
                fail(&connection, id, &jsonrpc::internal_error("the client went away before it answered"));
            }
        }
    }
}

fn give_as_input(connection: &Connection, request: &Relayed, exchange: u64, events: &Sender<Event>) -> bool {
    connection.server_requests.given(request.id, Answerer::Exchange(exchange), events.clone());
    events.push(Event::Input(request.input()), 0).is_ok()
}

fn give_by_stream(connection: &Connection, request: &Relayed, session: &Arc<Session>) -> Option<Vanishing> {
    let stream = session.stream()?;
    give(connection, request, session, &stream).then(|| Vanishing::Session(stream, Arc::clone(session)))
}

/// The answerer is noted first, because the answer can come at once.
fn give(connection: &Connection, request: &Relayed, session: &Session, stream: &Sender<Event>) -> bool {
    connection.server_requests.given(request.id, Answerer::Session(session.key), stream.clone());
    sse::push(stream, &request.message())
}

fn refuse(connection: &Connection, id: u64, method: &str) {
    let message = format!("no client of this server can answer {method} at present");
    fail(connection, id, &jsonrpc::error(error_code::METHOD_NOT_FOUND, &message, None));
}

/// Answers a request of the server with an error, unless it is settled.
fn fail(connection: &Connection, id: u64, error: &str) {
    if let Some(server_id) = connection.server_requests.failed(id) {
        connection.send_urgent(jsonrpc::response(server_id.as_json(), Err(error)));
    }
}
