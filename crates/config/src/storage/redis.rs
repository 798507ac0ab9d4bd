//! Settings of a store in Redis or Valkey: the block `authServer.storage.redis`.

use serde::{Deserialize, Serialize};

use crate::duration::GoDuration;
use crate::secret_ref::SecretRef;

/// Port on which Sentinels listen unless told otherwise.
pub const SENTINEL_PORT: u16 = 26379;

/// How to reach Redis. Exactly one of [`addr`](Self::addr) and [`sentinel_config`](Self::sentinel_config) is present.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct RedisStorage {
    /// `host:port` of a single server, or of one node of a cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub addr: Option<String>,
    /// Whether [`addr`](Self::addr) is a node of a cluster; the other nodes are found through it.
    pub cluster_mode: bool,
    /// Database number of a single server.
    pub db: u32,
    /// The Sentinels that know the current master.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sentinel_config: Option<SentinelConfig>,
    /// Who this server is at Redis.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acl_user_config: Option<AclUserConfig>,
    /// Who this server is at the Sentinels; nobody when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sentinel_acl_user_config: Option<AclUserConfig>,
    /// TLS to Redis; plain text when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<RedisTls>,
    /// TLS to the Sentinels; plain text when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sentinel_tls: Option<RedisTls>,
    /// How long connecting may take.
    pub dial_timeout: GoDuration,
    /// How long an answer may take.
    pub read_timeout: GoDuration,
    /// How long sending a command may take.
    pub write_timeout: GoDuration,
    /// How many replicas must have a write before it counts; use [`acks`](Self::acks), which knows the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replica_acks: Option<u32>,
    /// Beginning of every key.
    pub key_prefix: String,
}

impl Default for RedisStorage {
    fn default() -> Self {
        Self {
            addr: None,
            cluster_mode: false,
            db: 0,
            sentinel_config: None,
            acl_user_config: None,
            sentinel_acl_user_config: None,
            tls: None,
            sentinel_tls: None,
            dial_timeout: GoDuration::from_secs(5),
            read_timeout: GoDuration::from_secs(3),
            write_timeout: GoDuration::from_secs(3),
            replica_acks: None,
            key_prefix: "thv:".to_owned(),
        }
    }
}

impl RedisStorage {
    /// How many replicas must have a write before it counts: as configured, else 1 where Sentinels may promote a replica at any
    /// time, and 0 elsewhere.
    pub fn acks(&self) -> u32 {
        self.replica_acks.unwrap_or(u32::from(self.sentinel_config.is_some()))
    }

    /// What to connect to. `None` only before validation.
    pub fn topology(&self) -> Option<RedisTopology<'_>> {
        match (&self.addr, &self.sentinel_config) {
            (Some(addr), None) if self.cluster_mode => Some(RedisTopology::Cluster { addr }),
            (Some(addr), None) => Some(RedisTopology::Standalone { addr, db: self.db }),
            (None, Some(sentinel)) => Some(RedisTopology::Sentinel(sentinel)),
            _ => None,
        }
    }
}

/// The shape of a Redis installation, for an exhaustive match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedisTopology<'a> {
    /// One server.
    Standalone {
        /// Its `host:port`.
        addr: &'a str,
        /// Database number.
        db: u32,
    },
    /// A cluster, known by one of its nodes.
    Cluster {
        /// The node's `host:port`.
        addr: &'a str,
    },
    /// A master and its replicas, watched by Sentinels.
    Sentinel(&'a SentinelConfig),
}

/// The Sentinels that know the current master.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct SentinelConfig {
    /// Name under which the Sentinels watch the master. Required.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub master_name: String,
    /// `host:port` of each Sentinel. At least one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sentinel_addrs: Vec<String>,
    /// The Kubernetes Service in front of the Sentinels, instead of their addresses. In Kubernetes resources only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sentinel_service: Option<SentinelService>,
    /// Database number at the master.
    pub db: u32,
}

/// A Kubernetes Service in front of Sentinels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct SentinelService {
    /// Name of the Service. Required.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its namespace; that of the resource when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Port of the Sentinels.
    pub port: u16,
}

impl Default for SentinelService {
    fn default() -> Self {
        Self { name: String::new(), namespace: None, port: SENTINEL_PORT }
    }
}

/// Credentials of an ACL user; without a name they are those of the user `default`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct AclUserConfig {
    /// Name of the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username_secret_ref: Option<SecretRef>,
    /// Password of the user. Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_secret_ref: Option<SecretRef>,
}

/// TLS to Redis or to its Sentinels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct RedisTls {
    /// Certificate authorities (PEM) that the server's certificate must come from; the system's and `egress.caBundle` when
    /// absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_cert_secret_ref: Option<SecretRef>,
    /// Certificate chain (PEM) that this server shows. Together with the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_cert_secret_ref: Option<SecretRef>,
    /// Private key (PEM) of that certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_key_secret_ref: Option<SecretRef>,
    /// Accepts whatever certificate the server shows. For test networks only.
    pub insecure_skip_verify: bool,
}
