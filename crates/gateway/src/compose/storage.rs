//! Where the authorization server's records are.

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use thv_config::storage::{
    AclUserConfig, RedisStorage, RedisTls, RedisTopology, SentinelConfig, StorageType, Synchronous,
};
use thv_config::{AuthServer, Config, Problem, Profile, SecretRef};
use thv_store::redis::{
    ClientIdentity, Credentials, Endpoint, RedisSettings, SentinelSettings, TlsSettings, Topology, Trust,
};
use thv_store::rows::Rows;
use thv_store::sqlite::{self, SqliteRows, SqliteSettings};
use thv_store::{Stores, memory, redis, sealed};

use super::at;
use crate::keys::{Keys, state_dir};

const AT: &str = "authServer.storage";

/// The store that is configured.
pub(crate) struct Store {
    stores: Stores,
    sqlite: Option<Arc<SqliteRows>>,
    kind: StorageType,
    place: String,
}

impl Store {
    /// What it keeps.
    pub(crate) fn stores(&self) -> Stores {
        self.stores.clone()
    }

    /// What kind of store it is.
    pub(crate) fn kind(&self) -> StorageType {
        self.kind
    }

    /// The file or the addresses, without credentials.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// Writes what is left to be written. Nothing may be asked of the store afterwards.
    pub(crate) async fn close(&self) {
        if let Some(sqlite) = &self.sqlite {
            sqlite.close().await;
        }
    }
}

/// Whether the store is a file in the state directory.
pub(crate) fn is_in_state_dir(server: &AuthServer, profile: Profile) -> bool {
    let storage = &server.storage;
    let elsewhere = storage.sqlite.as_ref().is_some_and(|sqlite| sqlite.path.is_some());
    storage.kind(profile) == StorageType::Sqlite && !elsewhere
}

/// Opens the store. Redis is not connected yet, and may be down.
pub(super) fn open(
    config: &Config,
    server: &AuthServer,
    profile: Profile,
    keys: &Keys,
) -> Result<Store, Problem> {
    let kind = server.storage.kind(profile);
    let mut sqlite = None;
    let (rows, place): (Arc<dyn Rows>, String) = match kind {
        StorageType::Memory => {
            let stores = memory::stores(memory::Capacity::default());
            return Ok(Store { stores, sqlite, kind, place: "this process".to_owned() });
        }
        StorageType::Sqlite => {
            let settings = sqlite_settings(config, server)?;
            let rows = sqlite::open(&settings);
            let rows = Arc::new(rows.map_err(|error| at(&format!("{AT}.sqlite"), &error))?);
            sqlite = Some(Arc::clone(&rows));
            (rows, settings.path.display().to_string())
        }
        StorageType::Redis => {
            let settings = redis_settings(config, server)?;
            let place = addresses(&settings.topology);
            let rows = redis::connect(settings);
            (Arc::new(rows.map_err(|error| at(&format!("{AT}.redis.tls"), &error))?), place)
        }
    };
    Ok(Store { stores: sealed::stores(rows, keys.at_rest()), sqlite, kind, place })
}

fn addresses(topology: &Topology) -> String {
    let list = |addrs: &[Endpoint]| addrs.iter().map(Endpoint::to_string).collect::<Vec<_>>().join(", ");
    match topology {
        Topology::Standalone { addr, db } => format!("{addr}, database {db}"),
        Topology::Cluster { addrs } => format!("cluster at {}", list(addrs)),
        Topology::Sentinel(sentinel) => {
            format!("{} behind the Sentinels {}", sentinel.master_name, list(&sentinel.addrs))
        }
    }
}

/// The SQLite database of a configuration.
pub(crate) fn sqlite_settings(config: &Config, server: &AuthServer) -> Result<SqliteSettings, Problem> {
    let directory = state_dir(config);
    let path = match server.storage.sqlite.as_ref().and_then(|sqlite| sqlite.path.clone()) {
        Some(path) => path,
        None => server.storage.sqlite_path(&directory.map_err(|error| at("stateDir", &error))?),
    };
    let synchronous = match server.storage.synchronous() {
        Synchronous::Normal => sqlite::Synchronous::Normal,
        Synchronous::Full => sqlite::Synchronous::Full,
    };
    Ok(SqliteSettings { path, synchronous })
}

