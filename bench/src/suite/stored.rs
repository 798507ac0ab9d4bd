//! `thv` on a store of a kind: the store, the configuration that names it, and the server.

use std::net::SocketAddr;

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::bed::{Bed, Server};
use super::subject;
use crate::error::{BenchError, During as _};
use crate::provider;
use crate::redis::Redis;

/// Kinds of stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// In the server's memory.
    Memory,
    /// In a SQLite database, which waits for the disk at checkpoints.
    SqliteNormal,
    /// In a SQLite database, which waits for the disk at every commit.
    SqliteFull,
    /// In a Redis server that writes nothing to disk.
    Redis,
}

impl Kind {
    /// What the report calls it.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::SqliteNormal => "sqlite",
            Self::SqliteFull => "sqlite full",
            Self::Redis => "redis",
        }
    }
}

/// Where requests end up.
pub(super) struct Surroundings {
    /// The MCP server.
    pub(super) backend: SocketAddr,
    /// Where users log in, and whose tokens the MCP server gets.
    pub(super) provider: SocketAddr,
}

/// A server on a store of its own. The fields go in their order: the server before what it works on.
pub(super) struct Stored {
    pub(super) server: Server,
    pub(super) redis: Option<Redis>,
    _dir: TempDir,
}

impl Stored {
    /// Starts the store, then the server; the latter by itself unless it has surroundings.
    ///
    /// # Errors
    /// When one of them does not start.
    pub(super) fn start(
        bed: &Bed<'_>,
        kind: Kind,
        surroundings: Option<&Surroundings>,
    ) -> Result<Self, BenchError> {
        let parent = bed.options.store_dir.clone().unwrap_or_else(std::env::temp_dir);
        let step = "making a directory for the store";
        let dir = tempfile::Builder::new().prefix("thv-bench-").tempdir_in(parent).during(step)?;
        let redis = (kind == Kind::Redis).then(|| bed.redis()).transpose()?;
        let sqlite = |synchronous| {
            let path = dir.path().join("store.db");
            json!({"type": "sqlite", "sqlite": {"path": path, "synchronous": synchronous}})
        };
        let storage = match (kind, &redis) {
            (Kind::SqliteNormal, _) => sqlite("normal"),
            (Kind::SqliteFull, _) => sqlite("full"),
            (_, Some(redis)) => {
                json!({"type": "redis", "redis": {"addr": redis.address().to_string()}})
            }
            (_, None) => json!({"type": "memory"}),
        };
        let mut auth_server = Map::from_iter([("storage".to_owned(), storage)]);
        if let Some(Surroundings { provider, .. }) = surroundings {
            auth_server.insert("upstreamProviders".to_owned(), json!([upstream(*provider)]));
        }
        let file = dir.path().join("thv.yaml");
        // JSON is YAML.
        let text = json!({"authServer": auth_server}).to_string();
        std::fs::write(&file, text).during("writing the configuration")?;
        let backend = surroundings.map(|surroundings| surroundings.backend);
        let server = subject::start_with(bed, backend, Some(&file))?.server;
        Ok(Self { server, redis, _dir: dir })
    }

    /// The process of the store, if it is one.
    pub(super) fn store_pid(&self) -> Option<u32> {
        self.redis.as_ref().map(Redis::pid)
    }
}

/// The provider as the configuration describes it.
fn upstream(provider: SocketAddr) -> Value {
    json!({
        "name": "bench",
        "type": "oauth2",
        "oauth2Config": {
            "authorizationEndpoint": format!("http://{provider}{}", provider::AUTHORIZATION_PATH),
            "tokenEndpoint": format!("http://{provider}{}", provider::TOKEN_PATH),
            "clientId": "bench",
            "identityFromToken": {"subjectPath": provider::SUBJECT},
        },
    })
}
