//! Why a workload does not run.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use thv_config::Problems;
use thv_egress::RootsError;
use thv_egress::target::InvalidTarget;
use thv_gateway::StartError;
use thv_remote::error::LoginError;
use thv_secrets::SecretsError;

use crate::files::FileError;
use crate::store::StoreError;

/// Why a workload does not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// What is kept of its login cannot be used.
    #[error("the login of the workload cannot be used")]
    Kept(#[source] LoginError),
    /// A secret that its definition names is not there.
    #[error("there is no secret of the name {0}: store it with `thv secret set {0}`")]
    SecretMissing(String),
    /// A secret of its own is not there any more.
    #[error("the workload's {0} is not among its secrets any more: remove it, and run it again")]
    OwnSecretMissing(&'static str),
    /// A secret cannot be sent.
    #[error("the value of the header field {0} has characters that cannot be sent")]
    Header(String),
    /// Secrets cannot be read.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// The certificates of authorities.
    #[error(transparent)]
    Roots(#[from] RootsError),
    /// The remote server's URL.
    #[error("the remote server cannot be used")]
    Target(#[from] InvalidTarget),
    /// The command of a local server.
    #[error(transparent)]
    Command(#[from] thv_stdio::StartError),
    /// The port of the proxy.
    #[error("cannot listen on {address}{}", by(.holder.as_deref()))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The process that has it.
        holder: Option<String>,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The socket behind the authorization server.
    #[error("cannot listen on {}", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The configuration of the authorization server.
    #[error("the authorization server's configuration cannot be used")]
    Configuration(#[from] Problems),
    /// The authorization server.
    #[error("the authorization server does not start")]
    Gateway(#[source] StartError),
    /// The workload's files.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another of its files.
    #[error(transparent)]
    File(#[from] FileError),
}

impl RunError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Kept(error) => error.hint(),
            Self::Listen { .. } => Some("choose another port with --proxy-port".to_owned()),
            Self::Socket { source, .. } if source.kind() == io::ErrorKind::InvalidInput => Some(
                "the path of a socket has 107 bytes at most: set XDG_DATA_HOME to a shorter one".to_owned(),
            ),
            Self::Gateway(error) => error.hint().map(str::to_owned),
            _ => None,
        }
    }
}

fn by(holder: Option<&str>) -> String {
    holder.map(|holder| format!(", which {holder} has")).unwrap_or_default()
}
