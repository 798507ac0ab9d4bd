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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// npm's `mcp-remote`: a remote server over standard input and output.
    McpRemote,
    /// PyPI's `mcp-proxy`: the same, and a local server over HTTP.
    McpProxy,
    /// npm's `supergateway`: a local server over HTTP.
    Supergateway,
}

/// Where they are.
pub(super) struct Peers {
    dir: PathBuf,
    home: TempDir,
}

impl Peer {
    /// What the report calls it.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::McpRemote => "mcp-remote",
            Self::McpProxy => "mcp-proxy",
            Self::Supergateway => "supergateway",
        }
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
        peer: Peer,
        url: &str,
        token: &str,
    ) -> Result<Bridge, BenchError> {
        let bearer = format!("Bearer {token}");
        let args = match peer {
            Peer::McpRemote => {
                let header = format!("Authorization: {bearer}");
                ["--transport", "http-only", "--silent", "--header", &header].map(str::to_owned).to_vec()
            }
            Peer::McpProxy => {
                ["--transport", "streamablehttp", "--log-level", "ERROR", "-H", "Authorization"]
                    .into_iter()
                    .map(str::to_owned)
                    .chain([bearer])
                    .collect()
            }
            Peer::Supergateway => return Err(BenchError::Missing("supergateway has no part in this".into())),
        };
        let args = match peer {
            Peer::McpRemote => [&[url.to_owned()], args.as_slice()].concat(),
            _ => [args.as_slice(), &[url.to_owned()]].concat(),
        };
        Bridge::open(self.spawn(bed, peer, args, Output::Piped)?)
    }

    /// Starts `peer` in front of a local server, and waits until it listens.
    ///
    /// # Errors
    /// When it does not in time.
    pub(super) fn local(&self, bed: &Bed<'_>, peer: Peer, command: &[String]) -> Result<Server, BenchError> {
        let address = free_address()?;
        let port = address.port().to_string();
        let args = match peer {
            Peer::McpProxy => {
                let args = ["--log-level", "ERROR", "--port", &port, "--"];
                args.into_iter().map(str::to_owned).chain(command.iter().cloned()).collect()
            }
            Peer::Supergateway => {
                let command = command.join(" ");
                ["--stdio", &command, "--outputTransport", "streamableHttp", "--stateful", "--port", &port]
                    .into_iter()
                    .chain(["--logLevel", "none"])
                    .map(str::to_owned)
                    .collect()
            }
            Peer::McpRemote => return Err(BenchError::Missing("mcp-remote has no part in this".into())),
        };
        let output = if bed.options.show_log { Output::Shown } else { Output::Muted };
        let mut process = self.spawn(bed, peer, args, output)?;
        if !process.becomes(PATIENCE, || listens(address)) {
            let text = format!("{} did not listen: run the suite with --show-log to see why", peer.label());
            return Err(BenchError::Missing(text));
        }
        Ok(Server { process, address })
    }

    fn spawn(
        &self,
        bed: &Bed<'_>,
        peer: Peer,
        args: Vec<String>,
        output: Output,
    ) -> Result<Pinned, BenchError> {
        let (program, script) = match peer {
            Peer::McpRemote => ("node", "node_modules/mcp-remote/dist/proxy.js"),
            Peer::McpProxy => ("python3", "python/bin/mcp-proxy"),
            Peer::Supergateway => ("node", "node_modules/supergateway/dist/index.js"),
        };
        let script = self.dir.join(script).display().to_string();
        let variables: Variables =
            vec![("HOME", OsString::from(self.home.path())), ("PYTHONPATH", self.dir.join("python").into())];
        let args = std::iter::once(script).chain(args);
        Pinned::start_apart(bed.options.server_core, program.as_ref(), args, output, &variables)
    }
}
