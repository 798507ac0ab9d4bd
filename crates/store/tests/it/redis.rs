//! Rows in real Redis servers.

mod cluster;
mod conditions;
mod contract;
mod events;
mod faults;
mod lost_answers;
mod lost_store;
mod sentinel;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use thv_store::StoreError;
use thv_store::redis::{self, Credentials, Endpoint, RedisRows, RedisSettings, SentinelSettings, Topology};
use thv_store::rows::{Row, RowKey};
use thv_store::table::{Kind, Version};
use thv_testkit::redis::{MASTER_NAME, RedisCluster, RedisSentinel};

use crate::support::later;

fn endpoint(addr: SocketAddr) -> Endpoint {
    Endpoint::new(addr.ip().to_string(), addr.port())
}

fn standalone(addr: SocketAddr) -> RedisSettings {
    RedisSettings::new(Topology::Standalone { addr: endpoint(addr), db: 0 })
}

fn cluster(cluster: &RedisCluster) -> RedisSettings {
    // The others are found.
    RedisSettings::new(Topology::Cluster { addrs: vec![endpoint(cluster.masters[0].addr())] })
}

fn sentinel(sentinel: &RedisSentinel, credentials: Option<Credentials>) -> RedisSettings {
    RedisSettings::new(Topology::Sentinel(SentinelSettings {
        master_name: MASTER_NAME.to_owned(),
        addrs: sentinel.addrs().into_iter().map(endpoint).collect(),
        db: 0,
        credentials,
        tls: None,
    }))
}

fn credentials(password: &str) -> Credentials {
    Credentials { username: Some("thv".to_owned()), password: password.into() }
}

/// Prefixes that begin with `thv:` and differ, so that each is an empty store.
fn fresh(settings: &RedisSettings) -> RedisSettings {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    RedisSettings { key_prefix: format!("thv:{number}:"), ..settings.clone() }
}

fn connect(settings: RedisSettings) -> Arc<RedisRows> {
    Arc::new(redis::connect(settings).unwrap())
}

fn key(number: u8) -> RowKey {
    RowKey { kind: Kind::Grant, hash: [number; 32] }
}

/// A row in a state of its own.
fn row() -> Row {
    let version = Version(thv_jose::random::bytes());
    Row { version, until: later(3600), value: version.0.to_vec() }
}

/// What an operator reads about an error.
fn chain(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

/// Short waiting times.
fn impatient(settings: RedisSettings) -> RedisSettings {
    let short = Duration::from_millis(300);
    RedisSettings { dial_timeout: short, read_timeout: short, write_timeout: short, ..settings }
}
