//! Sending a request to the right node, and again where that is safe.

use std::sync::Arc;

use ::redis::{Cmd, Pipeline, Value, cmd};
use tokio::time::timeout;

use super::breaker::BreakerState;
use super::cluster::{Cluster, slot};
use super::counters::Counters;
use super::fault::{Fault, RedisFault, Refusal};
use super::node::{Answers, Node, Unanswered, Use, Wiring};
use super::script::Script;

/// How often one request is sent at most: a script that has to be sent whole, a row that has moved, a broken connection.
const ATTEMPTS: usize = 5;

/// One server or several.
pub(super) enum Installation {
    /// All rows are at one server, or at whichever is the master.
    Single(Arc<Node>),
    /// Rows are spread.
    Cluster(Arc<Cluster>),
}

/// Sends requests.
pub(super) struct Client {
    pub(super) installation: Installation,
    pub(super) wiring: Arc<Wiring>,
    pub(super) replica_acks: u32,
}

/// What to ask.
pub(super) enum Command<'a> {
    /// One command.
    Plain(Cmd),
    /// A script on the request's key.
    Script(&'a Script, Vec<Vec<u8>>),
}

/// A request about one key.
pub(super) struct Request<'a> {
    pub(super) key: &'a str,
    pub(super) command: Command<'a>,
    /// Whether it changes something.
    pub(super) writes: bool,
    /// Whether it may be done twice.
    pub(super) repeatable: bool,
}

/// What the server answered.
pub(super) struct Reply {
    pub(super) value: Value,
    /// Whether an earlier attempt may have been carried out too.
    pub(super) repeated: bool,
    answered_by: Arc<str>,
}

impl Reply {
    /// It is not understood.
    pub(super) fn unexpected(&self, command: &'static str) -> Fault {
        Arc::new(RedisFault::Unexpected { host: self.answered_by.to_string(), command })
    }

    /// An attempt may have been carried out, and this answer does not tell.
    pub(super) fn unknown(&self) -> Fault {
        let source = ::redis::RedisError::from(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
        Arc::new(RedisFault::Unknown {
            source: Arc::new(RedisFault::Broken { host: self.answered_by.to_string(), source }),
        })
    }
}

/// How the next attempt differs from the first.
#[derive(Default)]
struct Course {
    node: Option<Arc<Node>>,
    asking: bool,
    whole_script: bool,
    broke: bool,
    was_replica: bool,
    repeated: bool,
}

impl Client {
    /// Sends a request and waits for the answer.
    ///
    /// # Errors
    /// When there is no answer, and when the answer is a refusal that nothing can be done about.
    pub(super) async fn send(&self, request: &Request<'_>) -> Result<Reply, Fault> {
        let mut course = Course::default();
        let mut attempts = 1;
        loop {
            let fault = match self.attempt(request, &mut course).await {
                Ok(reply) => return Ok(reply),
                Err(fault) => fault,
            };
            if attempts == ATTEMPTS || !self.correct(request, &fault, &mut course).await {
                return Err(fault);
            }
            attempts += 1;
            Counters::count(&self.wiring.counters.repeated);
        }
    }

    async fn attempt(&self, request: &Request<'_>, course: &mut Course) -> Result<Reply, Fault> {
        let node = match course.node.take() {
            Some(node) => node,
            None => self.node(request.key).await?,
        };
        let over = if request.writes && self.replica_acks > 0 { Use::Writes } else { Use::Reads };
        let commands = self.commands(request, course);
        let answers = match node.call(&commands, over).await {
            Ok(answers) => answers,
            Err(Unanswered { fault, sent }) => return Err(self.unanswered(request, fault, sent, course)),
        };
        course.node = Some(node);
        self.judge(request, answers, course)
    }

    /// The commands of one attempt: the request itself, the leave to follow `ASK`, the wait for replicas.
    fn commands(&self, request: &Request<'_>, course: &Course) -> Pipeline {
        let mut commands = Pipeline::with_capacity(3);
        if course.asking {
            commands.cmd("ASKING");
        }
        commands.add_command(match &request.command {
            Command::Plain(command) => command.clone(),
            Command::Script(script, arguments) => {
                let mut command = if course.whole_script { cmd("EVAL") } else { cmd("EVALSHA") };
                command.arg(if course.whole_script { script.text() } else { script.hash() });
                command.arg(1).arg(request.key).arg(arguments);
                command
            }
        });
        if self.waits(request) {
            // Half of the time that we wait for the answer, so that it is Redis who says that replicas are late.
            let patience = self.wiring.dialer.read_timeout.as_millis() / 2;
            commands.cmd("WAIT").arg(self.replica_acks).arg(u64::try_from(patience).unwrap_or(u64::MAX));
        }
        commands
    }

    fn waits(&self, request: &Request<'_>) -> bool {
        request.writes && self.replica_acks > 0
    }

    /// Reads the answer, and whether enough replicas have the write.
    fn judge(&self, request: &Request<'_>, answers: Answers, course: &Course) -> Result<Reply, Fault> {
        let Answers { values, connection } = answers;
        let mut values = values.into_iter().skip(usize::from(course.asking));
        let value = match values.next() {
            Some(Value::ServerError(error)) => return Err(connection.refused(&error)),
            Some(value) => value,
            None => return Err(connection.unexpected("a pipeline")),
        };
        if self.waits(request) && value != Value::Int(0) {
            let confirmed = match values.next() {
                Some(Value::Int(confirmed)) => confirmed,
                Some(Value::ServerError(error)) => return Err(connection.refused(&error)),
                _ => return Err(connection.unexpected("WAIT")),
            };
            if confirmed < i64::from(self.replica_acks) {
                let (host, wanted) = (connection.host.to_string(), self.replica_acks);
                return Err(Arc::new(RedisFault::Unreplicated { host, confirmed, wanted }));
            }
        }
        Ok(Reply { value, repeated: course.repeated, answered_by: Arc::clone(&connection.host) })
    }

