//! The streaming client for the configured backend.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use thv_egress::Roots;
use thv_egress::target::{TargetClient, TargetError};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::fixtures::*;

const CONNECT: Duration = Duration::from_secs(20);

fn client(target: &str) -> TargetClient<Full<Bytes>> {
    TargetClient::new(target, &Roots::load(None).unwrap(), CONNECT).unwrap()
}

fn get(uri: &str) -> Request<Full<Bytes>> {
    Request::get(uri).body(Full::default()).unwrap()
}

#[tokio::test]
async fn only_the_configured_authority_is_dialled() {
    let wire = Tripwire::bind("127.0.0.1:0").await;
    let server = Server::answering(ok("backend")).await;
    let client = client(&server.url("/base"));
    assert_eq!(client.uri().path(), "/base");

    let mut request = get(&format!("http://127.0.0.1:{}/mcp?a=b", wire.port()));
    request.headers_mut().insert("host", "gateway.example".parse().unwrap());
    *request.version_mut() = Version::HTTP_2;
    let response = client.send(request).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "backend");
    let head = &server.requests()[0];
    assert!(head.starts_with("GET /mcp?a=b HTTP/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("host: {}\r\n", server.address)), "{head}");
    assert!(!head.contains("gateway.example"), "{head}");
    wire.assert_untouched().await;
}

#[tokio::test]
async fn redirects_of_the_backend_are_handed_on() {
    let wire = Tripwire::bind("127.0.0.1:0").await;
    let location = format!("http://127.0.0.1:{}/", wire.port());
    let server =
        Server::answering(format!("HTTP/1.1 307 X\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n"))
            .await;
    let response = client(&server.url("/")).send(get("/mcp")).await.unwrap();
    assert_eq!(response.status(), StatusCode::TEMPORARY_REDIRECT);
    wire.assert_untouched().await;
}

#[tokio::test]
async fn the_first_bytes_arrive_before_the_backend_has_finished() {
    let (sender, receiver) = mpsc::channel::<()>(1);
    let receiver = std::sync::Arc::new(tokio::sync::Mutex::new(receiver));
    let server = Server::plain(move |mut stream| {
        let receiver = receiver.clone();
        Box::pin(async move {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n")
                .await
                .unwrap();
            receiver.lock().await.recv().await.unwrap();
            stream.write_all(b"4\r\nlast\r\n0\r\n\r\n").await.unwrap();
        })
    })
    .await;
    let mut body = client(&server.url("/")).send(get("/sse")).await.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "first");
    sender.send(()).await.unwrap();
    assert_eq!(body.collect().await.unwrap().to_bytes(), "last");
}

#[tokio::test]
async fn a_dropped_response_closes_the_connection_to_the_backend() {
    let (sender, mut ended) = mpsc::unbounded_channel();
    let server = Server::plain(move |mut stream| {
        let sender = sender.clone();
        Box::pin(async move {
            stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
            read_head(&mut stream).await;
            sender.send(()).unwrap();
        })
    })
    .await;
    drop(client(&server.url("/")).send(get("/sse")).await.unwrap());
    tokio::time::timeout(CONNECT, ended.recv()).await.unwrap().unwrap();
}

#[tokio::test]
async fn the_connect_timeout_covers_the_handshake() {
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("https://{}/", mute.local_addr().unwrap());
    let client =
        TargetClient::<Full<Bytes>>::new(&target, &Roots::load(None).unwrap(), Duration::from_millis(100));
    let failure = client.unwrap().send(get("/")).await.unwrap_err();
    assert!(matches!(failure, TargetError::Connect { .. }), "{failure:?}");
}

#[tokio::test]
async fn failures_before_and_after_the_connection_are_told_apart() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let failure = client(&format!("http://{closed}/")).send(get("/")).await.unwrap_err();
    assert!(matches!(failure, TargetError::Connect { .. }), "{failure:?}");

    let server = Server::answering("").await;
    let failure = client(&server.url("/")).send(get("/")).await.unwrap_err();
    assert!(matches!(failure, TargetError::Exchange { .. }), "{failure:?}");
}

#[tokio::test]
async fn http_2_is_spoken_where_the_backend_offers_it() {
    let authority = Authority::create();
    let mut config = authority.server.clone();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("https://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let stream = acceptor.accept(stream).await.unwrap();
        let echo = service_fn(|request: Request<hyper::body::Incoming>| async move {
            let seen = format!("{:?} {}", request.version(), request.uri().path());
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(seen))))
        });
        hyper_util::server::conn::auto::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), echo)
            .await
            .unwrap();
    });
    let client = TargetClient::<Full<Bytes>>::new(&target, &authority.roots(), CONNECT).unwrap();
    let response = client.send(get("/mcp")).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "HTTP/2.0 /mcp");
}

#[test]
fn an_unusable_target_is_refused() {
    let roots = Roots::load(None).unwrap();
    for target in ["", "/mcp", "backend:8080", "ftp://backend/", "http://user:password@backend/", "http://"] {
        assert!(TargetClient::<Full<Bytes>>::new(target, &roots, CONNECT).is_err(), "{target}");
    }
}
