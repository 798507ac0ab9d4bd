use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use thv_gateway::listener::{Limits, Listener, Origin, Respond};
use thv_gateway::peer::TrustedProxies;
use thv_gateway::tls::Tls;
use thv_telemetry::{Metrics, SharedMetrics};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Answers `/stream` with what the test sends, one chunk at a time, and everything else with `ok`.
#[derive(Clone)]
pub(crate) struct Answers {
    chunks: Arc<Mutex<Option<mpsc::Receiver<&'static str>>>>,
}

impl Respond for Answers {
    type Body = BoxBody<Bytes, Infallible>;

    async fn respond(&self, request: Request<Incoming>, _: Origin) -> Response<Self::Body> {
        if request.uri().path() != "/stream" {
            return Response::new(Full::new(Bytes::from_static(b"ok")).boxed());
        }
        let chunks = self.chunks.lock().await.take().unwrap();
        let frames = stream::unfold(chunks, |mut chunks| async move {
            let chunk = chunks.recv().await?;
            Some((Ok(Frame::data(Bytes::from_static(chunk.as_bytes()))), chunks))
        });
        Response::new(BodyExt::boxed(StreamBody::new(frames)))
    }
}

/// A listener under test.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) task: JoinHandle<()>,
    pub(crate) metrics: SharedMetrics,
    /// Feeds the body of `/stream`; dropping it ends the body.
    pub(crate) chunks: mpsc::Sender<&'static str>,
}

pub(crate) async fn serve(limits: Limits, tls: Option<Tls>, trusted: TrustedProxies) -> Served {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let metrics = Arc::new(Metrics::new("0"));
    let stop = CancellationToken::new();
    let (chunks, receiver) = mpsc::channel(8);
    let answers = Answers { chunks: Arc::new(Mutex::new(Some(receiver))) };
    let listener = Listener { socket, tls, limits, trusted, metrics: Arc::clone(&metrics) };
    let task = listener.serve(answers, stop.clone());
    Served { address, stop, task, metrics, chunks }
}

pub(crate) async fn serve_with(limits: Limits) -> Served {
    serve(limits, None, TrustedProxies::default()).await
}

/// A connection on which the test writes HTTP by hand.
pub(crate) struct Wire<S>(pub(crate) S);

impl Wire<TcpStream> {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(crate) async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    pub(crate) async fn get(&mut self, path: &str) {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")).await;
    }

    /// Everything up to and including `end`.
    pub(crate) async fn read_until(&mut self, end: &str) -> String {
        let mut seen = String::new();
        while !seen.ends_with(end) {
            let byte = self.0.read_u8().await.unwrap_or_else(|error| panic!("{error} after {seen:?}"));
            seen.push(char::from(byte));
        }
        seen
    }

    /// Everything until the peer closes or resets the connection.
    pub(crate) async fn read_to_end(&mut self) -> String {
        let mut seen = Vec::new();
        // A reset ends the connection as well as an orderly close.
        let _ = self.0.read_to_end(&mut seen).await;
        String::from_utf8_lossy(&seen).into_owned()
    }
}
