//! Real Redis servers: a process each, on a port of the system's choice, in a directory of its own.
//!
//! `THV_REDIS_SERVER` names another program than `redis-server`, for example a `valkey-server`.

mod cluster;
mod sentinel;

pub use cluster::RedisCluster;
pub use sentinel::{MASTER_NAME, RedisSentinel};

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{
    AsyncConnectionConfig, FromRedisValue, ProtocolVersion, RedisConnectionInfo, RedisResult, Value,
};
use tempfile::TempDir;
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep};

use crate::certs::TestCa;

/// Password of the user `admin`, who may do everything on servers that have users.
const ADMIN_PASSWORD: &str = "admin-password";
/// How long anything that a server does may take.
const PATIENCE: Duration = Duration::from_secs(40);

/// What kind of server.
#[derive(Default)]
pub struct RedisOptions<'a> {
    /// The program, when it is not the usual one.
    pub program: Option<PathBuf>,
    /// TLS only, with a certificate of the first for 127.0.0.1 and `localhost`, and with client certificates of the second.
    pub tls: Option<(&'a TestCa, &'a TestCa)>,
    /// Users as `ACL SETUSER` has them. With any, the user `default` is off.
    pub users: Vec<String>,
    /// Further lines of the configuration.
    pub config: Vec<String>,
    /// Whether it is a Sentinel.
    pub sentinel: bool,
    /// Whether it is a node of a cluster.
    pub cluster: bool,
}

/// A running server.
pub struct RedisServer {
    port: u16,
    bus_port: u16,
    program: PathBuf,
    sentinel: bool,
    has_users: bool,
    dir: TempDir,
    child: Option<Child>,
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

impl RedisServer {
    /// Starts a server and waits until it answers.
    pub async fn start(options: RedisOptions<'_>) -> Self {
        // Somebody else may take the port between our look and the server's bind.
        for _ in 0..10 {
            let mut server = Self::prepare(&options);
            server.spawn();
            if server.answers().await {
                return server;
            }
        }
        panic!("redis did not start ten times");
    }

    fn prepare(options: &RedisOptions<'_>) -> Self {
        let dir = tempfile::Builder::new().prefix("thv-redis-").tempdir().unwrap();
        let [port, bus_port] = free_ports();
        let config = configuration(options, port, bus_port, dir.path());
        std::fs::write(dir.path().join("redis.conf"), config).unwrap();
        Self {
            port,
            bus_port,
            program: options.program.clone().unwrap_or_else(program),
            sentinel: options.sentinel,
            has_users: !options.users.is_empty(),
            dir,
            child: None,
        }
    }

    fn spawn(&mut self) {
        let mut command = Command::new(&self.program);
        command.arg("redis.conf").args(self.sentinel.then_some("--sentinel")).current_dir(self.dir.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.child =
            Some(command.spawn().unwrap_or_else(|error| panic!("{}: {error}", self.program.display())));
    }

    /// Waits until it answers; false when it ended instead.
    async fn answers(&mut self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if self.child.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some()) {
                return false;
            }
            if self.try_ask::<Value>(&["PING"]).await.is_ok() {
                return true;
            }
            assert!(Instant::now() < deadline, "redis does not answer; its log: {}", self.log());
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// Ends it at once, as a crash does.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Starts it again on the same port with the data that it has on disk.
    pub async fn start_again(&mut self) {
        self.kill();
        self.spawn();
        assert!(self.answers().await, "redis did not start again; its log: {}", self.log());
    }

    /// Stops it without ending it: connections stay open and nothing is answered.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Asks it something, with all rights.
    pub async fn ask<T: FromRedisValue>(&self, command: &[&str]) -> T {
        self.try_ask(command).await.unwrap_or_else(|error| panic!("{command:?}: {error}"))
    }

    /// As [`ask`](Self::ask), when it may refuse.
    ///
    /// # Errors
    /// When it refuses, or does not answer.
    pub async fn try_ask<T: FromRedisValue>(&self, command: &[&str]) -> RedisResult<T> {
        let stream = UnixStream::connect(self.dir.path().join("socket")).await?;
        let mut login =
            RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP2).set_skip_set_lib_name();
        if self.has_users {
            login = login.set_username("admin").set_password(ADMIN_PASSWORD);
        }
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
        let (mut connection, driver) = MultiplexedConnection::new_with_config(&login, stream, config).await?;
        let driver = tokio::spawn(driver);
        let mut question = ::redis::Cmd::new();
        question.arg(command);
        let answer = question.query_async(&mut connection).await;
        driver.abort();
        answer
    }

