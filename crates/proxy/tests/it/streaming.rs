use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::support::*;

/// For a handler that is called once.
type Once<T> = Arc<Mutex<Option<T>>>;

fn once<T>(value: T) -> Once<T> {
    Arc::new(Mutex::new(Some(value)))
}

async fn next(body: &mut hyper::body::Incoming) -> Bytes {
    body.frame().await.unwrap().unwrap().into_data().unwrap()
}

#[tokio::test]
async fn an_event_reaches_the_client_before_the_backend_has_finished() {
    let (events, stream) = channel_body();
    let stream = once(stream);
    let backend = serve(move |_| {
        let stream = stream.clone();
        async move {
            let body = stream.lock().await.take().unwrap();
            Response::builder().header(CONTENT_TYPE, "text/event-stream").body(body).unwrap()
        }
    })
    .await;
    let gateway = plain_gateway(backend).await;
    let mut response = send(gateway, post(full("{}"))).await;
    assert_eq!(response.headers()[CONTENT_TYPE], "text/event-stream");
    for event in ["data: 1\n\n", "data: 2\n\n"] {
        events.send(Bytes::from(event)).await.unwrap();
        assert_eq!(next(response.body_mut()).await, event);
    }
    drop(events);
    assert!(response.body_mut().frame().await.is_none());
}

#[tokio::test]
async fn an_upload_reaches_the_backend_while_the_client_still_writes() {
    let (seen, mut seen_by_backend) = mpsc::channel(1);
    let backend = serve(move |mut request| {
        let seen = seen.clone();
        async move {
            while let Some(frame) = request.body_mut().frame().await {
                seen.send(frame.unwrap().into_data().unwrap()).await.unwrap();
            }
            Response::new(full("done"))
        }
    })
    .await;
    let gateway = plain_gateway(backend).await;
    let (upload, body) = channel_body();
    let response = tokio::spawn(send(gateway, post(body)));
    for chunk in ["one", "two"] {
        upload.send(Bytes::from(chunk)).await.unwrap();
        assert_eq!(seen_by_backend.recv().await.unwrap(), chunk);
    }
    drop(upload);
    assert_eq!(text(response.await.unwrap()).await, "done");
}

#[tokio::test]
async fn binary_bodies_pass_byte_for_byte_in_both_directions() {
    let backend = serve(|request: Request<_>| async { Response::new(request.into_body()) }).await;
    let gateway = plain_gateway(backend).await;
    let mut value = 1_u32;
    let bytes: Vec<u8> = std::iter::repeat_with(|| {
        value = value.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (value >> 24) as u8
    })
    .take(1_000_003)
    .collect();
    let chunks: Vec<_> = bytes
        .chunks(7_919)
        .map(|chunk| Ok::<_, std::convert::Infallible>(Frame::data(Bytes::copy_from_slice(chunk))))
        .collect();
    let chunked = StreamBody::new(futures_util::stream::iter(chunks));
    let echoed = send(gateway, Request::post("/mcp").body(chunked).unwrap()).await;
    assert_eq!(echoed.into_body().collect().await.unwrap().to_bytes(), bytes);
    let sized = send(gateway, post(full(bytes.clone()))).await;
    assert_eq!(sized.into_body().collect().await.unwrap().to_bytes(), bytes);
}

#[tokio::test]
async fn a_client_that_leaves_a_stream_ends_it_at_the_backend() {
    let (events, stream) = channel_body();
    let stream = once(stream);
    let backend = serve(move |_| {
        let stream = stream.clone();
        async move { Response::new(stream.lock().await.take().unwrap()) }
    })
    .await;
    let gateway = plain_gateway(backend).await;
    let mut response = send(gateway, Request::get("/mcp").body(full("")).unwrap()).await;
    events.send(Bytes::from("data: 1\n\n")).await.unwrap();
    next(response.body_mut()).await;
    drop(response);
    events.closed().await;
}

#[tokio::test]
async fn a_client_that_does_not_wait_for_the_answer_ends_the_request_at_the_backend() {
    let (arrived, mut arrivals) = mpsc::channel(1);
    let (dropped, ended) = oneshot::channel::<()>();
    let dropped = once(dropped);
    let backend = serve(move |_| {
        let (arrived, dropped) = (arrived.clone(), dropped.clone());
        async move {
            // Dropped with this future, when the connection closes.
            let _held = dropped.lock().await.take();
            arrived.send(()).await.unwrap();
            std::future::pending::<Response<TestBody>>().await
        }
    })
    .await;
    let gateway = plain_gateway(backend).await;
    let mut client = TcpStream::connect(gateway).await.unwrap();
    client.write_all(b"GET /mcp HTTP/1.1\r\nHost: mcp.example.com\r\n\r\n").await.unwrap();
    arrivals.recv().await.unwrap();
    drop(client);
    assert!(ended.await.is_err(), "the handler was dropped without an answer");
}

#[tokio::test]
async fn an_upload_that_breaks_off_breaks_off_at_the_backend() {
    let (outcome, mut outcomes) = mpsc::channel(1);
    let bytes = Arc::new(AtomicUsize::new(0));
    let counted = bytes.clone();
    let backend = serve(move |request: Request<hyper::body::Incoming>| {
        let (outcome, counted) = (outcome.clone(), counted.clone());
        async move {
            let mut body = request.into_body();
            let end = loop {
                match body.frame().await {
                    Some(Ok(frame)) => counted.fetch_add(frame.into_data().unwrap().len(), Ordering::SeqCst),
                    end => break end,
                };
                outcome.send(None).await.unwrap();
            };
            outcome.send(Some(end.is_some_and(|end| end.is_err()))).await.unwrap();
            Response::new(full(""))
        }
    })
    .await;
    let gateway = plain_gateway(backend).await;
    let mut client = TcpStream::connect(gateway).await.unwrap();
    let head = b"POST /mcp HTTP/1.1\r\nHost: mcp.example.com\r\nContent-Length: 10\r\n\r\nabcde";
    client.write_all(head).await.unwrap();
    assert_eq!(outcomes.recv().await.unwrap(), None);
    drop(client);
    assert_eq!(outcomes.recv().await.unwrap(), Some(true), "the backend sees an error, not an end");
    assert_eq!(bytes.load(Ordering::SeqCst), 5);
}
