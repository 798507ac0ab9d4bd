//! A server, or whichever server is the master, and its connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ::redis::{Pipeline, Value, cmd};
use futures_util::FutureExt;
use tokio::time::{Instant, timeout};

use super::breaker::{BreakerState, Refused};
use super::connection::{Connection, Dialer};
use super::counters::Counters;
use super::fault::{Fault, RedisFault};
use super::lane::Lane;
use super::sentinel::Sentinels;
use super::settings::Endpoint;

/// What nodes have in common.
pub(super) struct Wiring {
    pub(super) dialer: Dialer,
    pub(super) counters: Counters,
    /// Whether the operator has been told that the server may evict rows.
    pub(super) warned_of_eviction: AtomicBool,
}

/// Where a node is.
#[derive(Clone)]
pub(super) enum Place {
    /// Always there.
    Fixed(Endpoint),
    /// Where the Sentinels say.
    Master(Arc<Sentinels>),
}

impl Place {
    /// Where to connect to now.
    pub(super) async fn endpoint(&self) -> Result<Endpoint, Fault> {
        match self {
            Self::Fixed(endpoint) => Ok(endpoint.clone()),
            Self::Master(sentinels) => sentinels.master().await,
        }
    }

    /// How it is called in messages.
    fn name(&self) -> String {
        match self {
            Self::Fixed(endpoint) => endpoint.to_string(),
            Self::Master(sentinels) => format!("the master {}", sentinels.master_name),
        }
    }
}

/// Which of a node's connections to use. Waiting for replicas holds up a connection, and reads need not wait for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Reads and whatever does not wait.
    Reads,
    /// Writes.
    Writes,
}

/// A server with its connections.
pub(super) struct Node {
    pub(super) place: Place,
    wiring: Arc<Wiring>,
    reads: Lane,
    writes: Lane,
}

/// A request was not answered.
pub(super) struct Unanswered {
    pub(super) fault: Fault,
    /// Whether the server may have got the request.
    pub(super) sent: bool,
}

impl Node {
    /// A node, not connected yet.
    pub(super) fn new(place: Place, wiring: Arc<Wiring>) -> Self {
        Self { place, wiring, reads: Lane::default(), writes: Lane::default() }
    }

    /// What the circuit breakers of its connections do.
    pub(super) fn breaker_states(&self) -> [BreakerState; 2] {
        [&self.reads, &self.writes].map(|lane| lane.breaker.state(Instant::now()))
    }

    /// Whether nothing says that it does not answer.
    pub(super) fn is_well(&self) -> bool {
        self.breaker_states() == [BreakerState::Closed; 2]
    }

    /// Sends commands; one answer for each, which may be the server's error.
    pub(super) async fn call(&self, commands: &Pipeline, over: Use) -> Result<Answers, Unanswered> {
        let (counters, lane) = (&self.wiring.counters, self.lane(over));
        let permit = lane.breaker.admit(Instant::now()).map_err(|refused| {
            Counters::count(&counters.rejected);
            Unanswered { fault: self.resting(refused), sent: false }
        })?;
        Counters::count(&counters.requests);
        match self.attempt(commands, lane).await {
            Ok(answers) => {
                if permit.succeeded() {
                    tracing::info!(redis = self.place.name(), "redis answers again");
                }
                Ok(answers)
            }
            Err(unanswered) => {
                Counters::count(&counters.failures);
                if permit.failed(&unanswered.fault, Instant::now()) {
                    Counters::count(&counters.opened);
                    let error: &dyn std::error::Error = &unanswered.fault;
                    tracing::warn!(
                        redis = self.place.name(),
                        error,
                        "redis fails repeatedly and is left alone for a while"
                    );
                }
                Err(unanswered)
            }
        }
    }