    /// How often each command has been called, in lower case (`get`, `cluster|slots`), without those of [`ask`](Self::ask)
    /// that look (`info`, `ping`, `auth`).
    pub async fn command_stats(&self) -> BTreeMap<String, u64> {
        let info: String = self.ask(&["INFO", "commandstats"]).await;
        info.lines()
            .filter_map(|line| {
                let (name, stats) = line.strip_prefix("cmdstat_")?.split_once(':')?;
                let calls = stats.strip_prefix("calls=")?.split(',').next()?.parse().ok()?;
                Some((name.to_owned(), calls))
            })
            .filter(|(name, _)| !["info", "ping", "auth"].contains(&name.as_str()))
            .collect()
    }

    /// How many commands have been called, without reads and removals inside scripts and those that only look. A write inside a
    /// script counts besides the script, so that this is at least the number of round trips.
    pub async fn command_count(&self) -> u64 {
        let stats = self.command_stats().await;
        stats
            .iter()
            .filter(|(name, _)| !["getrange", "del"].contains(&name.as_str()))
            .map(|(_, calls)| calls)
            .sum()
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

/// The program that `THV_REDIS_SERVER` names, or `redis-server`.
fn program() -> PathBuf {
    std::env::var_os("THV_REDIS_SERVER").map_or_else(|| "redis-server".into(), PathBuf::from)
}

/// Valkey, if `scripts/install-tools` could install it.
pub fn valkey() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    Some(cache.join("toolhive-rs/valkey/usr/bin/valkey-server")).filter(|program| program.exists())
}

fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

fn configuration(options: &RedisOptions<'_>, port: u16, bus_port: u16, dir: &Path) -> String {
    let mut config = format!(
        "bind 127.0.0.1\nprotected-mode no\ndir {0}\nlogfile {0}/log\nunixsocket {0}/socket\ndaemonize no\n",
        dir.display()
    );
    match options.tls {
        None => writeln!(config, "port {port}").unwrap(),
        Some((ca, clients)) => config.push_str(&tls(ca, clients, port, dir)),
    }
    if !options.sentinel {
        config.push_str("save \"\"\n");
    }
    if options.cluster {
        let node = "cluster-enabled yes\ncluster-node-timeout 2000\ncluster-config-file nodes.conf\n";
        writeln!(config, "{node}cluster-port {bus_port}").unwrap();
    }
    if !options.users.is_empty() {
        writeln!(config, "user default off\nuser admin on >{ADMIN_PASSWORD} ~* &* +@all").unwrap();
    }
    for user in &options.users {
        writeln!(config, "user {user}").unwrap();
    }
    for line in &options.config {
        writeln!(config, "{line}").unwrap();
    }
    config
}

fn tls(ca: &TestCa, clients: &TestCa, port: u16, dir: &Path) -> String {
    let (cert, key) = ca.issue(&["127.0.0.1", "localhost"]).write(dir);
    let trusted = dir.join("clients.pem");
    std::fs::write(&trusted, clients.ca_pem()).unwrap();
    format!(
        "port 0\ntls-port {port}\ntls-cert-file {}\ntls-key-file {}\ntls-ca-cert-file {}\ntls-auth-clients yes\n",
        cert.display(),
        key.display(),
        trusted.display()
    )
}

/// Waits until `condition` gives something, and says what was waited for when it does not.
///
/// # Panics
/// When it takes too long.
pub async fn eventually<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}
