//! Ending a workload's process.

use std::io;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;

use crate::name::WorkloadName;
use crate::run_lock::{Holder, RunLock, TakeError};
use crate::status::{Reported, State, Status};
use crate::store::{Store, StoreError};

/// How often it is looked whether the process has ended.
const PAUSE: Duration = Duration::from_millis(20);
/// How long the kernel may take for a process that was killed.
const AFTER_KILL: Duration = Duration::from_secs(5);

/// How a workload came to be stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// It did not run.
    NotRunning,
    /// It ended when it was asked to.
    Ended,
    /// It did not, and was killed.
    Killed,
}

/// Why a workload was not stopped.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// Somebody runs it who cannot be seen from here.
    #[error(
        "the workload {0} is run by a process that cannot be seen from here; stop it where it was started, such as inside \
         its container"
    )]
    OutOfSight(WorkloadName),
    /// The process may not be sent a signal.
    #[error("process {pid}, which runs the workload {name}, cannot be sent a signal")]
    Signal {
        /// Which workload.
        name: WorkloadName,
        /// The process.
        pid: u32,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Even killing it did not help.
    #[error(
        "process {pid}, which runs the workload {name}, was killed and has not ended; it may wait for a disk"
    )]
    Unkillable {
        /// Which workload.
        name: WorkloadName,
        /// The process.
        pid: u32,
    },
    /// Whether it runs could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Stops a workload: asks its process to end (SIGTERM), and kills it after the timeout. Only the process that holds the
/// workload's lock at the moment is ever sent a signal.
///
/// # Errors
/// [`StopError`].
pub async fn stop(store: &Store, name: &WorkloadName, timeout: Duration) -> Result<Stopped, StopError> {
    let Some(holder) = holder(store, name)? else { return Ok(Stopped::NotRunning) };
    let pid = holder.pid.ok_or_else(|| StopError::OutOfSight(name.clone()))?;
    signal(name, pid, Signal::TERM)?;
    if ended(store, name, holder, timeout).await? {
        conclude(store, name, None)?;
        return Ok(Stopped::Ended);
    }
    signal(name, pid, Signal::KILL)?;
    if !ended(store, name, holder, AFTER_KILL).await? {
        return Err(StopError::Unkillable { name: name.clone(), pid });
    }
    conclude(store, name, Some(format!("killed, because it did not end within {} s", timeout.as_secs())))?;
    Ok(Stopped::Killed)
}

/// Tells the process that runs a workload, if there is one, that another one has changed the login.
///
/// # Errors
/// [`StopError`].
pub fn tell_to_reload(store: &Store, name: &WorkloadName) -> Result<(), StopError> {
    match holder(store, name)?.and_then(|holder| holder.pid) {
        Some(pid) => signal(name, pid, Signal::USR1),
        None => Ok(()),
    }
}

fn holder(store: &Store, name: &WorkloadName) -> Result<Option<Holder>, StoreError> {
    Ok(Holder::of(store.paths(), name)?)
}

/// A process that is gone is what is wanted.
fn signal(name: &WorkloadName, pid: u32, signal: Signal) -> Result<(), StopError> {
    let Some(process) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Ok(()) };
    match kill_process(process, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(StopError::Signal { name: name.clone(), pid, source: error.into() }),
    }
}

/// Whether the lock is somebody else's or nobody's before the time is over.
async fn ended(
    store: &Store,
    name: &WorkloadName,
    holder: Holder,
    timeout: Duration,
) -> Result<bool, StoreError> {
    let deadline = Instant::now() + timeout;
    loop {
        match self::holder(store, name)? {
            // While its threads end one by one, a process that still holds the lock cannot be told any more.
            Some(now) if now == holder || now.pid.is_none() => {}
            _ => return Ok(true),
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Says that the workload is stopped where its process has not said so itself.
fn conclude(store: &Store, name: &WorkloadName, detail: Option<String>) -> Result<(), StoreError> {
    let lock = match RunLock::try_take(store.paths(), name) {
        Ok(lock) => lock,
        // Started again already: its status is not ours to write.
        Err(TakeError::Running { .. }) => return Ok(()),
        Err(TakeError::File(error)) => return Err(error.into()),
    };
    match store.reported(name)? {
        Reported::Status(status) if status.state.is_final() => {}
        _ => lock.report(&Status { detail, ..Status::new(name.clone(), State::Stopped) })?,
    }
    Ok(())
}
