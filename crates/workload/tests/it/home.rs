//! A user's directories, thrown away afterwards.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use secrecy::SecretString;
use tempfile::TempDir;
use thv_workload::store::Store;
use thv_workload::{Definition, Paths, WorkloadName};

/// The longest that anything here may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Home {
    directory: TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    /// The variables that lead other processes here.
    pub(crate) fn variables(&self) -> Vec<(&'static str, SecretString)> {
        ["XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR"]
            .map(|name| (name, self.below(name).to_str().unwrap().into()))
            .into()
    }

    fn below(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn paths(&self) -> Paths {
        Paths::from_env(|name| name.starts_with("XDG_").then(|| OsString::from(self.below(name)))).unwrap()
    }

    pub(crate) fn store(&self) -> Store {
        Store::new(self.paths())
    }
}

pub(crate) fn name(text: &str) -> WorkloadName {
    text.parse().unwrap()
}

pub(crate) fn remote(name: &str) -> Definition {
    Definition::remote(name.parse().unwrap(), "https://mcp.example.com/mcp")
}

/// Looks again and again; for what only other processes can change.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
