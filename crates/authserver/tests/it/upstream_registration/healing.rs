//! What becomes of a registration over time.

use std::time::Duration;

use http::Method;
use secrecy::SecretString;
use serde_json::json;
use thv_authserver::CredentialFailure;
use thv_authserver::upstream::{PreregisteredClient, RegistrationMode};

use super::world::{
    Away, INITIAL_ACCESS_TOKEN, Log, SOFTWARE_STATEMENT, World, everything, log_in, readiness, until,
};
use crate::fixture::{Browser, Flow, answer, assert_page, location};

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

#[tokio::test]
async fn u5_an_upstream_that_is_down_at_the_start_is_named_and_found_later() {
    let world = World::new().await;
    world.idp.server.down();
    let server = world.start(|_| {});
    until(async || readiness(&server).await.is_err_and(|why| why.contains("could not be fetched"))).await;
    let flow = Flow::new(&server.register().await);
    let refused = Browser::new(&server).get(&format!("/oauth/authorize?{}", flow.query(&[]))).await;
    assert_page(&refused, 503, "upstream_unavailable");
    world.idp.server.up();
    // Longer than the first pause with its jitter. Nobody logs in; it heals by itself.
    world.clock.advance(Duration::from_secs(10));
    until(async || readiness(&server).await.is_ok()).await;
    log_in(&server).await;
    assert_eq!(world.idp.registrations(), 1);
}

#[tokio::test]
async fn u7_a_forgotten_client_is_registered_anew_once_and_the_user_is_sent_again() {
    let world = World::new().await;
    let (log, _guard) = Log::capture();
    let server = world.ready(|_| {}).await;
    let mut away = Away::start(&server).await;
    world.idp.state().forgotten.insert("client-1".to_owned());
    away.url = location(&away.come_back().await);
    assert_eq!(away.client_id(), "client-2", "the browser is on its way again");
    assert!(answer(&away.come_back().await).contains_key("code"));
    let record = &log.records("the upstream does not accept this server as its client (invalid_client)")[0];
    assert_eq!((&record["level"], &record["client.id"]), (&json!("WARN"), &json!("client-1")));
    assert_eq!(record["upstream.issuer"], json!(world.idp.issuer()));
    assert!(record["remediation"].as_str().unwrap().contains("registered anew"));

    // An upstream that refuses whatever it registers is not flooded, neither by this process nor by another.
    world.idp.state().forgotten.insert("client-2".to_owned());
    let other = world.ready(|_| {}).await;
    for server in [&server, &other, &server] {
        let mut away = Away::start(server).await;
        assert_eq!(away.client_id(), "client-2");
        assert_eq!(answer(&away.come_back().await)["error"], "server_error");
    }
    assert_eq!(world.idp.registrations(), 2);
    world.clock.advance(Duration::from_secs(600));
    let mut away = Away::start(&server).await;
    away.url = location(&away.come_back().await);
    assert_eq!((away.client_id(), world.idp.registrations()), ("client-3".to_owned(), 3));
}

#[tokio::test]
async fn u7_what_another_replica_registered_anew_is_used() {
    let world = World::new().await;
    let (one, other) = (world.ready(|_| {}).await, world.ready(|_| {}).await);
    let mut waiting = Away::start(&other).await;
    world.idp.state().forgotten.insert("client-1".to_owned());
    let mut away = Away::start(&one).await;
    away.url = location(&away.come_back().await);
    assert_eq!(away.client_id(), "client-2");
    waiting.url = location(&waiting.come_back().await);
    assert_eq!(waiting.client_id(), "client-2", "its own client was refused, so it looked");
    assert!(answer(&waiting.come_back().await).contains_key("code"));
    assert_eq!(world.idp.registrations(), 2);
    // A code of the new client reaches a replica that has not heard of it.
    let third = world.ready(|_| {}).await;
    assert_eq!(Away::start(&third).await.client_id(), "client-2");
}

#[tokio::test]
async fn u7_a_refresh_by_a_forgotten_client_makes_a_new_one_for_the_login_that_is_needed_then() {
    let world = World::new().await;
    let server = world.ready(|_| {}).await;
    let (tsid, _) = log_in(&server).await;
    world.idp.state().forgotten.insert("client-1".to_owned());
    world.clock.advance(Duration::from_secs(601));
    for _ in 0..2 {
        let credential = server.server.vault().credential(&tsid, "corp").await;
        assert!(matches!(credential, Err(CredentialFailure::LoginNeeded { .. })), "{credential:?}");
    }
    assert_eq!(world.idp.asked(&Method::POST, "/token").len(), 2, "its refresh token is not sent again");
    assert_eq!(Away::start(&server).await.client_id(), "client-2");
    let (tsid, _) = log_in(&server).await;
    assert!(server.server.vault().credential(&tsid, "corp").await.is_ok());
}

