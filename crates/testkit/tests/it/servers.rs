use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use thv_testkit::browser::Browser;
use thv_testkit::certs::TestCa;
use thv_testkit::connector::Connector;
use thv_testkit::http_server::TestServer;
use thv_testkit::streaming;
use tokio::sync::{Mutex, oneshot};

async fn echo(request: Request<Bytes>) -> Response<Full<Bytes>> {
    Response::new(Full::new(request.into_body()))
}

fn get(url: &str) -> Request<Full<Bytes>> {
    Request::get(url).body(Full::default()).unwrap()
}

#[tokio::test]
async fn a_certificate_is_trusted_by_those_who_know_the_authority() {
    let ca = TestCa::new();
    let server = TestServer::https(&ca, &["docs.example", "127.0.0.1"], echo).await;
    let browser = Browser::new(Some(&ca.ca_pem()));
    let page = browser
        .clone()
        .resolve("docs.example", server.addr())
        .post_form(&server.url("/"), &[("a", "b c")])
        .await;
    assert_eq!(page.text(), "a=b+c");
    let by_address = format!("https://{}/", server.addr());
    assert_eq!(browser.clone().get(&by_address).await.status(), 200);
    assert_eq!(server.requests(), 2);

    let stranger = Connector::new(Some(&TestCa::new().ca_pem()));
    assert!(stranger.send(get(&by_address)).await.is_err());
    assert_eq!((server.connections(), server.requests()), (3, 2));
}

#[tokio::test]
async fn a_server_that_is_down_breaks_connections_and_comes_back() {
    let server = TestServer::http(echo).await;
    let connector = Connector::new(None);
    let url = server.url("/");
    server.down();
    assert!(connector.send(get(&url)).await.is_err());
    server.up();
    assert!(connector.send(get(&url)).await.is_ok());
    drop(server);
    // The port is closed as soon as the runtime has dropped the listener.
    while connector.send(get(&url)).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_streamed_body_arrives_piece_by_piece_and_notices_the_readers_departure() {
    let (writer, body) = streaming::channel();
    let body = Mutex::new(Some(body));
    let body = std::sync::Arc::new(body);
    let server = TestServer::http_streaming(move |_| {
        let body = std::sync::Arc::clone(&body);
        async move { Response::new(body.lock().await.take().unwrap()) }
    })
    .await;
    let (seen, first_seen) = oneshot::channel();
    let reader = tokio::spawn(async move {
        let mut response = Connector::new(None).send(get(&server.url("/"))).await.unwrap();
        let first = response.frame().await.unwrap().unwrap().into_data().unwrap();
        seen.send(first).unwrap();
        let second = response.frame().await.unwrap().unwrap().into_data().unwrap();
        drop(response);
        (second, server)
    });
    assert!(writer.send("one").await);
    // The second piece is written only after the first has been read: nothing waits for the whole.
    assert_eq!(first_seen.await.unwrap(), "one");
    assert!(writer.send("two").await);
    let (second, _server) = reader.await.unwrap();
    assert_eq!(second, "two");
    writer.closed().await;
}