fn redis_settings(config: &Config, server: &AuthServer) -> Result<RedisSettings, Problem> {
    let missing = || Problem::error(format!("{AT}.redis"), "either addr or sentinelConfig is required");
    let configured = server.storage.redis.as_ref().ok_or_else(missing)?;
    let topology = match configured.topology().ok_or_else(missing)? {
        RedisTopology::Standalone { addr, db } => Topology::Standalone { addr: endpoint("addr", addr)?, db },
        RedisTopology::Cluster { addr } => Topology::Cluster { addrs: vec![endpoint("addr", addr)?] },
        RedisTopology::Sentinel(sentinel) => {
            Topology::Sentinel(sentinel_settings(config, configured, sentinel)?)
        }
    };
    Ok(RedisSettings {
        credentials: credentials("aclUserConfig", configured.acl_user_config.as_ref())?,
        tls: tls(config, "tls", configured.tls.as_ref())?,
        replica_acks: configured.acks(),
        key_prefix: configured.key_prefix.clone(),
        dial_timeout: configured.dial_timeout.get(),
        read_timeout: configured.read_timeout.get(),
        write_timeout: configured.write_timeout.get(),
        ..RedisSettings::new(topology)
    })
}

fn sentinel_settings(
    config: &Config,
    configured: &RedisStorage,
    sentinel: &SentinelConfig,
) -> Result<SentinelSettings, Problem> {
    let addrs = sentinel.sentinel_addrs.iter().map(|addr| endpoint("sentinelConfig.sentinelAddrs", addr));
    Ok(SentinelSettings {
        master_name: sentinel.master_name.clone(),
        addrs: addrs.collect::<Result<_, _>>()?,
        db: sentinel.db,
        credentials: credentials("sentinelAclUserConfig", configured.sentinel_acl_user_config.as_ref())?,
        tls: tls(config, "sentinelTls", configured.sentinel_tls.as_ref())?,
    })
}

fn endpoint(key: &str, addr: &str) -> Result<Endpoint, Problem> {
    addr.parse().map_err(|error| at(&format!("{AT}.redis.{key}"), &error))
}

fn credentials(key: &str, user: Option<&AclUserConfig>) -> Result<Option<Credentials>, Problem> {
    let Some(user) = user else { return Ok(None) };
    let username = text(&format!("{key}.usernameSecretRef"), user.username_secret_ref.as_ref())?;
    let password = text(&format!("{key}.passwordSecretRef"), user.password_secret_ref.as_ref())?;
    Ok(Some(Credentials {
        username: username.map(|name| name.expose_secret().to_owned()),
        password: password.unwrap_or_default(),
    }))
}

fn tls(config: &Config, key: &str, tls: Option<&RedisTls>) -> Result<Option<TlsSettings>, Problem> {
    let Some(tls) = tls else { return Ok(None) };
    let pem = |member: &str, reference| text(&format!("{key}.{member}"), reference);
    let trust = match pem("caCertSecretRef", tls.ca_cert_secret_ref.as_ref())? {
        _ if tls.insecure_skip_verify => Trust::Anything,
        Some(authorities) => Trust::Authorities(authorities.expose_secret().to_owned()),
        None => Trust::System { extra: ca_bundle(config)? },
    };
    let certificate = pem("clientCertSecretRef", tls.client_cert_secret_ref.as_ref())?;
    let private_key = pem("clientKeySecretRef", tls.client_key_secret_ref.as_ref())?;
    let identity = certificate.zip(private_key).map(|(certificate, key_pem)| ClientIdentity {
        cert_pem: certificate.expose_secret().to_owned(),
        key_pem,
    });
    Ok(Some(TlsSettings { trust, identity }))
}

fn ca_bundle(config: &Config) -> Result<Option<String>, Problem> {
    let file = config.egress.ca_bundle.as_deref();
    file.map(std::fs::read_to_string).transpose().map_err(|error| at("egress.caBundle", &error))
}

fn text(key: &str, reference: Option<&SecretRef>) -> Result<Option<SecretString>, Problem> {
    let text = reference.map(|reference| reference.resolve().and_then(|secret| secret.into_text()));
    text.transpose().map_err(|error| at(&format!("{AT}.redis.{key}"), &error))
}

#[cfg(test)]
mod tests;