#[tokio::test]
async fn u7_a_client_that_was_registered_by_hand_is_not_replaced() {
    let world = World::new().await;
    let (log, _guard) = Log::capture();
    let server = world
        .ready(|settings| {
            settings.registration.mode = RegistrationMode::Auto;
            settings.registration.preregistered = Some(PreregisteredClient {
                client_id: "by-hand".to_owned(),
                client_secret: Some(SecretString::from("by-hand-secret-0123456789")),
                auth_method: None,
            });
        })
        .await;
    let mut away = Away::start(&server).await;
    assert_eq!(away.client_id(), "by-hand");
    assert_eq!(answer(&away.come_back().await)["error"], "server_error");
    assert_eq!(world.idp.registrations(), 0);
    let record = &log.records("the upstream does not accept this server as its client (invalid_client)")[0];
    assert!(record["remediation"].as_str().unwrap().contains("check the client identifier"));
}

#[tokio::test]
async fn u6_a_secret_is_renewed_before_it_ends_and_the_client_stays_the_same() {
    let world = World::new().await;
    world.idp.state().secret_life = Some(30 * DAY);
    let server = world.ready(|_| {}).await;
    world.clock.advance(Duration::from_secs(26 * DAY));
    log_in(&server).await;
    assert!(world.idp.asked(&Method::PUT, "/register/").is_empty());
    world.clock.advance(Duration::from_secs(DAY));
    assert_eq!(Away::start(&server).await.client_id(), "client-1", "nobody waits for it");
    until(async || world.idp.asked(&Method::PUT, "/register/client-1").len() == 1).await;
    until(async || log_in_works(&world, &server).await).await;
    assert_eq!(world.idp.state().secrets["client-1"].len(), 2);
    assert_eq!((world.idp.registrations(), world.idp.asked(&Method::PUT, "/").len()), (1, 1));
    // The first secret has ended long ago.
    world.clock.advance(Duration::from_secs(20 * DAY));
    log_in(&server).await;
    assert_eq!(world.idp.registrations(), 1);
}

#[tokio::test]
async fn u6_a_secret_is_renewed_before_it_ends_also_while_nobody_logs_in() {
    let world = World::new().await;
    world.idp.state().secret_life = Some(30 * DAY);
    let _server = world.ready(|_| {}).await;
    world.clock.advance(Duration::from_secs(28 * DAY));
    until(async || world.idp.asked(&Method::PUT, "/register/client-1").len() == 1).await;
    assert_eq!(world.idp.registrations(), 1);
}

#[tokio::test]
async fn u6_a_secret_that_ended_unnoticed_is_renewed_when_somebody_logs_in() {
    for (manageable, client_id) in [(true, "client-1"), (false, "client-2")] {
        let world = World::new().await;
        world.idp.state().secret_life = Some(HOUR);
        world.idp.state().manageable = manageable;
        let server = world.ready(|_| {}).await;
        world.clock.advance(Duration::from_secs(DAY));
        let mut away = Away::start(&server).await;
        assert_eq!(away.client_id(), client_id);
        assert!(answer(&away.come_back().await).contains_key("code"));
        assert_eq!(world.idp.state().secrets[client_id].len(), if manageable { 2 } else { 1 });
    }
}

#[tokio::test]
async fn u6_while_the_upstream_is_down_a_secret_that_is_about_to_end_is_used_on() {
    let world = World::new().await;
    world.idp.state().secret_life = Some(30 * DAY);
    let (log, _guard) = Log::capture();
    let server = world.ready(|_| {}).await;
    world.clock.advance(Duration::from_secs(29 * DAY));
    world.idp.server.down();
    assert_eq!(Away::start(&server).await.client_id(), "client-1");
    let failed = "we are no client of the upstream, or cannot renew our registration there";
    until(async || log.records(failed).len() == 1).await;
    world.idp.server.up();
    log_in(&server).await;
    assert_eq!(world.idp.asked(&Method::PUT, "/register/").len(), 0, "not before the pause is over");
    world.clock.advance(Duration::from_secs(10));
    log_in(&server).await;
    until(async || world.idp.asked(&Method::PUT, "/register/").len() == 1).await;
}

#[tokio::test]
async fn u6_no_login_waits_while_a_secret_is_renewed() {
    let world = World::new().await;
    world.idp.state().secret_life = Some(30 * DAY);
    let server = world.ready(|_| {}).await;
    world.clock.advance(Duration::from_secs(29 * DAY));
    world.idp.held.send_replace(true);
    let before = world.idp.server.requests();
    Away::start(&server).await;
    until(async || world.idp.server.requests() > before).await;
    // What is remembered is not trusted any more, so the store is asked.
    world.clock.advance(Duration::from_secs(61));
    log_in(&server).await;
    assert!(world.idp.asked(&Method::PUT, "/register/").is_empty(), "it is not answered yet");
    world.idp.held.send_replace(false);
    until(async || world.idp.asked(&Method::PUT, "/register/client-1").len() == 1).await;
    until(async || log_in_works(&world, &server).await).await;
    assert_eq!(world.idp.registrations(), 1);
}

