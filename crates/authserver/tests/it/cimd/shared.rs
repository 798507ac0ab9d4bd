//! Documents that replicas share through the store.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::Response;
use thv_clock::Timestamp;
use thv_jose::at_rest::AtRestRing;
use thv_jose::reload::Reloadable;
use thv_store::StoreError;
use thv_store::rows::{Announcement, Row, RowKey, Rows};
use thv_store::table::When;

use super::{World, assert_accepted};
use crate::fixture::{Browser, Fixture, Flow, T0, assert_page, json, text};

async fn ask_at(replica: &Fixture, client_id: &str) -> Response<Bytes> {
    let query = Flow::new(client_id).query(&[]);
    Browser::new(replica).get(&format!("/oauth/authorize?{query}")).await
}

async fn accepted_at(replica: &Fixture, client_id: &str) {
    assert_accepted(&ask_at(replica, client_id).await, client_id);
}

#[tokio::test]
async fn c6_what_one_replica_fetched_serves_all() {
    let world = World::start().await;
    let replica = world.restarted();
    let client_id = world.publish("/c", |_| {});
    world.accepts(&client_id).await;
    world.advance(299);
    accepted_at(&replica, &client_id).await;
    assert_eq!(world.host.requests("/c"), 1);
    // It did not become any fresher by being shared.
    world.publish("/c", |document| document["client_name"] = "Renamed".into());
    world.advance(1);
    assert!(text(&ask_at(&replica, &client_id).await).contains("Renamed"));
    assert_eq!(world.host.requests("/c"), 2);
    assert!(text(&world.ask(&client_id).await).contains("Renamed"), "and back: the first takes it over");
    assert_eq!(world.host.requests("/c"), 2);
}

#[tokio::test]
async fn c6_what_another_replica_renewed_is_not_renewed_again() {
    let world = World::start().await;
    let replica = world.restarted();
    let client_id = world.publish("/c", |_| {});
    world.accepts(&client_id).await;
    accepted_at(&replica, &client_id).await;
    world.advance(250);
    world.accepts(&client_id).await;
    world.settled().await;
    assert_eq!(world.host.requests("/c"), 2, "renewed in the background");
    world.advance(50);
    accepted_at(&replica, &client_id).await;
    assert_eq!(world.host.requests("/c"), 2);
}

#[tokio::test]
async fn c9_a_document_serves_from_the_store_when_the_cache_is_lost_and_its_host_is_down() {
    const STALE: u64 = 168 * 3600;
    let world = World::start().await;
    let client_id = world.publish("/c", |_| {});
    world.accepts(&client_id).await;
    world.host.down();
    accepted_at(&world.restarted(), &client_id).await;
    world.advance(300 + STALE - 1);
    let replica = world.restarted();
    let flow = Flow::new(&client_id);
    let query = flow.query(&[("scope", "openid offline_access")]);
    let code = Browser::new(&replica).authorize(&query).await;
    let tokens = json(&replica.redeem(&flow, &code).await);
    let refreshed = replica.refresh(&client_id, tokens["refresh_token"].as_str().unwrap()).await;
    assert_eq!(refreshed.status(), 200);
    world.advance(1);
    assert_page(&ask_at(&replica, &client_id).await, 400, "cimd_unreachable");
    assert_page(&ask_at(&world.restarted(), &client_id).await, 400, "cimd_unreachable");
    assert_eq!(world.host.requests("/c"), 1);
}

#[tokio::test]
async fn as_72_a_shared_document_is_revalidated_by_its_tag() {
    let world = World::start().await;
    let client_id = world.publish("/c", |_| {});
    world.host.set_header("/c", "etag", "\"v1\"");
    world.accepts(&client_id).await;
    world.advance(300);
    world.publish("/c", |document| document["client_name"] = "Never seen, since the tag is the same".into());
    world.host.set_header("/c", "etag", "\"v1\"");
    let replica = world.restarted();
    assert!(text(&ask_at(&replica, &client_id).await).contains("Test client"));
    assert_eq!(world.host.last_request("/c").unwrap()["if-none-match"], "\"v1\"");
    // The answer was "not modified", which counts for all.
    world.advance(200);
    world.accepts(&client_id).await;
    assert_eq!(world.host.requests("/c"), 2);
}

#[tokio::test]
async fn as_72_what_one_replica_found_invalid_is_served_by_none() {
    let world = World::start().await;
    let replica = world.restarted();
    let client_id = world.publish("/c", |_| {});
    world.accepts(&client_id).await;
    accepted_at(&replica, &client_id).await;
    world.publish_invalid("/c");
    world.advance(300);
    world.refuses(&client_id, "client_secret_present").await;
    world.host.down();
    world.advance(1);
    assert_page(&ask_at(&replica, &client_id).await, 400, "cimd_unreachable");
    assert_page(&ask_at(&world.restarted(), &client_id).await, 400, "cimd_unreachable");
    world.host.up();
    world.publish("/c", |_| {});
    world.advance(1);
    accepted_at(&replica, &client_id).await;
}

#[tokio::test]
async fn as_71_a_document_that_was_never_valid_takes_no_place_in_the_store() {
    let world = World::start().await;
    let client_id = world.publish_invalid("/c");
    world.refuses(&client_id, "client_secret_present").await;
    assert_eq!(world.stores().documents.load(&client_id, T0).await.unwrap(), None);
}

#[tokio::test]
async fn c6_what_is_read_from_the_store_passes_the_same_checks() {
    let world = World::start().await;
    let client_id = world.publish("/c", |_| {});
    world.accepts(&client_id).await;
    let documents = world.stores().documents;
    let mut stored = (*documents.load(&client_id, T0).await.unwrap().unwrap()).clone();
    stored.document["client_secret"] = "hunter2".into();
    documents.save(&client_id, stored, T0 + std::time::Duration::from_secs(3600), T0).await.unwrap();
    accepted_at(&world.restarted(), &client_id).await;
    assert_eq!(world.host.requests("/c"), 2, "fetched, because what was stored is not acceptable");
}

/// A backend that never answers.
struct Broken;

fn broken<T>() -> Result<T, StoreError> {
    Err(StoreError::Unavailable(Box::new(std::io::Error::other("broken"))))
}

#[async_trait]
impl Rows for Broken {
    async fn load(&self, _: &RowKey, _: Timestamp) -> Result<Option<Row>, StoreError> {
        broken()
    }

    async fn write(&self, _: &RowKey, _: Row, _: When, _: Timestamp) -> Result<bool, StoreError> {
        broken()
    }

    async fn remove(&self, _: &RowKey, _: When, _: Timestamp) -> Result<bool, StoreError> {
        broken()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        broken()
    }

    async fn announce(&self, _: Vec<u8>) {}

    fn announcements(&self) -> Option<tokio::sync::broadcast::Receiver<Announcement>> {
        None
    }
}

#[tokio::test]
async fn c6_a_store_that_does_not_answer_costs_a_fetch_and_nothing_else() {
    let keys = Reloadable::new(AtRestRing::new(vec![vec![1; 32].into()]).unwrap());
    let stores = thv_store::sealed::stores(Arc::new(Broken), keys);
    assert!(stores.documents.load("https://docs.example/c", T0).await.is_err());
    let world = World::with(|parts| parts.stores.documents = stores.documents).await;
    let client_id = world.publish("/c", |_| {});
    world.accepts(&client_id).await;
    world.accepts(&client_id).await;
    assert_eq!(world.host.requests("/c"), 1);
    world.host.down();
    world.advance(300);
    world.accepts(&client_id).await;
}
