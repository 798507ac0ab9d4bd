//! How often a document is fetched, and for how long it counts.

use std::net::IpAddr;

use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, Response};
use thv_authserver::Source;

use super::{World, assert_accepted, client_id};
use crate::fixture::{Flow, assert_page, text};

/// Polls every future once, so that all are under way.
macro_rules! begun {
    ($futures:expr) => {{
        let mut futures: Vec<_> = $futures.map(Box::pin).collect();
        for future in &mut futures {
            assert!(futures_util::poll!(future).is_pending());
        }
        futures
    }};
}

async fn ask_from(world: &World, source: IpAddr, client_id: &str) -> Response<Bytes> {
    let uri = format!("/oauth/authorize?{}", Flow::new(client_id).query(&[]));
    world.fixture.server.handle(Request::get(uri).body(Bytes::new()).unwrap(), Source { addr: source }).await
}

#[tokio::test]
async fn as_71_errors_are_not_cached() {
    let world = World::start().await;
    let client_id = world.publish("/c", |_| {});
    for (n, status) in [404, 500, 302].into_iter().enumerate() {
        world.host.set_status("/c", status);
        world.refuses(&client_id, "cimd_status").await;
        assert_eq!(world.host.requests("/c"), n + 1, "asked again");
        world.advance(1);
    }
    world.host.down();
    world.refuses(&client_id, "cimd_unreachable").await;
    world.advance(1);
    world.host.up();
    world.host.set_status("/c", 200);
    world.accepts(&client_id).await;
    assert_eq!(world.host.requests("/c"), 4);
}

#[tokio::test]
async fn as_71_invalid_documents_are_not_cached() {
    let world = World::start().await;
    let client_id = world.publish_invalid("/c");
    // Not even when their host asks for it.
    world.host.set_header("/c", "cache-control", "max-age=86400");
    world.refuses(&client_id, "client_secret_present").await;
    world.advance(1);
    world.refuses(&client_id, "client_secret_present").await;
    world.advance(1);
    world.publish("/c", |_| {});
    world.accepts(&client_id).await;
    assert_eq!(world.host.requests("/c"), 3);
}

#[tokio::test]
async fn as_85_a_url_is_fetched_at_most_once_per_second() {
    let world = World::start().await;
    let client_id = world.publish_invalid("/c");
    world.refuses(&client_id, "client_secret_present").await;
    for _ in 0..3 {
        assert_page(&world.ask(&client_id).await, 429, "cimd_fetch_budget_url");
    }
    assert_eq!(world.host.requests("/c"), 1);
    world.accepts(&world.publish("/other", |_| {})).await;
    world.advance(1);
    world.refuses(&client_id, "client_secret_present").await;
    assert_eq!(world.host.requests("/c"), 2);
}

#[tokio::test]
async fn as_85_a_host_is_asked_at_most_thirty_times_per_minute() {
    let world = World::start().await;
    for n in 0..31u8 {
        // Every one from another address, and on two ports in turn.
        let port = ["", ":8443"][usize::from(n % 2)];
        let url = format!("https://docs.example{port}/{n}");
        let response = ask_from(&world, IpAddr::from([198, 51, 100, n]), &url).await;
        let (status, reason) = if n < 30 { (400, "cimd_status") } else { (429, "cimd_fetch_budget_host") };
        assert_page(&response, status, reason);
    }
    assert_eq!(world.host.total_requests(), 30);
    world.advance(2);
    assert_page(&ask_from(&world, IpAddr::from([192, 0, 2, 9]), &client_id("/30")).await, 400, "cimd_status");
}

#[tokio::test]
async fn as_85_a_source_causes_at_most_thirty_fetches_per_minute() {
    let world = World::start().await;
    for n in 0..31u16 {
        // Every one to another URL, on two hosts in turn, from addresses of one IPv6 subscriber.
        let host = ["docs.example", "keys.example"][usize::from(n % 2)];
        let source = IpAddr::from([0x2001, 0xdb8, 0, 1, n, 0, 0, 1]);
        let response = ask_from(&world, source, &format!("https://{host}/{n}")).await;
        let (status, reason) = if n < 30 { (400, "cimd_status") } else { (429, "cimd_fetch_budget_source") };
        assert_page(&response, status, reason);
    }
    let neighbour = IpAddr::from([0x2001, 0xdb8, 0, 2, 0, 0, 0, 1]);
    assert_page(&ask_from(&world, neighbour, &client_id("/neighbour")).await, 400, "cimd_status");
}

