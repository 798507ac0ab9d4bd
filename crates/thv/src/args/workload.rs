//! The words of `thv run` and of what looks after its workloads.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{ArgGroup, Args};
use thv_config::GoDuration;
use thv_workload::WorkloadName;

/// Log in to a remote MCP server, or start a local one, and offer it to the MCP clients of this machine
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("server").args(["url", "command"]).required(true)))]
pub(crate) struct Run {
    /// The remote MCP server, such as `https://mcp.example.com/mcp`
    #[arg(value_name = "URL")]
    pub(crate) url: Option<String>,

    /// A local MCP server that speaks over standard input and output, after `--`: started without a shell
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,

    /// The workload's name; made from the URL or the command when absent
    #[arg(long)]
    pub(crate) name: Option<WorkloadName>,

    /// Stay in the foreground, with the log on the terminal
    #[arg(short, long)]
    pub(crate) foreground: bool,

    /// The address to listen on
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1")]
    pub(crate) host: IpAddr,

    /// The port to listen on; 0, or none, is any that is free, kept for the next start
    #[arg(long, value_name = "PORT")]
    pub(crate) proxy_port: Option<u16>,

    /// A configuration file of `thv serve`, whose authorization server is put in front of the workload
    #[arg(long, value_name = "FILE")]
    pub(crate) auth_server: Option<PathBuf>,

    /// Name, with or without a port, under which clients elsewhere reach the workload: needed with a --host that they can reach.
    /// May be repeated
    #[arg(long = "allowed-hosts", value_name = "NAME[:PORT]", value_delimiter = ',')]
    pub(crate) allowed_hosts: Vec<String>,

    /// Web origin whose pages may call the workload. May be repeated
    #[arg(long = "allowed-origins", value_name = "ORIGIN", value_delimiter = ',')]
    pub(crate) allowed_origins: Vec<String>,

    /// PEM file of further certificate authorities
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_bundle: Option<PathBuf>,

    /// Environment variable of the command, as NAME=VALUE. May be repeated
    #[arg(short, long = "env", value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) env: Vec<(String, String)>,

    /// Stored secret as an environment variable of the command, as NAME,target=VARIABLE. May be repeated
    #[arg(long = "secret", value_name = "NAME,target=VARIABLE", value_parser = secret_target)]
    pub(crate) secrets: Vec<(String, String)>,

    /// Header field of every request to the remote server, as NAME=VALUE. May be repeated
    #[arg(long = "remote-forward-headers", value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) forward_headers: Vec<(String, String)>,

    /// Stored secret as such a header field, as HEADER=NAME. May be repeated
    #[arg(long = "remote-forward-headers-secret", value_name = "HEADER=NAME", value_parser = pair)]
    pub(crate) forward_headers_secret: Vec<(String, String)>,

    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) auth: RemoteAuth,

    #[command(flatten)]
    pub(crate) exchange: TokenExchange,
}

/// How to log in at the remote server. Nothing of this is needed as a rule: the server says it.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Logging in")]
pub(crate) struct RemoteAuth {
    /// Accepted for compatibility: a login is made whenever the server asks for one
    #[arg(long, hide = true)]
    pub(crate) remote_auth: bool,

    /// The authorization server's issuer
    #[arg(long, value_name = "URL")]
    pub(crate) remote_auth_issuer: Option<String>,

    /// The authorization endpoint, in place of discovery
    #[arg(
        long,
        value_name = "URL",
        requires = "remote_auth_token_url",
        conflicts_with = "remote_auth_issuer"
    )]
    pub(crate) remote_auth_authorize_url: Option<String>,

    /// The token endpoint, in place of discovery
    #[arg(long, value_name = "URL", requires = "remote_auth_authorize_url")]
    pub(crate) remote_auth_token_url: Option<String>,

    /// A client that was registered by hand
    #[arg(long, value_name = "ID")]
    pub(crate) remote_auth_client_id: Option<String>,

    /// Its secret; other users of this machine can see arguments, so prefer the next one
    #[arg(
        long,
        value_name = "SECRET",
        conflicts_with = "remote_auth_client_secret_file",
        hide_env_values = true
    )]
    #[arg(env = "TOOLHIVE_REMOTE_OAUTH_CLIENT_SECRET")]
    pub(crate) remote_auth_client_secret: Option<String>,

    /// File of its secret
    #[arg(long, value_name = "FILE")]
    pub(crate) remote_auth_client_secret_file: Option<PathBuf>,

    /// Scope to ask for in place of what the server names. May be repeated
    #[arg(long, value_name = "SCOPE", value_delimiter = ',')]
    pub(crate) remote_auth_scopes: Vec<String>,

    /// The name of the scope parameter, such as Slack's `user_scope`
    #[arg(long, value_name = "NAME")]
    pub(crate) remote_auth_scope_param_name: Option<String>,

    /// The resource indicator (RFC 8707) in place of the one that the server names
    #[arg(long, value_name = "URI")]
    pub(crate) remote_auth_resource: Option<String>,

    /// Further parameter of the authorization request, as NAME=VALUE. May be repeated
    #[arg(long = "remote-auth-param", value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) remote_auth_params: Vec<(String, String)>,

    /// Print the URL of the login and wait for the URL that the browser ends at: for ssh
    #[arg(long)]
    pub(crate) remote_auth_skip_browser: bool,

    /// How long a login may take [default: 5m]
    #[arg(long, value_name = "DURATION")]
    pub(crate) remote_auth_timeout: Option<GoDuration>,

    /// The port that the browser comes back to [default: 8666]
    #[arg(long, value_name = "PORT")]
    pub(crate) remote_auth_callback_port: Option<u16>,

    /// The URL of the client ID metadata document to log in with
    /// [default: `https://toolhive.dev/oauth/client-metadata.json`]
    #[arg(long, value_name = "URL")]
    pub(crate) remote_auth_client_metadata_url: Option<String>,

    /// Never log in with a client ID metadata document
    #[arg(long)]
    pub(crate) remote_auth_no_cimd: bool,

    /// Never register dynamically
    #[arg(long)]
    pub(crate) remote_auth_no_dcr: bool,

    /// A token of yours in place of a login; other users of this machine can see arguments, so prefer the next one
    #[arg(
        long,
        value_name = "TOKEN",
        conflicts_with = "remote_auth_bearer_token_file",
        hide_env_values = true
    )]
    #[arg(env = "TOOLHIVE_REMOTE_AUTH_BEARER_TOKEN")]
    pub(crate) remote_auth_bearer_token: Option<String>,

    /// File of such a token
    #[arg(long, value_name = "FILE")]
    pub(crate) remote_auth_bearer_token_file: Option<PathBuf>,

    /// Send tokens by plain http also beyond this machine: for test networks only
    #[arg(long)]
    pub(crate) insecure_allow_http: bool,
}

