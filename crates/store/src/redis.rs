//! Rows in Redis or Valkey: one server, a master behind Sentinels, or a cluster.
//!
//! A row is one key with a time to live (but the store's own secret has none, so that only an `allkeys-*` policy could evict
//! it), and every operation is one command on it: a read, or a conditional write or removal in
//! a script, which Redis carries out atomically. Keys are spread over a cluster one by one. Nothing is ever searched.
//!
//! Nothing is connected until the first operation. A broken connection is replaced; while a server keeps failing, requests to it
//! fail at once ([`BreakerState`]) and one at a time tries whether it is back.
//!
//! # What a write means
//!
//! A write whose answer is lost is an error: whether it happened is unknown. A conditional write or removal is repeated once
//! when the connection broke, because the row's version tells whether the first attempt was carried out; where it does not tell,
//! it is an error too.
//!
//! Redis replicates after it has answered. With [`RedisSettings::replica_acks`] at 0 a failover can lose the latest acknowledged
//! writes; with 1 or more it cannot as long as one of the replicas that confirmed is promoted, and Sentinel and Cluster prefer
//! those that have most. (A read may still see a write that is not confirmed yet.) Set `min-replicas-to-write` alike: then a
//! server without replicas refuses at once what it would otherwise make each write wait for.
//!
//! # What Redis must allow
//!
//! Redis 6.2 or later, or Valkey; `maxmemory-policy noeviction`; and for an ACL user with the prefix `thv:`
//!
//! ```text
//! ~thv:* &thv:* +get +set +getrange +del +eval +evalsha +publish +subscribe +ping
//! ```
//!
//! Further `+select` for a database other than 0, `+role` with Sentinels, `+cluster|slots` and `+asking` in a cluster, `+wait` if
//! replicas have to confirm. With `+info` a warning is logged when the server may evict rows. A user of the Sentinels needs
//! `+sentinel|get-master-addr-by-name`.

mod backoff;
mod breaker;
mod client;
mod cluster;
mod codec;
mod connection;
mod counters;
mod events;
mod fault;
mod lane;
mod node;
mod script;
mod sentinel;
mod settings;
mod stream;
mod tls;

use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ::redis::{Value, cmd};
use async_trait::async_trait;
use thv_clock::Timestamp;
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

pub use breaker::BreakerState;
pub use counters::RedisCounters;
pub use fault::{RedisFault, Refusal};
pub use settings::{
    ClientIdentity, Credentials, Endpoint, NotAnEndpoint, RedisSettings, SentinelSettings, TlsSettings,
    Topology, Trust,
};
pub use tls::RedisTlsError;

use crate::StoreError;
use crate::rows::{Announcement, Row, RowKey, Rows};
use crate::table::When;
use client::{Client, Command, Installation, Reply, Request};
use cluster::Cluster;
use connection::Dialer;
use counters::Counters;
use fault::Fault;
use node::{Node, Place, Wiring};
use sentinel::Sentinels;

/// How long announcing something may hold up its caller.
const ANNOUNCING: Duration = Duration::from_millis(500);

/// Rows in Redis.
pub struct RedisRows {
    client: Arc<Client>,
    key_prefix: String,
    listener: OnceLock<Listener>,
}

struct Listener {
    messages: broadcast::Sender<Announcement>,
    task: JoinHandle<()>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Rows in the Redis of `settings`. Nothing is connected yet, and Redis may be down.
///
/// # Errors
/// When certificates or keys for TLS cannot be used.
pub fn connect(settings: RedisSettings) -> Result<RedisRows, RedisTlsError> {
    let dialer = |tls: Option<&TlsSettings>, credentials, db| -> Result<Dialer, RedisTlsError> {
        Ok(Dialer {
            tls: tls.map(tls::connector).transpose()?,
            credentials,
            db,
            dial_timeout: settings.dial_timeout,
            read_timeout: settings.read_timeout,
            write_timeout: settings.write_timeout,
        })
    };
    let db = match &settings.topology {
        Topology::Standalone { db, .. } | Topology::Sentinel(SentinelSettings { db, .. }) => *db,
        Topology::Cluster { .. } => 0,
    };
    let wiring = Arc::new(Wiring {
        dialer: dialer(settings.tls.as_ref(), settings.credentials.clone(), db)?,
        counters: Counters::default(),
        warned_of_eviction: AtomicBool::new(false),
    });
    let single = |place| Installation::Single(Arc::new(Node::new(place, Arc::clone(&wiring))));
    let installation = match settings.topology {
        Topology::Standalone { addr, .. } => single(Place::Fixed(addr)),
        Topology::Cluster { addrs } => {
            Installation::Cluster(Arc::new(Cluster::new(addrs, Arc::clone(&wiring))))
        }
        Topology::Sentinel(sentinel) => single(Place::Master(Arc::new(Sentinels {
            master_name: sentinel.master_name,
            addrs: sentinel.addrs,
            dialer: dialer(sentinel.tls.as_ref(), sentinel.credentials, 0)?,
            preferred: AtomicUsize::new(0),
        }))),
    };
    let client = Arc::new(Client { installation, wiring, replica_acks: settings.replica_acks });
    Ok(RedisRows { client, key_prefix: settings.key_prefix, listener: OnceLock::new() })
}

impl RedisRows {
    /// What has been counted since the start.
    pub fn counters(&self) -> RedisCounters {
        self.client.wiring.counters.read()
    }

