//! What a store is opened with.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use secrecy::SecretString;

use crate::Choice;

/// What a [`SecretStore`](crate::SecretStore) is opened with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The provider that the user asked for.
    pub choice: Choice,
    /// Directory of `secrets_encrypted`, `secrets.key`, `secrets_provider` and the lock file; made when something is stored.
    pub dir: PathBuf,
    /// Password of the encrypted file, from `TOOLHIVE_SECRETS_PASSWORD`. An empty one is none.
    pub password: Option<SecretString>,
    /// The environment variables.
    pub environment: Variables,
}

/// A look-up of environment variables, so that tests need not change those of the process.
#[derive(Clone)]
pub struct Variables(Arc<LookUp>);

type LookUp = dyn Fn(&str) -> Option<OsString> + Send + Sync;

impl Variables {
    /// Those of this process.
    pub fn of_process() -> Self {
        Self::new(|name| std::env::var_os(name))
    }

    /// Those that `look_up` knows. The session bus is found by way of the process's own all the same.
    pub fn new(look_up: impl Fn(&str) -> Option<OsString> + Send + Sync + 'static) -> Self {
        Self(Arc::new(look_up))
    }

    /// The value of a variable; an empty one is as good as none.
    pub(crate) fn get(&self, name: &str) -> Option<OsString> {
        (self.0)(name).filter(|value| !value.is_empty())
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Variables(..)")
    }
}
