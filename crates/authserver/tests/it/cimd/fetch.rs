//! What counts as having fetched a document.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response};
use http_body_util::Full;
use serde_json::Value;
use thv_testkit::certs::TestCa;
use thv_testkit::document_host::public_client_document;
use thv_testkit::http_server::TestServer;
use thv_testkit::streaming;
use tokio::sync::mpsc;

use super::{World, client_id, egress_to};
use crate::fixture::REDIRECT;

#[tokio::test]
async fn as_55_only_status_200_is_success() {
    let world = World::start().await;
    for status in [
        201, 202, 203, 204, 205, 206, 300, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 410, 429, 500,
        503,
    ] {
        let path = format!("/{status}");
        let client_id = world.publish(&path, |_| {});
        world.host.set_status(&path, status);
        world.refuses(&client_id, "cimd_status").await;
        assert_eq!(world.host.requests(&path), 1, "{status}");
        world.advance(2);
    }
}

#[tokio::test]
async fn as_56_redirects_are_not_followed() {
    let world = World::start().await;
    // To another document, to this one at another URL, and to itself.
    world.publish("/target", |_| {});
    for (status, location) in [
        (301, client_id("/target")),
        (302, "/target".to_owned()),
        (303, client_id("/target")),
        (307, "https://docs.example:8443/target".to_owned()),
        (308, client_id("/from-308")),
    ] {
        let path = format!("/from-{status}");
        let from = world.publish(&path, |_| {});
        world.host.set_status(&path, status);
        world.host.set_header(&path, "location", &location);
        world.refuses(&from, "cimd_status").await;
        assert_eq!((world.host.requests(&path), world.host.requests("/target")), (1, 0), "{status}");
    }
}

#[tokio::test]
async fn as_60_only_json_is_a_document() {
    let world = World::start().await;
    for (n, (media_type, accepted)) in [
        ("application/json", true),
        ("application/json; charset=utf-8", true),
        ("Application/JSON", true),
        ("application/cimd+json", true),
        ("application/oauth-client+json;v=1", true),
        ("text/html", false),
        ("text/plain", false),
        ("text/json", false),
        ("application/octet-stream", false),
        ("application/jsonp", false),
        ("application/+json", false),
        ("application/json, text/html", false),
        ("", false),
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("/{n}");
        let client_id = world.publish(&path, |_| {});
        world.host.set_header(&path, "content-type", media_type);
        match accepted {
            true => world.accepts(&client_id).await,
            false => world.refuses(&client_id, "cimd_content_type").await,
        }
    }
}

#[tokio::test]
async fn as_60_a_document_without_a_content_type_is_none() {
    let server = serving(|response| {
        response.headers_mut().remove(CONTENT_TYPE);
    });
    server.await.refuses(&client_id("/c"), "cimd_content_type").await;
}

#[tokio::test]
async fn as_60_a_document_with_two_content_types_is_none() {
    let server = serving(|response| {
        response.headers_mut().append(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    });
    server.await.refuses(&client_id("/c"), "cimd_content_type").await;
}

/// A world whose documents come from a server that answers every request with the document of `/c`, changed by `change`.
async fn serving(change: impl Fn(&mut Response<Full<Bytes>>) + Send + Sync + 'static) -> Served {
    let ca = TestCa::new();
    let change = Arc::new(change);
    let server = TestServer::https(&ca, &["docs.example"], move |_: Request<Bytes>| {
        let document = public_client_document(&client_id("/c"), &[REDIRECT]).to_string();
        let mut response = Response::new(Full::new(Bytes::from(document)));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        change(&mut response);
        async move { response }
    })
    .await;
    let egress = egress_to(&ca, server.addr());
    Served { world: World::with(|parts| parts.egress = egress).await, server }
}

struct Served {
    world: World,
    server: TestServer,
}

impl Served {
    async fn refuses(&self, client_id: &str, reason: &str) {
        self.world.refuses(client_id, reason).await;
        assert_eq!(self.server.requests(), 1);
    }
}

#[tokio::test]
async fn as_70_every_line_of_cache_control_counts() {
    let served = serving(|response| {
        response.headers_mut().append("cache-control", HeaderValue::from_static("max-age=600"));
        response.headers_mut().append("cache-control", HeaderValue::from_static("no-store"));
    })
    .await;
    served.world.accepts(&client_id("/c")).await;
    served.world.advance(60);
    served.world.accepts(&client_id("/c")).await;
    assert_eq!(served.server.requests(), 2, "no-store comes down to the floor of a minute");
}

/// A valid document of exactly `size` bytes.
fn padded(path: &str, size: usize) -> String {
    let mut document = public_client_document(&client_id(path), &[REDIRECT]);
    document["padding"] = "".into();
    let missing = size - document.to_string().len();
    document["padding"] = Value::from("p".repeat(missing));
    assert_eq!(document.to_string().len(), size);
    document.to_string()
}

#[tokio::test]
async fn as_76_a_document_has_at_most_5_kib() {
    let world = World::start().await;
    for (size, accepted) in [(5119, true), (5120, true), (5121, false), (1024 * 1024, false)] {
        let path = format!("/{size}");
        world.host.set_bytes(&path, padded(&path, size));
        match accepted {
            true => world.accepts(&client_id(&path)).await,
            false => world.refuses(&client_id(&path), "cimd_document_too_large").await,
        }
    }
}

#[tokio::test]
async fn as_76_a_body_without_an_end_is_cut_off() {
    let ca = TestCa::new();
    let (hung_up, mut is_hung_up) = mpsc::channel(1);
    let server = TestServer::https_streaming(&ca, &["docs.example"], move |_| {
        let (writer, body) = streaming::channel();
        let hung_up = hung_up.clone();
        tokio::spawn(async move {
            while writer.send(vec![b' '; 1024]).await {}
            hung_up.send(()).await.unwrap();
        });
        let mut response = Response::new(body);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        async move { response }
    })
    .await;
    let egress = egress_to(&ca, server.addr());
    let world = World::with(|parts| parts.egress = egress).await;
    world.refuses(&client_id("/c"), "cimd_document_too_large").await;
    // The connection is given up, not drained.
    is_hung_up.recv().await.unwrap();
}

#[tokio::test]
async fn as_76_a_compressed_document_is_not_unpacked() {
    let world = World::start().await;
    let client_id = world.publish("/c", |_| {});
    world.host.set_header("/c", "content-encoding", "gzip");
    world.refuses(&client_id, "cimd_unreachable").await;
    assert_eq!(world.host.last_request("/c").unwrap()["accept-encoding"], "identity");
}

#[tokio::test]
async fn c3_a_host_whose_certificate_is_not_trusted_is_not_believed() {
    let world = World::start().await;
    let client_id = world.publish("/c", |_| {});
    let addr = world.host.addr();
    let stranger = World::with(|parts| parts.egress = egress_to(&TestCa::new(), addr)).await;
    stranger.refuses(&client_id, "cimd_unreachable").await;
    assert_eq!(world.host.total_requests(), 0);
    world.accepts(&client_id).await;
}
