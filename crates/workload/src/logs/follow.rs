//! Reading a log while it is written.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::tail::start_of_last;
use crate::files::{FileError, is_at};

/// How often a log is looked at for more.
const PAUSE: Duration = Duration::from_millis(100);
/// A line of more bytes is given in parts.
const MAX_LINE: usize = 1 << 20;

/// The lines of a log, those to come included. It goes on when the log is put aside and begun anew, when it is truncated, and
/// when it is not there yet.
#[derive(Debug)]
pub struct Follow {
    path: PathBuf,
    file: Option<File>,
    /// What was read and not given yet.
    pending: Vec<u8>,
    /// Everything in `pending` is to be given, complete line or not, because its file is over.
    over: bool,
}

impl Follow {
    /// Begins with the last lines that there are.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn new(path: &Path, last: usize) -> Result<Self, FileError> {
        let begun = begin(path).and_then(|file| {
            let Some(mut file) = file else { return Ok(None) };
            let start = start_of_last(&mut file, 0, last)?;
            file.seek(SeekFrom::Start(start))?;
            Ok(Some(file))
        });
        let file = begun.map_err(FileError::of("read", path))?;
        Ok(Self { path: path.to_owned(), file, pending: Vec::new(), over: false })
    }

    /// The next line, without its end; waits until there is one. Nothing is lost when this future is dropped.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn next_line(&mut self) -> Result<String, FileError> {
        loop {
            if let Some(line) = self.pending_line() {
                return Ok(String::from_utf8_lossy(&line).into_owned());
            }
            let more = self.read_more().map_err(FileError::of("read", &self.path))?;
            if !more {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    fn pending_line(&mut self) -> Option<Vec<u8>> {
        if let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
            let mut line: Vec<u8> = self.pending.drain(..=end).collect();
            line.pop();
            return Some(line);
        }
        let give = (self.over && !self.pending.is_empty()) || self.pending.len() >= MAX_LINE;
        self.over = false;
        give.then(|| std::mem::take(&mut self.pending))
    }

    /// Returns whether there was more.
    fn read_more(&mut self) -> io::Result<bool> {
        let Some(file) = &mut self.file else {
            self.file = begin(&self.path)?;
            return Ok(self.file.is_some());
        };
        // In this order: what is written before a log is put aside must be read after that was noticed.
        let same = is_at(file, &self.path)?;
        let mut chunk = vec![0; 64 << 10];
        let length = file.read(&mut chunk)?;
        if length > 0 {
            self.pending.extend(chunk.iter().take(length));
            return Ok(true);
        }
        if !same {
            self.over = true;
            self.file = None;
            // Not there at all yet, perhaps: then there is a reason to wait.
            return Ok(!self.pending.is_empty() || fs::exists(&self.path)?);
        }
        if file.metadata()?.len() < file.stream_position()? {
            self.over = true;
            file.rewind()?;
            return Ok(true);
        }
        Ok(false)
    }
}

/// The file from its beginning, if it is there.
fn begin(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
