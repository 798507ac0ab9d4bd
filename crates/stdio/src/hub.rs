//! What all clients and all processes of the server have in common.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use thv_clock::Timestamp;
use thv_mcp::method;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::connection::{Connection, Lost};
use crate::exchange::{Asker, Exchange, Pending, TooManyRequests, cancelled};
use crate::handshake::{Handshake, Initialized, Remembered};
use crate::jsonrpc;
use crate::options::Options;
use crate::queue::{Bounds, queue};
use crate::session::{Busy, Session, Sessions};
use crate::stateless::listen::Listeners;
use crate::stateless::suspended::Suspended;
use crate::subscriptions::{Subscriptions, resource};

/// Whether there is a server process.
#[derive(Clone)]
pub(crate) enum Link {
    /// There will be one.
    Starting,
    Up(Arc<Connection>),
    /// The bridge has given up, and may try again from this time on.
    Failed {
        reason: String,
        retry_at: Timestamp,
    },
    /// There will be none.
    Stopped,
}

/// Why a request does not reach a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unavailable {
    #[error("the MCP server is not ready after {} s: try again later, and see its log", .0.as_secs())]
    NotReady(Duration),
    #[error("the MCP server fails to run: {0}; see its log")]
    Failed(String),
    #[error("the MCP server was stopped")]
    Stopped,
}

pub(crate) struct Hub {
    pub(crate) options: Options,
    pub(crate) link: watch::Sender<Link>,
    /// Asks the supervisor to try again after it has given up.
    pub(crate) retry: Notify,
    pub(crate) sessions: Sessions,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) remembered: Mutex<Remembered>,
    pub(crate) listeners: Listeners,
    pub(crate) suspended: Suspended,
    /// Cancelled when the bridge is to stop.
    pub(crate) stopping: CancellationToken,
    reachable: watch::Sender<()>,
    ids: AtomicU64,
}

impl Hub {
    pub(crate) fn new(options: Options) -> Self {
        let limits = &options.limits;
        Self {
            link: watch::Sender::new(Link::Starting),
            retry: Notify::new(),
            sessions: Sessions::new(Arc::clone(&options.clock), limits.sessions, limits.session_idle),
            subscriptions: Subscriptions::new(limits.subscriptions),
            remembered: Mutex::default(),
            listeners: Listeners::new(limits.requests),
            suspended: Suspended::new(limits.server_requests),
            stopping: CancellationToken::new(),
            reachable: watch::Sender::new(()),
            ids: AtomicU64::new(1),
            options,
        }
    }

    /// A number that no request of this bridge, and no process of its server, has had.
    pub(crate) fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// How much is queued for one client.
    pub(crate) const fn bounds(&self) -> Bounds {
        Bounds { messages: self.options.limits.queued_messages, bytes: self.options.limits.queued_bytes }
    }

    /// Changes whenever a client can be reached anew.
    pub(crate) fn reachable(&self) -> watch::Receiver<()> {
        self.reachable.subscribe()
    }

    /// A client can be reached anew.
    pub(crate) fn now_reachable(&self) {
        self.reachable.send_replace(());
    }

    /// A running process of the server, waiting for it to start if need be.
    ///
    /// # Errors
    ///
    /// [`Unavailable`].
    pub(crate) async fn connection(&self) -> Result<Arc<Connection>, Unavailable> {
        let mut link = self.link.subscribe();
        if let Link::Failed { reason, retry_at } = &*link.borrow_and_update() {
            if self.options.clock.now() < *retry_at {
                return Err(Unavailable::Failed(reason.clone()));
            }
            self.retry.notify_one();
        }
        loop {
            let current = link.borrow_and_update().clone();
            match current {
                Link::Up(connection) if !connection.is_closed() => return Ok(connection),
                Link::Stopped => return Err(Unavailable::Stopped),
                Link::Failed { reason, retry_at } if self.options.clock.now() < retry_at => {
                    return Err(Unavailable::Failed(reason));
                }
                _ => link.changed().await.map_err(|_| Unavailable::Stopped)?,
            }
        }
    }

    /// As [`connection`](Self::connection), for a bounded time.
    pub(crate) async fn connection_in_time(&self) -> Result<Arc<Connection>, Unavailable> {
        self.in_time(self.connection()).await
    }

