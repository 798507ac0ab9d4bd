//! Files that are read again when they change.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How often watched files are looked at.
pub const INTERVAL: Duration = Duration::from_secs(5);

/// A set of files and how they looked last time.
///
/// Modification time and length are compared, through symbolic links: the way Kubernetes swaps the files of a mounted
/// Secret shows as a new modification time.
#[derive(Debug)]
pub struct Watched {
    files: Vec<(PathBuf, Look)>,
}

type Look = Option<(SystemTime, u64)>;

impl Watched {
    /// Watches these files from now on.
    pub fn new(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        let files = paths.into_iter().map(|path| {
            let look = look(&path);
            (path, look)
        });
        Self { files: files.collect() }
    }

    /// Whether there is anything to watch.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Whether any file looks different from last time. Blocks on the file system.
    pub fn changed(&mut self) -> bool {
        let mut changed = false;
        for (path, before) in &mut self.files {
            let now = look(path);
            changed |= now != *before;
            *before = now;
        }
        changed
    }
}

fn look(path: &Path) -> Look {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_reported_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.pem");
        fs::write(&path, "one").unwrap();
        let mut watched = Watched::new([path.clone()]);
        assert!(!watched.changed());
        fs::write(&path, "longer").unwrap();
        assert!(watched.changed());
        assert!(!watched.changed());
        fs::remove_file(&path).unwrap();
        assert!(watched.changed());
    }
}
