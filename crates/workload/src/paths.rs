//! Where things are: the XDG Base Directory Specification's places.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use thv_jose::digest::{base64url, sha256};

use crate::name::WorkloadName;

const OURS: &str = "toolhive";

/// Why there is no place for files.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathsError {
    /// No home directory, and not all of the variables that would do instead.
    #[error("{variable} is not an absolute path and HOME is none either; set HOME to your home directory")]
    NoHome {
        /// The variable that would have been used first.
        variable: &'static str,
    },
}

/// The places of everything that is kept on this machine. Nothing is created by asking for a path; directories are made, for
/// this user alone, by what writes into them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    config: PathBuf,
    state: PathBuf,
    data: PathBuf,
}

impl Paths {
    /// The places that an environment names; `lookup` is usually [`std::env::var_os`]. A relative path in a variable is
    /// ignored, as the specification demands.
    ///
    /// # Errors
    /// `HOME` is needed and is not an absolute path.
    pub fn from_env(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Self, PathsError> {
        let absolute = |name: &str| lookup(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let base = |variable: &'static str, below_home: &str| {
            absolute(variable)
                .or_else(|| absolute("HOME").map(|home| home.join(below_home)))
                .map(|base| base.join(OURS))
                .ok_or(PathsError::NoHome { variable })
        };
        Ok(Self {
            config: base("XDG_CONFIG_HOME", ".config")?,
            state: base("XDG_STATE_HOME", ".local/state")?,
            data: base("XDG_DATA_HOME", ".local/share")?,
        })
    }

    /// The [settings](crate::Settings): `config.yaml`.
    pub fn settings(&self) -> PathBuf {
        self.config.join("config.yaml")
    }

    /// The directory of all definitions.
    pub fn definitions(&self) -> PathBuf {
        self.state.join("runconfigs")
    }

    /// A workload's [definition](crate::Definition).
    pub fn definition(&self, name: &WorkloadName) -> PathBuf {
        self.definitions().join(format!("{name}.json"))
    }

    /// A workload's [status](crate::Status).
    pub fn status(&self, name: &WorkloadName) -> PathBuf {
        self.data.join("statuses").join(format!("{name}.json"))
    }

    /// A workload's [run lock](crate::RunLock).
    ///
    /// It is beside the status and not in `XDG_RUNTIME_DIR`: that directory is emptied when the user logs out, which a
    /// workload survives, and it is not set in every session (`cron`, `su`). In both cases a second process would not see
    /// the first one's lock.
    pub fn lock(&self, name: &WorkloadName) -> PathBuf {
        self.data.join("statuses").join(format!("{name}.lock"))
    }

    /// The lock of whoever changes a workload's login.
    pub fn login_lock(&self, name: &WorkloadName) -> PathBuf {
        self.data.join("logins").join(format!("{name}.lock"))
    }

    /// The directory of all logs.
    pub fn logs(&self) -> PathBuf {
        self.data.join("logs")
    }

    /// What a workload's process prints; see [`logs`](crate::logs).
    pub fn log(&self, name: &WorkloadName) -> PathBuf {
        self.logs().join(format!("{name}.log"))
    }

    /// The directory in which secrets are kept.
    pub fn secrets(&self) -> &Path {
        &self.data
    }

    /// A workload's socket for requests from the same user. It is not in `XDG_RUNTIME_DIR` for the reason of
    /// [`lock`](Self::lock), and its name is short however long the workload's is: the system takes 107 bytes at most.
    pub fn socket(&self, name: &WorkloadName) -> PathBuf {
        self.data.join("run").join(format!("{}.sock", short(name.as_str())))
    }

    /// The directory in which processes that wait for a login share the port of the redirect URI: one for all sessions of
    /// the user, who has one port 8666 only.
    pub fn callbacks(&self) -> PathBuf {
        self.data.join("callbacks")
    }

    /// The lock of whoever has a browser open for the server at `server_url`.
    pub fn browser_lock(&self, server_url: &str) -> PathBuf {
        self.callbacks().join(format!("browser-{}.lock", short(server_url)))
    }
}

/// A name of 16 characters that tells nothing of what it stands for.
fn short(text: &str) -> String {
    base64url(sha256(text.as_bytes()).get(..12).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(variables: &[(&str, &str)]) -> Result<Paths, PathsError> {
        Paths::from_env(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
        })
    }

    fn name() -> WorkloadName {
        "w".parse().unwrap()
    }

    #[test]
    fn each_kind_of_file_follows_its_variable() {
        let paths = paths(&[
            ("XDG_CONFIG_HOME", "/c"),
            ("XDG_STATE_HOME", "/s"),
            ("XDG_DATA_HOME", "/d"),
            ("XDG_RUNTIME_DIR", "/r"),
        ])
        .unwrap();
        for (found, expected) in [
            (paths.settings(), "/c/toolhive/config.yaml"),
            (paths.definition(&name()), "/s/toolhive/runconfigs/w.json"),
            (paths.status(&name()), "/d/toolhive/statuses/w.json"),
            (paths.lock(&name()), "/d/toolhive/statuses/w.lock"),
            (paths.login_lock(&name()), "/d/toolhive/logins/w.lock"),
            (paths.log(&name()), "/d/toolhive/logs/w.log"),
            (paths.secrets().to_owned(), "/d/toolhive"),
            (paths.callbacks(), "/d/toolhive/callbacks"),
        ] {
            assert_eq!(found, Path::new(expected));
        }
    }

    #[test]
    fn without_variables_everything_is_below_home() {
        let paths = paths(&[("HOME", "/home/ann")]).unwrap();
        assert_eq!(paths.settings(), Path::new("/home/ann/.config/toolhive/config.yaml"));
        assert_eq!(paths.definitions(), Path::new("/home/ann/.local/state/toolhive/runconfigs"));
        assert_eq!(paths.logs(), Path::new("/home/ann/.local/share/toolhive/logs"));
    }

    #[test]
    fn nothing_is_where_a_logout_removes_it() {
        let inside = paths(&[("HOME", "/h"), ("XDG_RUNTIME_DIR", "/run/user/7")]).unwrap();
        assert_eq!(inside, paths(&[("HOME", "/h")]).unwrap());
        assert!(inside.socket(&name()).starts_with("/h/.local/share/toolhive/run"));
    }

    #[test]
    fn the_longest_name_leaves_room_in_the_address_of_a_socket() {
        let paths = paths(&[("HOME", "/home/a-user-whose-name-has-32-letters")]).unwrap();
        let longest: WorkloadName = "n".repeat(63).parse().unwrap();
        assert!(paths.socket(&longest).as_os_str().len() < 108);
        assert_ne!(paths.socket(&longest), paths.socket(&name()));
    }

    #[test]
    fn a_relative_or_empty_variable_is_ignored() {
        let paths = paths(&[("HOME", "/h"), ("XDG_STATE_HOME", "state"), ("XDG_DATA_HOME", "")]).unwrap();
        assert_eq!(paths.definitions(), Path::new("/h/.local/state/toolhive/runconfigs"));
        assert_eq!(paths.logs(), Path::new("/h/.local/share/toolhive/logs"));
    }

    #[test]
    fn a_missing_home_matters_only_where_it_is_needed() {
        let all = [("XDG_CONFIG_HOME", "/c"), ("XDG_STATE_HOME", "/s"), ("XDG_DATA_HOME", "/d")];
        assert!(paths(&all).is_ok());
        assert_eq!(paths(&all[..2]), Err(PathsError::NoHome { variable: "XDG_DATA_HOME" }));
        let relative = paths(&[("HOME", "home")]).unwrap_err().to_string();
        assert!(relative.contains("set HOME"), "{relative}");
    }
}