    /// A process of the server that has been initialized.
    ///
    /// # Errors
    ///
    /// [`Unavailable`].
    pub(crate) async fn ready(&self) -> Result<(Arc<Connection>, Arc<Initialized>), Unavailable> {
        self.in_time(async {
            loop {
                let connection = self.connection().await?;
                let mut handshake = connection.handshake.subscribe();
                let done = handshake.wait_for(|handshake| matches!(handshake, Handshake::Done(_)));
                let initialized = tokio::select! {
                    () = connection.closed() => continue,
                    done = done => match done.as_deref() {
                        Ok(Handshake::Done(initialized)) => Arc::clone(initialized),
                        _ => continue,
                    },
                };
                return Ok((connection, initialized));
            }
        })
        .await
    }

    async fn in_time<T>(
        &self,
        waiting: impl Future<Output = Result<T, Unavailable>>,
    ) -> Result<T, Unavailable> {
        let limit = self.options.ready_timeout;
        timeout(limit, waiting).await.unwrap_or(Err(Unavailable::NotReady(limit)))
    }

    /// Registers a request that is then to be sent with the exchange's id.
    ///
    /// # Errors
    ///
    /// [`TooManyRequests`].
    pub(crate) fn open_exchange(
        &self,
        connection: &Arc<Connection>,
        asker: Asker,
        progress_token: Option<String>,
        busy: Option<Busy>,
    ) -> Result<Exchange, TooManyRequests> {
        let (sender, receiver) = queue(self.bounds());
        let pending = Pending::new(asker, progress_token, sender);
        let exchange = Exchange::open(self.next_id(), connection, pending, receiver, busy)?;
        self.now_reachable();
        Ok(exchange)
    }

    /// Sends a request whose response does not matter.
    ///
    /// # Errors
    ///
    /// [`Lost`].
    pub(crate) async fn tell(&self, connection: &Connection, method: &str, params: &str) -> Result<(), Lost> {
        connection.send(jsonrpc::request(self.next_id(), method, Some(params))).await
    }

    /// Ends a session: its requests, its stream and its subscriptions.
    pub(crate) fn end_session(self: &Arc<Self>, session: &Session) {
        self.sessions.remove(&session.id);
        session.ended.cancel();
        if let Some(stream) = session.stream() {
            session.drop_stream(&stream);
        }
        self.unsubscribe_all(session.key);
        let Link::Up(connection) = self.link.borrow().clone() else { return };
        for id in connection.exchanges.of_session(session.key) {
            cancel_exchange(&connection, id, "the client ended its session");
        }
    }

    /// Ends all streams of notifications.
    pub(crate) fn end_streams(&self) {
        for (session, stream) in self.sessions.streams(|_| true) {
            session.drop_stream(&stream);
        }
        self.listeners.end_all();
    }

    /// Takes a client that has gone off all resources.
    pub(crate) fn unsubscribe_all(self: &Arc<Self>, subscriber: u64) {
        let uris = self.subscriptions.remove_all(subscriber);
        let Link::Up(connection) = self.link.borrow().clone() else { return };
        if uris.is_empty() {
            return;
        }
        // A response's body can be dropped anywhere, even where there is no runtime any more.
        let Ok(runtime) = Handle::try_current() else { return };
        let hub = Arc::clone(self);
        runtime.spawn(async move {
            let _in_order = hub.subscriptions.order.lock().await;
            let wanted = hub.subscriptions.uris();
            for uri in uris.iter().filter(|uri| !wanted.contains(uri)) {
                if hub.tell(&connection, method::RESOURCES_UNSUBSCRIBE, &resource(uri)).await.is_err() {
                    return;
                }
            }
        });
    }
}

/// Ends a request, at the server and for its client.
pub(crate) fn cancel_exchange(connection: &Connection, id: u64, reason: &str) {
    if connection.exchanges.finish(id, Err(jsonrpc::internal_error(reason).into())) {
        connection.send_in_turn(cancelled(id, reason));
    }
}

/// Answers a request of the server with what a client gave.
pub(crate) async fn answer(connection: &Connection, server_id: &jsonrpc::Id, outcome: Result<&str, &str>) {
    // When the server has gone, nobody waits for the answer.
    let _ = connection.send(jsonrpc::response(server_id.as_json(), outcome)).await;
}
