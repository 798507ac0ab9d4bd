//! Keeps the server running.

use std::error::Error;
use std::io;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use thv_clock::Timestamp;
use thv_jose::random;
use tokio::time::{sleep, timeout};

use crate::connection::Connection;
use crate::hub::{Hub, Link};
use crate::options::Restart;
use crate::process::{Process, StartError, Streams};
use crate::server::Server;

/// One run of the server, and what others see of it.
struct Run {
    process: Process,
    connection: Arc<Connection>,
    began: Timestamp,
}

/// How a run ends.
enum End {
    /// The bridge is to stop.
    Stopping,
    Exited(io::Result<ExitStatus>),
    /// The server's output has ended.
    Silent,
    /// It runs, but cannot be used.
    Useless(String),
}

/// Runs the server, starts it again when it exits, and stops it in the end.
pub(crate) struct Supervisor {
    server: Server,
    hub: Arc<Hub>,
    /// In a row.
    failures: u32,
    restarts: u64,
}

impl Supervisor {
    /// Starts the server for the first time, and then looks after it in a task of its own.
    ///
    /// # Errors
    ///
    /// [`StartError`] when it cannot be started at all.
    pub(crate) fn start(server: Server, hub: Arc<Hub>) -> Result<impl Future<Output = ()>, StartError> {
        let supervisor = Self { server, hub, failures: 0, restarts: 0 };
        let run = supervisor.run_once()?;
        Ok(supervisor.run(run))
    }

    async fn run(mut self, first: Run) {
        let hub = Arc::clone(&self.hub);
        let mut run = Ok(first);
        loop {
            let reason = match run {
                Ok(run) => self.look_after(run).await,
                Err(error) => {
                    self.failures = self.failures.saturating_add(1);
                    Some(not_started(&error))
                }
            };
            let Some(reason) = reason else { break };
            tokio::select! {
                () = hub.stopping.cancelled() => break,
                () = self.wait_to_restart(reason) => {}
            }
            self.restarts += 1;
            run = self.run_once();
        }
        hub.link.send_replace(Link::Stopped);
        hub.end_streams();
    }

    fn run_once(&self) -> Result<Run, StartError> {
        let options = &self.hub.options;
        let began = options.clock.now();
        let (process, Streams { stdout, stdin }) = Process::start(&self.server, Arc::clone(&options.stderr))?;
        let connection = Arc::new(Connection::new(process.pid(), self.restarts, stdin, &options.limits));
        tokio::spawn(Arc::clone(&self.hub).read_output(Arc::clone(&connection), stdout));
        tracing::info!(pid = connection.pid, command = %self.server.command.display(), "started the MCP server");
        self.hub.link.send_replace(Link::Up(Arc::clone(&connection)));
        Ok(Run { process, connection, began })
    }

    /// Waits until the server ends, and says why it did; none when it was to be stopped.
    async fn look_after(&mut self, run: Run) -> Option<String> {
        let Run { mut process, connection, began } = run;
        let end = tokio::select! {
            () = self.hub.stopping.cancelled() => End::Stopping,
            exited = process.exited() => End::Exited(exited),
            () = connection.output_ended.cancelled() => End::Silent,
            reason = self.initialize_again(&connection) => End::Useless(reason),
        };
        let ran = self.hub.options.clock.now().since(began);
        let reason = self.end(process, &connection, end).await?;
        tracing::warn!(pid = connection.pid, ran_seconds = ran.as_secs(), "the MCP server ended: {reason}");
        let was_stable = ran >= self.hub.options.restart.stable_after;
        self.failures = if was_stable { 1 } else { self.failures.saturating_add(1) };
        Some(reason)
    }

    /// Leaves nothing of a run behind.
    async fn end(&self, mut process: Process, connection: &Connection, end: End) -> Option<String> {
        let shutdown = self.hub.options.shutdown;
        match end {
            End::Stopping => {
                self.hub.link.send_replace(Link::Stopped);
                self.hub.end_streams();
                process.stop(shutdown).await;
                connection.close("the MCP server was stopped");
                None
            }
            End::Exited(exited) => {
                process.clean_up(&connection.output_ended).await;
                self.disconnect(connection);
                Some(describe(exited))
            }
            End::Silent => {
                self.disconnect(connection);
                let Some(exited) = process.exits_soon().await else {
                    process.stop(shutdown).await;
                    return Some("it closed its standard output".to_owned());
                };
                process.clean_up(&connection.output_ended).await;
                Some(describe(exited))
            }
            End::Useless(reason) => {
                self.disconnect(connection);
                process.stop(shutdown).await;
                Some(reason)
            }
        }
    }

    fn disconnect(&self, connection: &Connection) {
        self.hub.link.send_replace(Link::Starting);
        connection.close(Connection::LOST);
    }

    /// Initializes a restarted server as it was before. Returns only when that fails.
    async fn initialize_again(&self, connection: &Arc<Connection>) -> String {
        if self.hub.is_initialized() {
            let limit = self.hub.options.initialize_timeout;
            match timeout(limit, self.hub.initialize(connection, "{}")).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => {
                    return format!(
                        "it refused to be initialized again: {}",
                        String::from_utf8_lossy(&error)
                    );
                }
                Err(_) => return "it did not answer when it was initialized again".to_owned(),
            }
        }
        std::future::pending().await
    }

    /// Waits as long as the server must not be started yet.
    async fn wait_to_restart(&self, reason: String) {
        let restart = self.hub.options.restart;
        if self.failures < restart.max_failures {
            sleep(delay(restart, self.failures)).await;
            return;
        }
        tracing::error!(
            failures = self.failures,
            "the MCP server is not started again until a request comes"
        );
        let retry_at = self.hub.options.clock.now() + restart.max_delay;
        self.hub.link.send_replace(Link::Failed { reason, retry_at });
        loop {
            self.hub.retry.notified().await;
            if self.hub.options.clock.now() >= retry_at {
                break;
            }
        }
        self.hub.link.send_replace(Link::Starting);
    }
}

fn describe(exited: io::Result<ExitStatus>) -> String {
    match exited {
        Ok(status) => format!("it exited ({status})"),
        Err(error) => format!("its exit was not seen ({error})"),
    }
}

fn not_started(error: &StartError) -> String {
    format!("{error}: {}", error.source().map(ToString::to_string).unwrap_or_default())
}

/// The delay after so many failures in a row: doubled each time, and varied by half, so that servers that failed together
/// do not start together.
fn delay(restart: Restart, failures: u32) -> Duration {
    let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
    let delay = restart.first_delay.saturating_mul(doubled).min(restart.max_delay);
    let [byte] = random::bytes::<1>();
    delay.mul_f64(0.5 + f64::from(byte) / 512.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest() {
        let restart = Restart::default();
        for (failures, seconds) in [(0, 1.0), (1, 1.0), (2, 2.0), (3, 4.0), (7, 60.0), (4_000_000_000, 60.0)]
        {
            let delay = delay(restart, failures).as_secs_f64();
            assert!((seconds / 2.0..=seconds).contains(&delay), "{failures}: {delay}");
        }
    }
}
