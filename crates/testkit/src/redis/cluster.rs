//! A cluster of Redis servers.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::{RedisOptions, RedisServer, eventually};

/// How many slots a cluster has.
const SLOTS: usize = 16_384;

/// A cluster: masters, each with the same share of the slots and the same number of replicas.
pub struct RedisCluster {
    /// The masters.
    pub masters: Vec<RedisServer>,
    /// Their replicas.
    pub replicas: Vec<RedisServer>,
}

impl RedisCluster {
    /// Starts a cluster and waits until all nodes find it complete.
    pub async fn start(masters: usize, replicas_each: usize, program: Option<PathBuf>) -> Self {
        let mut cluster = Self { masters: Vec::new(), replicas: Vec::new() };
        for _ in 0..masters {
            cluster.masters.push(node(program.clone()).await);
        }
        for _ in 0..masters * replicas_each {
            cluster.replicas.push(node(program.clone()).await);
        }
        cluster.assign_slots().await;
        cluster.introduce().await;
        cluster.attach_replicas().await;
        cluster.complete().await;
        cluster
    }

    async fn assign_slots(&self) {
        let count = self.masters.len();
        for (index, node) in self.masters.iter().enumerate() {
            let (first, last) = (SLOTS * index / count, SLOTS * (index + 1) / count - 1);
            let epoch = (index + 1).to_string();
            node.ask::<()>(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch]).await;
            node.ask::<()>(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()]).await;
        }
    }

    async fn introduce(&self) {
        let first = &self.masters[0];
        for node in self.nodes().skip(1) {
            let (port, bus_port) = (node.port.to_string(), node.bus_port.to_string());
            first.ask::<()>(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus_port]).await;
        }
        for node in self.nodes() {
            let all = self.nodes().count();
            eventually("the nodes know each other", async || {
                let nodes: String = node.ask(&["CLUSTER", "NODES"]).await;
                let known = nodes.lines().filter(|line| !line.contains("handshake")).count();
                (known == all).then_some(())
            })
            .await;
        }
    }

    async fn attach_replicas(&self) {
        for (index, replica) in self.replicas.iter().enumerate() {
            let master: String = self.masters[index % self.masters.len()].ask(&["CLUSTER", "MYID"]).await;
            replica.ask::<()>(&["CLUSTER", "REPLICATE", &master]).await;
            eventually("the replica follows its master", async || {
                let info: String = replica.ask(&["INFO", "replication"]).await;
                info.contains("master_link_status:up").then_some(())
            })
            .await;
        }
    }

    async fn complete(&self) {
        for node in self.nodes() {
            eventually("the cluster is complete", async || {
                let info: String = node.ask(&["CLUSTER", "INFO"]).await;
                (info.contains("cluster_state:ok") && info.contains("cluster_slots_ok:16384")).then_some(())
            })
            .await;
        }
    }

    fn nodes(&self) -> impl Iterator<Item = &RedisServer> {
        self.masters.iter().chain(&self.replicas)
    }

    /// Where its masters listen.
    pub fn addrs(&self) -> Vec<SocketAddr> {
        self.masters.iter().map(RedisServer::addr).collect()
    }
}

async fn node(program: Option<PathBuf>) -> RedisServer {
    let config = vec!["repl-diskless-sync-delay 0".to_owned()];
    RedisServer::start(RedisOptions { cluster: true, program, config, ..RedisOptions::default() }).await
}
