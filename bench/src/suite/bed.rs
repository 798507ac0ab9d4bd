//! Where things run: which program on which core.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::Options;
use crate::error::{BenchError, During as _};
use crate::load::{Outcome, Plan};
use crate::process::{Output, Pinned};
use crate::redis::Redis;

/// The programs, the cores and the options.
pub(super) struct Bed<'a> {
    pub(super) options: &'a Options,
    pub(super) thv: PathBuf,
    bench: PathBuf,
}

/// A running server that may be measured.
pub(super) struct Server {
    pub(super) process: Pinned,
    pub(super) address: SocketAddr,
}

impl<'a> Bed<'a> {
    /// Finds the programs.
    ///
    /// # Errors
    /// When there is no `thv` although one is to be measured.
    pub(super) fn new(options: &'a Options) -> Result<Self, BenchError> {
        let bench = std::env::current_exe().during("finding this program")?;
        let thv = options.thv.clone().unwrap_or_else(|| bench.with_file_name("thv"));
        if !options.calibrate && !thv.is_file() {
            let text =
                format!("{} does not exist: build it with cargo build --release -p thv", thv.display());
            return Err(BenchError::Missing(text));
        }
        Ok(Self { options, thv, bench })
    }

    /// Starts a baseline on the servers' core.
    pub(super) fn baseline(&self, args: &[&str]) -> Result<Server, BenchError> {
        self.ours(self.options.server_core, [&["baseline"], args].concat())
    }

    /// Starts the backend on the load's core.
    pub(super) fn backend(&self) -> Result<Server, BenchError> {
        self.ours(self.options.load_core, vec!["backend"])
    }

    /// Starts, on the load's core, a backend that insists on this token.
    pub(super) fn demanding_backend(&self, token: &str) -> Result<Server, BenchError> {
        let authorization = format!("Bearer {token}");
        self.ours(self.options.load_core, vec!["backend", "--authorization", &authorization])
    }

    /// The same, and it reads what it is sent, as real clients expect.
    pub(super) fn reading_backend(&self, token: &str) -> Result<Server, BenchError> {
        let authorization = format!("Bearer {token}");
        self.ours(self.options.load_core, vec!["backend", "--authorization", &authorization, "--reads"])
    }

    /// The command of an MCP server on the load's core, which speaks over standard input and output.
    pub(super) fn stdio_server(&self) -> [String; 5] {
        let core = self.options.load_core.to_string();
        let program = self.bench.display().to_string();
        ["taskset".into(), "-c".into(), core, program, "stdio-server".into()]
    }

    /// Starts the upstream provider on the load's core.
    pub(super) fn provider(&self) -> Result<Server, BenchError> {
        self.ours(self.options.load_core, vec!["provider"])
    }

    /// Starts Redis on its core.
    pub(super) fn redis(&self) -> Result<Redis, BenchError> {
        Redis::start(self.options.redis_core.unwrap_or(self.options.load_core))
    }

    /// How many connections the load opens.
    pub(super) fn connections(&self) -> usize {
        usize::try_from(self.options.connections).unwrap_or(usize::MAX)
    }

    fn ours(&self, core: usize, args: Vec<&str>) -> Result<Server, BenchError> {
        let mut process = Pinned::start(core, &self.bench, args, Output::Announcement)?;
        let address = process.announced()?;
        Ok(Server { process, address })
    }

    /// Runs one load process on its core and waits for it.
    ///
    /// # Errors
    /// When an answer was not a success; the load process has said which on stderr.
    pub(super) fn load(&self, plan: &Plan) -> Result<Outcome, BenchError> {
        let step = "running the load";
        let mut child = Command::new("taskset")
            .args(["-c", &self.options.load_core.to_string()])
            .arg(&self.bench)
            .arg("load")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .during(step)?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(&serde_json::to_vec(plan).during(step)?).during(step)?;
        }
        let output = child.wait_with_output().during(step)?;
        if !output.status.success() {
            return Err(BenchError::Missing(format!("the load on {} gave up", plan.server)));
        }
        serde_json::from_slice(&output.stdout).during("reading the load's outcome")
    }
}
