//! The programs that `thv run` is compared with, as `bench/peers/install` puts them into the user's cache.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;

use super::bed::{Bed, Server};
use super::workload::listens;
use crate::error::{BenchError, During as _};
use crate::load::Bridge;
use crate::process::{Output, Pinned, Variables, free_address};

/// How long a start may take before it counts as failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// One of the programs.
#[derive(Clone, Copy, Debug)]
enum Program {
    McpRemote,
    McpProxy,
    Supergateway,
}

/// Those that offer a remote server over standard input and output.
#[derive(Clone, Copy, Debug)]
pub(super) enum OfRemote {
    /// npm's `mcp-remote`.
    McpRemote,
    /// PyPI's `mcp-proxy`.
    McpProxy,
}

/// Those that offer over HTTP a local server that speaks over standard input and output.
#[derive(Clone, Copy, Debug)]
pub(super) enum OfLocal {
    /// PyPI's `mcp-proxy`.
    McpProxy,
    /// npm's `supergateway`.
    Supergateway,
}

/// Where they are.
pub(super) struct Peers {
    dir: PathBuf,
    home: TempDir,
}

impl Program {
    fn label(self) -> &'static str {
        match self {
            Self::McpRemote => "mcp-remote",
            Self::McpProxy => "mcp-proxy",
            Self::Supergateway => "supergateway",
        }
    }
}

impl OfRemote {
    fn program(self) -> Program {
        match self {
            Self::McpRemote => Program::McpRemote,
            Self::McpProxy => Program::McpProxy,
        }
    }

    /// What the report calls it.
    pub(super) fn label(self) -> &'static str {
        self.program().label()
    }
}

impl OfLocal {
    fn program(self) -> Program {
        match self {
            Self::McpProxy => Program::McpProxy,
            Self::Supergateway => Program::Supergateway,
        }
    }

    /// What the report calls it.
    pub(super) fn label(self) -> &'static str {
        self.program().label()
    }
}

impl Peers {
    /// Finds them.
    ///
    /// # Errors
    /// When they are not installed.
    pub(super) fn find() -> Result<Self, BenchError> {
        let below_home = || std::env::home_dir().map(|home| home.join(".cache"));
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(below_home);
        let dir = cache.unwrap_or_default().join("toolhive-rs/bench-peers");
        if !dir.is_dir() {
            let text = format!("{} does not exist: run bench/peers/install", dir.display());
            return Err(BenchError::Missing(text));
        }
        let home = tempfile::Builder::new().prefix("thv-bench-").tempdir().during("making a home")?;
        Ok(Self { dir, home })
    }

    /// Opens a session at the remote server at `url` through `peer`, which adds the token to every request.
    ///
    /// # Errors
    /// When there is no answer through it.
    pub(super) fn remote(
        &self,
        bed: &Bed<'_>,
        peer: OfRemote,
        url: &str,
        token: &str,
    ) -> Result<Bridge, BenchError> {
        let bearer = format!("Bearer {token}");
        let args = match peer {
            OfRemote::McpRemote => {
                let header = format!("Authorization: {bearer}");
                [url, "--transport", "http-only", "--silent", "--header", &header].map(str::to_owned).to_vec()
            }
            OfRemote::McpProxy => {
                ["--transport", "streamablehttp", "--log-level", "ERROR", "-H", "Authorization", &bearer, url]
                    .map(str::to_owned)
                    .to_vec()
            }
        };
        Bridge::open(self.spawn(bed, peer.program(), args, Output::Piped)?)
    }

    /// Starts `peer` in front of a local server, and waits until it listens.
    ///
    /// # Errors
    /// When it does not in time.
    pub(super) fn local(
        &self,
        bed: &Bed<'_>,
        peer: OfLocal,
        command: &[String],
    ) -> Result<Server, BenchError> {
        let address = free_address()?;
        let port = address.port().to_string();
        let args = match peer {
            OfLocal::McpProxy => {
                let args = ["--log-level", "ERROR", "--port", &port, "--"];
                args.into_iter().map(str::to_owned).chain(command.iter().cloned()).collect()
            }
            OfLocal::Supergateway => {
                let command = command.join(" ");
                ["--stdio", &command, "--outputTransport", "streamableHttp", "--stateful", "--port", &port]
                    .into_iter()
                    .chain(["--logLevel", "none"])
                    .map(str::to_owned)
                    .collect()
            }
        };
        let output = if bed.options.show_log { Output::Shown } else { Output::Muted };
        let mut process = self.spawn(bed, peer.program(), args, output)?;
        if !process.becomes(PATIENCE, || listens(address)) {
            let text = format!("{} did not listen: run the suite with --show-log to see why", peer.label());
            return Err(BenchError::Missing(text));
        }
        Ok(Server { process, address })
    }

    fn spawn(
        &self,
        bed: &Bed<'_>,
        program: Program,
        args: Vec<String>,
        output: Output,
    ) -> Result<Pinned, BenchError> {
        let (program, script) = match program {
            Program::McpRemote => ("node", "node_modules/mcp-remote/dist/proxy.js"),
            Program::McpProxy => ("python3", "python/bin/mcp-proxy"),
            Program::Supergateway => ("node", "node_modules/supergateway/dist/index.js"),
        };
        let script = self.dir.join(script).display().to_string();
        let variables: Variables =
            vec![("HOME", OsString::from(self.home.path())), ("PYTHONPATH", self.dir.join("python").into())];
        let args = std::iter::once(script).chain(args);
        Pinned::start_apart(bed.options.server_core, program.as_ref(), args, output, &variables)
    }
}
