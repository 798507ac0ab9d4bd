//! An upstream that refuses us, or fails half-way: what that costs users (U7, U11).

use std::time::Duration;

use http::Method;
use thv_authserver::CredentialFailure;

use super::world::{Away, World, credential, log_in};
use crate::fixture::{answer, location};

/// Longer than access tokens live.
const LIFE: Duration = Duration::from_secs(601);

#[tokio::test]
async fn u7_a_refusal_that_passes_costs_neither_a_login_nor_the_registration() {
    let world = World::new().await;
    let server = world.ready(|_| {}).await;
    let (tsid, _) = log_in(&server).await;
    world.idp.state().denials = 1;
    log_in(&server).await;
    world.clock.advance(Duration::from_secs(601));
    world.idp.state().denials = 1;
    let refused = credential(&server, &tsid).await;
    assert!(matches!(refused, Err(CredentialFailure::Unavailable(_))), "{refused:?}");
    credential(&server, &tsid).await.unwrap();
    assert_eq!((world.idp.registrations(), world.idp.refreshed_as().len()), (1, 1));
}

#[tokio::test]
async fn u7_a_secret_that_was_renewed_without_our_learning_of_it_is_read_back_once() {
    let world = World::new().await;
    let (one, other) = (world.ready(|_| {}).await, world.ready(|_| {}).await);
    let (tsid, _) = log_in(&one).await;
    // What a process leaves that dies between the change and the store.
    let renewed = "renewed-secret-0123456789".to_owned();
    world.idp.state().secrets.get_mut("client-1").unwrap().push(renewed);
    log_in(&one).await;
    assert_eq!(world.idp.asked(&Method::GET, "/register/client-1").len(), 1);
    log_in(&other).await;
    world.clock.advance(LIFE);
    credential(&other, &tsid).await.unwrap();
    assert_eq!(world.idp.asked(&Method::GET, "/register/client-1").len(), 1, "the store has it");
    assert_eq!(world.idp.registrations(), 1);
}

#[tokio::test]
async fn u7_a_client_that_is_known_but_refused_for_minutes_is_replaced_and_its_tokens_are_tried_on() {
    let world = World::new().await;
    let server = world.ready(|_| {}).await;
    let (tsid, _) = log_in(&server).await;
    world.idp.state().denied.insert("client-1".to_owned());
    for _ in 0..2 {
        assert_eq!(answer(&Away::start(&server).await.come_back().await)["error"], "server_error");
        assert_eq!(world.idp.registrations(), 1);
    }
    world.clock.advance(Duration::from_secs(5 * 60));
    let mut away = Away::start(&server).await;
    away.url = location(&away.come_back().await);
    assert_eq!(away.client_id(), "client-2");
    assert!(answer(&away.come_back().await).contains_key("code"));
    // Nobody has asked about the tokens of the others yet.
    world.idp.state().denied.clear();
    world.clock.advance(LIFE);
    let restarted = world.ready(|_| {}).await;
    credential(&restarted, &tsid).await.unwrap();
    assert_eq!((world.idp.refreshed_as(), world.idp.registrations()), (vec!["client-1".to_owned()], 2));
}

#[tokio::test]
async fn u7_an_upstream_that_cannot_say_whether_it_knows_us_is_asked_again_later() {
    let world = World::new().await;
    let server = world.ready(|_| {}).await;
    let (tsid, _) = log_in(&server).await;
    world.clock.advance(LIFE);
    world.idp.state().denied.insert("client-1".to_owned());
    world.idp.state().management_status = Some(503);
    let refused = credential(&server, &tsid).await;
    assert!(matches!(refused, Err(CredentialFailure::Unavailable(_))), "{refused:?}");
    assert_eq!(answer(&Away::start(&server).await.come_back().await)["error"], "server_error");
    world.idp.state().denied.clear();
    credential(&server, &tsid).await.unwrap();
    log_in(&server).await;
    assert_eq!(world.idp.registrations(), 1);
}

#[tokio::test]
async fn u11_a_refresh_token_is_kept_only_if_the_failure_says_that_it_was_not_used() {
    for (failure, kept) in [
        ((500, ""), false),
        ((504, ""), false),
        ((400, "server_error"), false),
        ((502, ""), true),
        ((503, ""), true),
        ((429, ""), true),
        ((400, "temporarily_unavailable"), true),
    ] {
        let world = World::new().await;
        let server = world.ready(|_| {}).await;
        let (tsid, _) = log_in(&server).await;
        world.clock.advance(LIFE);
        world.idp.state().token_failure = Some(failure);
        credential(&server, &tsid).await.unwrap_err();
        assert_eq!(world.may_refresh(&tsid).await, kept, "{failure:?}");
    }
}
