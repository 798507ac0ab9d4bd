//! What a workload is, as it is kept on disk.

mod check;
pub(crate) mod host;
mod read;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use thv_config::Problem;
use thv_remote::settings::AuthSettings;
use thv_remote::token_exchange::TokenExchangeSettings;

use crate::name::WorkloadName;
use crate::status::Transport;

pub use read::DefinitionError;

/// The version of the format that is written and read.
pub const SCHEMA_VERSION: u32 = 1;

/// One workload: an MCP server elsewhere or a command of this machine, and the proxy in front of it. There is no secret in
/// it, only names of secrets; whatever values it has are left out of `Debug` all the same, because people put secrets into
/// arguments, variables and headers.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// The version of the format: [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// What the workload is called.
    pub name: WorkloadName,
    /// The URL of a remote MCP server. Exactly one of this and [`command`](Self::command) is present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_url: Option<String>,
    /// The program of an MCP server that speaks through its standard streams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The program's arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Environment variables of the program.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Environment variables of the program whose values are secrets: variable to name of the secret.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env_secrets: BTreeMap<String, String>,
    /// The program's working directory, absolute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<PathBuf>,
    /// The address that the proxy listens on.
    #[serde(default = "loopback")]
    pub host: IpAddr,
    /// The port that the proxy listens on. Chosen at the first start when absent, and kept, so that the URL is stable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_port: Option<u16>,
    /// How to log in at the remote server.
    #[serde(default, skip_serializing_if = "is_default")]
    pub remote_auth: AuthSettings,
    /// Whether the remote server is sent a fixed bearer token, which is among the workload's secrets, and there is no login.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_bearer_token: bool,
    /// Header fields that are added to every request to the remote server.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub forward_headers: BTreeMap<String, String>,
    /// Such header fields whose values are secrets: field name to name of the secret.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub forward_headers_secret: BTreeMap<String, String>,
    /// Exchange of the login's token for another (RFC 8693).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_exchange: Option<TokenExchangeSettings>,
    /// PEM file of certificate authorities that are trusted beside the system's, absolute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<PathBuf>,
    /// Configuration file of an embedded authorization server in front of the workload, absolute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_server: Option<PathBuf>,
    /// Names, with or without a port, under which clients reach the proxy from elsewhere. Without one it is the proxy's port.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_hosts: Vec<String>,
    /// Origins of browser-based MCP clients that may call the proxy, beside its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_origins: Vec<String>,
}

const fn loopback() -> IpAddr {
    IpAddr::V4(Ipv4Addr::LOCALHOST)
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Definition {
    /// A workload in front of a remote MCP server.
    pub fn remote(name: WorkloadName, url: impl Into<String>) -> Self {
        Self { remote_url: Some(url.into()), ..Self::nothing(name) }
    }

    /// A workload that runs a command.
    pub fn command(name: WorkloadName, command: impl Into<String>, args: Vec<String>) -> Self {
        Self { command: Some(command.into()), args, ..Self::nothing(name) }
    }

    fn nothing(name: WorkloadName) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            name,
            remote_url: None,
            command: None,
            args: Vec::new(),
            env: BTreeMap::new(),
            env_secrets: BTreeMap::new(),
            cwd: None,
            host: loopback(),
            proxy_port: None,
            remote_auth: AuthSettings::default(),
            has_bearer_token: false,
            forward_headers: BTreeMap::new(),
            forward_headers_secret: BTreeMap::new(),
            token_exchange: None,
            ca_bundle: None,
            auth_server: None,
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
        }
    }

    /// Checks the values, by themselves and together, without touching a file or the network; everything found is returned at
    /// once, warnings included. No problem shows a value that may be a secret.
    pub fn check(&self) -> Vec<Problem> {
        check::check(self)
    }

    /// How the MCP server is spoken to.
    pub fn transport(&self) -> Transport {
        if self.command.is_some() { Transport::Stdio } else { Transport::StreamableHttp }
    }

    /// Whether this says the same as `other`, which may have chosen the port that is left open here.
    pub fn is_fulfilled_by(&self, other: &Self) -> bool {
        (self.proxy_port.is_none() || self.proxy_port == other.proxy_port)
            && self.differs_at_most_in_port(other)
    }

    /// Whether this says the same as `other` but for the port.
    pub fn differs_at_most_in_port(&self, other: &Self) -> bool {
        Self { proxy_port: other.proxy_port, ..self.clone() } == *other
    }
}

impl fmt::Debug for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Definition").field("name", &self.name).finish_non_exhaustive()
    }
}