#[tokio::test]
async fn as_85_at_most_sixteen_documents_are_fetched_at_once() {
    let world = World::start().await;
    let urls: Vec<_> = (0..17).map(|n| world.publish(&format!("/{n}"), |_| {})).collect();
    let gates: Vec<_> = (0..16).map(|n| world.host.hold(&format!("/{n}"))).collect();
    let fetching = begun!(urls[..16].iter().map(|url| world.ask(url)));
    for n in 0..16 {
        world.host.requested(&format!("/{n}"), 1).await;
    }
    assert_page(&world.ask(&urls[16]).await, 429, "cimd_fetch_budget_at_once");
    gates.into_iter().for_each(thv_testkit::document_host::Gate::release);
    for response in join_all(fetching).await {
        assert_accepted(&response, "those that had a place");
    }
    world.advance(1);
    world.accepts(&urls[16]).await;
}

#[tokio::test]
async fn c7_a_hundred_first_requests_are_one_fetch() {
    let world = World::start().await;
    let client_id = world.publish("/c", |_| {});
    let gate = world.host.hold("/c");
    let waiting = begun!((0..100).map(|_| world.ask(&client_id)));
    world.host.requested("/c", 1).await;
    gate.release();
    for response in join_all(waiting).await {
        assert_accepted(&response, &client_id);
    }
    assert_eq!(world.host.requests("/c"), 1);
}

