//! What can be said on the command line.

mod workload;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use thv_telemetry::logs::{Format, Level};

pub(crate) use workload::{
    Doctor, List, Login, Logs, Named, RemoteAuth, Remove, Run, Several, Start, TokenExchange,
};

/// OAuth 2.1 for MCP servers: an authorization server and gateway that real MCP clients can log in to
#[derive(Debug, Parser)]
#[command(name = "thv", version, propagate_version = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// How log lines are written to standard error: `text` or `json`
    #[arg(long, global = true, env = "THV_LOG_FORMAT", default_value = "text", value_name = "FORMAT")]
    pub(crate) log_format: Format,

    /// The least severe message that is logged: `off`, `error`, `warn`, `info`, `debug` or `trace`; `info`, or `warn` for
    /// commands that end by themselves
    #[arg(long, global = true, env = "THV_LOG_LEVEL", value_name = "LEVEL")]
    pub(crate) log_level: Option<Level>,

    /// Say what is done step by step, as `--log-level debug` does
    #[arg(short, long, global = true, conflicts_with = "log_level")]
    pub(crate) verbose: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Put the authorization server and gateway in front of an MCP server
    Serve(Serve),
    Run(Box<Run>),
    /// Start a workload again
    Start(Start),
    /// Stop workloads and start them again
    Restart(Several),
    /// Stop workloads
    Stop(Several),
    /// Show all workloads
    List(List),
    /// Show one workload
    Status(Named),
    /// Show what a workload has logged
    Logs(Logs),
    /// Log in again, whatever is stored
    Login(Login),
    /// Revoke and forget a workload's login
    Logout(Named),
    /// Remove workloads with everything that is stored for them
    Rm(Remove),
    /// Print the definition of a workload as JSON, without secrets
    Export(Named),
    /// Show what a login at a remote MCP server would find, without logging in
    Doctor(Box<Doctor>),
    /// Store and remove secrets that workloads use
    Secret(Secret),
    /// Check and write client ID metadata documents
    Cimd(Cimd),
    /// Back up, check and export a server's SQLite store
    Store(Store),
    /// Print a completion script
    Completion {
        /// The shell that it is for
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write the pages of all commands
    Man {
        /// Directory to write `thv*.1` into
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Print the version
    Version {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

impl Command {
    /// What is logged when nothing else is said: a server's log is its record, and a command that talks with its user says
    /// what matters by itself.
    pub(crate) fn log_level(&self, verbose: bool) -> Level {
        let served = match self {
            Self::Serve(_) => true,
            Self::Start(start) => start.detached,
            _ => false,
        };
        match (verbose, served) {
            (true, _) => Level::DEBUG,
            (false, true) => Level::INFO,
            (false, false) => Level::WARN,
        }
    }
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("configuration").args(["dev", "config"]).required(true).multiple(true)))]
pub(crate) struct Serve {
    /// Everything embedded, for trying things out: one user who logs in with one click, keys and sessions in memory, URL
    /// client identifiers on, also from loopback; without `--target` a built-in MCP server
    #[arg(long)]
    pub(crate) dev: bool,

    /// The MCP server behind the gateway, such as `http://127.0.0.1:3001/mcp`
    #[arg(long, value_name = "URL")]
    pub(crate) target: Option<String>,

    /// Where to listen; 127.0.0.1:8080 in development, otherwise the file's `listen`
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<SocketAddr>,

    /// Configuration file (YAML); with `--dev` its keys win over the development defaults
    #[arg(short, long, env = "THV_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Validate everything without serving: exit 0, or 1 with all problems and their key paths
    #[arg(long)]
    pub(crate) check: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Cimd {
    #[command(subcommand)]
    pub(crate) command: CimdCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CimdCommand {
    /// Fetch a client ID metadata document as the server would and show how each rule came out
    Check(CimdCheck),
    /// Write a valid client ID metadata document
    New(CimdNew),
}

#[derive(Debug, Args)]
pub(crate) struct Store {
    #[command(subcommand)]
    pub(crate) command: StoreCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Copy the store to a new file, also while the server runs
    Backup {
        #[command(flatten)]
        of: StoreOf,
        /// The copy; it must not exist yet. It is of use only together with the server's keys
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
    /// Check the file, and whether every record in it can be read: exit 0 if all is well
    Check {
        #[command(flatten)]
        of: StoreOf,
    },
    /// Print what is in the store as JSON lines, without any secret
    Export {
        #[command(flatten)]
        of: StoreOf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Secret {
    #[command(subcommand)]
    pub(crate) command: SecretCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SecretCommand {
    /// Store a secret, which is read from standard input
    Set {
        /// Its name
        name: String,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Print a secret
    Get {
        /// Its name
        name: String,
    },
    /// Print the names of all secrets
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove a secret
    Delete {
        /// Its name
        name: String,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct StoreOf {
    /// The server's configuration file (YAML)
    #[arg(short, long, env = "THV_CONFIG", value_name = "FILE")]
    pub(crate) config: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct CimdCheck {
    /// The client identifier: the URL of the document
    pub(crate) url: String,

    /// The server's configuration file: its egress rules, scopes and limits apply
    #[arg(short, long, env = "THV_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Judge as `thv serve --dev` does: documents on loopback are allowed
    #[arg(long)]
    pub(crate) dev: bool,

    /// Print the report as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CimdNew {
    /// Where the document will be served; this is the client identifier
    #[arg(value_name = "URL")]
    pub(crate) client_id: String,

    /// Name to show to users
    #[arg(long)]
    pub(crate) name: String,

    /// Redirect URI; `http://127.0.0.1/callback` without a port stands for any port. May be repeated
    #[arg(long = "redirect-uri", value_name = "URI", required = true)]
    pub(crate) redirect_uris: Vec<String>,

    /// Whether the client runs on the user's machine or on a web server
    #[arg(long, value_enum, default_value_t = ApplicationType::Native)]
    pub(crate) application_type: ApplicationType,

    /// Scope that the client may ask for. May be repeated
    #[arg(long = "scope", value_name = "SCOPE")]
    pub(crate) scopes: Vec<String>,

    /// The client's home page
    #[arg(long, value_name = "URL")]
    pub(crate) client_uri: Option<String>,

    /// The client's logo
    #[arg(long, value_name = "URL")]
    pub(crate) logo_uri: Option<String>,

    /// Where the client's public keys are; the client then authenticates with `private_key_jwt`
    #[arg(long, value_name = "URL")]
    pub(crate) jwks_uri: Option<String>,

    /// Whom to contact about the client. May be repeated
    #[arg(long = "contact", value_name = "ADDRESS")]
    pub(crate) contacts: Vec<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ApplicationType {
    /// On the user's machine
    Native,
    /// On a web server
    Web,
}

impl ApplicationType {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Web => "web",
        }
    }
}
