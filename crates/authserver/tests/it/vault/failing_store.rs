//! A store that fails while a refresh is under way.

use std::sync::Arc;

use super::faulty_rows::{FaultyRows, Way};
use super::{INTENT, LIFE, THIRD, ask, becomes, renew_once, world};
use crate::fixture::Fixture;
use crate::provider::{Fault, Provider};
use crate::provider_world::{Failure, World, credential, login_at};

struct Setup {
    world: World,
    /// The first replica's way to the store.
    rows: FaultyRows,
    server: Arc<Fixture>,
    /// A replica over another way, which never fails.
    other: Fixture,
    files: Arc<Provider>,
    tsid: String,
}

/// Two replicas, and a session whose token of `files` was renewed once and has ended.
async fn setup() -> Setup {
    let rows = FaultyRows::default();
    let healthy = rows.another_way().stores();
    let world = world().await.with_stores(healthy.clone());
    let (server, other) = (Arc::new(world.replica_over(rows.stores())), world.replica());
    let tsid = world.log_in(&server).await.tsid;
    renew_once(&world, &server, &tsid).await;
    world.clock.advance(LIFE);
    let files = world.provider("files");
    Setup { world, rows, server, other, files, tsid }
}

/// The store cannot be written while the upstream answers.
async fn outcome_that_cannot_be_stored(setup: &Setup) -> Result<String, Failure> {
    setup.files.next(Fault::HoldAfter);
    let asked = ask(&setup.server, &setup.tsid);
    setup.files.arrived().await;
    setup.rows.set(Way::NoWrites);
    setup.files.release();
    asked.await.unwrap()
}

#[tokio::test]
async fn u11_an_outcome_is_stored_before_it_is_used_and_not_lost_while_it_cannot_be() {
    let setup = setup().await;
    assert_eq!(outcome_that_cannot_be_stored(&setup).await, Err(Failure::Unavailable));
    assert_eq!(credential(&setup.server, &setup.tsid, "files").await, Err(Failure::Unavailable), "still");
    setup.rows.set(Way::Open);
    becomes(&setup.server, &setup.tsid, THIRD).await;
    assert_eq!(credential(&setup.other, &setup.tsid, "files").await.unwrap(), THIRD);
    let state = setup.files.state();
    assert_eq!((state.refresh_requests, state.reuses), (2, 0));
}

#[tokio::test]
async fn u11_an_outcome_that_is_stored_late_counts_although_another_replica_gave_up_waiting() {
    let setup = setup().await;
    assert_eq!(outcome_that_cannot_be_stored(&setup).await, Err(Failure::Unavailable));
    setup.world.clock.advance(INTENT);
    assert_eq!(credential(&setup.other, &setup.tsid, "files").await, Err(login_at("files")));
    setup.rows.set(Way::Open);
    becomes(&setup.server, &setup.tsid, THIRD).await;
    assert_eq!(credential(&setup.other, &setup.tsid, "files").await.unwrap(), THIRD);
    assert_eq!(setup.files.state().refresh_requests, 2);
}

#[tokio::test]
async fn u11_an_outcome_that_is_stored_late_does_not_replace_a_later_login() {
    let setup = setup().await;
    assert_eq!(outcome_that_cannot_be_stored(&setup).await, Err(Failure::Unavailable));
    let session = setup.world.session(&setup.tsid).await;
    let login = |entry: &mut thv_store::records::VaultEntry| {
        entry.tokens.access_token = "of the later login".into();
        entry.tokens.refresh_token = None;
        entry.tokens.expires_at = None;
        entry.intent = None;
        entry.login += 1;
    };
    setup.world.change_entry(&session, "files", login).await;
    setup.rows.set(Way::Open);
    becomes(&setup.server, &setup.tsid, "of the later login").await;
    let entry = setup.world.entry(&session, "files").await.unwrap();
    assert!(entry.tokens.refresh_token.is_none());
}

#[tokio::test]
async fn u11_a_refresh_whose_announcement_is_not_acknowledged_is_not_lost() {
    let setup = setup().await;
    setup.rows.set(Way::LosesOneAnswer);
    assert_eq!(credential(&setup.server, &setup.tsid, "files").await, Err(Failure::Unavailable));
    assert_eq!(setup.files.state().refresh_requests, 1, "nothing was sent");
    // The announcement is in the store. Who made it knows that it sent nothing.
    assert_eq!(credential(&setup.server, &setup.tsid, "files").await.unwrap(), THIRD);
    assert_eq!(setup.files.state().reuses, 0);
}

#[tokio::test]
async fn u11_an_outcome_whose_write_is_not_acknowledged_is_used() {
    let setup = setup().await;
    setup.files.next(Fault::HoldAfter);
    let asked = ask(&setup.server, &setup.tsid);
    setup.files.arrived().await;
    setup.rows.set(Way::LosesOneAnswer);
    setup.files.release();
    assert_eq!(asked.await.unwrap().unwrap(), THIRD);
    assert_eq!(credential(&setup.other, &setup.tsid, "files").await.unwrap(), THIRD);
    assert_eq!(setup.files.state().refresh_requests, 2);
}

#[tokio::test]
async fn u11_nothing_is_sent_to_an_upstream_before_the_store_has_the_announcement() {
    let setup = setup().await;
    for way in [Way::NoWrites, Way::Closed] {
        setup.rows.set(way);
        assert_eq!(credential(&setup.server, &setup.tsid, "files").await, Err(Failure::Unavailable));
    }
    assert_eq!(setup.files.state().refresh_requests, 1);
    setup.rows.set(Way::Open);
    assert_eq!(credential(&setup.server, &setup.tsid, "files").await.unwrap(), THIRD);
}
