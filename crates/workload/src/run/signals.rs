//! What a process that runs a workload is told from outside.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that mean something to a workload, listened for from the moment that this exists.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    reload: Signal,
}

/// What a signal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// To end (SIGTERM, SIGINT).
    Stop,
    /// Another process has changed the login (SIGUSR1, see [`tell_to_reload`](crate::process::tell_to_reload)).
    ReloadLogin,
}

impl Signals {
    /// Listens.
    ///
    /// # Errors
    /// When the system does not permit it.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            reload: signal(SignalKind::user_defined1())?,
        })
    }

    /// Waits for a signal to end.
    pub async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    pub(super) async fn next(&mut self) -> Order {
        tokio::select! {
            _ = self.terminate.recv() => Order::Stop,
            _ = self.interrupt.recv() => Order::Stop,
            _ = self.reload.recv() => Order::ReloadLogin,
        }
    }
}
