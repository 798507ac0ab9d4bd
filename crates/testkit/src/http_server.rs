//! HTTP servers whose answers are a closure.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::certs::TestCa;
use crate::streaming::AnyBody;

/// A server on 127.0.0.1 that speaks HTTP/1.1 and HTTP/2 and stops when dropped.
pub struct TestServer {
    origin: String,
    addr: SocketAddr,
    counters: Arc<Counters>,
    up: watch::Sender<bool>,
    door: Arc<Door>,
    accepting: JoinHandle<()>,
}

/// A port that stays ours whether or not anybody listens on it.
struct Door {
    /// Bound and never listened on: while there is no listener, connections are refused.
    _port: TcpSocket,
    listener: Mutex<Option<TcpListener>>,
    opened: Notify,
}

impl Door {
    fn new() -> (Self, SocketAddr) {
        let port = bound("127.0.0.1:0".parse().unwrap());
        let addr = port.local_addr().unwrap();
        let listener = Mutex::new(Some(bound(addr).listen(1024).unwrap()));
        (Self { _port: port, listener, opened: Notify::new() }, addr)
    }

    fn close(&self) {
        self.listener.lock().unwrap().take();
    }

    fn open(&self, addr: SocketAddr) {
        self.listener.lock().unwrap().get_or_insert_with(|| bound(addr).listen(1024).unwrap());
        self.opened.notify_one();
    }

    /// The next connection.
    async fn accept(&self) -> TcpStream {
        loop {
            let accepted = poll_fn(|context| match &*self.listener.lock().unwrap() {
                Some(listener) => listener.poll_accept(context).map(Some),
                None => Poll::Ready(None),
            });
            tokio::select! {
                accepted = accepted => match accepted {
                    Some(Ok((stream, _))) => return stream,
                    Some(Err(_)) => {}
                    None => self.opened.notified().await,
                },
                // The listener that is polled may be another one now.
                () = self.opened.notified() => {}
            }
        }
    }
}

fn bound(addr: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseport(true).unwrap();
    socket.bind(addr).unwrap();
    socket
}

#[derive(Default)]
struct Counters {
    connections: AtomicUsize,
    requests: AtomicUsize,
}

impl TestServer {
    /// Plain HTTP; the handler gets the whole request and gives the whole response.
    pub async fn http<H, F>(handler: H) -> Self
    where
        H: Fn(Request<Bytes>) -> F + Send + Sync + 'static,
        F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
    {
        Self::start(None, whole(handler)).await
    }

    /// HTTPS with a certificate for `names`; URLs use the first of them.
    pub async fn https<H, F>(ca: &TestCa, names: &[&str], handler: H) -> Self
    where
        H: Fn(Request<Bytes>) -> F + Send + Sync + 'static,
        F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
    {
        Self::start(Some((ca, names)), whole(handler)).await
    }

    /// Plain HTTP; both bodies may be streams. See [`streaming`](crate::streaming) for bodies.
    pub async fn http_streaming<H, F>(handler: H) -> Self
    where
        H: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
        F: Future<Output = Response<AnyBody>> + Send + 'static,
    {
        Self::start(None, handler).await
    }

    /// HTTPS; both bodies may be streams.
    pub async fn https_streaming<H, F>(ca: &TestCa, names: &[&str], handler: H) -> Self
    where
        H: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
        F: Future<Output = Response<AnyBody>> + Send + 'static,
    {
        Self::start(Some((ca, names)), handler).await
    }

    async fn start<H, F>(tls: Option<(&TestCa, &[&str])>, handler: H) -> Self
    where
        H: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
        F: Future<Output = Response<AnyBody>> + Send + 'static,
    {
        let (door, addr) = Door::new();
        let door = Arc::new(door);
        let origin = match tls {
            None => format!("http://{addr}"),
            Some((_, names)) => format!("https://{}:{}", names.first().expect("a name"), addr.port()),
        };
        let acceptor = tls.map(|(ca, names)| TlsAcceptor::from(ca.issue(names).server_config()));
        let counters = Arc::new(Counters::default());
        let (up, is_up) = watch::channel(true);
        let accepting = tokio::spawn(accept(
            Arc::clone(&door),
            acceptor,
            Arc::new(handler),
            Arc::clone(&counters),
            is_up,
        ));
        Self { origin, addr, counters, up, door, accepting }
    }

    /// The URL of `path`, which begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// Where the server listens, whatever its names are.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// How many requests have arrived.
    pub fn requests(&self) -> usize {
        self.counters.requests.load(Ordering::SeqCst)
    }

    /// How many connections were made, including those that never carried a request.
    pub fn connections(&self) -> usize {
        self.counters.connections.load(Ordering::SeqCst)
    }

    /// Breaks all connections and refuses new ones, until [`up`](Self::up). The port stays taken.
    pub fn down(&self) {
        self.door.close();
        self.up.send_replace(false);
    }

    /// Serves again.
    pub fn up(&self) {
        self.up.send_replace(true);
        self.door.open(self.addr);
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn whole<H, F>(handler: H) -> impl Fn(Request<Incoming>) -> WholeFuture + Send + Sync + 'static
where
    H: Fn(Request<Bytes>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let handler = Arc::new(handler);
    move |request| {
        let handler = Arc::clone(&handler);
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.expect("the client sends its whole body").to_bytes();
            handler(Request::from_parts(head, body))
                .await
                .map(|body| body.map_err(|never| match never {}).boxed())
        })
    }
}

type WholeFuture = std::pin::Pin<Box<dyn Future<Output = Response<AnyBody>> + Send>>;

async fn accept<H, F>(
    door: Arc<Door>,
    acceptor: Option<TlsAcceptor>,
    handler: Arc<H>,
    counters: Arc<Counters>,
    is_up: watch::Receiver<bool>,
) where
    H: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<AnyBody>> + Send + 'static,
{
    // Dropped with this task, and all connections with it.
    let mut connections = JoinSet::new();
    loop {
        let stream = door.accept().await;
        counters.connections.fetch_add(1, Ordering::SeqCst);
        let (acceptor, handler, counters) = (acceptor.clone(), Arc::clone(&handler), Arc::clone(&counters));
        let mut is_up = is_up.clone();
        connections.spawn(async move {
            tokio::select! {
                biased;
                _ = is_up.wait_for(|up| !*up) => {}
                // Clients that hang up or do not trust the certificate are what many tests are about.
                _ = secure(stream, acceptor, handler, counters) => {}
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn secure<H, F>(
    stream: TcpStream,
    acceptor: Option<TlsAcceptor>,
    handler: Arc<H>,
    counters: Arc<Counters>,
) -> io::Result<()>
where
    H: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<AnyBody>> + Send + 'static,
{
    stream.set_nodelay(true)?;
    match acceptor {
        None => serve(stream, handler, counters).await,
        Some(acceptor) => serve(acceptor.accept(stream).await?, handler, counters).await,
    }
}

async fn serve<S, H, F>(stream: S, handler: Arc<H>, counters: Arc<Counters>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<AnyBody>> + Send + 'static,
{
    let service = service_fn(move |request| {
        counters.requests.fetch_add(1, Ordering::SeqCst);
        let response = handler(request);
        async move { Ok::<_, Infallible>(response.await) }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await.map_err(io::Error::other)
}