/// An exchange of the login's token for another one (RFC 8693).
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Token exchange")]
pub(crate) struct TokenExchange {
    /// The token endpoint that exchanges the login's token
    #[arg(long, value_name = "URL")]
    pub(crate) token_exchange_url: Option<String>,

    /// The client there
    #[arg(long, value_name = "ID", requires = "token_exchange_url")]
    pub(crate) token_exchange_client_id: Option<String>,

    /// Its secret; prefer the next one
    #[arg(
        long,
        value_name = "SECRET",
        conflicts_with = "token_exchange_client_secret_file",
        hide_env_values = true
    )]
    #[arg(env = "TOOLHIVE_TOKEN_EXCHANGE_CLIENT_SECRET")]
    pub(crate) token_exchange_client_secret: Option<String>,

    /// File of its secret
    #[arg(long, value_name = "FILE", requires = "token_exchange_url")]
    pub(crate) token_exchange_client_secret_file: Option<PathBuf>,

    /// Where the new token is to be used
    #[arg(long, value_name = "AUDIENCE", requires = "token_exchange_url")]
    pub(crate) token_exchange_audience: Option<String>,

    /// What it is to permit. May be repeated
    #[arg(long, value_name = "SCOPE", value_delimiter = ',', requires = "token_exchange_url")]
    pub(crate) token_exchange_scopes: Vec<String>,

    /// What the login's token is: `access_token`, `id_token` or a URN [default: access_token]
    #[arg(long, value_name = "TYPE", requires = "token_exchange_url")]
    pub(crate) token_exchange_subject_token_type: Option<String>,

    /// The header field that carries the new token [default: Authorization]
    #[arg(long, value_name = "NAME", requires = "token_exchange_url")]
    pub(crate) token_exchange_header_name: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Start {
    /// The workload
    pub(crate) name: WorkloadName,

    /// Stay in the foreground, with the log on the terminal
    #[arg(short, long)]
    pub(crate) foreground: bool,

    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,

    /// This is the process that was started to go on by itself
    #[arg(long, hide = true)]
    pub(crate) detached: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Named {
    /// The workload
    pub(crate) name: WorkloadName,

    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").args(["names", "all"]).required(true)))]
pub(crate) struct Several {
    /// The workloads
    pub(crate) names: Vec<WorkloadName>,

    /// All of them
    #[arg(short, long)]
    pub(crate) all: bool,

    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Remove {
    #[command(flatten)]
    pub(crate) which: Several,

    /// Stop those that run
    #[arg(short, long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only those that run
    #[arg(long)]
    pub(crate) running: bool,

    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// The workload
    pub(crate) name: WorkloadName,

    /// Go on with what is written from now on
    #[arg(short, long)]
    pub(crate) follow: bool,

    /// Only so many of the last lines
    #[arg(short = 'n', long, value_name = "COUNT")]
    pub(crate) lines: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct Login {
    /// The workload
    pub(crate) name: WorkloadName,

    /// Print the URL of the login and wait for the URL that the browser ends at: for ssh
    #[arg(long)]
    pub(crate) skip_browser: bool,

    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// The remote MCP server
    pub(crate) url: String,

    /// PEM file of further certificate authorities
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_bundle: Option<PathBuf>,

    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) auth: RemoteAuth,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    match name.is_empty() {
        true => Err("the name before `=` is empty".to_owned()),
        false => Ok((name.to_owned(), value.to_owned())),
    }
}

/// Name of the secret and of the variable.
fn secret_target(text: &str) -> Result<(String, String), String> {
    let (name, target) = text.split_once(",target=").ok_or("write NAME,target=VARIABLE")?;
    match name.is_empty() || target.is_empty() {
        true => Err("name and variable must not be empty".to_owned()),
        false => Ok((name.to_owned(), target.to_owned())),
    }
}
