//! What workloads print.
//!
//! A log is one file, appended to. It is at most one rotation old: whoever opens it for writing when it has reached
//! [`CAP`] renames it to `.log.1` and begins a new one, and whoever writes it for long [keeps it small](keep_small).

mod follow;
mod tail;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::files::{FileError, is_at, private_parent, remove_if_there};

pub use follow::Follow;
pub(crate) use tail::last_lines_since;
pub use tail::{last_lines, read};

/// The size from which a log is put aside when it is opened for writing, in bytes.
pub const CAP: u64 = 10 << 20;
/// How often the size of a log is looked at by the process that writes it.
const LOOK: Duration = Duration::from_secs(5);

/// Opens a log for writing at its end, and puts it aside before if it has become large.
///
/// # Errors
/// The file or its directory cannot be used.
pub fn open(path: &Path) -> Result<File, FileError> {
    private_parent(path)?;
    let open = || append(path).map_err(FileError::of("opened", path));
    let file = open()?;
    let rotated = rotate(&file, path).map_err(FileError::of("renamed", path))?;
    if rotated { open() } else { Ok(file) }
}

/// Returns whether the path leads to another file now.
fn rotate(file: &File, path: &Path) -> io::Result<bool> {
    if file.metadata()?.len() < CAP {
        return Ok(false);
    }
    // Of two that come at once the second must not put the first one's new file aside.
    file.lock()?;
    if is_at(file, path)? {
        fs::rename(path, aside(path))?;
    }
    Ok(true)
}

/// Empties the log that this process writes whenever it has become large, and puts aside what was in it. Never ends.
pub async fn keep_small(path: PathBuf) {
    loop {
        tokio::time::sleep(LOOK).await;
        let log = path.clone();
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || empty_if_large(&log)).await {
            tracing::warn!(error = thv_telemetry::chain(&error), "the log cannot be put aside");
        }
    }
}

/// Puts the content of a log aside, if it has become large, and empties the file: whoever writes it has it open for appending,
/// and goes on at its beginning. A line that is written at that very moment may be lost.
///
/// # Errors
/// The file, or the one beside it, cannot be used.
pub fn empty_if_large(path: &Path) -> Result<(), FileError> {
    let empty = || {
        let file = append(path)?;
        if file.metadata()?.len() < CAP {
            return Ok(());
        }
        // Nobody renames it meanwhile.
        file.lock()?;
        if is_at(&file, path)? {
            fs::copy(path, aside(path))?;
            file.set_len(0)?;
        }
        Ok(())
    };
    empty().map_err(FileError::of("emptied", path))
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// `x.log.1` for `x.log`.
fn aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    name.into()
}

/// Removes a log and what was put aside of it.
pub(crate) fn remove(path: &Path) -> Result<(), FileError> {
    remove_if_there(&aside(path))?;
    remove_if_there(path)
}
