//! `thv run` as a child process: a user with a home of their own and one workload.

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::bed::{Bed, Server};
use super::subject::Started;
use crate::error::{BenchError, During as _};
use crate::mcp;
use crate::process::{Output, Pinned, Variables, free_address};
use crate::provider;

/// How long a start may take before it counts as failed.
const PATIENCE: Duration = Duration::from_secs(10);
/// The workload.
const NAME: &str = "bench";

/// What protects the file of this user's secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protection {
    /// A key file beside it.
    KeyFile,
    /// A password, through Argon2id.
    Password,
}

/// What is stored for the remote server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    /// A token of the user's own.
    Token,
    /// A login at the provider.
    Login,
}

/// The user.
pub(super) struct Home {
    dir: TempDir,
    protection: Protection,
    address: SocketAddr,
}

impl Protection {
    /// What the report calls it.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::KeyFile => "key file",
            Self::Password => "password",
        }
    }
}

impl Stored {
    /// What the report calls it.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Token => "stored token",
            Self::Login => "stored login",
        }
    }
}

impl Home {
    /// A user without any workload.
    ///
    /// # Errors
    /// When there is no directory or no port for it.
    pub(super) fn new(protection: Protection) -> Result<Self, BenchError> {
        let dir = tempfile::Builder::new().prefix("thv-bench-").tempdir();
        Ok(Self { dir: dir.during("making a home")?, protection, address: free_address()? })
    }

    /// `thv run` in front of a remote server that insists on [`provider::ACCESS_TOKEN`], up to the first answer from there.
    ///
    /// # Errors
    /// When there is none in time.
    pub(super) fn run_remote(
        &self,
        bed: &Bed<'_>,
        server: SocketAddr,
        stored: Stored,
        provider: SocketAddr,
    ) -> Result<Started, BenchError> {
        let url = format!("http://{server}/mcp");
        let further = match stored {
            Stored::Token => {
                let file = self.dir.path().join("token");
                std::fs::write(&file, provider::ACCESS_TOKEN).during("writing the token")?;
                vec![url, "--remote-auth-bearer-token-file".into(), file.display().to_string()]
            }
            Stored::Login => {
                let [authorize, token] = [provider::AUTHORIZATION_PATH, provider::TOKEN_PATH]
                    .map(|path| format!("http://{provider}{path}"));
                let [authorize_flag, token_flag, client_flag] =
                    ["authorize-url", "token-url", "client-id"].map(|name| format!("--remote-auth-{name}"));
                vec![url, authorize_flag, authorize, token_flag, token, client_flag, "bench".into()]
            }
        };
        self.spawn(bed, self.run_args(&further), answers_calls)
    }

    /// `thv run -- COMMAND`, until it listens.
    ///
    /// # Errors
    /// When it does not in time.
    pub(super) fn run_command(&self, bed: &Bed<'_>, command: &[String]) -> Result<Started, BenchError> {
        let further = [&["--".to_owned()], command].concat();
        self.spawn(bed, self.run_args(&further), listens)
    }

    /// `thv start` with what was stored, up to the first answer from the remote server.
    ///
    /// # Errors
    /// When there is none in time.
    pub(super) fn start(&self, bed: &Bed<'_>) -> Result<Started, BenchError> {
        self.spawn(bed, ["start", NAME, "--foreground"].map(str::to_owned).into(), answers_calls)
    }

    fn run_args(&self, further: &[String]) -> Vec<String> {
        let port = self.address.port().to_string();
        let args = ["run", "--name", NAME, "--foreground", "--proxy-port", &port];
        args.into_iter().map(str::to_owned).chain(further.iter().cloned()).collect()
    }

    fn spawn(
        &self,
        bed: &Bed<'_>,
        args: Vec<String>,
        ready: fn(SocketAddr) -> bool,
    ) -> Result<Started, BenchError> {
        let output = if bed.options.show_log { Output::Shown } else { Output::Muted };
        let (core, address) = (bed.options.server_core, self.address);
        let spawned = Instant::now();
        let mut process = Pinned::start_apart(core, &bed.thv, args, output, &self.variables())?;
        if !process.becomes(PATIENCE, || ready(address)) {
            let text = "thv run did not answer: run the suite with --show-log to see why";
            return Err(BenchError::Missing(text.into()));
        }
        Ok(Started { ready_after: spawned.elapsed(), server: Server { process, address } })
    }

    fn variables(&self) -> Variables {
        let mut variables: Variables = vec![
            ("HOME", self.dir.path().into()),
            ("XDG_RUNTIME_DIR", self.dir.path().join("run").into()),
            ("TOOLHIVE_SECRETS_PROVIDER", "encrypted".into()),
        ];
        if self.protection == Protection::Password {
            variables.push(("TOOLHIVE_SECRETS_PASSWORD", OsString::from("correct horse battery staple")));
        }
        variables
    }
}

/// Whether a call comes back with its result.
fn answers_calls(address: SocketAddr) -> bool {
    let attempt = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let body = mcp::request(1, mcp::CALL);
        let head = format!(
            "POST /mcp HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes())?;
        let mut response = String::new();
        stream.read_to_string(&mut response)?;
        Ok(response.starts_with("HTTP/1.1 200") && response.contains(mcp::RESULT))
    };
    attempt().unwrap_or(false)
}

/// Whether somebody accepts connections.
pub(super) fn listens(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_ok()
}
