//! Refresh tokens whose client was registered for other scopes, or is not known any more (U6).

use std::time::Duration;

use http::Method;
use secrecy::SecretString;
use thv_authserver::upstream::{PreregisteredClient, RegistrationMode};
use thv_client::discovery::DiscoveryUrl;
use thv_clock::Clock;
use thv_oauth::issuer::AllowHttp;

use super::idp::Idp;
use super::world::{Away, World, credential, log_in};

/// Longer than access tokens live.
const LIFE: Duration = Duration::from_secs(601);

#[tokio::test]
async fn u6_refresh_tokens_outlive_a_change_of_the_scopes() {
    let world = World::new().await;
    let (tsid, _) = log_in(&world.ready(|_| {}).await).await;
    let server = world.ready(|settings| settings.scopes.truncate(1)).await;
    assert_eq!(Away::start(&server).await.client_id(), "client-2");
    for times in 1..3 {
        world.clock.advance(LIFE);
        credential(&server, &tsid).await.unwrap();
        assert_eq!(world.idp.refreshed_as(), vec!["client-1"; times]);
    }
}

#[tokio::test]
async fn u6_refresh_tokens_outlive_the_change_to_a_client_that_was_registered_by_hand() {
    let world = World::new().await;
    let (tsid, _) = log_in(&world.ready(|_| {}).await).await;
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
    assert_eq!(Away::start(&server).await.client_id(), "by-hand");
    world.clock.advance(LIFE);
    credential(&server, &tsid).await.unwrap();
    assert_eq!(world.idp.refreshed_as(), ["client-1"]);
}

#[tokio::test]
async fn u6_what_another_issuer_gave_out_is_neither_shown_to_the_new_one_nor_lost() {
    let world = World::new().await;
    world.ready(|_| {}).await;
    let other = Idp::start(&world.clock).await;
    let elsewhere = DiscoveryUrl::parse(&other.issuer(), AllowHttp::Loopback).unwrap();
    let server = world.ready(|settings| settings.discovery = Some(elsewhere)).await;
    // The new one numbers its clients alike; that makes none of them the other's.
    assert_eq!(Away::start(&server).await.client_id(), "client-1");
    let (tsid, _) = log_in(&world.ready(|settings| settings.scopes.truncate(1)).await).await;
    world.clock.advance(LIFE);
    let asked = other.asked(&Method::POST, "/token").len();
    credential(&server, &tsid).await.unwrap_err();
    assert_eq!(other.asked(&Method::POST, "/token").len(), asked);
    let back = world.ready(|_| {}).await;
    credential(&back, &tsid).await.unwrap();
    assert_eq!(world.idp.refreshed_as(), ["client-2"]);
}

#[tokio::test]
async fn u6_a_refresh_token_whose_client_is_not_known_is_not_sent_and_is_kept() {
    let world = World::new().await;
    let (tsid, _) = log_in(&world.ready(|_| {}).await).await;
    let (rows, key) = (&world.stores.registrations, world.key());
    let row = rows.load(&key, world.clock.now()).await.unwrap().unwrap();
    assert!(rows.delete(&key, world.clock.now()).await.unwrap());
    let server = world.ready(|_| {}).await;
    assert_eq!(Away::start(&server).await.client_id(), "client-2");
    world.clock.advance(LIFE);
    let asked = world.idp.asked(&Method::POST, "/token").len();
    for _ in 0..2 {
        credential(&server, &tsid).await.unwrap_err();
    }
    assert_eq!(world.idp.asked(&Method::POST, "/token").len(), asked);
    assert!(world.may_refresh(&tsid).await);
    // As from a backup of the store.
    rows.delete(&key, world.clock.now()).await.unwrap();
    assert!(rows.save(None, (*row.value).clone(), world.clock.now()).await.unwrap());
    credential(&server, &tsid).await.unwrap();
    assert_eq!(world.idp.refreshed_as(), ["client-1"]);
}
