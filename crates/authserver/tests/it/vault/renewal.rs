//! Renewal ahead of the end, once for all who ask, in all replicas.

use std::sync::Arc;
use std::time::Duration;

use thv_clock::Clock;

use super::{FIRST, LIFE, RENEWAL, SECOND, THIRD, ask, becomes, renew_once, world};
use crate::provider::Fault;
use crate::provider_world::{credential, login_at, renewed};

#[tokio::test]
async fn u11_a_token_is_renewed_ahead_of_its_end_and_nobody_waits() {
    let world = world().await;
    let (server, files) = (world.replica(), world.provider("files"));
    let tsid = world.log_in(&server).await.tsid;
    world.clock.advance(RENEWAL - Duration::from_secs(1));
    assert_eq!(credential(&server, &tsid, "files").await.unwrap(), FIRST);
    assert_eq!(files.state().refresh_requests, 0, "not before it is time");
    world.clock.advance(Duration::from_secs(1));
    files.next(Fault::HoldBefore);
    assert_eq!(credential(&server, &tsid, "files").await.unwrap(), FIRST, "while the provider hesitates");
    files.arrived().await;
    assert_eq!(credential(&server, &tsid, "files").await.unwrap(), FIRST, "and again");
    files.release();
    becomes(&server, &tsid, SECOND).await;
    assert_eq!(files.state().refresh_requests, 1);
}

#[tokio::test]
async fn u11_a_hundred_requests_at_the_end_are_one_refresh() {
    let world = world().await;
    let (server, files) = (Arc::new(world.replica()), world.provider("files"));
    let tsid = world.log_in(&server).await.tsid;
    world.clock.advance(LIFE);
    files.next(Fault::HoldBefore);
    let asked: Vec<_> = (0..100).map(|_| ask(&server, &tsid)).collect();
    files.arrived().await;
    files.release();
    for asked in asked {
        assert_eq!(asked.await.unwrap().unwrap(), SECOND);
    }
    assert_eq!(files.state().refresh_requests, 1);
}

#[tokio::test]
async fn u11_a_hundred_requests_at_two_replicas_are_one_refresh() {
    let world = world().await;
    let replicas = [Arc::new(world.replica()), Arc::new(world.replica())];
    let files = world.provider("files");
    let tsid = world.log_in(&replicas[0]).await.tsid;
    world.clock.advance(LIFE);
    files.next(Fault::HoldAfter);
    let asked: Vec<_> = (0..100).map(|number| ask(&replicas[number % 2], &tsid)).collect();
    files.arrived().await;
    // One replica has sent the refresh token; the other one has seen that, or is about to.
    files.release();
    for asked in asked {
        assert_eq!(asked.await.unwrap().unwrap(), SECOND);
    }
    let state = files.state();
    assert_eq!((state.refresh_requests, state.reuses), (1, 0));
}

#[tokio::test]
async fn u11_another_replicas_refresh_is_waited_for_and_its_outcome_used() {
    let world = world().await;
    let (first, second) = (Arc::new(world.replica()), Arc::new(world.replica()));
    let files = world.provider("files");
    let tsid = world.log_in(&first).await.tsid;
    world.clock.advance(LIFE);
    files.next(Fault::HoldAfter);
    let asked = ask(&first, &tsid);
    files.arrived().await;
    let waiting = ask(&second, &tsid);
    tokio::task::yield_now().await;
    files.release();
    assert_eq!(asked.await.unwrap().unwrap(), SECOND);
    assert_eq!(waiting.await.unwrap().unwrap(), SECOND);
    assert_eq!(files.state().refresh_requests, 1);
}

#[tokio::test]
async fn u11_the_rotated_refresh_token_is_the_one_that_is_used_next() {
    let world = world().await;
    let (server, files) = (world.replica(), world.provider("files"));
    let tsid = world.log_in(&server).await.tsid;
    renew_once(&world, &server, &tsid).await;
    world.clock.advance(LIFE);
    assert_eq!(credential(&server, &tsid, "files").await.unwrap(), THIRD);
    let state = files.state();
    assert_eq!((state.refreshes, state.reuses), (2, 0));
}

#[tokio::test]
async fn u11_a_refresh_token_that_is_not_rotated_is_kept() {
    let world = world().await;
    let (server, files) = (world.replica(), world.provider("files"));
    files.state().rotates = false;
    let tsid = world.log_in(&server).await.tsid;
    renew_once(&world, &server, &tsid).await;
    world.clock.advance(LIFE);
    assert_eq!(credential(&server, &tsid, "files").await.unwrap(), THIRD);
}

#[tokio::test]
async fn u11_a_token_whose_end_is_not_known_is_used_as_it_is() {
    let world = world().await;
    let (server, files) = (world.replica(), world.provider("files"));
    files.state().expires_in = None;
    let tsid = world.log_in(&server).await.tsid;
    world.clock.advance(Duration::from_secs(30 * 24 * 3600));
    let found = server.server.vault().credential(&tsid, "files").await.unwrap().unwrap();
    assert_eq!(found.fresh_until, None, "it need not be asked for again");
    assert_eq!(files.state().refresh_requests, 0);
}

#[tokio::test]
async fn u11_a_credential_says_when_to_ask_again() {
    let world = world().await;
    let server = world.replica();
    let tsid = world.log_in(&server).await.tsid;
    let found = server.server.vault().credential(&tsid, "files").await.unwrap().unwrap();
    assert_eq!(found.fresh_until, Some(world.clock.now() + RENEWAL));
}

#[tokio::test]
async fn u11_a_token_that_a_backend_refused_is_renewed_once_for_all() {
    let world = world().await;
    let (server, files) = (Arc::new(world.replica()), world.provider("files"));
    let tsid = world.log_in(&server).await.tsid;
    files.next(Fault::HoldBefore);
    let ask = |_| {
        let (server, tsid) = (Arc::clone(&server), tsid.clone());
        tokio::spawn(async move { renewed(&server, &tsid, "files", FIRST).await })
    };
    let asked: Vec<_> = (0..20).map(ask).collect();
    files.arrived().await;
    files.release();
    for asked in asked {
        assert_eq!(asked.await.unwrap().unwrap(), SECOND);
    }
    assert_eq!(renewed(&server, &tsid, "files", FIRST).await.unwrap(), SECOND, "whoever comes late");
    assert_eq!(files.state().refresh_requests, 1);
}

#[tokio::test]
async fn u11_a_refused_token_that_another_replica_renewed_is_not_renewed_again() {
    let world = world().await;
    let (first, second) = (world.replica(), world.replica());
    let tsid = world.log_in(&first).await.tsid;
    assert_eq!(renewed(&first, &tsid, "files", FIRST).await.unwrap(), SECOND);
    assert_eq!(renewed(&second, &tsid, "files", FIRST).await.unwrap(), SECOND);
    assert_eq!(world.provider("files").state().refresh_requests, 1);
}

#[tokio::test]
async fn u11_a_refused_token_without_refresh_token_asks_for_a_login() {
    let world = world().await;
    let server = world.replica();
    let tsid = world.log_in(&server).await.tsid;
    world.change_entry(&world.session(&tsid).await, "files", |entry| entry.tokens.refresh_token = None).await;
    let outcome = renewed(&server, &tsid, "files", FIRST).await;
    assert_eq!(outcome, Err(login_at("files")));
}