    /// What the circuit breaker does; in a cluster the worst of its nodes'.
    pub fn breaker_state(&self) -> BreakerState {
        self.client.breaker_state()
    }

    fn channel(&self) -> String {
        format!("{}events", self.key_prefix)
    }

    /// Does a conditional step.
    async fn step(&self, key: &str, command: Command<'_>, repeatable: bool) -> Result<bool, StoreError> {
        let request = Request { key, command, writes: true, repeatable };
        let reply = self.client.send(&request).await.map_err(unavailable)?;
        match reply.value {
            Value::Int(1) => Ok(true),
            // Either it never held, or an attempt whose answer was lost made it so.
            Value::Int(0) if reply.repeated => Err(unavailable(reply.unknown())),
            Value::Int(0) => Ok(false),
            _ => Err(unavailable(reply.unexpected("EVALSHA"))),
        }
    }
}

fn unavailable(fault: Fault) -> StoreError {
    StoreError::Unavailable(Box::new(fault))
}

fn decimal(number: u64) -> Vec<u8> {
    number.to_string().into_bytes()
}

#[async_trait]
impl Rows for RedisRows {
    async fn load(&self, key: &RowKey, now: Timestamp) -> Result<Option<Row>, StoreError> {
        let name = codec::key(&self.key_prefix, key);
        let mut command = cmd("GET");
        command.arg(&name);
        let request =
            Request { key: &name, command: Command::Plain(command), writes: false, repeatable: true };
        let reply = self.client.send(&request).await.map_err(unavailable)?;
        match &reply.value {
            Value::Nil => Ok(None),
            Value::BulkString(bytes) => match codec::decode(bytes) {
                Some(row) => Ok(Some(row).filter(|row| row.until > now)),
                None => Err(StoreError::Unreadable {
                    noun: key.kind.as_str(),
                    source: Box::from("its value in redis is too short to be a row"),
                }),
            },
            _ => Err(unavailable(reply.unexpected("GET"))),
        }
    }

    async fn write(&self, key: &RowKey, row: Row, when: When, now: Timestamp) -> Result<bool, StoreError> {
        let name = codec::key(&self.key_prefix, key);
        let ttl = codec::ttl_millis(row.until, now);
        let value = codec::encode(&row);
        let expected = match when {
            When::Always => return self.put(&name, &value, ttl).await,
            When::Absent => Vec::new(),
            When::Is(version) => version.0.to_vec(),
        };
        let ttl = ttl.map_or_else(Vec::new, decimal);
        let arguments = vec![expected, decimal(now.as_millis()), value, ttl];
        self.step(&name, Command::Script(&script::WRITE, arguments), true).await
    }

    async fn remove(&self, key: &RowKey, when: When, now: Timestamp) -> Result<bool, StoreError> {
        let name = codec::key(&self.key_prefix, key);
        let (expected, repeatable) = match when {
            When::Absent => return Ok(false),
            When::Is(version) => (version.0.to_vec(), true),
            // Done twice it might remove what another has written meanwhile.
            When::Always => (Vec::new(), false),
        };
        let arguments = vec![expected, decimal(now.as_millis())];
        self.step(&name, Command::Script(&script::REMOVE, arguments), repeatable).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.client.ping().await.map_err(unavailable)
    }

    async fn announce(&self, message: Vec<u8>) {
        let channel = self.channel();
        let mut command = cmd("PUBLISH");
        command.arg(&channel).arg(message);
        let request =
            Request { key: &channel, command: Command::Plain(command), writes: false, repeatable: true };
        match tokio::time::timeout(ANNOUNCING, self.client.send(&request)).await {
            Ok(Ok(_)) => {}
            Ok(Err(fault)) => {
                let error: &dyn std::error::Error = &fault;
                tracing::debug!(error, "other replicas could not be told through redis");
            }
            Err(_) => tracing::debug!("other replicas could not be told through redis in time"),
        }
    }

    fn announcements(&self) -> Option<broadcast::Receiver<Announcement>> {
        let listener = self.listener.get_or_init(|| {
            let (messages, task) = events::listen(Arc::clone(&self.client), self.channel());
            Listener { messages, task }
        });
        Some(listener.messages.subscribe())
    }
}

impl RedisRows {
    /// Writes whatever is there. It is not repeated: done twice it might undo what another has written meanwhile.
    async fn put(&self, key: &str, value: &[u8], ttl: Option<u64>) -> Result<bool, StoreError> {
        let mut command = cmd("SET");
        command.arg(key).arg(value);
        if let Some(ttl) = ttl {
            command.arg("PX").arg(ttl);
        }
        let request = Request { key, command: Command::Plain(command), writes: true, repeatable: false };
        let reply: Reply = self.client.send(&request).await.map_err(unavailable)?;
        if reply.value == Value::Okay { Ok(true) } else { Err(unavailable(reply.unexpected("SET"))) }
    }
}
