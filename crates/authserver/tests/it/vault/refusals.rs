//! Upstreams that refuse, fail, or confuse users.

use super::{FILES, FIRST, LIFE, MAIL, RENEWAL, SECOND, becomes, renew_once, world};
use crate::fixture::{Browser, Flow, assert_error};
use crate::provider::Fault;
use crate::provider_world::{Failure, World, credential, login_at, renewed};

#[tokio::test]
async fn u11_while_an_upstream_is_down_the_token_serves_then_it_is_unavailable_then_it_heals() {
    let world = world().await;
    let (server, files) = (world.replica(), world.provider("files"));
    let tsid = world.log_in(&server).await.tsid;
    renew_once(&world, &server, &tsid).await;
    world.clock.advance(RENEWAL);
    files.next(Fault::Unavailable);
    assert_eq!(credential(&server, &tsid, "files").await.unwrap(), SECOND);
    while files.state().refresh_requests < 2 {
        tokio::task::yield_now().await;
    }
    world.clock.advance(LIFE - RENEWAL);
    for _ in 0..3 {
        files.next(Fault::Unavailable);
    }
    let failed = async {
        while !files.state().faults.is_empty() {
            assert_eq!(credential(&server, &tsid, "files").await, Err(Failure::Unavailable));
        }
    };
    failed.await;
    assert!(credential(&server, &tsid, "mail").await.is_ok(), "nobody else suffers");
    becomes(&server, &tsid, "at-files-0-3").await;
    assert_eq!(files.state().reuses, 0);
}

#[tokio::test]
async fn u11_an_upstream_that_nobody_reaches_is_unavailable_and_the_tokens_are_kept() {
    let world = world().await;
    let (server, files) = (world.replica(), world.provider("files"));
    files.state().rotates = false;
    let tsid = world.log_in(&server).await.tsid;
    world.clock.advance(LIFE);
    files.server.down();
    assert_eq!(credential(&server, &tsid, "files").await, Err(Failure::Unavailable));
    files.server.up();
    assert_eq!(credential(&server, &tsid, "files").await.unwrap(), SECOND);
}

#[tokio::test]
async fn u11_a_void_refresh_token_is_not_sent_again() {
    let world = world().await;
    let (server, files) = (world.replica(), world.provider("files"));
    let tsid = world.log_in(&server).await.tsid;
    world.clock.advance(RENEWAL);
    files.next(Fault::Refuse("invalid_grant"));
    assert_eq!(credential(&server, &tsid, "files").await.unwrap(), FIRST);
    let session = world.session(&tsid).await;
    while world.entry(&session, "files").await.unwrap().tokens.refresh_token.is_some() {
        tokio::task::yield_now().await;
    }
    assert_eq!(credential(&server, &tsid, "files").await.unwrap(), FIRST, "the access token serves");
    world.clock.advance(LIFE - RENEWAL);
    assert_eq!(credential(&server, &tsid, "files").await, Err(login_at("files")));
    assert_eq!(files.state().refresh_requests, 1, "it is not asked any more");
    assert!(credential(&server, &tsid, "mail").await.is_ok());
}

#[tokio::test]
async fn u11_where_the_first_upstream_refuses_the_whole_login_is_needed() {
    let world = World::new(&[FILES, MAIL]).await;
    let (server, files) = (world.replica(), world.provider("files"));
    let tsid = world.log_in(&server).await.tsid;
    world.clock.advance(LIFE);
    files.next(Fault::Refuse("invalid_grant"));
    assert_eq!(credential(&server, &tsid, "files").await, Err(Failure::Login(None)));
    assert!(credential(&server, &tsid, "mail").await.is_ok());
}

#[tokio::test]
async fn u11_what_is_wrong_with_our_registration_costs_no_tokens() {
    let world = world().await;
    let (server, files) = (world.replica(), world.provider("files"));
    let tsid = world.log_in(&server).await.tsid;
    world.clock.advance(LIFE);
    // Where the method of authentication is not known, the other one is tried too.
    files.next(Fault::Refuse("invalid_client"));
    files.next(Fault::Refuse("invalid_client"));
    assert_eq!(credential(&server, &tsid, "files").await, Err(Failure::Unavailable));
    files.state().faults.clear();
    assert_eq!(credential(&server, &tsid, "files").await.unwrap(), SECOND, "once the operator has mended it");
}