/// Whether a login succeeds with the secret that is current now.
async fn log_in_works(world: &World, server: &crate::fixture::Fixture) -> bool {
    let before = world.idp.asked(&Method::POST, "/token").len();
    let mut away = Away::start(server).await;
    let end = away.come_back().await;
    let asked = world.idp.asked(&Method::POST, "/token");
    asked.len() > before && answer(&end).contains_key("code")
}

#[tokio::test]
async fn u6_a_refresh_token_is_used_by_the_registration_that_obtained_it() {
    let world = World::new().await;
    world.idp.state().secret_life = Some(30 * DAY);
    world.idp.state().manageable = false;
    let server = world.ready(|_| {}).await;
    world.clock.advance(Duration::from_secs(30 * DAY - 2 * HOUR));
    let (tsid, _) = log_in(&server).await;
    until(async || Away::start(&server).await.client_id() == "client-2").await;
    assert_eq!(world.idp.registrations(), 2, "there is nothing to change a registration with");

    world.clock.advance(Duration::from_secs(590));
    let restarted = world.ready(|_| {}).await;
    world.clock.advance(Duration::from_secs(11));
    restarted.server.vault().credential(&tsid, "corp").await.unwrap().unwrap();
    assert_eq!(world.idp.refreshed_as(), ["client-1"]);
    // When the old secret has ended, the refresh token is of no use, and the upstream is not asked.
    world.clock.advance(Duration::from_secs(2 * HOUR));
    assert!(restarted.server.vault().credential(&tsid, "corp").await.is_err());
    assert_eq!(world.idp.refreshed_as().len(), 1);
}

#[tokio::test]
async fn u6_endpoints_that_move_are_followed_by_all_replicas() {
    let world = World::new().await;
    let server = world.ready(|_| {}).await;
    world.idp.state().token_path = "/v2/token";
    // The metadata is fresh for an hour when its server says nothing.
    world.clock.advance(Duration::from_secs(2 * HOUR));
    Away::start(&server).await;
    until(async || log_in_works_at(&server).await).await;
    assert_eq!(world.idp.registrations(), 1);
    let before = world.idp.asked(&Method::GET, "/").len();
    let restarted = world.ready(|_| {}).await;
    assert_eq!(world.idp.asked(&Method::GET, "/").len(), before);
    log_in(&restarted).await;
}

async fn log_in_works_at(server: &crate::fixture::Fixture) -> bool {
    answer(&Away::start(server).await.come_back().await).contains_key("code")
}

#[tokio::test]
async fn u8_an_old_registration_is_reported_once() {
    let world = World::new().await;
    drop(world.ready(|_| {}).await);
    world.clock.advance(Duration::from_secs(91 * DAY));
    let (log, _guard) = Log::capture();
    let server = world.ready(|_| {}).await;
    world.clock.advance(Duration::from_secs(HOUR));
    log_in(&server).await;
    let records = log.records("the registration at the upstream is old; it is used on");
    assert_eq!(records.len(), 1);
    assert_eq!((&records[0]["dcr_age_days"], &records[0]["level"]), (&json!(91), &json!("WARN")));
    assert_eq!(world.idp.registrations(), 1);
}

#[tokio::test]
async fn o6_no_secret_of_a_registration_is_logged() {
    let world = World::new().await;
    world.idp.state().secret_life = Some(30 * DAY);
    let (log, _guard) = Log::capture();
    let server = world.ready(|settings| settings.registration.dynamic = everything()).await;
    let (tsid, _) = log_in(&server).await;
    world.clock.advance(Duration::from_secs(28 * DAY));
    Away::start(&server).await;
    until(async || world.idp.asked(&Method::PUT, "/register/client-1").len() == 1).await;
    until(async || log_in_works(&world, &server).await).await;
    server.server.vault().credential(&tsid, "corp").await.unwrap();
    world.idp.state().forgotten.insert("client-1".to_owned());
    let mut away = Away::start(&server).await;
    away.url = location(&away.come_back().await);
    world.idp.state().registration_status = Some(400);
    world.idp.state().forgotten.insert("client-2".to_owned());
    away.come_back().await;

    tracing::trace!(target: "thv_authserver", "the lowest level is captured, too");
    let text = log.text();
    for taken in ["registered at upstream", "was renewed", "invalid_client", "the lowest level"] {
        assert!(text.contains(taken), "{taken} is missing: was this path taken?\n{text}");
    }
    let issued = world.idp.state().issued.clone();
    assert!(issued.len() > 6, "{issued:?}");
    let configured = [INITIAL_ACCESS_TOKEN, SOFTWARE_STATEMENT, "upstream-code-0123456789abcdef"];
    for secret in issued.iter().map(String::as_str).chain(configured) {
        assert!(!text.contains(secret), "{secret} is in the log");
    }
}
