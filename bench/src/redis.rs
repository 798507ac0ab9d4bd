//! A Redis server of our own, and what it counts.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ::redis::{Client, FromRedisValue, RedisResult};

use crate::error::{BenchError, During as _};
use crate::process::{Output, Pinned, free_address};

/// Names another program than `redis-server`, for example a `valkey-server`.
const PROGRAM: &str = "THV_REDIS_SERVER";

/// How long a start may take before it counts as failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Commands that only we send.
const OURS: [&str; 3] = ["info", "ping", "config|resetstat"];

/// A server that keeps everything in memory and writes nothing to disk.
pub(crate) struct Redis {
    process: Pinned,
    client: Client,
    address: SocketAddr,
}

impl Redis {
    /// Starts a server on `core` and waits until it answers.
    ///
    /// # Errors
    /// When it ends or does not answer in time.
    pub(crate) fn start(core: usize) -> Result<Self, BenchError> {
        let program = std::env::var_os(PROGRAM).map_or_else(|| "redis-server".into(), PathBuf::from);
        let address = free_address()?;
        let port = address.port().to_string();
        let args = ["--bind", "127.0.0.1", "--port", &port, "--save", "", "--appendonly", "no", "--dir", "/"];
        let mut process = Pinned::start(core, &program, args, Output::Muted)?;
        let client = Client::open(format!("redis://{address}/")).during("reading redis's address")?;
        if !process.becomes(PATIENCE, || ask::<String>(&client, &["PING"]).is_ok()) {
            let text = format!(
                "{} did not become ready: install it, or name another in {PROGRAM}",
                program.display()
            );
            return Err(BenchError::Missing(text));
        }
        Ok(Self { process, client, address })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Lets [`commands`](Self::commands) start from nothing.
    ///
    /// # Errors
    /// When it does not answer.
    pub(crate) fn forget_commands(&self) -> Result<(), BenchError> {
        self.ask::<String>(&["CONFIG", "RESETSTAT"]).map(drop).during("resetting redis's counters")
    }

    /// How often each command was called, those inside scripts too, by name in lower case.
    ///
    /// # Errors
    /// When it does not answer.
    pub(crate) fn commands(&self) -> Result<BTreeMap<String, u64>, BenchError> {
        self.ask::<String>(&["INFO", "commandstats"])
            .map(|stats| calls(&stats))
            .during("reading redis's counters")
    }

    fn ask<T: FromRedisValue>(&self, command: &[&str]) -> RedisResult<T> {
        ask(&self.client, command)
    }
}

fn ask<T: FromRedisValue>(client: &Client, command: &[&str]) -> RedisResult<T> {
    let mut connection = client.get_connection()?;
    let mut question = ::redis::Cmd::new();
    question.arg(command).query(&mut connection)
}

/// Reads lines such as `cmdstat_get:calls=3,usec=5,…`.
fn calls(stats: &str) -> BTreeMap<String, u64> {
    let lines = stats.lines().filter_map(|line| {
        let (name, stats) = line.strip_prefix("cmdstat_")?.split_once(':')?;
        let calls = stats.strip_prefix("calls=")?.split(',').next()?.parse().ok()?;
        Some((name.to_owned(), calls))
    });
    lines.filter(|(name, _)| !OURS.contains(&name.as_str()) && !name.starts_with("client|")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_server_counts_what_others_ask_and_not_what_we_ask() {
        let redis = Redis::start(0).unwrap();
        redis.ask::<Option<String>>(&["GET", "before"]).unwrap();
        redis.forget_commands().unwrap();
        assert_eq!(redis.commands().unwrap(), BTreeMap::new());
        redis.ask::<Option<String>>(&["GET", "after"]).unwrap();
        assert_eq!(redis.commands().unwrap(), BTreeMap::from([("get".to_owned(), 1)]));
    }

    #[test]
    fn calls_are_counted_by_command_without_our_own() {
        let stats = "# Commandstats\r\ncmdstat_get:calls=3,usec=5,usec_per_call=1.67\r\n\
                     cmdstat_info:calls=9,usec=1\r\ncmdstat_client|setinfo:calls=2,usec=1\r\n";
        assert_eq!(calls(stats), BTreeMap::from([("get".to_owned(), 3)]));
    }
}
