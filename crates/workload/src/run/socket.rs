//! The door of a workload on a Unix socket, for the authorization server in front of it: nobody gets around that one.

use std::convert::Infallible;
use std::fs::{self, Permissions};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use thv_gateway::listener::{Origin, Respond as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

use super::error::RunError;
use super::front::Front;
use crate::files::{guarded_directory, remove_if_there};

/// A socket in a directory that nobody else can enter; gone with this value.
pub(super) struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

impl Socket {
    /// Binds `path`, in place of what a killed process left there.
    pub(super) fn bind(path: &Path) -> Result<Self, RunError> {
        path.parent().map_or(Ok(()), guarded_directory)?;
        remove_if_there(path)?;
        let bind = || -> io::Result<UnixListener> {
            let listener = UnixListener::bind(path)?;
            fs::set_permissions(path, Permissions::from_mode(0o600))?;
            Ok(listener)
        };
        let listener = bind().map_err(|source| RunError::Socket { path: path.to_owned(), source })?;
        Ok(Self { listener, path: path.to_owned() })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Serves until it is dropped.
    pub(super) async fn serve(self, front: Front) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => {
                    if let Ok((stream, _)) = accepted {
                        connections.spawn(connection(stream, front.clone()));
                    }
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // The next process binds it anew in any case.
        let _ = fs::remove_file(&self.path);
    }
}

async fn connection(stream: UnixStream, front: Front) {
    let origin = Origin::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), false);
    let answer = service_fn(move |request: Request<Incoming>| {
        let (front, origin) = (front.clone(), origin.clone());
        async move { Ok::<_, Infallible>(front.respond(request, origin).await) }
    });
    let mut protocol = auto::Builder::new(TokioExecutor::new());
    protocol.http1().timer(TokioTimer::new());
    if let Err(error) = protocol.serve_connection(TokioIo::new(stream), answer).await {
        tracing::trace!(%error, "a connection of the authorization server ended");
    }
}