    async fn attempt(&self, commands: &Pipeline, lane: &Lane) -> Result<Answers, Unanswered> {
        let open = || open(self.place.clone(), Arc::clone(&self.wiring)).boxed();
        // The attempt to connect goes on for those who come later.
        let Ok((generation, opened)) = timeout(self.wiring.finding_timeout(), lane.connection(open)).await
        else {
            let (host, after) = (self.place.name(), self.wiring.finding_timeout());
            return Err(Unanswered {
                fault: Arc::new(RedisFault::ConnectTimeout { host, after }),
                sent: false,
            });
        };
        let connection = match opened {
            Some(Ok(connection)) => connection,
            Some(Err(fault)) => {
                lane.discard(generation);
                return Err(Unanswered { fault, sent: false });
            }
            None => {
                lane.discard(generation);
                let source = ::redis::RedisError::from(std::io::Error::other("shutting down"));
                let fault = Arc::new(RedisFault::Broken { host: self.place.name(), source });
                return Err(Unanswered { fault, sent: false });
            }
        };
        match connection.call(commands, self.wiring.dialer.read_timeout).await {
            Ok(values) => Ok(Answers { values, connection }),
            Err(fault) => {
                // After a timeout the connection may be a dead one that TCP has not given up.
                lane.discard(generation);
                Err(Unanswered { fault, sent: true })
            }
        }
    }

    /// Connects anew for the next request, and asks the Sentinels again.
    pub(super) fn reconnect(&self) {
        self.reads.close();
        self.writes.close();
    }

    fn lane(&self, over: Use) -> &Lane {
        match over {
            Use::Reads => &self.reads,
            Use::Writes => &self.writes,
        }
    }

    fn resting(&self, refused: Refused) -> Fault {
        let Refused { retry_in, latest } = refused;
        Arc::new(RedisFault::Resting { host: self.place.name(), retry_in, latest })
    }
}

/// What a server answered, and over which connection.
pub(super) struct Answers {
    pub(super) values: Vec<Value>,
    pub(super) connection: Arc<Connection>,
}

async fn open(place: Place, wiring: Arc<Wiring>) -> Result<Arc<Connection>, Fault> {
    let endpoint = place.endpoint().await?;
    let mut info = cmd("INFO");
    info.arg("memory");
    let mut questions = vec![info];
    if matches!(place, Place::Master(_)) {
        questions.push(cmd("ROLE"));
    }
    let (connection, answers) = wiring.dialer.dial(&endpoint, &questions).await?;
    let mut answers = answers.into_iter();
    if let Some(info) = answers.next() {
        wiring.warn_of_eviction(&endpoint, info);
    }
    if let Some(role) = answers.next() {
        confirm_master(&connection, role)?;
    }
    Counters::count(&wiring.counters.connections);
    tracing::debug!(redis = %endpoint, "connected to redis");
    Ok(Arc::new(connection))
}

/// `ROLE` answers with a list that begins with `master`, `slave` or `sentinel`.
fn confirm_master(connection: &Connection, role: Value) -> Result<(), Fault> {
    let not_master = || Err(Arc::new(RedisFault::NotMaster { host: connection.host.to_string() }));
    match role {
        Value::ServerError(error) => Err(connection.refused(&error)),
        Value::Array(parts) => match parts.first() {
            Some(Value::BulkString(role)) if role == b"master" => Ok(()),
            _ => not_master(),
        },
        _ => not_master(),
    }
}

impl Wiring {
    /// How long a request waits until its server has been found, whoever has to be asked for that, and is connected.
    pub(super) fn finding_timeout(&self) -> Duration {
        self.dialer.dial_timeout * 2
    }

    /// Says once that rows may vanish. Silent when the ACL does not let us see it.
    fn warn_of_eviction(&self, endpoint: &Endpoint, info: Value) {
        let Ok(info) = ::redis::from_redis_value::<String>(info) else { return };
        let Some(policy) = evicting_policy(&info) else { return };
        if !self.warned_of_eviction.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                redis = %endpoint,
                policy,
                "redis may evict logins and tokens when its memory is full; set maxmemory-policy noeviction"
            );
        }
    }
}

/// The policy by which rows may vanish, in `INFO memory`; `None` when none can. Every row has a time to live, so `volatile-…`
/// policies are no better.
fn evicting_policy(info: &str) -> Option<&str> {
    let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let limited = field("maxmemory").is_some_and(|limit| limit != "0");
    field("maxmemory_policy").filter(|policy| limited && *policy != "noeviction")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_vanish_only_where_memory_is_limited_and_something_may_be_evicted() {
        let info = |limit, policy| format!("# Memory\r\nmaxmemory:{limit}\r\nmaxmemory_policy:{policy}\r\n");
        assert_eq!(evicting_policy(&info("1000", "volatile-lru")), Some("volatile-lru"));
        assert_eq!(evicting_policy(&info("1000", "noeviction")), None);
        assert_eq!(evicting_policy(&info("0", "allkeys-lru")), None, "never full");
        assert_eq!(evicting_policy(""), None);
    }
}
