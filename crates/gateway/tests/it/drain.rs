use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use thv_gateway::listener::Limits;
use tokio::net::TcpStream;

use crate::support::{Wire, serve_with};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(50);

#[tokio::test]
async fn a_running_stream_finishes_while_new_connections_are_refused() {
    let served = serve_with(Limits { drain: LONG, ..Limits::default() }).await;
    let mut wire = Wire::open(served.address).await;
    wire.get("/stream").await;
    served.chunks.send("one").await.unwrap();
    wire.read_until("one\r\n").await;
    served.stop.cancel();
    refused(served.address).await;
    served.chunks.send("two").await.unwrap();
    wire.read_until("two\r\n").await;
    drop(served.chunks);
    assert_eq!(wire.read_to_end().await, "0\r\n\r\n");
    served.task.await.unwrap();
}

#[tokio::test]
async fn an_idle_connection_does_not_delay_the_end() {
    let served = serve_with(Limits { drain: LONG, ..Limits::default() }).await;
    let mut idle = Wire::open(served.address).await;
    idle.get("/").await;
    idle.read_until("ok").await;
    let mut silent = Wire::open(served.address).await;
    served.stop.cancel();
    served.task.await.unwrap();
    assert_eq!(idle.read_to_end().await, "");
    assert_eq!(silent.read_to_end().await, "");
    assert_eq!(served.metrics.open_connections(), 0);
}

#[tokio::test]
async fn a_stream_that_does_not_end_is_cut_off_at_the_deadline() {
    let served = serve_with(Limits { drain: SHORT, ..Limits::default() }).await;
    let mut wire = Wire::open(served.address).await;
    wire.get("/stream").await;
    served.chunks.send("one").await.unwrap();
    wire.read_until("one\r\n").await;
    served.stop.cancel();
    assert_eq!(wire.read_to_end().await, "");
    served.task.await.unwrap();
    assert!(served.chunks.send("two").await.is_err(), "nobody reads the body any more");
}

#[tokio::test]
async fn an_http2_stream_that_does_not_end_is_cut_off_at_the_deadline() {
    let served = serve_with(Limits { drain: SHORT, ..Limits::default() }).await;
    let stream = TcpStream::connect(served.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let request =
        Request::get(format!("http://{}/stream", served.address)).body(Empty::<Bytes>::new()).unwrap();
    let mut body = sender.send_request(request).await.unwrap().into_body();
    served.chunks.send("one").await.unwrap();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, "one");
    served.stop.cancel();
    served.task.await.unwrap();
    assert!(body.frame().await.is_none_or(|frame| frame.is_err()));
    drop(sender);
    let _ = connection.await.unwrap();
    assert!(served.chunks.send("two").await.is_err(), "nobody reads the body any more");
}

/// The listening socket closes soon after the stop.
async fn refused(address: std::net::SocketAddr) {
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}
