//! The directory of the store's files: read at any time, changed under one lock, each file as a whole or not at all.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::FileError;

/// The sealed secrets.
pub(crate) const SECRETS: &str = "secrets_encrypted";
/// The key of secrets without a password.
pub(crate) const KEY: &str = "secrets.key";
/// The word of the provider in use.
pub(crate) const PROVIDER: &str = "secrets_provider";
/// Its lock excludes other writers; it has no content and stays.
const LOCK: &str = "secrets_encrypted.lock";

/// The directory, which need not exist yet.
#[derive(Clone, Debug)]
pub(crate) struct Directory(PathBuf);

/// The right to change files, until it is dropped. The system takes it back from a process that ends in any way.
pub(crate) struct Locked<'a> {
    directory: &'a Directory,
    _lock: File,
}

impl Directory {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn has(&self, name: &str) -> Result<bool, FileError> {
        let path = self.file(name);
        path.try_exists().map_err(failed("look for", &path))
    }

    /// The content of a file, if there is one.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, FileError> {
        let path = self.file(name);
        match fs::read(&path) {
            Ok(content) => Ok(Some(Zeroizing::new(content))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(failed("read", &path)(source)),
        }
    }

    /// Makes the directory if need be, waits for other writers, and cleans up after one that was killed.
    pub(crate) fn lock(&self) -> Result<Locked<'_>, FileError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.0)
            .map_err(failed("create the directory", &self.0))?;
        let path = self.file(LOCK);
        let lock = private(OpenOptions::new().create(true).truncate(false))
            .open(&path)
            .and_then(|file| file.lock().map(|()| file))
            .map_err(failed("lock", &path))?;
        for name in [SECRETS, KEY, PROVIDER] {
            remove(&self.temporary(name))?;
        }
        Ok(Locked { directory: self, _lock: lock })
    }

    fn temporary(&self, name: &str) -> PathBuf {
        self.file(&format!("{name}.new"))
    }
}

impl Locked<'_> {
    /// Puts a file with this content in place of what was there; after a crash it is the old or the new one.
    pub(crate) fn replace(&self, name: &str, content: &[u8]) -> Result<(), FileError> {
        let (path, temporary) = (self.directory.file(name), self.directory.temporary(name));
        let written = private(OpenOptions::new().create_new(true))
            .open(&temporary)
            .and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&temporary, &path))
            .map_err(failed("write", &path));
        if written.is_err() {
            // The first error is the one to tell; what is left is cleaned up under the next lock.
            let _ = remove(&temporary);
        }
        written.and_then(|()| self.sync())
    }

    /// Removes a file, if it is there.
    pub(crate) fn remove(&self, name: &str) -> Result<(), FileError> {
        remove(&self.directory.file(name))?;
        self.sync()
    }

    /// Renamed and removed names last only when the directory itself is on the disk.
    fn sync(&self) -> Result<(), FileError> {
        let path = &self.directory.0;
        File::open(path)
            .and_then(|directory| directory.sync_all())
            .map_err(failed("write the directory", path))
    }
}

/// For a file that only its owner may read.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options.write(true).mode(0o600)
}

fn remove(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(source)),
        _ => Ok(()),
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError::Io { action, path, source }
}
