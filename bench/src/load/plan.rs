//! What a load run is told to do.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// One run against one server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// The server.
    pub(crate) server: SocketAddr,
    /// Whose CPU time is reported.
    pub(crate) server_pid: Option<u32>,
    /// The server's store, when that is a process too: its CPU time is reported beside.
    #[serde(default)]
    pub(crate) store_pid: Option<u32>,
    /// What is requested.
    pub(crate) work: Work,
    /// When it is requested.
    pub(crate) pace: Pace,
    /// Milliseconds before the measurement.
    pub(crate) warmup_ms: u64,
    /// Milliseconds that are measured.
    pub(crate) measure_ms: u64,
}

/// When requests are sent.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Pace {
    /// Each connection sends its next request when it has the answer to the last: measures throughput.
    Closed,
    /// Requests fall due at a fixed rate whether or not earlier ones were answered, and latency counts from the
    /// instant at which they were due: a stalled server cannot hide its stall by slowing the load down.
    Open {
        /// Over all connections.
        requests_per_second: f64,
    },
}

/// What is sent on the connections.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Work {
    /// The same request over and over.
    Same {
        /// How many connections.
        connections: usize,
        /// The request's method.
        method: String,
        /// Path and query.
        path: String,
        /// Headers besides `Host` and `Content-Length`.
        headers: Vec<(String, String)>,
        /// The body, perhaps empty.
        body: String,
        /// What the first answer on each connection must contain, as a proof that the server does the work.
        expect: String,
        /// Whether each connection opens an MCP session first, whose id all its requests have.
        #[serde(default)]
        session: bool,
    },
    /// Refresh grants (RFC 6749 §6): each connection has its own family and always presents its newest token.
    Refresh {
        /// Path of the token endpoint.
        path: String,
        /// One per connection.
        chains: Vec<RefreshChain>,
    },
}

/// The newest refresh token of a family and the client that may use it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RefreshChain {
    /// The public client.
    pub(crate) client_id: String,
    /// Its newest refresh token.
    pub(crate) refresh_token: String,
}
