use bytes::Bytes;
use http::Request;
use http::header::IF_NONE_MATCH;
use http_body_util::Full;
use serde_json::json;
use thv_testkit::browser::Browser;
use thv_testkit::certs::TestCa;
use thv_testkit::connector::Connector;
use thv_testkit::document_host::DocumentHost;

async fn host() -> (DocumentHost, Browser, Connector) {
    let ca = TestCa::new();
    let host = DocumentHost::start(&ca, &["docs.example"]).await;
    let browser = Browser::new(Some(&ca.ca_pem())).resolve("docs.example", host.addr());
    let connector = Connector::new(Some(&ca.ca_pem())).resolve("docs.example", host.addr());
    (host, browser, connector)
}

fn get(url: &str) -> http::request::Builder {
    Request::get(url)
}

#[tokio::test]
async fn documents_have_a_status_headers_and_counts() {
    let (host, mut browser, _) = host().await;
    let client_id = host.publish("/client", &["http://127.0.0.1/callback"]);
    let page = browser.get(&client_id).await;
    assert_eq!(
        (page.json()["client_id"].as_str(), page.header("content-type")),
        (Some(&*client_id), Some("application/json"))
    );

    host.set_header("/client", "etag", "\"1\"");
    host.set_header("/client", "cache-control", "max-age=60");
    assert_eq!(browser.get(&client_id).await.header("cache-control"), Some("max-age=60"));
    let conditional = get(&client_id).header(IF_NONE_MATCH, "\"1\"").body(Full::<Bytes>::default()).unwrap();
    let page = browser.send(conditional).await;
    assert_eq!((page.status().as_u16(), page.body().len()), (304, 0));
    assert_eq!(host.last_request("/client").unwrap()[IF_NONE_MATCH], "\"1\"");

    host.set_status("/client", 500);
    assert_eq!(browser.get(&client_id).await.status(), 500);
    assert_eq!(browser.get(&host.client_id("/other")).await.status(), 404);
    assert_eq!((host.requests("/client"), host.requests("/other"), host.total_requests()), (4, 1, 5));
}

#[tokio::test]
async fn a_response_can_be_held_until_the_test_lets_it_go() {
    let (host, mut browser, _) = host().await;
    let client_id = host.publish("/client", &[]);
    let gate = host.hold("/client");
    let mut waiting = tokio::spawn(async move { browser.get(&client_id).await });
    host.requested("/client", 1).await;
    assert!(!waiting.is_finished());
    gate.release();
    assert_eq!((&mut waiting).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_host_that_is_down_answers_nothing() {
    let (host, mut browser, connector) = host().await;
    host.set("/client", &json!({}));
    let url = host.client_id("/client");
    host.down();
    assert!(connector.send(get(&url).body(Full::<Bytes>::default()).unwrap()).await.is_err());
    assert_eq!(host.requests("/client"), 0);
    host.up();
    assert_eq!(browser.get(&url).await.json(), json!({}));
}
