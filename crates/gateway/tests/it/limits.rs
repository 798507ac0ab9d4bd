use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use thv_gateway::listener::Limits;
use thv_gateway::peer::TrustedProxies;

use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::support::{Wire, serve, serve_with};

const SHORT: Duration = Duration::from_millis(50);

#[tokio::test]
async fn a_peer_that_sends_nothing_is_disconnected() {
    let served = serve_with(Limits { request_head: SHORT, ..Limits::default() }).await;
    assert_eq!(Wire::open(served.address).await.read_to_end().await, "");
}

#[tokio::test]
async fn a_peer_that_never_finishes_its_request_head_is_disconnected() {
    let served = serve_with(Limits { request_head: SHORT, ..Limits::default() }).await;
    for beginning in ["GET / HTTP/1.1\r\nHost: test\r\nX-Slow: ", "PRI * HTT"] {
        let mut wire = Wire::open(served.address).await;
        wire.send(beginning).await;
        let answer = wire.read_to_end().await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{beginning:?}: {answer:?}");
    }
}

#[tokio::test]
async fn a_request_head_has_a_largest_size() {
    let served = serve_with(Limits { head_bytes: 16 * 1024, ..Limits::default() }).await;
    let mut wire = Wire::open(served.address).await;
    wire.send(&format!("GET / HTTP/1.1\r\nHost: test\r\nX-Long: {}\r\n\r\n", "a".repeat(20_000))).await;
    assert!(wire.read_until("\r\n").await.starts_with("HTTP/1.1 431"));
}

#[tokio::test]
async fn over_the_cap_connections_wait_unaccepted() {
    let served = serve_with(Limits { connections: 1, ..Limits::default() }).await;
    let mut first = Wire::open(served.address).await;
    first.get("/").await;
    first.read_until("ok").await;
    let mut second = Wire::open(served.address).await;
    second.get("/").await;
    // A whole exchange on the first connection, and still no byte on the second.
    first.get("/").await;
    first.read_until("ok").await;
    assert_eq!(served.metrics.open_connections(), 1);
    assert_eq!(second.0.try_read(&mut [0; 1]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    drop(first);
    assert!(second.read_until("ok").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn one_source_address_holds_a_bounded_number_of_connections() {
    let served = serve_with(Limits { connections_per_source: 1, ..Limits::default() }).await;
    let mut first = Wire::open(served.address).await;
    first.get("/").await;
    first.read_until("ok").await;
    assert_eq!(Wire::open(served.address).await.read_to_end().await, "");
    assert!(served.metrics.encode().contains(r#"thv_refusals_total{reason="too_many_connections"} 1"#));
    first.get("/").await;
    first.read_until("ok").await;
}

#[tokio::test]
async fn a_trusted_proxy_may_hold_any_number_of_connections() {
    let trusted = TrustedProxies::new(["127.0.0.0/8".parse().unwrap()]);
    let limits = Limits { connections_per_source: 1, ..Limits::default() };
    let served = serve(limits, None, trusted).await;
    let mut wires = Vec::new();
    for _ in 0..3 {
        let mut wire = Wire::open(served.address).await;
        wire.get("/").await;
        wire.read_until("ok").await;
        wires.push(wire);
    }
    assert_eq!(served.metrics.open_connections(), 3);
}

#[tokio::test]
async fn the_deadline_of_the_first_request_head_does_not_end_an_idle_connection() {
    let served = serve_with(Limits { request_head: SHORT, ..Limits::default() }).await;
    let mut idle = Wire::open(served.address).await;
    idle.get("/").await;
    idle.read_until("ok").await;
    // Opened later and so due later: when it is closed, the deadline of the idle connection is over too.
    assert_eq!(Wire::open(served.address).await.read_to_end().await, "");
    idle.get("/").await;
    idle.read_until("ok").await;
}

#[tokio::test]
async fn a_connection_that_lies_idle_too_long_is_closed() {
    let served = serve_with(Limits { keep_alive: SHORT, ..Limits::default() }).await;
    let mut idle = Wire::open(served.address).await;
    idle.get("/").await;
    idle.read_until("ok").await;
    assert_eq!(idle.read_to_end().await, "");
}

/// An HTTP/2 connection, which answers pings and ends with the task.
async fn http2(address: SocketAddr) -> (http2::SendRequest<Empty<Bytes>>, JoinHandle<hyper::Result<()>>) {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    (sender, tokio::spawn(connection))
}

async fn get(sender: &mut http2::SendRequest<Empty<Bytes>>, path: &str) -> Incoming {
    let request = Request::get(format!("http://test{path}")).body(Empty::new()).unwrap();
    sender.send_request(request).await.unwrap().into_body()
}

#[tokio::test]
async fn an_http2_connection_without_streams_is_closed_and_one_with_a_stream_is_not() {
    let limits = Limits { request_head: 5 * SHORT, keep_alive: SHORT, ..Limits::default() };
    let served = serve_with(limits).await;
    let (mut busy, _connection) = http2(served.address).await;
    let mut stream = get(&mut busy, "/stream").await;
    // Opened later and so due later: when the second is closed, the time of the first is over twice.
    for _ in 0..2 {
        let (mut idle, connection) = http2(served.address).await;
        assert_eq!(get(&mut idle, "/").await.collect().await.unwrap().to_bytes(), "ok");
        connection.await.unwrap().unwrap();
    }
    served.chunks.send("one").await.unwrap();
    assert_eq!(stream.frame().await.unwrap().unwrap().into_data().unwrap(), "one");
}
