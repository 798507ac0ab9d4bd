//! What every file here has in common.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A file or directory that could not be used.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be {action}", path.display())]
pub struct FileError {
    /// What was to be done: `read`, `written`.
    pub action: &'static str,
    /// Which file.
    pub path: PathBuf,
    /// What the system says.
    #[source]
    pub source: io::Error,
}

impl FileError {
    pub(crate) fn of<'a>(action: &'static str, path: &'a Path) -> impl Fn(io::Error) -> Self + 'a {
        move |source| Self { action, path: path.to_owned(), source }
    }
}

/// Makes a directory, and those above it that are missing, for this user alone.
pub(crate) fn private_directory(path: &Path) -> Result<(), FileError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(FileError::of("created", path))
}

/// Makes sure of a directory that nobody but this user can enter: whoever can, takes locks and connects to sockets in it. One
/// that is this user's and open to others is closed.
///
/// # Errors
/// It is another user's, or cannot be made.
pub(crate) fn guarded_directory(path: &Path) -> Result<(), FileError> {
    private_directory(path)?;
    let guard = || {
        let directory = File::open(path)?;
        let (metadata, own) = (directory.metadata()?, rustix::process::geteuid().as_raw());
        if metadata.uid() != own {
            let why = format!(
                "it belongs to the user {} and not to {own}, who runs this; remove it or give it to {own}",
                metadata.uid()
            );
            return Err(io::Error::new(ErrorKind::PermissionDenied, why));
        }
        if metadata.mode() & 0o077 == 0 {
            return Ok(());
        }
        directory.set_permissions(fs::Permissions::from_mode(0o700))
    };
    guard().map_err(FileError::of("used", path))
}

/// Makes the directory that a file is in.
pub(crate) fn private_parent(file: &Path) -> Result<(), FileError> {
    file.parent().map_or(Ok(()), private_directory)
}

/// Whether the path still leads to the file that was opened: it may have been removed or replaced since.
pub(crate) fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let opened = file.metadata()?;
    match fs::metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (opened.dev(), opened.ino())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// The content of a file, if there is one.
pub(crate) fn read_if_there(path: &Path) -> Result<Option<String>, FileError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(FileError::of("read", path)(error)),
    }
}

/// Removes a file; that there is none is fine.
pub(crate) fn remove_if_there(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(FileError::of("removed", path)(error)),
        _ => Ok(()),
    }
}

/// The names of what is in a directory, sorted; none when there is no directory. Names that are no UTF-8 are not ours.
pub(crate) fn names_in(directory: &Path) -> Result<Vec<String>, FileError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(FileError::of("read", directory)(error)),
    };
    let names: io::Result<Vec<_>> = entries.map(|entry| entry.map(|entry| entry.file_name())).collect();
    let names = names.map_err(FileError::of("read", directory))?;
    let mut names: Vec<String> = names.into_iter().filter_map(|name| name.into_string().ok()).collect();
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn a_directory_that_is_open_to_others_is_closed() {
        let home = tempfile::tempdir().unwrap();
        let open = home.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        guarded_directory(&open).unwrap();
        assert_eq!(mode(&open), 0o700);
        let new = home.path().join("a/b");
        guarded_directory(&new).unwrap();
        assert_eq!(mode(&new), 0o700);
    }

    #[test]
    fn a_directory_of_another_user_is_refused_and_left_alone() {
        let home = tempfile::tempdir().unwrap();
        let foreign = match rustix::process::geteuid().is_root() {
            true => {
                std::os::unix::fs::chown(home.path(), Some(1), None).unwrap();
                home.path()
            }
            false => Path::new("/usr"),
        };
        let before = mode(foreign);
        let error = guarded_directory(foreign).unwrap_err();
        assert_eq!((error.action, error.path.as_path()), ("used", foreign));
        assert!(error.source.to_string().contains("it belongs to the user"), "{}", error.source);
        assert_eq!(mode(foreign), before);
    }
}
