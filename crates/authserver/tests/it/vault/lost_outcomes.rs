//! Refreshes whose outcome nobody learned: a crash, a broken connection.

use std::sync::Arc;

use thv_clock::Clock;
use thv_store::records::RefreshIntent;

use super::{FIRST, INTENT, LIFE, RENEWAL, SECOND, becomes, lose_the_answer, renew_once, world};
use crate::provider::Fault;
use crate::provider_world::{World, credential, login_at};

/// Leaves behind what a replica leaves that dies between announcing a refresh and storing its outcome.
async fn crash(world: &World, tsid: &str, rotates: Option<bool>) {
    let intent = RefreshIntent { by: [1; 16], at: world.clock.now() };
    let session = world.session(tsid).await;
    let change = |entry: &mut thv_store::records::VaultEntry| {
        (entry.intent, entry.rotates) = (Some(intent), rotates);
    };
    world.change_entry(&session, "files", change).await;
}

#[tokio::test]
async fn u11_after_a_crash_a_rotating_refresh_token_is_never_sent_again() {
    let world = world().await;
    let (server, files) = (world.replica(), world.provider("files"));
    let tsid = world.log_in(&server).await.tsid;
    renew_once(&world, &server, &tsid).await;
    world.clock.advance(RENEWAL);
    crash(&world, &tsid, Some(true)).await;
    world.clock.advance(INTENT);
    assert_eq!(credential(&server, &tsid, "files").await.unwrap(), SECOND, "the access token serves");
    world.clock.advance(LIFE - RENEWAL);
    assert_eq!(credential(&server, &tsid, "files").await, Err(login_at("files")));
    assert_eq!(credential(&server, &tsid, "files").await, Err(login_at("files")));
    assert_eq!(files.state().refresh_requests, 1);
    assert!(credential(&server, &tsid, "mail").await.is_ok(), "that upstream only");
}

#[tokio::test]
async fn u11_a_replica_that_dies_while_it_waits_for_the_answer_costs_one_login_at_that_upstream() {
    let world = world().await;
    let (server, files) = (world.replica(), world.provider("files"));
    let tsid = world.log_in(&server).await.tsid;
    renew_once(&world, &server, &tsid).await;
    world.clock.advance(LIFE);
    files.next(Fault::HoldAfter);
    let dying = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (replica, asked) = (world.replica(), tsid.clone());
    dying.spawn(async move { credential(&replica, &asked, "files").await });
    files.arrived().await;
    dying.shutdown_background();
    world.clock.advance(INTENT);
    assert_eq!(credential(&server, &tsid, "files").await, Err(login_at("files")));
    let state = files.state();
    assert_eq!((state.refresh_requests, state.reuses), (2, 0));
}

#[tokio::test]
async fn u11_after_a_crash_a_refresh_token_that_is_not_rotated_is_sent_again() {
    let world = world().await;
    let (server, files) = (world.replica(), world.provider("files"));
    files.state().rotates = false;
    let tsid = world.log_in(&server).await.tsid;
    world.clock.advance(LIFE);
    crash(&world, &tsid, Some(false)).await;
    world.clock.advance(INTENT);
    assert_eq!(credential(&server, &tsid, "files").await.unwrap(), SECOND);
    let entry = world.entry(&world.session(&tsid).await, "files").await.unwrap();
    assert_eq!((entry.intent, entry.rotates), (None, Some(false)));
}

#[tokio::test]
async fn u11_after_a_crash_in_its_first_refresh_a_session_counts_as_one_with_rotating_tokens() {
    let world = world().await;
    let (server, files) = (world.replica(), world.provider("files"));
    let tsid = world.log_in(&server).await.tsid;
    world.clock.advance(LIFE);
    crash(&world, &tsid, None).await;
    world.clock.advance(INTENT);
    assert_eq!(credential(&server, &tsid, "files").await, Err(login_at("files")));
    assert_eq!(files.state().refresh_requests, 0);
}

#[tokio::test]
async fn u11_a_rotating_refresh_token_whose_answer_was_lost_is_not_sent_again() {
    let world = world().await;
    let (server, files) = (Arc::new(world.replica()), world.provider("files"));
    let tsid = world.log_in(&server).await.tsid;
    renew_once(&world, &server, &tsid).await;
    world.clock.advance(LIFE);
    assert_eq!(lose_the_answer(&files, &server, &tsid).await, Err(login_at("files")));
    assert_eq!(credential(&server, &tsid, "files").await, Err(login_at("files")));
    let state = files.state();
    assert_eq!((state.refresh_requests, state.reuses), (2, 0));
}

#[tokio::test]
async fn u11_a_refresh_token_that_is_not_rotated_survives_a_lost_answer() {
    let world = world().await;
    let (server, files) = (Arc::new(world.replica()), world.provider("files"));
    files.state().rotates = false;
    let tsid = world.log_in(&server).await.tsid;
    renew_once(&world, &server, &tsid).await;
    world.clock.advance(LIFE);
    lose_the_answer(&files, &server, &tsid).await.unwrap_err();
    // The provider counted the refresh whose answer was lost.
    assert_eq!(credential(&server, &tsid, "files").await.unwrap(), "at-files-0-4");
}

#[tokio::test]
async fn u11_a_living_token_serves_while_another_replica_may_have_died() {
    let world = world().await;
    let server = world.replica();
    let tsid = world.log_in(&server).await.tsid;
    world.clock.advance(RENEWAL);
    crash(&world, &tsid, Some(false)).await;
    assert_eq!(credential(&server, &tsid, "files").await.unwrap(), FIRST, "nobody waits for the dead");
    world.clock.advance(INTENT);
    becomes(&server, &tsid, SECOND).await;
}
