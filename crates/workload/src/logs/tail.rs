//! Reading what a log has.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

use crate::files::FileError;

/// How much of a log's end is looked at for its last lines, in bytes.
const MAX_TAIL: u64 = 1 << 20;

/// All of a log, without what was put aside; empty when there is none. Bytes that are no UTF-8 are replaced.
///
/// # Errors
/// The file cannot be read.
pub fn read(path: &Path) -> Result<String, FileError> {
    let bytes = if_there(path, fs::read(path))?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The last lines of a log, at most `lines`, from its last 1 MiB; none when there is no log.
///
/// # Errors
/// The file cannot be read.
pub fn last_lines(path: &Path, lines: usize) -> Result<Vec<String>, FileError> {
    last_lines_since(path, 0, lines)
}

/// Like [`last_lines`], of what comes after the first `since` bytes.
pub(crate) fn last_lines_since(path: &Path, since: u64, lines: usize) -> Result<Vec<String>, FileError> {
    let Some(mut file) = if_there(path, File::open(path))? else { return Ok(Vec::new()) };
    let mut bytes = Vec::new();
    start_of_last(&mut file, since, lines)
        .and_then(|start| file.seek(SeekFrom::Start(start)))
        .and_then(|_| file.read_to_end(&mut bytes))
        .map_err(FileError::of("read", path))?;
    Ok(String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect())
}

/// Where the last lines begin that come after the first `since` bytes.
pub(super) fn start_of_last(file: &mut File, since: u64, lines: usize) -> io::Result<u64> {
    let length = file.metadata()?.len();
    let Some(before) = lines.checked_sub(1) else { return Ok(length) };
    // A log that has become shorter is another one.
    let since = if since <= length { since } else { 0 };
    let start = since.max(length.saturating_sub(MAX_TAIL));
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(length - start).read_to_end(&mut bytes)?;
    // The end of the last line does not begin another.
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let mut starts = (start..).zip(bytes).filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    let count = starts.clone().count();
    Ok(match count.checked_sub(before + 1) {
        Some(skipped) => starts.nth(skipped).unwrap_or(length),
        // What was cut off is no line.
        None if start > since => starts.next().unwrap_or(length),
        None => start,
    })
}

fn if_there<T>(path: &Path, result: io::Result<T>) -> Result<Option<T>, FileError> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        result => result.map(Some).map_err(FileError::of("read", path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(content: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("x.log");
        fs::write(&path, content).unwrap();
        (home, path)
    }

    #[test]
    fn the_last_lines_are_those_at_the_end() {
        let (_home, path) = log("one\ntwo\n\nfour\n");
        for (lines, expected) in [
            (0, &[][..]),
            (1, &["four"]),
            (2, &["", "four"]),
            (4, &["one", "two", "", "four"]),
            (9, &["one", "two", "", "four"]),
        ] {
            assert_eq!(last_lines(&path, lines).unwrap(), expected, "{lines}");
        }
        assert_eq!(last_lines_since(&path, 4, 9).unwrap(), ["two", "", "four"]);
        assert_eq!(last_lines_since(&path, 1000, 1).unwrap(), ["four"], "another, shorter log");
    }

    #[test]
    fn a_line_that_is_not_complete_is_a_line() {
        let (_home, path) = log("one\ntw");
        assert_eq!(last_lines(&path, 1).unwrap(), ["tw"]);
        assert_eq!(last_lines(&path, 2).unwrap(), ["one", "tw"]);
    }

    #[test]
    fn of_a_large_log_only_the_end_is_read_and_no_line_is_cut() {
        let (_home, path) = log(&"0123456\n".repeat((MAX_TAIL / 8 + 1000) as usize));
        let lines = last_lines(&path, usize::MAX).unwrap();
        // The last 1 MiB begins with a whole line here, which cannot be known.
        assert_eq!(lines.len() as u64, MAX_TAIL / 8 - 1);
        assert!(lines.iter().all(|line| line == "0123456"));
        assert_eq!(read(&path).unwrap().len() as u64, MAX_TAIL + 8000);
    }

    #[test]
    fn a_workload_that_never_ran_has_an_empty_log() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("x.log");
        assert_eq!(read(&path).unwrap(), "");
        assert_eq!(last_lines(&path, 5).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn bytes_that_are_no_text_do_not_hide_the_rest() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("x.log");
        fs::write(&path, b"a\xffb\nc\n").unwrap();
        assert_eq!(last_lines(&path, 2).unwrap(), ["a\u{fffd}b", "c"]);
    }
}
