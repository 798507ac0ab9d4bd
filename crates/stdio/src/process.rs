//! One run of the server: its process group and its three streams.

use std::io;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::lines::{Line, Lines};
use crate::options::{Shutdown, StderrSink};
use crate::server::Server;

/// The longest line of standard error that is passed on whole, in bytes.
const STDERR_LINE: usize = 16 * 1024;

/// How often a process group that was told to end is looked at.
const POLL: Duration = Duration::from_millis(10);

/// How long the end of a server's output may come after its exit, or the other way round. Its pipes stay open as long as a
/// descendant holds them.
const DRAIN: Duration = Duration::from_secs(1);

/// The server could not be started.
#[derive(Debug, thiserror::Error)]
#[error("{command:?} cannot be started")]
pub struct StartError {
    command: std::ffi::OsString,
    /// What the operating system said.
    #[source]
    source: io::Error,
}

/// A running server process, leader of a process group. The group is killed when this is dropped.
pub(crate) struct Process {
    child: Child,
    pid: Pid,
    group: Group,
    /// Closes the server's standard input.
    hang_up: CancellationToken,
}

/// The ends of the streams that others use.
pub(crate) struct Streams {
    pub(crate) stdout: ChildStdout,
    pub(crate) stdin: Stdin,
}

/// What is written to the server's standard input, in two queues.
#[derive(Clone)]
pub(crate) struct Stdin {
    /// Messages of clients, who wait when the server does not read.
    pub(crate) messages: mpsc::Sender<Bytes>,
    /// The bridge's own short messages, which go first. Whoever sends them does not wait.
    pub(crate) urgent: mpsc::Sender<Bytes>,
}

impl Process {
    /// Starts the server.
    ///
    /// # Errors
    ///
    /// [`StartError`].
    pub(crate) fn start(server: &Server, stderr_sink: StderrSink) -> Result<(Self, Streams), StartError> {
        let failed = |source| StartError { command: server.command.clone(), source };
        let mut child = server.command().spawn().map_err(failed)?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        let (Some(pid), Some(stdin), Some(stdout), Some(stderr)) =
            (pid, child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(failed(io::Error::other("it has no process id, or its streams are not piped")));
        };
        let hang_up = CancellationToken::new();
        let stdin = write_to(stdin, hang_up.clone());
        tokio::spawn(pass_on_stderr(stderr, stderr_sink));
        Ok((Self { child, pid, group: Group(Some(pid)), hang_up }, Streams { stdout, stdin }))
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid.as_raw_pid().unsigned_abs()
    }

    /// Waits until it exits.
    pub(crate) async fn exited(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Its exit, if that comes soon.
    pub(crate) async fn exits_soon(&mut self) -> Option<io::Result<ExitStatus>> {
        timeout(DRAIN, self.exited()).await.ok()
    }

    /// Kills what an exited server has left behind, and waits until its last output is read.
    pub(crate) async fn clean_up(mut self, output_ended: &CancellationToken) {
        self.group.kill();
        let _ = timeout(DRAIN, output_ended.cancelled()).await;
    }

    /// Ends the server and all its descendants in its group: closes its standard input, then SIGTERM, then SIGKILL.
    pub(crate) async fn stop(mut self, grace: Shutdown) {
        self.hang_up.cancel();
        let _ = timeout(grace.after_close, self.child.wait()).await;
        self.group.signal(Signal::TERM);
        let _ = timeout(grace.after_terminate, self.ended()).await;
        self.group.kill();
        let _ = self.child.wait().await;
    }

    /// Waits until the whole group has ended.
    async fn ended(&mut self) {
        let _ = self.child.wait().await;
        while self.group.exists() {
            sleep(POLL).await;
        }
    }
}

/// A process group, killed when dropped. Its id is forgotten then: once the group has ended, it can become another's.
struct Group(Option<Pid>);

impl Group {
    /// The group may have ended by itself, so nothing is made of a signal that reaches nobody.
    fn signal(&self, signal: Signal) {
        if let Some(id) = self.0 {
            let _ = kill_process_group(id, signal);
        }
    }

    fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.0 = None;
    }

    fn exists(&self) -> bool {
        self.0.is_some_and(|id| test_kill_process_group(id).is_ok())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

fn write_to(mut stdin: ChildStdin, hang_up: CancellationToken) -> Stdin {
    let (messages, mut queued) = mpsc::channel::<Bytes>(64);
    let (urgent, mut queued_urgent) = mpsc::channel::<Bytes>(1024);
    tokio::spawn(async move {
        let writing = async {
            loop {
                let message = tokio::select! {
                    biased;
                    Some(message) = queued_urgent.recv() => message,
                    Some(message) = queued.recv() => message,
                    else => return,
                };
                if write_line(&mut stdin, &message).await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            () = hang_up.cancelled() => {}
            () = writing => {}
        }
    });
    Stdin { messages, urgent }
}

/// Writes one message as a line. Line ends within it are white space between tokens of JSON, and become blanks.
async fn write_line(out: &mut (impl AsyncWrite + Unpin), message: &Bytes) -> io::Result<()> {
    let mut line = Vec::with_capacity(message.len() + 1);
    line.extend(message.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
    line.push(b'\n');
    out.write_all(&line).await?;
    out.flush().await
}

async fn pass_on_stderr(stderr: ChildStderr, sink: Arc<dyn Fn(&str) + Send + Sync>) {
    let mut lines = Lines::new(stderr, STDERR_LINE);
    while let Ok(Some(line)) = lines.next().await {
        match line {
            Line::Whole(line) => sink(String::from_utf8_lossy(&line).trim_end_matches('\r')),
            Line::TooLong { head, length, .. } => {
                sink(&format!("{}… ({length} bytes)", String::from_utf8_lossy(&head)));
            }
        }
    }
}
