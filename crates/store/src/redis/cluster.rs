//! Which node of a cluster has which slots.
//!
//! See <https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/>.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::redis::{FromRedisValue, Pipeline, Value};
use tokio::time::Instant;

use super::fault::{Fault, RedisFault};
use super::node::{Node, Place, Use, Wiring};
use super::settings::Endpoint;

/// How often the map is read again at most, when requests find it out of date.
const REFRESH_PAUSE: Duration = Duration::from_millis(100);

/// The slot of a key (CRC16/XMODEM modulo 16384): of what stands in its first braces, if that is not empty, else of all of it.
pub(super) fn slot(key: &[u8]) -> u16 {
    let hashed = hash_tag(key).unwrap_or(key);
    let crc = hashed.iter().fold(0u16, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    });
    crc % 16_384
}

fn hash_tag(key: &[u8]) -> Option<&[u8]> {
    let open = key.iter().position(|byte| *byte == b'{')?;
    let rest = key.get(open + 1..)?;
    let length = rest.iter().position(|byte| *byte == b'}').filter(|length| *length > 0)?;
    rest.get(..length)
}

/// A cluster, as far as its nodes have told.
pub(super) struct Cluster {
    seeds: Vec<Endpoint>,
    wiring: Arc<Wiring>,
    known: Mutex<Known>,
    refreshing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    nodes: HashMap<Endpoint, Arc<Node>>,
    map: Vec<Range>,
    /// Grows with each reading of the map.
    readings: u64,
    read_at: Option<Instant>,
}

struct Range {
    first: u16,
    last: u16,
    master: Endpoint,
}

impl Cluster {
    /// A cluster of which nothing is known but some nodes.
    pub(super) fn new(seeds: Vec<Endpoint>, wiring: Arc<Wiring>) -> Self {
        Self { seeds, wiring, known: Mutex::default(), refreshing: tokio::sync::Mutex::default() }
    }

    /// The node that has a slot.
    pub(super) async fn node(&self, slot: u16) -> Result<Arc<Node>, Fault> {
        if self.lock().map.is_empty() {
            self.refresh().await?;
        }
        let mut known = self.lock();
        let range = known.map.iter().find(|range| (range.first..=range.last).contains(&slot));
        let master = range.map(|range| range.master.clone());
        match master {
            Some(master) => Ok(known.node(&master, &self.wiring)),
            None => Err(Arc::new(RedisFault::SlotUncovered { slot })),
        }
    }

    /// The node at an address that another node gave. An empty host is that of the node that gave it.
    pub(super) fn node_at(&self, address: &str, given_by: &str) -> Option<Arc<Node>> {
        let endpoint = match address.strip_prefix(':') {
            Some(port) => Endpoint::new(given_by.parse::<Endpoint>().ok()?.host, port.parse().ok()?),
            None => address.parse().ok()?,
        };
        Some(self.lock().node(&endpoint, &self.wiring))
    }

    /// All masters.
    pub(super) async fn masters(&self) -> Result<Vec<Arc<Node>>, Fault> {
        if self.lock().map.is_empty() {
            self.refresh().await?;
        }
        Ok(self.lock().nodes.values().cloned().collect())
    }

    /// The nodes that are known without asking.
    pub(super) fn known_nodes(&self) -> Vec<Arc<Node>> {
        self.lock().nodes.values().cloned().collect()
    }

    /// Reads the map again, unless that was done a moment ago.
    pub(super) async fn refresh_if_old(&self) {
        let old = self.lock().read_at.is_none_or(|at| at.elapsed() >= REFRESH_PAUSE);
        if old && let Err(fault) = self.refresh().await {
            let error: &dyn std::error::Error = &fault;
            tracing::debug!(error, "the slots of the redis cluster could not be read again");
        }
    }

    /// Reads the map, once for all who ask at the same time.
    async fn refresh(&self) -> Result<(), Fault> {
        let before = self.lock().readings;
        let _turn = self.refreshing.lock().await;
        if self.lock().readings != before {
            return Ok(());
        }
        let mut latest = None;
        for endpoint in self.in_order_of_asking() {
            let node = self.lock().node(&endpoint, &self.wiring);
            match read(&node, &endpoint).await {
                Ok(map) if !map.is_empty() => {
                    self.lock().replace(map);
                    return Ok(());
                }
                Ok(_) => {}
                Err(fault) => latest = Some(fault),
            }
        }
        Err(Arc::new(RedisFault::NoSlots { source: latest }))
    }