    /// What it means that a request was not answered.
    fn unanswered(&self, request: &Request<'_>, fault: Fault, sent: bool, course: &mut Course) -> Fault {
        if sent && request.writes && !request.repeatable && matches!(*fault, RedisFault::Broken { .. }) {
            return Arc::new(RedisFault::Unknown { source: fault });
        }
        course.repeated |= sent;
        fault
    }

    /// Changes course after a fault; false when the fault is final.
    async fn correct(&self, request: &Request<'_>, fault: &Fault, course: &mut Course) -> bool {
        let node = course.node.take();
        let asked = std::mem::take(&mut course.asking);
        match &**fault {
            // The same once more, so leave must be asked for once more too.
            RedisFault::Refused { refusal: Refusal::NoScript, .. } if !course.whole_script => {
                (course.whole_script, course.asking, course.node) = (true, asked, node);
                true
            }
            RedisFault::Refused { host, refusal } => self.change_course(host, refusal, node, course).await,
            RedisFault::Broken { .. } if request.repeatable && !course.broke => {
                course.broke = true;
                self.look_again().await;
                true
            }
            RedisFault::Broken { .. }
            | RedisFault::Connect { .. }
            | RedisFault::ConnectTimeout { .. }
            | RedisFault::Timeout { .. }
            | RedisFault::Resting { .. }
            | RedisFault::Unknown { .. } => {
                // The caller has waited enough; its next request shall find the new master.
                self.look_again_later();
                false
            }
            RedisFault::Unexpected { .. }
            | RedisFault::Unreplicated { .. }
            | RedisFault::NoMaster { .. }
            | RedisFault::NotMaster { .. }
            | RedisFault::NoSlots { .. }
            | RedisFault::SlotUncovered { .. } => false,
        }
    }

    async fn change_course(
        &self,
        host: &str,
        refusal: &Refusal,
        node: Option<Arc<Node>>,
        course: &mut Course,
    ) -> bool {
        match (refusal, &self.installation) {
            (Refusal::Moved(to), Installation::Cluster(cluster)) => {
                self.look_again_later();
                course.node = cluster.node_at(to, host);
                course.node.is_some()
            }
            (Refusal::Ask(to), Installation::Cluster(cluster)) => {
                course.node = cluster.node_at(to, host);
                course.asking = true;
                course.node.is_some()
            }
            // It was the master and is not any more.
            (Refusal::ReadOnly | Refusal::MasterDown, _) if !course.was_replica => {
                course.was_replica = true;
                if let Some(node) = node {
                    node.reconnect();
                }
                self.look_again().await;
                true
            }
            (Refusal::ClusterDown, _) => {
                self.look_again_later();
                false
            }
            _ => false,
        }
    }

    async fn node(&self, key: &str) -> Result<Arc<Node>, Fault> {
        match &self.installation {
            Installation::Single(node) => Ok(Arc::clone(node)),
            Installation::Cluster(cluster) => {
                let found = timeout(self.wiring.finding_timeout(), cluster.node(slot(key.as_bytes()))).await;
                found.unwrap_or_else(|_| Err(Arc::new(RedisFault::NoSlots { source: None })))
            }
        }
    }

    async fn look_again(&self) {
        if let Installation::Cluster(cluster) = &self.installation {
            // When it takes longer, the next attempt goes by the old map.
            _ = timeout(self.wiring.dialer.read_timeout, cluster.refresh_if_old()).await;
        }
    }

    fn look_again_later(&self) {
        if let Installation::Cluster(cluster) = &self.installation {
            let cluster = Arc::clone(cluster);
            tokio::spawn(async move { cluster.refresh_if_old().await });
        }
    }

    /// Whether all servers answer.
    pub(super) async fn ping(&self) -> Result<(), Fault> {
        let nodes = match &self.installation {
            Installation::Single(node) => vec![Arc::clone(node)],
            Installation::Cluster(cluster) => cluster.masters().await?,
        };
        let mut ping = Pipeline::new();
        ping.cmd("PING");
        for node in nodes {
            let answers = node.call(&ping, Use::Reads).await.map_err(|unanswered| {
                self.look_again_later();
                unanswered.fault
            })?;
            if let Some(Value::ServerError(error)) = answers.values.first() {
                return Err(answers.connection.refused(error));
            }
        }
        Ok(())
    }

    /// What the circuit breakers do: the worst of them.
    pub(super) fn breaker_state(&self) -> BreakerState {
        let nodes = match &self.installation {
            Installation::Single(node) => vec![Arc::clone(node)],
            Installation::Cluster(cluster) => cluster.known_nodes(),
        };
        let states: Vec<BreakerState> = nodes.iter().flat_map(|node| node.breaker_states()).collect();
        [BreakerState::Open, BreakerState::HalfOpen]
            .into_iter()
            .find(|state| states.contains(state))
            .unwrap_or(BreakerState::Closed)
    }

    /// Where a subscriber may listen.
    pub(super) async fn any_node(&self) -> Result<Arc<Node>, Fault> {
        match &self.installation {
            Installation::Single(node) => Ok(Arc::clone(node)),
            Installation::Cluster(cluster) => {
                let nodes = cluster.masters().await?;
                let node = nodes.iter().find(|node| node.is_well()).or_else(|| nodes.first());
                node.cloned().ok_or_else(|| Arc::new(RedisFault::NoSlots { source: None }))
            }
        }
    }
}
