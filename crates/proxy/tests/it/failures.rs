use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use thv_proxy::ProxyConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};

use crate::support::*;

#[tokio::test]
async fn a_backend_that_is_down_is_a_bad_gateway() {
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = unused.local_addr().unwrap();
    drop(unused);
    let response = send(plain_gateway(address).await, post(full("{}"))).await;
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(response.headers()["content-type"], "application/json");
    let body = json(response).await;
    assert_eq!(body["error"], "backend_unreachable");
    assert_eq!(body["correlation_id"].as_str().unwrap().len(), 12);
    assert!(!body.to_string().contains(&address.port().to_string()), "nothing internal is told");
}

#[tokio::test]
async fn a_backend_that_hangs_up_is_a_bad_gateway() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.readable().await.unwrap();
        }
    });
    let response = send(plain_gateway(address).await, post(full("{}"))).await;
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(json(response).await["error"], "backend_broke_off");
}

#[tokio::test]
async fn a_backend_that_does_not_begin_to_answer_is_a_gateway_timeout() {
    let backend = serve(|_| std::future::pending::<Response<TestBody>>()).await;
    let config = ProxyConfig { response_deadline: Some(Duration::from_millis(20)), ..config() };
    let gateway = Gateway::default().start(config, &format!("http://{backend}/")).await;
    let response = send(gateway, post(full("{}"))).await;
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(json(response).await["error"], "backend_response_timeout");
}

/// A backend that announces each request and answers it when it is told to.
async fn waiting() -> (SocketAddr, mpsc::UnboundedReceiver<Method>, Arc<Semaphore>) {
    let (arrived, arrivals) = mpsc::unbounded_channel();
    let released = Arc::new(Semaphore::new(0));
    let permits = released.clone();
    let backend = serve(move |request: Request<_>| {
        arrived.send(request.method().clone()).unwrap();
        let permits = permits.clone();
        async move {
            permits.acquire().await.unwrap().forget();
            Response::new(full("at last"))
        }
    })
    .await;
    (backend, arrivals, released)
}

#[tokio::test]
async fn a_stream_and_a_gateway_without_deadline_wait_for_the_head_of_the_response() {
    const SHORT: Option<Duration> = Some(Duration::from_millis(20));
    for (method, deadline) in [(Method::GET, SHORT), (Method::POST, None)] {
        let (backend, mut arrivals, released) = waiting().await;
        let start = async |response_deadline| {
            let config = ProxyConfig { response_deadline, ..config() };
            Gateway::default().start(config, &format!("http://{backend}/")).await
        };
        let (gateway, strict) = (start(deadline).await, start(SHORT).await);
        let request = Request::builder().method(&method).uri("/mcp").body(full("")).unwrap();
        let patient = tokio::spawn(send(gateway, request));
        assert_eq!(arrivals.recv().await, Some(method));
        // Sent later, so due later too.
        assert_eq!(send(strict, post(full("{}"))).await.status(), StatusCode::GATEWAY_TIMEOUT);
        released.add_permits(2);
        let response = patient.await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(text(response).await, "at last");
    }
}

#[tokio::test]
async fn a_backend_that_wants_a_credential_we_do_not_have_is_a_bad_gateway() {
    let backend = serve(|_| async {
        let builder = Response::builder().status(StatusCode::UNAUTHORIZED);
        builder.header("www-authenticate", "Bearer realm=\"backend\"").body(full("")).unwrap()
    })
    .await;
    let response = send(plain_gateway(backend).await, post(full("{}"))).await;
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    assert!(!response.headers().contains_key("www-authenticate"));
    assert_eq!(json(response).await["error"], "backend_unauthorized");
}

#[tokio::test]
async fn px_1_a_backends_403_passes_without_its_challenge() {
    let backend = serve(|_: Request<_>| async {
        let builder = Response::builder().status(StatusCode::FORBIDDEN);
        builder.header("www-authenticate", "Bearer error=\"insufficient_scope\"").body(full("no")).unwrap()
    })
    .await;
    let response = send(plain_gateway(backend).await, post(full("{}"))).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert!(!response.headers().contains_key("www-authenticate"));
    assert_eq!(text(response).await, "no");
}

/// Writes to a connection and reads until it closes.
async fn raw(gateway: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(gateway).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_malformed_upload_is_the_clients_fault() {
    let backend = serve(|request: Request<hyper::body::Incoming>| async {
        let end = request.into_body().collect().await;
        assert!(end.is_err(), "the backend sees no end of the body");
        std::future::pending::<Response<TestBody>>().await
    })
    .await;
    let head = "POST /mcp HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    let answer = raw(plain_gateway(backend).await, &format!("{head}not a chunk size\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("request_broke_off"), "{answer}");
}

#[tokio::test]
async fn a_length_beside_chunks_does_not_reach_the_backend() {
    let backend = serve(|request: Request<_>| async move {
        let length = request.headers().contains_key("content-length");
        let body = text(Response::new(request.into_body())).await;
        Response::new(full(format!("length {length}, body {body}")))
    })
    .await;
    let request = "POST /mcp HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 3\r\n\
                   Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let answer = raw(plain_gateway(backend).await, request).await;
    assert!(answer.ends_with("length false, body hello"), "{answer}");
}