    /// Known nodes first, those that answer before those that do not, then where we began.
    fn in_order_of_asking(&self) -> Vec<Endpoint> {
        let known = self.lock();
        let mut nodes: Vec<(&Endpoint, &Arc<Node>)> = known.nodes.iter().collect();
        nodes.sort_by_key(|(_, node)| !node.is_well());
        let mut order: Vec<Endpoint> = nodes.into_iter().map(|(endpoint, _)| endpoint.clone()).collect();
        let unknown = self.seeds.iter().filter(|seed| !known.nodes.contains_key(*seed));
        order.extend(unknown.cloned());
        order
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn node(&mut self, endpoint: &Endpoint, wiring: &Arc<Wiring>) -> Arc<Node> {
        let new = || Arc::new(Node::new(Place::Fixed(endpoint.clone()), Arc::clone(wiring)));
        Arc::clone(self.nodes.entry(endpoint.clone()).or_insert_with(new))
    }

    /// Takes a new map, and forgets the nodes that have no slots any more.
    fn replace(&mut self, map: Vec<Range>) {
        self.nodes.retain(|endpoint, _| map.iter().any(|range| range.master == *endpoint));
        self.map = map;
        self.readings += 1;
        self.read_at = Some(Instant::now());
    }
}

/// What one node says.
async fn read(node: &Node, endpoint: &Endpoint) -> Result<Vec<Range>, Fault> {
    let mut question = Pipeline::new();
    question.cmd("CLUSTER").arg("SLOTS");
    let answers = node.call(&question, Use::Reads).await.map_err(|unanswered| unanswered.fault)?;
    let unexpected = || answers.connection.unexpected("CLUSTER SLOTS");
    match answers.values.into_iter().next() {
        Some(Value::ServerError(error)) => Err(answers.connection.refused(&error)),
        Some(Value::Array(ranges)) => ranges
            .into_iter()
            .map(|range| parse(range, endpoint))
            .collect::<Option<_>>()
            .ok_or_else(unexpected),
        _ => Err(unexpected()),
    }
}

/// `[first, last, [host, port, …], replicas…]`; a host that is null or empty is that of the node that was asked.
fn parse(range: Value, asked: &Endpoint) -> Option<Range> {
    let Value::Array(parts) = range else { return None };
    let mut parts = parts.into_iter();
    let first = u16::from_redis_value(parts.next()?).ok()?;
    let last = u16::from_redis_value(parts.next()?).ok()?;
    let Value::Array(master) = parts.next()? else { return None };
    let mut master = master.into_iter();
    let host = Option::<String>::from_redis_value(master.next()?).ok()?;
    let port = u16::from_redis_value(master.next()?).ok()?;
    let host = host.filter(|host| !host.is_empty() && host != "?").unwrap_or_else(|| asked.host.clone());
    Some(Range { first, last, master: Endpoint::new(host, port) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(slot(b"123456789"), 0x31c3);
        assert_eq!(slot(b"{user1000}.following"), slot(b"user1000"));
        assert_eq!(slot(b"foo{}{bar}"), slot(b"foo{}{bar}"));
        assert_ne!(slot(b"foo{}{bar}"), slot(b"bar"), "empty braces do not count");
        assert_eq!(slot(b"foo{{bar}}zap"), slot(b"{bar"));
    }

    #[test]
    fn a_node_without_a_name_is_the_one_that_was_asked() {
        let asked = Endpoint::new("10.0.0.1", 7000);
        let range = |host: Value| {
            Value::Array(vec![Value::Int(0), Value::Int(5460), Value::Array(vec![host, Value::Int(7001)])])
        };
        let of = |host: Value| parse(range(host), &asked).unwrap().master.host;
        assert_eq!(of(Value::BulkString(b"10.0.0.2".to_vec())), "10.0.0.2");
        assert_eq!(of(Value::Nil), "10.0.0.1");
        assert_eq!(of(Value::BulkString(Vec::new())), "10.0.0.1");
        assert!(parse(Value::Nil, &asked).is_none());
    }
}
