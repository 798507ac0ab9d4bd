//! The one truth about whether a workload runs: its process holds a lock.
//!
//! A process number in a file says little: the process may be gone, and another may have its number. The kernel frees a lock
//! when its holder ends, also when it is killed. Who holds the lock is written into the locked file, together with when that
//! process started, and believed only while that very process lives.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use thv_clock::Timestamp;

use crate::atomic;
use crate::files::{FileError, is_at, private_parent, read_if_there, remove_if_there};
use crate::name::WorkloadName;
use crate::paths::Paths;
use crate::process_id::ProcessId;
use crate::status::Status;

/// How long a lock may be held by nobody who is known: somebody is just about to say who, only looks whether it is held, or
/// has forked and not executed yet.
const SETTLE: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(5);

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// Another process holds it.
    #[error("the workload {name} is running already{}", by(*pid))]
    Running {
        /// Which workload.
        name: WorkloadName,
        /// The process; unknown when it cannot be seen from here, as from inside a container.
        pid: Option<u32>,
    },
    /// The file of the lock cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
}

/// ` (process 7)`
pub(crate) fn by(pid: Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" (process {pid})"))
}

/// Who holds a workload's lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The process; unknown when it cannot be seen from here.
    pub pid: Option<u32>,
}

impl Holder {
    /// Who runs a workload; `None` when nobody does. Blocks for up to half a second when the holder cannot be seen.
    ///
    /// # Errors
    /// The file of the lock cannot be used.
    pub fn of(paths: &Paths, name: &WorkloadName) -> Result<Option<Self>, FileError> {
        let path = paths.lock(name);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(FileError::of("opened", &path)(error)),
        };
        let looked = settle(&file, File::try_lock_shared).map_err(FileError::of("locked", &path))?;
        Ok(looked.err())
    }
}

/// The right to run a workload, held as long as this value lives, and no longer than the process.
#[derive(Debug)]
pub struct RunLock {
    file: File,
    path: PathBuf,
    status: PathBuf,
    name: WorkloadName,
}

impl RunLock {
    /// Takes a workload's lock, which one process at most has. Blocks for up to half a second when the holder cannot be seen.
    ///
    /// # Errors
    /// [`TakeError::Running`] says who has it.
    pub fn try_take(paths: &Paths, name: &WorkloadName) -> Result<Self, TakeError> {
        let path = paths.lock(name);
        private_parent(&path)?;
        loop {
            let file = open(&path).map_err(FileError::of("opened", &path))?;
            let taken = settle(&file, File::try_lock).map_err(FileError::of("locked", &path))?;
            if let Err(Holder { pid }) = taken {
                return Err(TakeError::Running { name: name.clone(), pid });
            }
            // Otherwise it was removed between open and lock, and the lock is worth nothing.
            if is_at(&file, &path).map_err(FileError::of("read", &path))? {
                let lock = Self { file, path, status: paths.status(name), name: name.clone() };
                lock.sign().map_err(FileError::of("written", &lock.path))?;
                lock.status.parent().map_or(Ok(()), atomic::clean)?;
                return Ok(lock);
            }
        }
    }

    /// Which workload it is about.
    pub fn name(&self) -> &WorkloadName {
        &self.name
    }

    /// Says what the workload does. It becomes a status of this workload and this process, whatever `status` says of these, and
    /// still says when the workload last began to serve.
    ///
    /// # Errors
    /// The status cannot be written.
    pub fn report(&self, status: &Status) -> Result<(), FileError> {
        let status = Status { name: self.name.clone(), pid: Some(std::process::id()), ..status.clone() };
        let started_at = status.started_at.or_else(|| self.last_started());
        let status = Status { started_at, ..status };
        let json = serde_json::to_vec_pretty(&status).map_err(io::Error::from);
        atomic::replace(&self.status, &json.map_err(FileError::of("written", &self.status))?)
    }

    fn last_started(&self) -> Option<Timestamp> {
        let text = read_if_there(&self.status).ok()??;
        serde_json::from_str::<Status>(&text).ok()?.started_at
    }

    /// Gives the lock up together with its file and the status.
    ///
    /// # Errors
    /// A file cannot be removed.
    pub fn remove(self) -> Result<(), FileError> {
        remove_if_there(&self.status)?;
        remove_if_there(&self.path)
    }

    /// Writes down who holds the lock.
    fn sign(&self) -> io::Result<()> {
        let own = ProcessId::own()?.to_string();
        self.file.set_len(0)?;
        self.file.write_all_at(own.as_bytes(), 0)
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        // This process lives on, so its name must not stay. Were it to, the next holder would write its own over it.
        let _ = self.file.set_len(0);
        // Closing is not enough: a child that has not executed its program yet has the file open as well.
        let _ = self.file.unlock();
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Tries until it works or it is known who is in the way.
fn settle(
    file: &File,
    attempt: impl Fn(&File) -> Result<(), TryLockError>,
) -> io::Result<Result<(), Holder>> {
    let deadline = Instant::now() + SETTLE;
    loop {
        match attempt(file) {
            Ok(()) => return Ok(Ok(())),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let holder = signature(file)?.filter(|holder| holder.is_alive());
        if holder.is_some() || Instant::now() >= deadline {
            return Ok(Err(Holder { pid: holder.map(|holder| holder.pid) }));
        }
        std::thread::sleep(PAUSE);
    }
}

/// Who is written down as the holder.
fn signature(file: &File) -> io::Result<Option<ProcessId>> {
    let mut text = [0; 64];
    let length = file.read_at(&mut text, 0)?;
    let text = text.get(..length).and_then(|text| std::str::from_utf8(text).ok());
    Ok(text.and_then(|text| text.parse().ok()))
}
