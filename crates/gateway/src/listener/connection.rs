use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use http::{Request, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use thv_telemetry::metrics::OpenConnection;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::sources::Share;
use super::streams::{Streaming, Streams};
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
    pub(super) held: (OwnedSemaphorePermit, Option<Share>, OpenConnection),
}

impl Connection {
    pub(super) async fn serve<S: Respond>(self, service: S) {
        let Self { stream, origin, tls, protocol, limits, stop, cut, held } = self;
        let exchange = Exchange { origin, protocol, limits, stop, cut };
        match tls {
            None => exchange.run(stream, service).await,
            Some(tls) => {
                if let Some(stream) = exchange.shake_hands(&tls, stream).await {
                    exchange.run(stream, service).await;
                }
            }
        }
        drop(held);
    }
}

struct Exchange {
    origin: Origin,
    protocol: Arc<auto::Builder<Spawn>>,
    limits: Limits,
    stop: CancellationToken,
    cut: CancellationToken,
}

/// What interrupts a connection.
enum Signal {
    /// The listener stops: running requests are answered, and nothing else.
    Stop,
    /// What still runs has to end.
    Cut,
    /// The first request head is due.
    FirstHeadDue,
    /// An HTTP/2 connection may have lain idle for too long.
    IdleDue,
}

impl Exchange {
    async fn shake_hands(&self, tls: &Tls, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
        let handshake = tokio::time::timeout(self.limits.handshake, tls.acceptor().accept(stream));
        match self.cut.run_until_cancelled(handshake).await? {
            Ok(Ok(stream)) => return Some(stream),
            Ok(Err(error)) => {
                tracing::debug!(source.address = %self.origin.address, %error, "TLS handshake failed")
            }
            Err(_) => tracing::debug!(source.address = %self.origin.address, "TLS handshake took too long"),
        }
        None
    }

    /// Serves requests until the peer leaves or, after `stop`, until the running ones are answered.
    async fn run<S: Respond>(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, service: S) {
        let address = self.origin.address;
        let mut signals = self.signals();
        let keep_alive = self.limits.keep_alive;
        // Of the first request, and so of all.
        let asked = Arc::new(OnceLock::new());
        let seen = Arc::clone(&asked);
        let streams = Streams::default();
        let opened = streams.clone();
        let origin = self.origin;
        let answer = service_fn(move |request: Request<Incoming>| {
            let version = *seen.get_or_init(|| request.version());
            let stream = (version == Version::HTTP_2).then(|| opened.open());
            let (service, origin) = (service.clone(), origin.clone());
            async move {
                let response = service.respond(request, origin).await;
                Ok::<_, Infallible>(response.map(|body| Streaming { body, _stream: stream }))
            }
        });
        let mut connection = pin!(self.protocol.serve_connection(TokioIo::new(stream), answer));
        loop {
            tokio::select! {
                biased;
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::trace!(source.address = %address, %error, "connection ended");
                    }
                    return;
                }
                Some(signal) = signals.next() => match signal {
                    Signal::Stop => connection.as_mut().graceful_shutdown(),
                    Signal::FirstHeadDue => match asked.get() {
                        None => return,
                        Some(&Version::HTTP_2) => signals.push(idle_due(keep_alive)),
                        Some(_) => {}
                    },
                    Signal::IdleDue if streams.were_idle() => connection.as_mut().graceful_shutdown(),
                    Signal::IdleDue => signals.push(idle_due(keep_alive)),
                    Signal::Cut => return,
                }
            }
        }
    }

    /// In a set that looks at its members only when they wake: the connection itself wakes several times per request.
    fn signals(&self) -> FuturesUnordered<BoxFuture<'static, Signal>> {
        let stop = self.stop.clone().cancelled_owned().map(|()| Signal::Stop);
        let cut = self.cut.clone().cancelled_owned().map(|()| Signal::Cut);
        // hyper's own deadline starts only when it knows the protocol version: a peer that sends nothing, or half of
        // the HTTP/2 preface, would stay for ever.
        let first_head = tokio::time::sleep(self.limits.request_head).map(|()| Signal::FirstHeadDue);
        FuturesUnordered::from_iter([stop.boxed(), cut.boxed(), first_head.boxed()])
    }
}

/// hyper bounds how long an HTTP/1 connection lies idle, but not an HTTP/2 one that answers pings.
fn idle_due(keep_alive: Duration) -> BoxFuture<'static, Signal> {
    tokio::time::sleep(keep_alive).map(|()| Signal::IdleDue).boxed()
}
