//! The connector that judges the address it is about to dial (AS-75).
//!
//! There is one look-up and one judgement: what was judged is what is dialled, so an answer that changes between check
//! and connect cannot win.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tower_service::Service;

use crate::judgement::{self, Forbidden};
use crate::literal::{self, Target};
use crate::policy::Policy;
use crate::resolve::Resolve;

/// How long an attempt has before the next address is tried beside it (RFC 8305 §8, Connection Attempt Delay).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// How many addresses of one answer are dialled at most: a hostile answer may list hundreds, none of them its own.
const MAX_ATTEMPTS: usize = 6;

/// Why no connection was made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    #[error("the name could not be resolved")]
    Dns(#[source] io::Error),
    #[error("no address accepted the connection")]
    Dial(#[source] io::Error),
}

/// Resolves, judges and dials.
#[derive(Clone)]
pub(crate) struct GuardedConnector {
    policy: Arc<Policy>,
    resolver: Arc<dyn Resolve>,
}

impl GuardedConnector {
    pub(crate) fn new(policy: Arc<Policy>, resolver: Arc<dyn Resolve>) -> Self {
        Self { policy, resolver }
    }

    async fn connect(self, uri: Uri) -> Result<TokioIo<TcpStream>, ConnectError> {
        let addresses = self.resolve(&uri).await?;
        self.policy.judge(&uri, addresses.iter().map(SocketAddr::ip))?;
        let stream = dial(addresses).await.map_err(ConnectError::Dial)?;
        stream.set_nodelay(true).map_err(ConnectError::Dial)?;
        Ok(TokioIo::new(stream))
    }

    async fn resolve(&self, uri: &Uri) -> Result<Vec<SocketAddr>, ConnectError> {
        let host = uri.host().unwrap_or_default();
        let port = judgement::port(uri);
        if let Some(address) = self.policy.host_override(host, port) {
            return Ok(vec![address]);
        }
        let answers = match literal::target(host) {
            Some(Target::Address(ip)) => vec![ip],
            Some(Target::Name) => self.resolver.resolve(host).await.map_err(ConnectError::Dns)?,
            None => return Err(ConnectError::Dns(io::ErrorKind::InvalidInput.into())),
        };
        if answers.is_empty() {
            return Err(ConnectError::Dns(io::ErrorKind::NotFound.into()));
        }
        Ok(answers.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
    }
}

impl Service<Uri> for GuardedConnector {
    type Response = TokioIo<TcpStream>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}

/// Dials in order; the next address is tried when the one before failed or did not answer within the attempt delay. The
/// first connection wins, and the other attempts end with it.
async fn dial(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut waiting = addresses.into_iter().take(MAX_ATTEMPTS);
    let mut attempts = JoinSet::new();
    let mut failure = io::Error::from(io::ErrorKind::NotFound);
    loop {
        let ended = match waiting.next() {
            Some(address) => {
                attempts.spawn(TcpStream::connect(address));
                match tokio::time::timeout(ATTEMPT_DELAY, attempts.join_next()).await {
                    Ok(ended) => ended,
                    Err(_) => continue,
                }
            }
            None => attempts.join_next().await,
        };
        match ended {
            Some(Ok(Ok(stream))) => return Ok(stream),
            Some(Ok(Err(error))) => failure = error,
            Some(Err(stopped)) => failure = io::Error::other(stopped),
            None => return Err(failure),
        }
    }
}
