use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST};
use http::{Request, Response, Uri};
use http_body::{Body, Frame};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use thv_clock::Timestamp;
use thv_egress::Roots;
use thv_egress::target::TargetClient;
use thv_oauth::scope::ScopeSet;
use thv_proxy::{Inject, Peer, Proxy, ProxyConfig};
use thv_resource::credential::{Credential, CredentialCache};
use thv_resource::{ProtectedResource, ProtectedResourceConfig, Verified};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

pub(crate) type TestBody = BoxBody<Bytes, Infallible>;

pub(crate) fn full(text: impl Into<Bytes>) -> TestBody {
    Full::new(text.into()).boxed()
}

/// A body that ends when the sender is dropped.
pub(crate) fn channel_body() -> (mpsc::Sender<Bytes>, TestBody) {
    let (sender, receiver) = mpsc::channel(1);
    let frames = futures_util::stream::unfold(receiver, |mut receiver: mpsc::Receiver<Bytes>| async move {
        receiver.recv().await.map(|chunk| (Ok(Frame::data(chunk)), receiver))
    });
    (sender, StreamBody::new(frames).boxed())
}

/// A free port with an HTTP/1.1 server that lives as long as the test.
pub(crate) async fn serve<F, R, B>(answer: F) -> SocketAddr
where
    F: Fn(Request<Incoming>) -> R + Clone + Send + 'static,
    R: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            let service = service_fn(move |request| {
                let answer = answer(request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .half_close(false)
                .serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection);
        }
    });
    address
}

pub(crate) fn config() -> ProxyConfig {
    ProxyConfig {
        public_url: Uri::from_static("https://mcp.example.com"),
        inject: Inject::Authorization,
        forward_identity: false,
        response_deadline: Some(Duration::from_secs(60)),
    }
}

/// What stands between client and backend in these tests: every token is good and names its subject.
#[derive(Default)]
pub(crate) struct Gateway {
    pub(crate) credential: Option<Arc<Credential>>,
    pub(crate) credentials: Option<Arc<CredentialCache>>,
}

impl Gateway {
    pub(crate) async fn start(self, config: ProxyConfig, backend: &str) -> SocketAddr {
        let roots = Roots::load(None).unwrap();
        let client = TargetClient::new(backend, &roots, Duration::from_secs(5)).unwrap();
        let resource = ProtectedResource::new(ProtectedResourceConfig {
            resource: "https://mcp.example.com/mcp".to_owned(),
            ..ProtectedResourceConfig::default()
        });
        let resource = Arc::new(resource.unwrap());
        let proxy = Arc::new(Proxy::new(config, client, resource, self.credentials).unwrap());
        let credential = self.credential;
        serve(move |request| {
            let (proxy, credential) = (proxy.clone(), credential.clone());
            async move {
                let verified = verified(&request);
                let peer = Peer::new("192.0.2.7".parse().unwrap());
                proxy.forward(request, &verified, credential.as_deref(), &peer).await
            }
        })
        .await
    }
}

fn verified(request: &Request<Incoming>) -> Verified {
    let token = request.headers().get(AUTHORIZATION).map(|value| value.to_str().unwrap());
    let subject = token.and_then(|token| token.strip_prefix("Bearer ")).unwrap_or("alice");
    let mut verified = Verified::new(
        "https://as.example.com".to_owned(),
        subject.to_owned(),
        "https://client.example/doc.json".to_owned(),
        ScopeSet::parse("openid profile").unwrap(),
        Timestamp::from_secs(2_000_000_000),
    );
    verified.session = Some("session-1".to_owned());
    verified.name = Some("Ålice 100%".to_owned());
    verified
}

/// A proxy without credentials to a backend that listens at `/base/mcp`.
pub(crate) async fn plain_gateway(backend: SocketAddr) -> SocketAddr {
    Gateway::default().start(config(), &format!("http://{backend}/base/mcp")).await
}

pub(crate) fn post(body: TestBody) -> Request<TestBody> {
    Request::post("/mcp").body(body).unwrap()
}

/// Sends a request over a connection of its own, which closes when the response is dropped.
pub(crate) async fn send<B>(gateway: SocketAddr, mut request: Request<B>) -> Response<Incoming>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let stream = TcpStream::connect(gateway).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    request.headers_mut().entry(HOST).or_insert_with(|| "mcp.example.com".parse().unwrap());
    sender.send_request(request).await.unwrap()
}

pub(crate) async fn text<B>(response: Response<B>) -> String
where
    B: Body<Error: std::fmt::Debug>,
{
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

pub(crate) async fn json(response: Response<Incoming>) -> serde_json::Value {
    serde_json::from_str(&text(response).await).unwrap()
}
