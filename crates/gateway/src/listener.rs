//! Connections from clients: accepted under limits, TLS or not, drained at the end.
//!
//! Whatever a peer does or leaves undone costs at most one connection slot for a bounded time: the TLS handshake and the
//! first request head have a deadline, a source address holds a bounded share of the slots, and when all are taken new
//! connections wait in the kernel's backlog.

mod connection;
mod sources;
mod streams;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::TokioTimer;
use hyper_util::server::conn::auto;
use thv_telemetry::SharedMetrics;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::peer::TrustedProxies;
use crate::tls::Tls;
use connection::{Connection, Spawn};
use sources::Sources;

/// How much a listener gives its peers.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections held at once; more wait unaccepted.
    pub connections: usize,
    /// Connections held at once for one source address (IPv6: one /64). Trusted proxies are exempt.
    pub connections_per_source: usize,
    /// Deadline of a TLS handshake.
    pub handshake: Duration,
    /// Deadline of the first request's head.
    pub request_head: Duration,
    /// How long a connection may lie idle between two requests, the next request's head included: whoever sends that head
    /// in drops holds no more than whoever sends nothing. HTTP/2 connections on which no stream is open are closed after
    /// once to twice this time, pings or not. Longer than the 60 seconds for which load balancers commonly keep theirs: they must be the first to close, or they reset requests.
    pub keep_alive: Duration,
    /// Largest request head, in bytes.
    pub head_bytes: usize,
    /// Requests in progress on one HTTP/2 connection.
    pub streams: u32,
    /// How long running requests and streams may go on once the listener is told to stop.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 8192,
            connections_per_source: 256,
            handshake: Duration::from_secs(10),
            request_head: Duration::from_secs(10),
            keep_alive: Duration::from_secs(75),
            head_bytes: 64 * 1024,
            streams: 256,
            drain: Duration::from_secs(10),
        }
    }
}

/// Who is at the other end of a connection, as the socket says.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The peer's socket address.
    pub address: SocketAddr,
    /// Whether TLS ends here.
    pub tls: bool,
    /// The peer's address as an MCP server is told, made once for all requests of the connection.
    pub forwarded: thv_proxy::Peer,
}

impl Origin {
    /// The peer at `address`.
    pub fn new(address: SocketAddr, tls: bool) -> Self {
        Self { address, tls, forwarded: thv_proxy::Peer::new(address.ip()) }
    }
}

/// What answers the requests of a listener.
pub trait Respond: Clone + Send + Sync + 'static {
    /// The body of its responses.
    type Body: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + Unpin
        + 'static;

    /// Answers one request.
    fn respond(
        &self,
        request: Request<Incoming>,
        origin: Origin,
    ) -> impl Future<Output = Response<Self::Body>> + Send;
}

/// A bound socket with its rules.
pub struct Listener {
    /// The socket, already bound.
    pub socket: TcpListener,
    /// Certificates, when TLS ends here.
    pub tls: Option<Tls>,
    /// How much peers get.
    pub limits: Limits,
    /// Whose connections the bound per source address does not apply to.
    pub trusted: TrustedProxies,
    /// Where connections are counted.
    pub metrics: SharedMetrics,
}

impl Listener {
    /// Serves until `stop` is cancelled, then drains: no new connection is taken, running requests finish, and whatever
    /// still runs after [`Limits::drain`] is cut off. The task ends when the last connection is gone.
    pub fn serve<S: Respond>(self, service: S, stop: CancellationToken) -> JoinHandle<()> {
        tokio::spawn(async move {
            let tasks = TaskTracker::new();
            let cut = CancellationToken::new();
            self.accept_all(&service, &stop, &cut, &tasks).await;
            let drain = self.limits.drain;
            drop(self.socket);
            tasks.close();
            if tokio::time::timeout(drain, tasks.wait()).await.is_err() {
                tracing::warn!(connections = tasks.len(), "closing connections that did not finish in time");
                cut.cancel();
                tasks.wait().await;
            }
        })
    }

    async fn accept_all<S: Respond>(
        &self,
        service: &S,
        stop: &CancellationToken,
        cut: &CancellationToken,
        tasks: &TaskTracker,
    ) {
        let slots = Arc::new(Semaphore::new(self.limits.connections));
        let sources = Sources::new(self.limits.connections_per_source);
        let protocol = Arc::new(self.protocol(tasks, cut));
        loop {
            let next = async {
                let slot = Arc::clone(&slots).acquire_owned().await.ok()?;
                Some((slot, self.socket.accept().await))
            };
            let Some(Some((slot, accepted))) = stop.run_until_cancelled(next).await else { return };
            let (stream, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    pause_after(&error).await;
                    continue;
                }
            };
            let ip = address.ip().to_canonical();
            let exempt = self.trusted.contains(ip);
            let share = if exempt { None } else { sources.take(ip) };
            if share.is_none() && !exempt {
                self.metrics.refused("too_many_connections");
                tracing::debug!(source.address = %ip, "connection refused: too many from this address");
                continue;
            }
            let connection = Connection {
                stream: with_nodelay(stream),
                origin: Origin::new(SocketAddr::new(ip, address.port()), self.tls.is_some()),
                tls: self.tls.clone(),
                protocol: Arc::clone(&protocol),
                limits: self.limits.clone(),
                stop: stop.clone(),
                cut: cut.clone(),
                held: (slot, share, self.metrics.connection()),
            };
            tasks.spawn(connection.serve(service.clone()));
        }
    }

    fn protocol(&self, tasks: &TaskTracker, cut: &CancellationToken) -> auto::Builder<Spawn> {
        let limits = &self.limits;
        let mut protocol = auto::Builder::new(Spawn { tasks: tasks.clone(), cut: cut.clone() });
        protocol
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.keep_alive)
            .max_buf_size(limits.head_bytes);
        protocol
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(Duration::from_secs(20))
            .max_concurrent_streams(limits.streams)
            .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX));
        protocol
    }
}

fn with_nodelay(stream: TcpStream) -> TcpStream {
    // A failure here only costs latency, and the stream reports a broken socket by itself.
    let _ = stream.set_nodelay(true);
    stream
}

/// A connection that died in the backlog is nobody's trouble; anything else is a shortage (of file descriptors, say) that
/// a busy loop would only make worse.
async fn pause_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        return;
    }
    tracing::error!(error = %error, "cannot accept connections");
    tokio::time::sleep(Duration::from_millis(250)).await;
}
