//! Starting a process that outlives this one and its terminal.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use crate::files::FileError;
use crate::logs;
use crate::name::WorkloadName;
use crate::run_lock::Holder;
use crate::status::{Reported, State, Status};
use crate::store::{Store, StoreError};

/// How often the new process's status is looked at.
const PAUSE: Duration = Duration::from_millis(20);
/// How much of the log is shown when it does not work out.
const LAST_LINES: usize = 20;

/// Why no process was started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The log cannot be written.
    #[error(transparent)]
    Log(#[from] FileError),
    /// The program cannot be run.
    #[error("{} cannot be run", program.display())]
    Program {
        /// Which program.
        program: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

/// Why a started process does not serve.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    /// It said that it cannot.
    #[error("the workload {name} did not start: {detail}")]
    Failed {
        /// Which workload.
        name: WorkloadName,
        /// What it said.
        detail: String,
        /// The last lines of what it printed.
        log: Vec<String>,
    },
    /// It ended without saying why.
    #[error("the workload {name} ended before it was ready ({exit})")]
    Ended {
        /// Which workload.
        name: WorkloadName,
        /// How it ended.
        exit: ExitStatus,
        /// The last lines of what it printed.
        log: Vec<String>,
    },
    /// It did not get ready in time. It is still running.
    #[error("the workload {name} was not ready within {} s; it is still starting", after.as_secs())]
    TimedOut {
        /// Which workload.
        name: WorkloadName,
        /// How long it had.
        after: Duration,
        /// The last lines of what it printed.
        log: Vec<String>,
    },
    /// Somebody else runs the workload ([`StoreError::Running`]), or whether it runs could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Whether it ended could not be asked.
    #[error("the new process cannot be waited for")]
    Wait(#[source] io::Error),
}

impl NotReady {
    /// The last lines of what the process printed.
    pub fn log(&self) -> &[String] {
        match self {
            Self::Failed { log, .. } | Self::Ended { log, .. } | Self::TimedOut { log, .. } => log,
            Self::Store(_) | Self::Wait(_) => &[],
        }
    }
}

impl From<FileError> for NotReady {
    fn from(error: FileError) -> Self {
        Self::Store(error.into())
    }
}

/// A process that was started; it goes on when this value is dropped.
#[derive(Debug)]
pub struct Spawned {
    child: Child,
    log: PathBuf,
    /// Where the log ended before.
    log_start: u64,
}

/// Starts a program that outlives this process and its terminal, provided that it calls [`detach`] early. It reads nothing and
/// prints into the log. Arguments can be seen by every user of the machine: secrets go into `extra_env`, which is added to this
/// process's environment.
///
/// # Errors
/// The log cannot be opened or the program not be run.
pub fn spawn_detached(
    exe: &Path,
    args: impl IntoIterator<Item = impl AsRef<OsStr>>,
    log: &Path,
    extra_env: &[(&str, &SecretString)],
) -> Result<Spawned, SpawnError> {
    let file = logs::open(log)?;
    let length = file.metadata().map_err(FileError::of("read", log))?.len();
    let second = file.try_clone().map_err(FileError::of("opened", log))?;
    let mut command = Command::new(exe);
    command.args(args).stdin(Stdio::null()).stdout(file).stderr(second);
    for (name, value) in extra_env {
        command.env(name, value.expose_secret());
    }
    let child = command.spawn().map_err(|source| SpawnError::Program { program: exe.to_owned(), source })?;
    Ok(Spawned { child, log: log.to_owned(), log_start: length })
}

/// Leaves the terminal and the session of whoever started this process: neither Ctrl-C nor closing the terminal ends it then.
/// For the started process, early in `main`.
///
/// # Errors
/// This process leads a process group, as one started from a shell does.
pub fn detach() -> io::Result<()> {
    rustix::process::setsid()?;
    Ok(())
}

impl Spawned {
    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the process says in its status that it serves, that somebody must log in, or that it cannot.
    ///
    /// # Errors
    /// [`NotReady`]; the process lives on only after [`NotReady::TimedOut`] and errors of files.
    pub async fn ready(
        &mut self,
        store: &Store,
        name: &WorkloadName,
        timeout: Duration,
    ) -> Result<Status, NotReady> {
        let deadline = Instant::now() + timeout;
        loop {
            // In this order: what it said before it ended is there when it has ended.
            let exit = self.child.try_wait().map_err(NotReady::Wait)?;
            let said = self.said(store, name)?;
            match (said, exit) {
                (Some(status), None) if status.state.is_serving() => return Ok(status),
                (Some(status), Some(_)) if status.state == State::Error => return self.failed(status),
                (_, Some(exit)) => return Err(self.ended(store, name, exit)?),
                (_, None) if Instant::now() >= deadline => {
                    return Err(NotReady::TimedOut {
                        name: name.clone(),
                        after: timeout,
                        log: self.last_lines()?,
                    });
                }
                (_, None) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// The status, if it is this process's and not one of long ago.
    fn said(&self, store: &Store, name: &WorkloadName) -> Result<Option<Status>, StoreError> {
        Ok(match store.reported(name)? {
            Reported::Status(status) if status.pid == Some(self.pid()) => Some(status),
            _ => None,
        })
    }

    fn failed(&self, status: Status) -> Result<Status, NotReady> {
        let detail = status.detail.unwrap_or_else(|| "it does not say why".to_owned());
        Err(NotReady::Failed { name: status.name, detail, log: self.last_lines()? })
    }

    /// The usual reason is that somebody else was faster.
    fn ended(&self, store: &Store, name: &WorkloadName, exit: ExitStatus) -> Result<NotReady, NotReady> {
        if let Some(Holder { pid }) = Holder::of(store.paths(), name)? {
            return Ok(StoreError::Running { name: name.clone(), pid }.into());
        }
        Ok(NotReady::Ended { name: name.clone(), exit, log: self.last_lines()? })
    }

    fn last_lines(&self) -> Result<Vec<String>, FileError> {
        logs::last_lines_since(&self.log, self.log_start, LAST_LINES)
    }
}
