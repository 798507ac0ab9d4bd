//! Streams and sessions through the whole gateway.

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use thv_testkit::http_server::TestServer;
use thv_testkit::streaming::{AnyBody, BodyWriter, channel};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::backend::Backend;
use super::gate::{Gate, INITIALIZE, TOOL_CALL, clock};
use super::provider::Provider;

/// An MCP server whose responses are event streams that the test writes.
async fn streaming_backend() -> (TestServer, mpsc::UnboundedReceiver<(Request<Incoming>, BodyWriter)>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let server = TestServer::http_streaming(move |request| {
        let (writer, body) = channel();
        sender.send((request, writer)).unwrap();
        async move {
            let response = Response::builder().header("content-type", "text/event-stream");
            response.header("x-accel-buffering", "no").body(body).unwrap()
        }
    })
    .await;
    (server, receiver)
}

async fn next(body: &mut Incoming) -> Option<Bytes> {
    Some(body.frame().await?.unwrap().into_data().unwrap())
}

#[tokio::test]
async fn g1_the_first_event_reaches_the_client_before_the_backend_has_finished() {
    let (backend, mut requests) = streaming_backend().await;
    let gate = Gate::start(&clock(), &backend.url("/mcp"), |_| {}).await;
    let session = gate.log_in().await;
    let request = gate.to_mcp(Method::POST, session.token()).body(Full::from(TOOL_CALL)).unwrap();
    let mut response = gate.send(request).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let (_, writer) = requests.recv().await.unwrap();
    for event in ["data: one\n\n", ": comment\r\n\r\n", "data: two\n\n"] {
        assert!(writer.send(event).await);
        assert_eq!(next(response.body_mut()).await.unwrap(), event);
    }
    drop(writer);
    assert!(next(response.body_mut()).await.is_none());
}

#[tokio::test]
async fn g1_the_backend_learns_that_the_client_is_gone() {
    let (backend, mut requests) = streaming_backend().await;
    let gate = Gate::start(&clock(), &backend.url("/mcp"), |_| {}).await;
    let session = gate.log_in().await;
    for method in [Method::POST, Method::GET] {
        let request = gate.to_mcp(method, session.token()).body(Full::<Bytes>::default()).unwrap();
        let mut response = gate.send(request).await;
        let (_, writer) = requests.recv().await.unwrap();
        assert!(writer.send("data: one\n\n").await);
        next(response.body_mut()).await.unwrap();
        drop(response);
        writer.closed().await;
    }
}

#[tokio::test]
async fn g1_a_request_streams_while_the_response_does() {
    let (backend, mut requests) = streaming_backend().await;
    let gate = Gate::start(&clock(), &backend.url("/mcp"), |_| {}).await;
    let session = gate.log_in().await;
    let (writer, body): (BodyWriter, AnyBody) = channel();
    let request = gate.to_mcp(Method::POST, session.token()).body(body).unwrap();
    let talk = async {
        assert!(writer.send("one").await);
        let (mut arrived, answers) = requests.recv().await.unwrap();
        assert_eq!(next(arrived.body_mut()).await.unwrap(), "one");
        assert!(answers.send("data: got one\n\n").await);
        (arrived, answers)
    };
    let (mut response, (mut arrived, answers)) = tokio::join!(gate.send(request), talk);
    assert_eq!(next(response.body_mut()).await.unwrap(), "data: got one\n\n");
    assert!(writer.send("two").await);
    assert_eq!(next(arrived.body_mut()).await.unwrap(), "two");
    drop(writer);
    assert!(next(arrived.body_mut()).await.is_none());
    drop(answers);
    assert!(next(response.body_mut()).await.is_none());
}