#[tokio::test]
async fn u11_tokens_of_another_user_are_not_used_and_the_refresh_token_is_not_sent_again() {
    let world = world().await;
    let (server, files) = (world.replica(), world.provider("files"));
    let tsid = world.log_in(&server).await.tsid;
    renew_once(&world, &server, &tsid).await;
    world.clock.advance(LIFE);
    files.next(Fault::OtherUser);
    assert_eq!(credential(&server, &tsid, "files").await, Err(login_at("files")));
    assert_eq!(credential(&server, &tsid, "files").await, Err(login_at("files")));
    let state = files.state();
    assert_eq!((state.refresh_requests, state.reuses), (2, 0));
}

#[tokio::test]
async fn u11_when_a_backend_and_the_upstream_refuse_the_tokens_a_login_brings_new_ones() {
    let world = world().await;
    let (server, files) = (world.replica(), world.provider("files"));
    let mut browser = Browser::new(&server);
    let before = world.log_in_with(&mut browser, &server, "openid").await;
    files.next(Fault::Refuse("invalid_grant"));
    assert_eq!(renewed(&server, &before.tsid, "files", FIRST).await, Err(login_at("files")));
    // The client does what it is told. The token has not ended yet, but it is of no use.
    world.visits();
    let flow = Flow::new(&before.flow.client_id);
    let response = world.approve(&mut browser, &flow, "openid upstream:files").await;
    let end = world.walk(&mut browser, response).await;
    let after = world.redeem(&server, flow, &end).await;
    assert!(world.visits().contains(&"files".to_owned()));
    assert_eq!(credential(&server, &after.tsid, "files").await.unwrap(), "at-files-1-1");
    assert_eq!(credential(&server, &before.tsid, "files").await.unwrap(), "at-files-1-1");
}

#[tokio::test]
async fn u11_a_backend_that_refuses_even_a_renewed_token_sends_to_a_login_that_runs_that_leg() {
    let world = world().await;
    let (server, files) = (world.replica(), world.provider("files"));
    let mut browser = Browser::new(&server);
    let before = world.log_in_with(&mut browser, &server, "openid offline_access").await;
    world.visits();
    assert_eq!(renewed(&server, &before.tsid, "files", FIRST).await.unwrap(), SECOND);
    let again = renewed(&server, &before.tsid, "files", SECOND).await.unwrap();
    assert_eq!(again, SECOND, "another refresh so soon would not help");
    assert_eq!(files.state().refresh_requests, 1);
    server.server.vault().refused_anew(&before.tsid, "files", |_| true).await.unwrap();

    // A client that answers our 401 with its refresh token is sent to log in; with the same token it would come back in vain.
    let refresh_token = before.tokens["refresh_token"].as_str().unwrap();
    let refused = server.refresh(&before.flow.client_id, refresh_token).await;
    assert_error(&refused, 400, "invalid_grant", "upstream_login_ended");
    let after = world.log_in_with(&mut browser, &server, "openid upstream:files").await;
    assert_eq!(world.visits(), ["files"]);
    assert_eq!(credential(&server, &after.tsid, "files").await.unwrap(), "at-files-1-1");
    let refreshed = server.refresh(&before.flow.client_id, refresh_token).await;
    assert_eq!(refreshed.status(), http::StatusCode::OK, "the login serves every grant of the session");
}

#[tokio::test]
async fn u11_a_backend_that_was_out_of_order_for_a_while_costs_nobody_a_login() {
    let world = world().await;
    let server = world.replica();
    let before = world.log_in(&server).await;
    server.server.vault().refused_anew(&before.tsid, "files", |_| true).await.unwrap();
    assert_eq!(credential(&server, &before.tsid, "files").await.unwrap(), FIRST, "who asks gets it");
    world.clock.advance(std::time::Duration::from_secs(300));
    let refresh_token = before.tokens["refresh_token"].as_str().unwrap();
    let refreshed = server.refresh(&before.flow.client_id, refresh_token).await;
    assert_eq!(refreshed.status(), http::StatusCode::OK);
}
