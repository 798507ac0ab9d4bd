//! How a bridge behaves.

use std::sync::Arc;
use std::time::Duration;

use thv_clock::{SharedClock, SystemClock};

/// Where the server's standard error goes, line by line.
pub type StderrSink = Arc<dyn Fn(&str) + Send + Sync>;

/// How a [`Bridge`](crate::Bridge) behaves. [`Options::default`] is right for `thv run`.
#[derive(Clone)]
pub struct Options {
    /// Tells how long sessions were idle and how long the server ran.
    pub clock: SharedClock,
    /// Gets each line that the server writes to standard error, without its end; of a line beyond 16 KiB only the beginning.
    /// The default logs them with target `thv_stdio::stderr` at level info.
    pub stderr: StderrSink,
    /// What happens when the server exits.
    pub restart: Restart,
    /// How a server is stopped.
    pub shutdown: Shutdown,
    /// How much clients and the server get.
    pub limits: Limits,
    /// How long a request waits for a server that is starting or restarting.
    pub ready_timeout: Duration,
    /// How long a restarted server may take to answer the bridge's `initialize`.
    pub initialize_timeout: Duration,
    /// How long a request of the server waits for a client to open a stream, and for one that lost its stream to answer.
    pub stream_grace: Duration,
    /// How long the server's request to a stateless client waits for the client's retry.
    pub input_timeout: Duration,
    /// How long a stream may be silent before a comment is sent on it, and how long a request may go unanswered before its
    /// response begins as a stream.
    pub keep_alive: Duration,
}

/// When and how often a server is started again.
#[derive(Clone, Copy, Debug)]
pub struct Restart {
    /// The delay after the first exit. It doubles with each further one, and is varied by half.
    pub first_delay: Duration,
    /// The longest delay, and the shortest time between attempts once the bridge has given up.
    pub max_delay: Duration,
    /// A server that has run for so long has not failed when it exits.
    pub stable_after: Duration,
    /// After so many failures in a row the bridge gives up, until a request comes.
    pub max_failures: u32,
}

/// How long the steps of a shutdown may take (MCP, stdio transport, "Shutdown").
#[derive(Clone, Copy, Debug)]
pub struct Shutdown {
    /// From closing standard input to SIGTERM.
    pub after_close: Duration,
    /// From SIGTERM to SIGKILL.
    pub after_terminate: Duration,
}

/// How much clients and the server get.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest body of a request, in bytes.
    pub body: usize,
    /// Longest message of the server, in bytes. A longer one is dropped.
    pub message: usize,
    /// Sessions at once. The one that was idle longest makes room for a new one.
    pub sessions: usize,
    /// How long a session lives without a request or a stream.
    pub session_idle: Duration,
    /// Requests of clients in progress at once, and as many streams of `subscriptions/listen`.
    pub requests: usize,
    /// Requests of the server waiting for an answer at once.
    pub server_requests: usize,
    /// Pairs of a client and a resource that it subscribed to.
    pub subscriptions: usize,
    /// Messages waiting for one client that reads slowly. Beyond this its stream of notifications is closed.
    pub queued_messages: usize,
    /// The same in bytes.
    pub queued_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            clock: SystemClock::shared(),
            stderr: Arc::new(|line| tracing::info!(target: "thv_stdio::stderr", "{line}")),
            restart: Restart::default(),
            shutdown: Shutdown::default(),
            limits: Limits::default(),
            ready_timeout: Duration::from_secs(60),
            initialize_timeout: Duration::from_secs(60),
            stream_grace: Duration::from_secs(5),
            input_timeout: Duration::from_secs(600),
            keep_alive: Duration::from_secs(15),
        }
    }
}

impl Default for Restart {
    fn default() -> Self {
        Self {
            first_delay: Duration::from_secs(1),
            max_delay: Duration::from_secs(60),
            stable_after: Duration::from_secs(60),
            max_failures: 10,
        }
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { after_close: Duration::from_secs(5), after_terminate: Duration::from_secs(5) }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 4 << 20,
            message: 16 << 20,
            sessions: 1000,
            session_idle: Duration::from_secs(30 * 60),
            requests: 1024,
            server_requests: 256,
            subscriptions: 10_000,
            queued_messages: 1024,
            queued_bytes: 4 << 20,
        }
    }
}
