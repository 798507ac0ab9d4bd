//! What `thv store` does to a SQLite store, by the configuration of the server that it belongs to.

use std::io;
use std::path::Path;

use thv_clock::{Clock, SystemClock};
use thv_config::storage::StorageType;
use thv_config::{Config, Problem, Problems, Profile};
use thv_store::sqlite::{SqliteError, SqliteSettings, admin};

pub use thv_jose::at_rest::KeyId;
pub use thv_store::sqlite::admin::{Check as StoreCheck, Count as StoreCount};

use crate::compose::{self, storage};
use crate::keys::{Keys, Unconfigured, state_dir};

/// Why a store cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum StoreAdminError {
    /// The configuration, or the keys that it refers to, cannot be used.
    #[error("the configuration cannot be used")]
    Configuration(#[from] Problems),
    /// The configured store is not a file.
    #[error("the store of this configuration is of type {0}: this command is for sqlite")]
    NotAFile(&'static str),
    /// The file.
    #[error(transparent)]
    Sqlite(#[from] SqliteError),
}

impl From<Problem> for StoreAdminError {
    fn from(problem: Problem) -> Self {
        Self::Configuration(problem.into())
    }
}

impl StoreAdminError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotAFile(_) => Some("use the tools of Redis itself; every record in it is sealed"),
            Self::Sqlite(SqliteError::Missing { .. }) => Some(
                "the server makes it when it first starts; see `authServer.storage.sqlite.path` and `stateDir`",
            ),
            Self::Configuration(_) | Self::Sqlite(_) => None,
        }
    }

    /// Whether whoever reads the output has seen enough.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Sqlite(SqliteError::Export(error)) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// The SQLite store of a server.
pub struct StoreFile {
    settings: SqliteSettings,
    keys: Keys,
}

impl StoreFile {
    /// The store of the server with this configuration.
    ///
    /// # Errors
    /// When it has none, or its keys cannot be read.
    pub fn of(config: &Config) -> Result<Self, StoreAdminError> {
        let missing = || Problem::error("authServer", "is not set: there is no store without it");
        let server = config.auth_server.as_ref().ok_or_else(missing)?;
        let kind = server.storage.kind(Profile::Production);
        if kind != StorageType::Sqlite {
            return Err(StoreAdminError::NotAFile(kind.as_str()));
        }
        let settings = storage::sqlite_settings(config, server)?;
        // Before the keys: a server that never ran has none yet, and they are not for us to make.
        if !settings.path.exists() {
            return Err(SqliteError::Missing { path: settings.path }.into());
        }
        let directory = state_dir(config).map_err(|error| compose::at("stateDir", &error))?;
        let keys = Keys::load(server, &Unconfigured::Keep(directory), SystemClock::shared())?;
        Ok(Self { settings, keys })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.settings.path
    }

    /// The keys that records can be read with, in their order; the first one seals.
    pub fn keys(&self) -> Vec<KeyId> {
        self.keys.at_rest().load().key_ids().collect()
    }

    /// Copies it to a new file, also while it is in use.
    ///
    /// # Errors
    /// When there is no store, or `to` exists or cannot be written.
    pub fn backup(&self, to: &Path) -> Result<(), StoreAdminError> {
        Ok(admin::backup(self.path(), to)?)
    }

    /// Checks the file, and whether every record can be read with the configured keys.
    ///
    /// # Errors
    /// When there is no store, or it cannot be read at all.
    pub fn check(&self) -> Result<StoreCheck, StoreAdminError> {
        Ok(admin::check(self.path(), &self.keys.at_rest().load(), SystemClock.now())?)
    }

    /// Writes its content as JSON lines without any secret. Returns the number of lines.
    ///
    /// # Errors
    /// When there is no store, or `out` cannot be written.
    pub fn export(&self, out: &mut dyn io::Write) -> Result<u64, StoreAdminError> {
        Ok(admin::export(self.path(), &self.keys.at_rest().load(), SystemClock.now(), out)?)
    }
}
