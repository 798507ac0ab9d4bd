//! Which URLs may be a `client_id`: judged as text, before anything is fetched.

use super::{World, client_id};

#[tokio::test]
async fn as_51_and_53_urls_that_are_no_client_id_are_refused_without_a_fetch() {
    let world = World::start().await;
    for path in ["/c", "/"] {
        world.publish(path, |_| {});
    }
    for (url, reason) in [
        ("https://docs.example/x/../c", "client_id_url_dot_segment"),
        ("https://docs.example/./c", "client_id_url_dot_segment"),
        ("https://docs.example/c/..", "client_id_url_dot_segment"),
        ("https://docs.example/x/%2e%2e/c", "client_id_url_dot_segment"),
        ("https://docs.example/x/.%2E/c", "client_id_url_dot_segment"),
        ("https://docs.example/%2e/c", "client_id_url_dot_segment"),
        ("https://user@docs.example/c", "client_id_url_userinfo"),
        ("https://user:password@docs.example/c", "client_id_url_userinfo"),
        ("https://@docs.example/c", "client_id_url_userinfo"),
        ("https://docs.example/c#part", "client_id_url_fragment"),
        ("https://docs.example/c#", "client_id_url_fragment"),
        ("https://docs.example", "client_id_url_no_path"),
        ("https://docs.example?c", "client_id_url_no_path"),
        ("https://docs.example/", "client_id_url_no_path"),
        ("http://docs.example/c", "client_id_url_not_https"),
        ("http://localhost/c", "client_id_url_loopback_http"),
        ("http://127.0.0.1:3000/c", "client_id_url_loopback_http"),
        ("HTTPS://docs.example/c", "client_id_url_uppercase_scheme"),
        ("https:///c", "client_id_url_malformed"),
        ("https://docs.example:x/c", "client_id_url_malformed"),
        ("https://docs.example\\c", "client_id_url_malformed"),
        ("https://docs.example/c d", "client_id_url_malformed"),
        ("https://docs.example/c\n", "client_id_url_malformed"),
        ("https://docs.example/%zz", "client_id_url_malformed"),
        ("https://docs.exämple/c", "client_id_url_malformed"),
    ] {
        world.refuses(url, reason).await;
    }
    let long = client_id(&format!("/{}", "c".repeat(2048)));
    world.refuses(&long, "client_id_url_too_long").await;
    assert_eq!(world.host.total_requests(), 0);
}

#[tokio::test]
async fn as_51_a_port_and_a_query_may_be_part_of_a_client_id() {
    let world = World::start().await;
    for (url, path) in [
        ("https://docs.example:8443/c", "/c"),
        ("https://docs.example/c?v=1", "/c?v=1"),
        ("https://docs.example/a..b/.c", "/a..b/.c"),
    ] {
        world.publish(path, |document| document["client_id"] = url.into());
        world.accepts(url).await;
        assert_eq!(world.host.requests(path), 1, "{url} is fetched as it is written");
    }
}

#[tokio::test]
async fn as_52_urls_that_differ_only_in_spelling_are_different_clients() {
    let world = World::start().await;
    let spellings = ["https://docs.example/c", "https://docs.example:443/c", "https://DOCS.example/c"];
    for own in spellings {
        world.publish("/c", |document| document["client_id"] = own.into());
        for other in spellings.into_iter().filter(|other| *other != own) {
            world.refuses(other, "client_id_mismatch").await;
        }
        let fetched = world.host.requests("/c");
        world.accepts(own).await;
        assert_eq!(world.host.requests("/c"), fetched + 1, "{own} has a cache entry of its own");
        world.advance(24 * 3600);
    }
}
