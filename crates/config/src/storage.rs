//! Where the authorization server keeps its records: the block `authServer.storage`.

mod redis;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::secret_ref::SecretRef;
use crate::validate::Profile;

pub use redis::{
    AclUserConfig, RedisStorage, RedisTls, RedisTopology, SENTINEL_PORT, SentinelConfig, SentinelService,
};

/// File name of the SQLite database in the state directory.
const DATABASE: &str = "store.db";

/// The store of the authorization server. At most the block that belongs to its kind is present.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Storage {
    /// The kind of store; use [`kind`](Self::kind), which knows the default.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub storage_type: Option<StorageType>,
    /// Settings of type `sqlite`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sqlite: Option<SqliteStorage>,
    /// Settings of type `redis`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis: Option<RedisStorage>,
    /// Keys of at least 32 bytes that encrypt records at rest, at most 5. The first one encrypts; all decrypt. Without any,
    /// the keys are derived from `hmacSecretRefs`, or from the secret that the server keeps itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub encryption_key_secret_refs: Vec<SecretRef>,
}

impl Storage {
    /// The kind of store: as configured, else SQLite where users are served and memory in development.
    pub fn kind(&self, profile: Profile) -> StorageType {
        self.storage_type.unwrap_or(match profile {
            Profile::Production => StorageType::Sqlite,
            Profile::Development => StorageType::Memory,
        })
    }

    /// The SQLite database: `sqlite.path`, or `store.db` in the state directory.
    pub fn sqlite_path(&self, state_dir: &Path) -> PathBuf {
        let configured = self.sqlite.as_ref().and_then(|sqlite| sqlite.path.clone());
        configured.unwrap_or_else(|| state_dir.join(DATABASE))
    }

    /// When SQLite waits for the disk.
    pub fn synchronous(&self) -> Synchronous {
        self.sqlite.as_ref().map(|sqlite| sqlite.synchronous).unwrap_or_default()
    }
}

/// Kinds of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StorageType {
    /// In this process; users log in again after a restart.
    Memory,
    /// In a SQLite database: one server, restarts lose nothing.
    Sqlite,
    /// In Redis or Valkey: several servers share it.
    Redis,
}

impl StorageType {
    /// The name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Sqlite => "sqlite",
            Self::Redis => "redis",
        }
    }
}

/// Settings of type `sqlite`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct SqliteStorage {
    /// The database; `store.db` in the state directory when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// When a write waits for the disk.
    pub synchronous: Synchronous,
}

/// SQLite's `PRAGMA synchronous` with a write-ahead log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Synchronous {
    /// At checkpoints: a killed process loses nothing, a power failure may lose the latest writes.
    #[default]
    Normal,
    /// At every commit: a power failure loses nothing either.
    Full,
}
