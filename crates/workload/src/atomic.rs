//! Files that are there whole or not at all, for this user alone.
//!
//! The content goes into a temporary file in the same directory, to the disk, and then under its name; a power failure leaves
//! the old content or the new. What a killed writer leaves behind is removed by [`clean`].

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Pid, test_kill_process};

use crate::files::{FileError, names_in, private_parent, remove_if_there};

/// How temporary names end.
const SUFFIX: &str = ".tmp";

/// Makes a file have this content, in place of what it had. Makes the directory as well.
///
/// # Errors
/// The file cannot be written; the old content is still there then.
pub fn replace(path: &Path, content: &[u8]) -> Result<(), FileError> {
    through_temporary(path, content, |temporary| fs::rename(temporary, path).map(|()| true)).map(drop)
}

/// Makes a file with this content unless there is one, of whatever content; returns whether it was made. Of several processes
/// that try at once exactly one makes it.
///
/// # Errors
/// The file cannot be written.
pub fn create(path: &Path, content: &[u8]) -> Result<bool, FileError> {
    through_temporary(path, content, |temporary| match fs::hard_link(temporary, path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    })
}

/// Removes the temporary files of processes that are gone.
///
/// # Errors
/// The directory cannot be read, or a file in it cannot be removed.
pub fn clean(directory: &Path) -> Result<(), FileError> {
    let names = names_in(directory)?;
    let left_over = names.iter().filter(|name| writer(name).is_some_and(is_gone));
    left_over.map(|name| directory.join(name)).try_for_each(|path| remove_if_there(&path))
}

fn through_temporary(
    path: &Path,
    content: &[u8],
    put_in_place: impl FnOnce(&Path) -> io::Result<bool>,
) -> Result<bool, FileError> {
    private_parent(path)?;
    let temporary = temporary(path);
    let placed = write(&temporary, content).and_then(|()| put_in_place(&temporary));
    // Gone already after a rename.
    let removed = remove_if_there(&temporary);
    let placed = placed.and_then(|placed| sync_directory(path).map(|()| placed));
    let placed = placed.map_err(FileError::of("written", path))?;
    removed.map(|()| placed)
}

/// A name that no other write uses, of this process or another.
fn temporary(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}-{count}{SUFFIX}", std::process::id()))
}

/// Which process a temporary name belongs to.
fn writer(name: &str) -> Option<Pid> {
    let (_, process) = name.strip_prefix('.')?.strip_suffix(SUFFIX)?.rsplit_once('.')?;
    let (pid, _) = process.split_once('-')?;
    Pid::from_raw(pid.parse().ok()?)
}

fn is_gone(process: Pid) -> bool {
    test_kill_process(process) == Err(rustix::io::Errno::SRCH)
}

fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    // A file of this name can only be a killed writer's whose process number came round.
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// A new name is on the disk when its directory is.
fn sync_directory(file: &Path) -> io::Result<()> {
    file.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_write_replaces_the_content_and_leaves_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("a/b/file");
        replace(&file, b"one").unwrap();
        replace(&file, b"two").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"two");
        assert_eq!(names_in(file.parent().unwrap()).unwrap(), ["file"]);
    }

    #[test]
    fn files_and_directories_are_for_the_user_alone() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("a/b/file");
        replace(&file, b"").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&file), 0o600);
        assert_eq!((mode(&home.path().join("a")), mode(&home.path().join("a/b"))), (0o700, 0o700));
    }

    #[test]
    fn of_many_creators_one_wins_and_the_others_change_nothing() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("file");
        let made: Vec<String> = std::thread::scope(|scope| {
            let creators: Vec<_> = (0..8)
                .map(|number| number.to_string())
                .map(|content| scope.spawn(|| create(&file, content.as_bytes()).unwrap().then_some(content)))
                .collect();
            creators.into_iter().filter_map(|creator| creator.join().unwrap()).collect()
        });
        assert_eq!(made, [fs::read_to_string(&file).unwrap()]);
        assert_eq!(names_in(home.path()).unwrap(), ["file"]);
    }

    #[test]
    fn a_failed_write_keeps_the_old_file_and_names_it() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("file");
        // A directory that is not empty cannot be replaced by a file.
        fs::create_dir_all(file.join("old")).unwrap();
        let error = replace(&file, b"new").unwrap_err();
        assert_eq!((error.action, &error.path), ("written", &file));
        assert_eq!(names_in(home.path()).unwrap(), ["file"]);
    }

    #[test]
    fn cleaning_removes_what_dead_writers_left_and_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        let mut dead = Command::new("true").spawn().unwrap();
        dead.wait().unwrap();
        let of_the_dead = format!(".x.json.{}-0.tmp", dead.id());
        let of_the_living = format!(".x.json.{}-7.tmp", std::process::id());
        for name in [&of_the_dead, &of_the_living, "x.json", ".hidden.tmp"] {
            fs::write(home.path().join(name), "").unwrap();
        }
        clean(home.path()).unwrap();
        let mut expected = vec![of_the_living.as_str(), ".hidden.tmp", "x.json"];
        expected.sort_unstable();
        assert_eq!(names_in(home.path()).unwrap(), expected);
        clean(&home.path().join("missing")).unwrap();
    }
}