#[tokio::test]
async fn g1_http_2_clients_get_the_same() {
    let (backend, mut requests) = streaming_backend().await;
    let gate = Gate::start(&clock(), &backend.url("/mcp"), |_| {}).await;
    let session = gate.log_in().await;
    let stream = TcpStream::connect(gate.running.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = |builder: http::request::Builder| builder.body(Full::<Bytes>::from(TOOL_CALL)).unwrap();

    let good = gate.to_mcp(Method::POST, session.token());
    let mut response = sender.send_request(request(good)).await.unwrap();
    assert_eq!((response.status().as_u16(), response.version()), (200, http::Version::HTTP_2));
    let (arrived, writer) = requests.recv().await.unwrap();
    assert_eq!(arrived.headers()["host"].to_str().unwrap(), backend.addr().to_string());
    assert!(writer.send("data: one\n\n").await);
    assert_eq!(next(response.body_mut()).await.unwrap(), "data: one\n\n");
    // The reset of one stream ends its request alone.
    drop(response);
    writer.closed().await;

    let foreign = gate.to_mcp(Method::POST, session.token()).uri("http://evil.example/mcp");
    assert_eq!(sender.send_request(request(foreign)).await.unwrap().status(), 421);
    let nobody = Request::post(gate.resource());
    assert_eq!(sender.send_request(request(nobody)).await.unwrap().status(), 401);
}

#[tokio::test]
async fn px_3_headers_of_both_protocol_eras_pass() {
    let backend = Backend::start().await;
    let gate = Gate::start(&clock(), &backend.url(), |_| {}).await;
    let session = gate.log_in().await;
    let headers = [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "echo"),
        ("mcp-param-city", "=?base64?w7xiZXI=?="),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("last-event-id", "7"),
    ];
    let with_headers = |method| {
        let request = gate.to_mcp(method, session.token());
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
    };
    for method in [Method::POST, Method::GET, Method::DELETE] {
        let request = with_headers(method.clone()).body(Full::from(TOOL_CALL)).unwrap();
        assert_eq!(gate.whole(request).await.status, 200, "{method}");
        let seen = backend.only();
        assert_eq!(seen.method, method);
        for (name, value) in headers {
            assert_eq!(seen.header(name), value, "{method} {name}");
        }
        assert_eq!(seen.header("accept"), "application/json, text/event-stream");
    }
}

#[tokio::test]
async fn rs_16_the_session_of_another_user_does_not_exist() {
    let clock = clock();
    let (backend, provider) = (Backend::start().await, Provider::start(&clock).await);
    let gate = Gate::start(&clock, &backend.url(), |config| provider.as_oidc(config)).await;
    let alice = gate.log_in().await;
    provider.behave(|manner| manner.subject = "bob");
    let bob = gate.log_in().await;

    let open = gate.to_mcp(Method::POST, alice.token()).header("mcp-test-session", "s-1");
    let opened = gate.whole(open.body(Full::from(INITIALIZE)).unwrap()).await;
    assert_eq!(opened.headers["mcp-session-id"], "s-1");
    assert_eq!(backend.seen().len(), 1);

    let with_session = async |method, token: &str| {
        let request = gate.to_mcp(method, token).header("mcp-session-id", "s-1");
        gate.whole(request.body(Full::from(TOOL_CALL)).unwrap()).await
    };
    for method in [Method::POST, Method::GET, Method::DELETE] {
        let answer = with_session(method, bob.token()).await;
        assert_eq!(answer.status, 404, "{answer:?}");
        assert_eq!(answer.json()["error"], "session_not_found");
    }
    assert!(backend.seen().is_empty(), "nothing of it reaches the backend");
    for method in [Method::POST, Method::GET, Method::DELETE] {
        assert_eq!(with_session(method, alice.token()).await.status, 200);
    }
    // Another login of the same user is the same owner.
    provider.behave(|manner| manner.subject = "alice");
    let open = gate.to_mcp(Method::POST, alice.token()).header("mcp-test-session", "s-1");
    gate.whole(open.body(Full::from(INITIALIZE)).unwrap()).await;
    let again = gate.log_in().await;
    let answer = with_session(Method::POST, again.token()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}
