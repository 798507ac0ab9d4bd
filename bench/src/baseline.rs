//! The bare servers that `thv` is measured against. They share its runtime, allocator, HTTP and crypto libraries.

mod proxy;
mod responder;
mod signer;

use std::net::SocketAddr;

use clap::Subcommand;

use crate::error::BenchError;

pub(crate) use signer::Signer;

/// Which bare server.
#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum Kind {
    /// Forwards every request to one backend, streaming both bodies
    Proxy {
        /// Address of the backend
        #[arg(long)]
        backend: SocketAddr,
    },
    /// Answers every request with a constant JSON body
    Responder {
        /// Length of the body in bytes
        #[arg(long)]
        body_bytes: usize,
    },
    /// Signs one ES256 JWT per request and answers with a token response
    Signer {
        /// Length of the body in bytes
        #[arg(long)]
        body_bytes: usize,
    },
}

/// Serves the baseline until the process is killed.
///
/// # Errors
/// When no port can be bound or the signing key cannot be made.
pub(crate) async fn run(kind: Kind) -> Result<(), BenchError> {
    match kind {
        Kind::Proxy { backend } => proxy::run(backend).await,
        Kind::Responder { body_bytes } => responder::run(body_bytes).await,
        Kind::Signer { body_bytes } => signer::run(body_bytes).await,
    }
}
