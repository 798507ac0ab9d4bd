//! A master with a replica, watched by three Sentinels.

use std::net::SocketAddr;

use super::{RedisOptions, RedisServer, eventually};

/// Name under which the Sentinels watch the master.
pub const MASTER_NAME: &str = "thv-master";

/// Servers of which Sentinels make one the master.
pub struct RedisSentinel {
    /// The servers; the first begins as the master.
    pub servers: Vec<RedisServer>,
    /// The Sentinels.
    pub sentinels: Vec<RedisServer>,
}

impl RedisSentinel {
    /// Starts all and waits until the Sentinels could fail over. With a password, Sentinels want it from everyone.
    pub async fn start(password: Option<&str>) -> Self {
        let master = RedisServer::start(RedisOptions::default()).await;
        let follow = format!("replicaof 127.0.0.1 {}", master.port);
        let config = vec![follow, "repl-diskless-sync-delay 0".to_owned()];
        let replica = RedisServer::start(RedisOptions { config, ..RedisOptions::default() }).await;
        let mut sentinels = Vec::new();
        for _ in 0..3 {
            sentinels.push(sentinel(master.port, password).await);
        }
        let started = Self { servers: vec![master, replica], sentinels };
        started.ready().await;
        started
    }

    async fn ready(&self) {
        eventually("the replica follows its master", async || {
            let info: String = self.servers[1].ask(&["INFO", "replication"]).await;
            info.contains("master_link_status:up").then_some(())
        })
        .await;
        for sentinel in &self.sentinels {
            eventually("the sentinels know the replica and each other", async || {
                let info: String = sentinel.ask(&["INFO", "sentinel"]).await;
                info.contains("status=ok,address=127.0.0.1").then_some(())?;
                info.contains("slaves=1,sentinels=3").then_some(())
            })
            .await;
        }
    }

    /// Which server the first Sentinel names as the master.
    pub async fn master(&self) -> SocketAddr {
        let command = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER_NAME];
        let (host, port): (String, u16) = self.sentinels[0].ask(&command).await;
        SocketAddr::new(host.parse().unwrap(), port)
    }

    /// Kills the first master and waits until all Sentinels name the other server, which has become the master.
    pub async fn failover(&mut self) {
        self.servers[0].kill();
        let heir = self.servers[1].addr();
        for sentinel in &self.sentinels {
            eventually("the sentinels name the new master", async || {
                let command = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER_NAME];
                let (_, port): (String, u16) = sentinel.ask(&command).await;
                (port == heir.port()).then_some(())
            })
            .await;
        }
    }

    /// Where the Sentinels listen.
    pub fn addrs(&self) -> Vec<SocketAddr> {
        self.sentinels.iter().map(RedisServer::addr).collect()
    }
}

async fn sentinel(master: u16, password: Option<&str>) -> RedisServer {
    let mut config = vec![
        format!("sentinel monitor {MASTER_NAME} 127.0.0.1 {master} 2"),
        format!("sentinel down-after-milliseconds {MASTER_NAME} 500"),
        format!("sentinel failover-timeout {MASTER_NAME} 4000"),
    ];
    let mut users = Vec::new();
    if let Some(password) = password {
        // What the documentation of the store says that a user of the Sentinels needs.
        users.push(format!("thv on >{password} resetchannels -@all +sentinel|get-master-addr-by-name"));
        config.push("sentinel sentinel-user admin".to_owned());
        config.push(format!("sentinel sentinel-pass {}", super::ADMIN_PASSWORD));
    }
    RedisServer::start(RedisOptions { sentinel: true, users, config, ..RedisOptions::default() }).await
}