#[tokio::test]
async fn c7_a_caller_who_goes_away_does_not_stop_the_fetch() {
    let world = World::start().await;
    let client_id = world.publish("/c", |_| {});
    let gate = world.host.hold("/c");
    drop(begun!((0..3).map(|_| world.ask(&client_id))));
    world.host.requested("/c", 1).await;
    gate.release();
    world.settled().await;
    world.accepts(&client_id).await;
    assert_eq!(world.host.requests("/c"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn c7_a_request_that_comes_just_as_the_fetch_ends_is_served() {
    let world = World::start().await;
    for n in 0..25 {
        let path = format!("/{n}");
        let client_id = world.publish(&path, |_| {});
        let tasks = (0..40).map(|_| {
            let (server, client_id) = (world.fixture.server.clone(), client_id.clone());
            let uri = format!("/oauth/authorize?{}", Flow::new(&client_id).query(&[]));
            let request = Request::get(uri).body(Bytes::new()).unwrap();
            tokio::spawn(async move {
                server.handle(request, Source { addr: IpAddr::from([192, 0, 2, 1]) }).await
            })
        });
        for response in join_all(tasks).await {
            assert_accepted(&response.unwrap(), &client_id);
        }
        assert_eq!(world.host.requests(&path), 1);
    }
}

#[tokio::test]
async fn as_70_freshness_is_what_the_host_says_within_bounds() {
    let world = World::start().await;
    for (n, (cache_control, seconds)) in [
        (Some("max-age=1"), 60),
        (Some("max-age=0"), 60),
        (Some("no-store"), 60),
        (Some("no-cache"), 60),
        (Some("max-age=600"), 600),
        (Some("s-maxage=1200, max-age=1"), 1200),
        (Some("max-age=1000000000"), 24 * 3600),
        (None, 300),
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("/{n}");
        let client_id = world.publish(&path, |_| {});
        if let Some(cache_control) = cache_control {
            world.host.set_header(&path, "cache-control", cache_control);
        }
        world.accepts(&client_id).await;
        // It is renewed when four fifths of its time have passed, and not before.
        world.advance(seconds * 4 / 5 - 1);
        world.accepts(&client_id).await;
        world.settled().await;
        assert_eq!(world.host.requests(&path), 1, "{cache_control:?}");
        world.advance(1);
        world.accepts(&client_id).await;
        world.settled().await;
        assert_eq!(world.host.requests(&path), 2, "{cache_control:?}");
    }
}

#[tokio::test]
async fn c6_a_document_in_use_is_renewed_in_the_background_and_nobody_waits() {
    let world = World::start().await;
    let client_id = world.publish("/c", |_| {});
    world.accepts(&client_id).await;
    world.publish("/c", |document| document["client_name"] = "Renamed".into());
    let gate = world.host.hold("/c");
    world.advance(299);
    for _ in 0..3 {
        let page = text(&world.ask(&client_id).await);
        assert!(page.contains("Test client"), "the host is silent, and nobody waits for it: {page}");
    }
    world.host.requested("/c", 2).await;
    gate.release();
    world.settled().await;
    assert_eq!(world.host.requests("/c"), 2, "one renewal for all");
    assert!(text(&world.ask(&client_id).await).contains("Renamed"));
}

#[tokio::test]
async fn as_54_a_document_whose_time_is_up_is_fetched_before_it_is_used() {
    let world = World::start().await;
    let client_id = world.publish("/c", |_| {});
    world.accepts(&client_id).await;
    world.publish("/c", |document| document["client_name"] = "Renamed".into());
    world.advance(300);
    assert!(text(&world.ask(&client_id).await).contains("Renamed"));
    assert_eq!(world.host.requests("/c"), 2);
}

#[tokio::test]
async fn as_72_a_304_keeps_the_document_and_renews_its_time() {
    let world = World::start().await;
    let client_id = world.publish("/c", |_| {});
    for (name, value) in [("etag", "\"v1\""), ("cache-control", "max-age=60"), ("age", "30")] {
        world.host.set_header("/c", name, value);
    }
    world.accepts(&client_id).await;
    assert!(!world.host.last_request("/c").unwrap().contains_key("if-none-match"));
    world.advance(60);
    // Also what the 304 says of caching counts from now on.
    world.publish("/c", |document| document["client_name"] = "Never seen, since the tag is the same".into());
    for (name, value) in [("etag", "\"v1\""), ("cache-control", "max-age=600")] {
        world.host.set_header("/c", name, value);
    }
    let page = text(&world.ask(&client_id).await);
    assert!(page.contains("Test client"), "{page}");
    assert_eq!(world.host.last_request("/c").unwrap()["if-none-match"], "\"v1\"");
    world.advance(479);
    world.accepts(&client_id).await;
    world.settled().await;
    assert_eq!(world.host.requests("/c"), 2, "fresh for the 304's ten minutes, the former age forgotten");
    world.host.set_header("/c", "etag", "\"v2\"");
    world.advance(121);
    assert!(text(&world.ask(&client_id).await).contains("Never seen"), "a new tag is a new document");
}

#[tokio::test]
async fn as_72_a_304_that_nobody_asked_for_renews_nothing() {
    let world = World::start().await;
    let client_id = world.publish("/c", |_| {});
    world.accepts(&client_id).await;
    world.host.set_status("/c", 304);
    world.advance(300);
    world.accepts(&client_id).await;
    world.advance(168 * 3600);
    world.refuses(&client_id, "cimd_status").await;
    assert_eq!(world.host.requests("/c"), 3);
}

#[tokio::test]
async fn as_72_a_former_document_serves_while_its_host_is_down() {
    const STALE: u64 = 168 * 3600;
    let world = World::start().await;
    let client_id = world.publish("/c", |_| {});
    world.accepts(&client_id).await;
    world.host.down();
    world.advance(300);
    world.accepts(&client_id).await;
    world.accepts(&client_id).await;
    world.advance(STALE - 1);
    world.accepts(&client_id).await;
    world.advance(1);
    world.refuses(&client_id, "cimd_unreachable").await;
    world.host.up();
    world.advance(1);
    world.accepts(&client_id).await;
}

#[tokio::test]
async fn as_72_a_former_document_serves_while_its_host_answers_with_errors() {
    let world = World::start().await;
    let client_id = world.publish("/c", |_| {});
    world.accepts(&client_id).await;
    world.advance(300);
    for status in [500, 404, 302] {
        world.host.set_status("/c", status);
        world.accepts(&client_id).await;
        world.advance(1);
    }
    world.host.set_status("/c", 200);
    world.host.set_header("/c", "content-type", "text/html");
    world.accepts(&client_id).await;
    assert_eq!(world.host.requests("/c"), 5, "each time the host was asked first");
}

#[tokio::test]
async fn as_72_a_former_document_never_serves_after_a_new_invalid_one() {
    let world = World::start().await;
    let client_id = world.publish("/c", |_| {});
    world.accepts(&client_id).await;
    world.publish_invalid("/c");
    world.advance(300);
    world.refuses(&client_id, "client_secret_present").await;
    assert_page(&world.ask(&client_id).await, 429, "cimd_fetch_budget_url");
    world.host.down();
    world.advance(1);
    world.refuses(&client_id, "cimd_unreachable").await;
}

#[tokio::test]
async fn as_72_an_invalid_document_found_in_the_background_ends_the_former_one() {
    let world = World::start().await;
    let client_id = world.publish("/c", |_| {});
    world.accepts(&client_id).await;
    world.publish_invalid("/c");
    world.advance(299);
    world.accepts(&client_id).await;
    world.settled().await;
    world.advance(1);
    world.refuses(&client_id, "client_secret_present").await;
}

#[tokio::test]
async fn as_72_a_failed_renewal_in_the_background_is_not_noticed() {
    let world = World::start().await;
    let client_id = world.publish("/c", |_| {});
    world.accepts(&client_id).await;
    world.host.down();
    world.advance(299);
    world.accepts(&client_id).await;
    world.settled().await;
    world.host.up();
    world.accepts(&client_id).await;
    world.settled().await;
    assert_eq!(world.host.requests("/c"), 1, "not again within the same second");
    world.advance(1);
    world.accepts(&client_id).await;
    world.settled().await;
    assert_eq!(world.host.requests("/c"), 2);
}
