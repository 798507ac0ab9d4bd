//! The bridge's end of one server process: what is written to it, and what either side still owes the other.

use bytes::Bytes;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::exchange::Exchanges;
use crate::handshake::Handshake;
use crate::options::Limits;
use crate::process::Stdin;
use crate::server_request::ServerRequests;

/// The server exited, or does not read or write any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", Connection::LOST)]
pub(crate) struct Lost;

/// One server process, from its start to its end. What is in progress when it ends, fails.
pub(crate) struct Connection {
    pub(crate) pid: u32,
    /// How many processes there were before this one.
    pub(crate) restarts: u64,
    pub(crate) exchanges: Exchanges,
    pub(crate) server_requests: ServerRequests,
    pub(crate) handshake: watch::Sender<Handshake>,
    /// Cancelled when the server's output has ended.
    pub(crate) output_ended: CancellationToken,
    stdin: Stdin,
    closed: CancellationToken,
}

impl Connection {
    /// What clients are told of a request that was in progress when the server exited.
    pub(crate) const LOST: &str = "the MCP server exited before it answered; it is being restarted";

    pub(crate) fn new(pid: u32, restarts: u64, stdin: Stdin, limits: &Limits) -> Self {
        Self {
            pid,
            restarts,
            exchanges: Exchanges::new(limits.requests),
            server_requests: ServerRequests::new(limits.server_requests),
            handshake: watch::Sender::new(Handshake::Idle),
            output_ended: CancellationToken::new(),
            stdin,
            closed: CancellationToken::new(),
        }
    }

    /// Sends a message to the server, and waits until there is room for it.
    ///
    /// # Errors
    ///
    /// [`Lost`].
    pub(crate) async fn send(&self, message: Vec<u8>) -> Result<(), Lost> {
        tokio::select! {
            biased;
            () = self.closed.cancelled() => Err(Lost),
            sent = self.stdin.messages.send(Bytes::from(message)) => sent.map_err(|_| Lost),
        }
    }

    /// Sends a short message of the bridge's own that must not overtake what was sent before it, if that is possible without
    /// waiting.
    pub(crate) fn send_in_turn(&self, message: Vec<u8>) {
        if let Err(TrySendError::Full(message)) = self.stdin.messages.try_send(Bytes::from(message)) {
            self.send_urgent(message.into());
        }
    }

    /// Sends a short message of the bridge's own, before all others. It is lost when the server has not read a thousand of
    /// them: waiting here would stop the reading of its output, which may be what it waits for.
    pub(crate) fn send_urgent(&self, message: Vec<u8>) {
        if self.stdin.urgent.try_send(Bytes::from(message)).is_err() && !self.is_closed() {
            tracing::warn!(pid = self.pid, "the MCP server does not read its input: an answer to it is lost");
        }
    }

    /// Fails all that is in progress.
    pub(crate) fn close(&self, reason: &str) {
        self.closed.cancel();
        // Clients hear that they need not answer any more before their own requests end.
        self.server_requests.abandon_all(reason);
        self.exchanges.fail_all(reason);
    }

    /// Whether the server was initialized.
    pub(crate) fn is_ready(&self) -> bool {
        matches!(&*self.handshake.borrow(), Handshake::Done(_))
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.is_cancelled()
    }

    /// Resolves when the connection is closed.
    pub(crate) async fn closed(&self) {
        self.closed.cancelled().await;
    }
}
