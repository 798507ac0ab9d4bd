//! From a host name to its addresses.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;

/// The addresses of a name, when they are known.
pub type Resolving = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Answers which addresses a host name has. IP literals are never asked for.
pub trait Resolve: Send + Sync + 'static {
    /// All addresses of `host`, in the order in which they should be tried.
    fn resolve(&self, host: &str) -> Resolving;
}

/// The machine's resolver: `resolv.conf`, `hosts` and whatever else `getaddrinfo` obeys.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, host: &str) -> Resolving {
        let host = host.to_owned();
        Box::pin(async move {
            let answers = tokio::net::lookup_host((host.as_str(), 0)).await?;
            Ok(answers.map(|address: SocketAddr| address.ip()).collect())
        })
    }
}
