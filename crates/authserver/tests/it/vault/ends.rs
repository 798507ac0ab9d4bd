//! The end of sessions: what hangs on them goes, at the upstreams too.

use std::sync::Arc;
use std::time::Duration;

use super::{FIRST, LIFE, ask, renew_once, world};
use crate::fixture::{Browser, Fixture, assert_error};
use crate::provider::Fault;
use crate::provider_world::{LoggedIn, credential, is_revoked, login_at, sign_out};

/// Ends a grant: its code comes a second time.
async fn end(server: &Fixture, login: &LoggedIn) {
    assert_error(&server.redeem(&login.flow, &login.code).await, 400, "invalid_grant", "grant_unknown");
}

#[tokio::test]
async fn u11_the_last_grant_of_a_session_takes_the_upstream_tokens_with_it() {
    let world = world().await;
    let server = world.replica();
    let mut browser = Browser::new(&server);
    let one = world.log_in_with(&mut browser, &server, "openid").await;
    world.visits();
    let other = world.log_in_with(&mut browser, &server, "openid").await;
    assert!(world.visits().is_empty(), "the second client uses the same session");
    end(&server, &one).await;
    assert_eq!(credential(&server, &one.tsid, "files").await, Err(login_at("files")));
    assert_eq!(
        credential(&server, &other.tsid, "files").await.unwrap(),
        FIRST,
        "another grant rests on them"
    );
    assert!(world.provider("files").state().revoked.is_empty());
    let session = world.session(&other.tsid).await;
    end(&server, &other).await;
    for name in ["files", "mail"] {
        is_revoked(&world.provider(name), &format!("rt-{name}-0-0")).await;
        assert!(world.entry(&session, name).await.is_none());
    }
}

#[tokio::test]
async fn u11_the_rotated_refresh_token_is_the_one_that_is_revoked() {
    let world = world().await;
    let server = world.replica();
    let login = world.log_in(&server).await;
    renew_once(&world, &server, &login.tsid).await;
    // The code is remembered for as long as its replay must be noticed; a refresh token that comes twice tells as much.
    let (client, token) = (&login.flow.client_id, login.tokens["refresh_token"].as_str().unwrap());
    assert_eq!(server.refresh(client, token).await.status(), 200);
    world.clock.advance(Duration::from_secs(61));
    assert_error(&server.refresh(client, token).await, 400, "invalid_grant", "grant_unknown");
    is_revoked(&world.provider("files"), "rt-files-0-1").await;
}

#[tokio::test]
async fn u11_tokens_that_arrive_after_the_end_of_their_session_are_revoked() {
    let world = world().await;
    let (server, files) = (Arc::new(world.replica()), world.provider("files"));
    let login = world.log_in(&server).await;
    world.clock.advance(LIFE - Duration::from_secs(1));
    files.next(Fault::HoldAfter);
    let asked = ask(&server, &login.tsid);
    files.arrived().await;
    let (client, token) = (&login.flow.client_id, login.tokens["refresh_token"].as_str().unwrap());
    assert_eq!(server.refresh(client, token).await.status(), 200);
    world.clock.advance(Duration::from_secs(61));
    assert_error(&server.refresh(client, token).await, 400, "invalid_grant", "grant_unknown");
    files.release();
    assert_eq!(asked.await.unwrap(), Err(login_at("files")));
    is_revoked(&files, "rt-files-0-1").await;
}

#[tokio::test]
async fn u11_who_signs_out_ends_every_grant_of_the_session_and_revokes_the_upstream_tokens() {
    let world = world().await;
    let server = world.replica();
    let mut browser = Browser::new(&server);
    let one = world.log_in_with(&mut browser, &server, "openid").await;
    let other = world.log_in_with(&mut browser, &server, "openid").await;
    let elsewhere = world.log_in(&server).await;
    sign_out(&mut browser).await;
    for login in [&one, &other] {
        assert_eq!(credential(&server, &login.tsid, "files").await, Err(login_at("files")));
        assert!(!server.server.is_live(&login.tsid).await.unwrap());
    }
    for name in ["files", "mail"] {
        is_revoked(&world.provider(name), &format!("rt-{name}-0-0")).await;
    }
    let token = credential(&server, &elsewhere.tsid, "files").await.unwrap();
    assert_eq!(token, "at-files-1-1", "another browser's session goes on");
}
