//! How to reach Redis.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use secrecy::SecretString;

/// How to reach Redis, and how long to wait for it.
#[derive(Clone, Debug)]
pub struct RedisSettings {
    /// The shape of the installation.
    pub topology: Topology,
    /// Who we are there; the user `default` without a password when absent.
    pub credentials: Option<Credentials>,
    /// TLS to the servers; plain text when absent.
    pub tls: Option<TlsSettings>,
    /// Beginning of every key and of the channel. Braces in it tie all rows to one slot of a cluster: leave them out.
    pub key_prefix: String,
    /// How long connecting may take, with the TLS handshake and the login.
    pub dial_timeout: Duration,
    /// How long an answer may take.
    pub read_timeout: Duration,
    /// How long the network may refuse to take a command.
    pub write_timeout: Duration,
    /// How many replicas must have a write before it is acknowledged (`WAIT`). With 0 a failover may lose the latest writes,
    /// as Redis replicates them later. Writes are unavailable while there are fewer replicas: give the server the same
    /// `min-replicas-to-write`, so that it says so at once.
    pub replica_acks: u32,
}

impl RedisSettings {
    /// The usual waiting times: 5 s to connect, 3 s to read and to write. No credentials, no TLS, prefix `thv:`.
    pub fn new(topology: Topology) -> Self {
        Self {
            topology,
            credentials: None,
            tls: None,
            key_prefix: "thv:".to_owned(),
            dial_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(3),
            write_timeout: Duration::from_secs(3),
            replica_acks: 0,
        }
    }
}

/// The shape of a Redis installation.
#[derive(Clone, Debug)]
pub enum Topology {
    /// One server.
    Standalone {
        /// Where it listens.
        addr: Endpoint,
        /// Database number.
        db: u32,
    },
    /// A cluster, found through any of these nodes.
    Cluster {
        /// Nodes to begin with. At least one.
        addrs: Vec<Endpoint>,
    },
    /// A master and its replicas, watched by Sentinels.
    Sentinel(SentinelSettings),
}

/// How to find the master through Sentinels.
#[derive(Clone, Debug)]
pub struct SentinelSettings {
    /// Name under which the Sentinels watch the master.
    pub master_name: String,
    /// The Sentinels. At least one.
    pub addrs: Vec<Endpoint>,
    /// Database number at the master.
    pub db: u32,
    /// Who we are at the Sentinels; nobody when absent.
    pub credentials: Option<Credentials>,
    /// TLS to the Sentinels; plain text when absent.
    pub tls: Option<TlsSettings>,
}

/// Credentials of an ACL user.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Name of the user; `default` when absent.
    pub username: Option<String>,
    /// The password.
    pub password: SecretString,
}

/// TLS towards Redis or the Sentinels.
#[derive(Clone, Debug)]
pub struct TlsSettings {
    /// Whom to trust.
    pub trust: Trust,
    /// What to show when the server asks for a certificate.
    pub identity: Option<ClientIdentity>,
}

/// Which certificates of servers are accepted.
#[derive(Clone, Debug)]
pub enum Trust {
    /// Those of the system's authorities and of further ones (PEM).
    System {
        /// Further authorities, PEM.
        extra: Option<String>,
    },
    /// Those of these authorities (PEM) only.
    Authorities(String),
    /// Any. For test networks only.
    Anything,
}

/// A client certificate.
#[derive(Clone, Debug)]
pub struct ClientIdentity {
    /// The chain, PEM.
    pub cert_pem: String,
    /// Its private key, PEM.
    pub key_pem: SecretString,
}

/// A host name or address, and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl Endpoint {
    /// From its parts.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A text is not `host:port`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an address of the form host:port")]
pub struct NotAnEndpoint(String);

impl FromStr for Endpoint {
    type Err = NotAnEndpoint;

    /// Reads `host:port`; an IPv6 address may stand in brackets.
    fn from_str(text: &str) -> Result<Self, NotAnEndpoint> {
        let refuse = || NotAnEndpoint(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(refuse)?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let port = port.parse().map_err(|_| refuse())?;
        if host.is_empty() || port == 0 { Err(refuse()) } else { Ok(Self::new(host, port)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_a_host_and_a_port() {
        assert_eq!("redis.svc:6379".parse(), Ok(Endpoint::new("redis.svc", 6379)));
        assert_eq!("[::1]:6379".parse(), Ok(Endpoint::new("::1", 6379)));
        for text in ["redis", "redis:", ":6379", "redis:0", "redis:70000"] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
        assert_eq!(Endpoint::new("::1", 6379).to_string(), "[::1]:6379");
    }

    #[test]
    fn passwords_and_keys_are_not_shown() {
        let mut settings =
            RedisSettings::new(Topology::Standalone { addr: Endpoint::new("redis", 6379), db: 0 });
        settings.credentials =
            Some(Credentials { username: Some("thv".to_owned()), password: "planted".to_owned().into() });
        settings.tls = Some(TlsSettings {
            trust: Trust::Anything,
            identity: Some(ClientIdentity { cert_pem: String::new(), key_pem: "planted".to_owned().into() }),
        });
        assert!(!format!("{settings:?}").contains("planted"));
    }
}
