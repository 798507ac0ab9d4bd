//! What can go wrong with Redis, so that an operator can tell what to do.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// A fault that several callers may share.
pub(super) type Fault = Arc<RedisFault>;

/// Why Redis did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisFault {
    /// No connection.
    #[error("redis at {host} cannot be reached")]
    Connect {
        /// The server.
        host: String,
        /// What the system or TLS said.
        #[source]
        source: io::Error,
    },
    /// No connection in time.
    #[error("redis at {host} did not accept a connection and a login within {} ms", .after.as_millis())]
    ConnectTimeout {
        /// The server.
        host: String,
        /// The dial timeout.
        after: Duration,
    },
    /// The connection ended.
    #[error("the connection to redis at {host} broke")]
    Broken {
        /// The server.
        host: String,
        /// What was noticed.
        #[source]
        source: ::redis::RedisError,
    },
    /// No answer in time.
    #[error("redis at {host} did not answer within {} ms", .after.as_millis())]
    Timeout {
        /// The server.
        host: String,
        /// The time that it had.
        after: Duration,
    },
    /// The server refused.
    #[error("redis at {host} refused: {refusal}")]
    Refused {
        /// The server.
        host: String,
        /// Why.
        refusal: Refusal,
    },
    /// The server said something that is not understood.
    #[error("redis at {host} gave an answer to {command} that is not understood")]
    Unexpected {
        /// The server.
        host: String,
        /// What it was asked.
        command: &'static str,
    },
    /// The server is left alone for a while.
    #[error("redis at {host} has failed repeatedly and is left alone for {} ms more", .retry_in.as_millis())]
    Resting {
        /// The server.
        host: String,
        /// Until it is tried again.
        retry_in: Duration,
        /// The latest failure.
        #[source]
        latest: Fault,
    },
    /// The connection ended while something that must not be repeated was on its way.
    #[error("the connection broke during a write, and it is unknown whether redis did it")]
    Unknown {
        /// How it ended.
        #[source]
        source: Fault,
    },
    /// Fewer replicas than wanted have a write.
    #[error(
        "redis at {host} wrote, but {confirmed} of {wanted} replicas confirmed in time; see that its replicas are connected"
    )]
    Unreplicated {
        /// The server.
        host: String,
        /// Replicas that have the write.
        confirmed: i64,
        /// Replicas that should.
        wanted: u32,
    },
    /// No Sentinel helped.
    #[error("no sentinel of {sentinels} names a master {master_name}")]
    NoMaster {
        /// Name of the master.
        master_name: String,
        /// Who was asked.
        sentinels: String,
        /// What the last one asked said, when it failed.
        #[source]
        source: Option<Fault>,
    },
    /// A Sentinel named a server that is not the master, as happens during a failover.
    #[error("redis at {host}, which the sentinels name, is not a master")]
    NotMaster {
        /// The server.
        host: String,
    },
    /// No node of a cluster told which node has what.
    #[error("no node of the redis cluster tells which node has which slots")]
    NoSlots {
        /// What the last one asked said, when it failed.
        #[source]
        source: Option<Fault>,
    },
    /// A slot belongs to no node.
    #[error("no node of the redis cluster has slot {slot}")]
    SlotUncovered {
        /// The slot.
        slot: u16,
    },
}

/// Why a server refused a command, with what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// `NOAUTH`.
    NoAuth,
    /// `WRONGPASS`.
    WrongPassword,
    /// `NOPERM`, with the server's words.
    NoPermission(String),
    /// `OOM`.
    OutOfMemory,
    /// `MISCONF`.
    CannotPersist,
    /// `READONLY`.
    ReadOnly,
    /// `NOREPLICAS`.
    NoReplicas,
    /// `CLUSTERDOWN`.
    ClusterDown,
    /// `MASTERDOWN`.
    MasterDown,
    /// `LOADING`.
    Loading,
    /// `BUSY`.
    Busy,
    /// `NOSCRIPT`.
    NoScript,
    /// `MOVED`, to this address.
    Moved(String),
    /// `ASK`, at this address.
    Ask(String),
    /// Anything else: the code and the server's words.
    Other {
        /// The first word of the error.
        code: String,
        /// The others.
        detail: String,
    },
}

