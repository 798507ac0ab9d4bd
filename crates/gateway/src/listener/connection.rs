use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use thv_telemetry::metrics::OpenConnection;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::sources::Share;
use super::{Limits, Origin, Respond};
use crate::tls::Tls;

/// Runs the tasks of HTTP/2 streams, so that they are waited for and cut off like their connection.
#[derive(Clone)]
pub(super) struct Spawn {
    pub(super) tasks: TaskTracker,
    pub(super) cut: CancellationToken,
}

impl<F> hyper::rt::Executor<F> for Spawn
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.tasks.spawn(self.cut.clone().run_until_cancelled_owned(future));
    }
}

/// One accepted connection.
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    pub(super) origin: Origin,
    pub(super) tls: Option<Tls>,
    pub(super) protocol: Arc<auto::Builder<Spawn>>,
    pub(super) limits: Limits,
    pub(super) stop: CancellationToken,
    pub(super) cut: CancellationToken,
    /// What is given back when the connection ends: the listener's slot, the source's share, the gauge.
    pub(super) held: (OwnedSemaphorePermit, Option<Option<Share>>, OpenConnection),
}

impl Connection {
    pub(super) async fn serve<S: Respond>(self, service: S) {
        let Self { stream, origin, tls, protocol, limits, stop, cut, held } = self;
        let exchange = Exchange { origin, protocol, limits, stop };
        let whole = async {
            let Some(tls) = tls else { return exchange.run(stream, service).await };
            let handshake = tls.acceptor().accept(stream);
            match tokio::time::timeout(exchange.limits.handshake, handshake).await {
                Ok(Ok(stream)) => exchange.run(stream, service).await,
                Ok(Err(error)) => {
                    tracing::debug!(source.address = %origin.address, %error, "TLS handshake failed")
                }
                Err(_) => tracing::debug!(source.address = %origin.address, "TLS handshake took too long"),
            }
        };
        cut.run_until_cancelled(whole).await;
        drop(held);
    }
}

struct Exchange {
    origin: Origin,
    protocol: Arc<auto::Builder<Spawn>>,
    limits: Limits,
    stop: CancellationToken,
}

impl Exchange {
    /// Serves requests until the peer leaves or, after `stop`, until the running ones are answered.
    async fn run<S: Respond>(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, service: S) {
        let origin = self.origin;
        let asked = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&asked);
        let answer = service_fn(move |request| {
            seen.store(true, Ordering::Relaxed);
            let service = service.clone();
            async move { Ok::<_, Infallible>(service.respond(request, origin).await) }
        });
        let mut connection = pin!(self.protocol.serve_connection(TokioIo::new(stream), answer));
        // hyper's own deadline starts only when it knows the protocol version: a peer that sends nothing, or half of
        // the HTTP/2 preface, would stay for ever.
        let mut first_head = pin!(tokio::time::sleep(self.limits.request_head));
        let mut first_head_due = false;
        let mut stopping = false;
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::trace!(source.address = %origin.address, %error, "connection ended");
                    }
                    return;
                }
                () = self.stop.cancelled(), if !stopping => {
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = first_head.as_mut(), if !first_head_due => {
                    first_head_due = true;
                    if !asked.load(Ordering::Relaxed) {
                        return;
                    }
                }
            }
        }
    }
}