impl Refusal {
    /// From an error that the server answered with.
    pub(super) fn of(error: &::redis::ServerError) -> Self {
        Self::parse(error.code(), error.details().unwrap_or_default())
    }

    fn parse(code: &str, detail: &str) -> Self {
        match code {
            "NOAUTH" => Self::NoAuth,
            "WRONGPASS" => Self::WrongPassword,
            "NOPERM" => Self::NoPermission(detail.to_owned()),
            "OOM" => Self::OutOfMemory,
            "MISCONF" => Self::CannotPersist,
            "READONLY" => Self::ReadOnly,
            "NOREPLICAS" => Self::NoReplicas,
            "CLUSTERDOWN" => Self::ClusterDown,
            "MASTERDOWN" => Self::MasterDown,
            "LOADING" => Self::Loading,
            "BUSY" => Self::Busy,
            "NOSCRIPT" => Self::NoScript,
            "MOVED" => Self::Moved(redirection(detail)),
            "ASK" => Self::Ask(redirection(detail)),
            _ => Self::inside_script(detail)
                .unwrap_or_else(|| Self::Other { code: code.to_owned(), detail: detail.to_owned() }),
        }
    }

    /// Redis before 7 wraps what a script's command was refused with: `Error running script …: -OOM command not allowed`.
    fn inside_script(detail: &str) -> Option<Self> {
        let (_, inner) = detail.split_once(": -")?;
        let (code, detail) = inner.split_once(' ')?;
        match Self::parse(code, detail) {
            Self::Other { .. } => None,
            known => Some(known),
        }
    }
}

/// The address in `<slot> <host>:<port>`.
fn redirection(detail: &str) -> String {
    detail.rsplit(' ').next().unwrap_or_default().to_owned()
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAuth => f.write_str("NOAUTH, it wants credentials and none are configured"),
            Self::WrongPassword => {
                f.write_str("WRONGPASS, the user name or password is wrong or the user is disabled")
            }
            Self::NoPermission(detail) => {
                write!(f, "NOPERM, its ACL does not let this user do that: {detail}")
            }
            Self::OutOfMemory => f.write_str("OOM, its memory is full; raise maxmemory"),
            Self::CannotPersist => {
                f.write_str("MISCONF, it cannot save to disk and takes no writes until it can; see its log")
            }
            Self::ReadOnly => f.write_str("READONLY, it is a replica"),
            Self::NoReplicas => {
                f.write_str("NOREPLICAS, it takes no writes while too few replicas are connected")
            }
            Self::ClusterDown => f.write_str("CLUSTERDOWN, the cluster is not complete; see CLUSTER INFO"),
            Self::MasterDown => f.write_str("MASTERDOWN, it is a replica that has lost its master"),
            Self::Loading => f.write_str("LOADING, it has just started and is reading its data"),
            Self::Busy => f.write_str("BUSY, a script holds it up"),
            Self::NoScript => f.write_str("NOSCRIPT, it does not keep scripts"),
            Self::Moved(to) => {
                write!(f, "MOVED, the slot belongs to {to}; a cluster must be configured as one")
            }
            Self::Ask(to) => write!(f, "ASK, the slot is moving to {to}"),
            Self::Other { code, detail } => write!(f, "{code} {detail}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_apart() {
        assert_eq!(Refusal::parse("OOM", "command not allowed"), Refusal::OutOfMemory);
        assert_eq!(Refusal::parse("MOVED", "3999 10.0.0.1:6381"), Refusal::Moved("10.0.0.1:6381".to_owned()));
        let wrapped =
            "Error running script (call to f_1): @user_script:8: -OOM command not allowed when full";
        assert_eq!(Refusal::parse("ERR", wrapped), Refusal::OutOfMemory);
        assert!(matches!(Refusal::parse("ERR", "no such thing: -1 found"), Refusal::Other { .. }));
    }
}
