//! From nothing but a discovery URL to a client, once.

use std::time::Duration;

use futures_util::FutureExt;
use http::Method;
use secrecy::SecretString;
use serde_json::json;
use thv_authserver::upstream::RegistrationMode;
use thv_jose::digest::sha256;
use thv_oauth::auth_method::AuthMethod;
use thv_store::records::{UpstreamEndpoints, UpstreamRegistration, UpstreamRegistrations};

use super::world::{
    Away, INITIAL_ACCESS_TOKEN, Log, SOFTWARE_STATEMENT, World, everything, log_in, readiness, until,
};
use crate::fixture::{ISSUER, T0, location};
use crate::provider::param;

#[tokio::test]
async fn u3_a_discovery_url_is_all_that_is_needed_to_log_users_in() {
    let world = World::new().await;
    let (log, _guard) = Log::capture();
    let server = world.ready(|_| {}).await;
    assert!(world.idp.asked(&Method::POST, "/token").is_empty(), "nobody has logged in yet");
    log_in(&server).await;
    let registrations = world.idp.asked(&Method::POST, "/register");
    assert_eq!(
        registrations[0].json(),
        json!({
            "redirect_uris": [format!("{ISSUER}/oauth/callback")],
            "token_endpoint_auth_method": "client_secret_basic",
            "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
            "client_name": "ToolHive authorization server", "client_uri": ISSUER,
            "scope": "tools.read offline_access", "application_type": "web"
        })
    );
    assert_eq!((registrations.len(), registrations[0].authorization.as_deref()), (1, None));
    assert_eq!(world.idp.asked(&Method::POST, "/token")[0].client_id.as_deref(), Some("client-1"));
    let record = &log.records("registered at upstream")[0];
    assert_eq!(
        (&record["level"], &record["upstream.name"], &record["upstream.issuer"], &record["client.id"]),
        (&json!("INFO"), &json!("corp"), &json!(world.idp.issuer()), &json!("client-1"))
    );
    assert_eq!(record["client.auth_method"], "client_secret_basic");
}

#[tokio::test]
async fn u3_everything_that_is_configured_is_sent() {
    let world = World::new().await;
    world.ready(|settings| settings.registration.dynamic = everything()).await;
    let asked = &world.idp.asked(&Method::POST, "/register")[0];
    assert_eq!(asked.authorization.as_deref(), Some(format!("Bearer {INITIAL_ACCESS_TOKEN}").as_str()));
    let sent = asked.json();
    assert_eq!(sent["software_id"], "4NRB1-0XZABZI9E6-5SM3R");
    assert_eq!(sent["software_statement"], SOFTWARE_STATEMENT);
    assert_eq!(sent["client_name"], "Gateway of Example Ltd");
}

#[tokio::test]
async fn u3_without_metadata_the_configured_endpoints_are_used() {
    let world = World::new().await;
    let url = |path| Some(world.idp.server.url(path));
    let server = world
        .ready(|settings| {
            settings.discovery = None;
            settings.endpoints.authorization = url("/elsewhere?fixed=1");
            settings.endpoints.token = url("/token");
            settings.endpoints.registration = url("/register");
        })
        .await;
    let mut away = Away::start(&server).await;
    assert!(away.url.starts_with(&world.idp.server.url("/elsewhere?fixed=1&")), "{}", away.url);
    assert!(location(&away.come_back().await).contains("code="));
    assert!(world.idp.asked(&Method::GET, "/").is_empty(), "nothing was discovered");
}

#[tokio::test]
async fn rfc_8414_3_3_metadata_of_another_issuer_is_not_used() {
    let world = World::new().await;
    world.idp.state().issuer = Some(format!("{}/", world.idp.issuer()));
    let server = world.start(|_| {});
    until(async || readiness(&server).await.is_err_and(|why| why.contains("is of the issuer"))).await;
    assert_eq!(world.idp.registrations(), 0);
    // The client is told, too.
    let away = Away::start(&server).await;
    assert_eq!(param(&away.url, "error"), "server_error");
}

#[tokio::test]
async fn u5_a_restart_with_the_same_store_asks_the_upstream_nothing() {
    let world = World::new().await;
    drop(world.ready(|_| {}).await);
    let before = world.idp.server.requests();
    let restarted = world.ready(|_| {}).await;
    assert_eq!(world.idp.server.requests(), before);
    assert_eq!(Away::start(&restarted).await.client_id(), "client-1");
    log_in(&restarted).await;
    assert_eq!(world.idp.registrations(), 1);
}

#[tokio::test]
async fn u5_replicas_that_start_at_once_register_once() {
    let world = World::new().await;
    let replicas: Vec<_> = (0..5).map(|_| world.start(|_| {})).collect();
    for replica in &replicas {
        until(async || readiness(replica).await.is_ok()).await;
        assert_eq!(Away::start(replica).await.client_id(), "client-1");
    }
    assert_eq!(world.idp.registrations(), 1);
}

#[tokio::test]
async fn u5_a_replica_that_died_while_registering_is_waited_for_until_its_turn_ends() {
    let world = World::new().await;
    let turn = sha256(&world.key().to_bytes());
    world.stores.leases.acquire(turn, T0 + Duration::from_secs(60), T0).await.unwrap().unwrap();
    let (one, other) = (world.start(|_| {}), world.start(|_| {}));
    let why = readiness(&one).await.unwrap_err();
    assert!(why.contains("under way"), "{why}");
    assert_eq!(world.idp.registrations(), 0);
    world.clock.advance(Duration::from_secs(60));
    for server in [&one, &other] {
        until(async || readiness(server).await.is_ok()).await;
    }
    assert_eq!(world.idp.registrations(), 1);
}

#[tokio::test]
async fn u5_of_two_registrations_the_first_to_be_stored_is_used_and_the_other_deleted() {
    let world = World::new().await;
    let theirs = UpstreamRegistrations {
        key: world.key(),
        generations: vec![UpstreamRegistration {
            client_id: "theirs".to_owned(),
            client_secret: Some(SecretString::from("their-secret-0123456789")),
            auth_method: AuthMethod::ClientSecretBasic,
            registered_at: T0,
            client_secret_expires_at: None,
            registration_access_token: None,
            registration_client_uri: None,
            scope: None,
            refused: false,
        }],
        endpoints: UpstreamEndpoints {
            authorization: Some(world.idp.server.url("/authorize")),
            token: Some(world.idp.server.url("/token")),
            ..UpstreamEndpoints::default()
        },
        delete_on_removal: false,
    };
    let stores = world.stores.clone();
    world.idp.state().meanwhile = Some(Box::new(move || {
        assert!(stores.registrations.save(None, theirs, T0).now_or_never().unwrap().unwrap());
    }));
    let server = world.ready(|_| {}).await;
    assert_eq!(Away::start(&server).await.client_id(), "theirs");
    assert_eq!(world.idp.registrations(), 1);
    until(async || world.idp.asked(&Method::DELETE, "/register/client-1").len() == 1).await;
}

#[tokio::test]
async fn u5_other_scopes_and_callbacks_are_other_registrations() {
    let world = World::new().await;
    world.ready(|_| {}).await;
    world.ready(|settings| settings.scopes.reverse()).await;
    assert_eq!(world.idp.registrations(), 1, "the order of scopes says nothing");
    world.ready(|settings| settings.scopes.truncate(1)).await;
    world.ready(|settings| settings.redirect_uri = "https://other.example/oauth/callback".to_owned()).await;
    assert_eq!(world.idp.registrations(), 3);
}

#[tokio::test]
async fn u9_a_metadata_document_goes_before_a_registration() {
    let world = World::new().await;
    world.idp.state().documents = true;
    world.idp.state().methods = vec!["client_secret_basic", "private_key_jwt"];
    let server = world.ready(|settings| settings.registration.mode = RegistrationMode::Auto).await;
    let document = format!("{ISSUER}/oauth/client-metadata.json");
    assert_eq!(Away::start(&server).await.client_id(), document);
    log_in(&server).await;
    assert_eq!(world.idp.registrations(), 0);
    // Its signature was verified with our key, and its audience is the upstream's issuer.
    let asked = &world.idp.asked(&Method::POST, "/token")[0];
    assert_eq!(asked.client_id.as_deref(), Some(document.as_str()));

    let published = Away::start(&server).await.browser.get("/oauth/client-metadata.json").await;
    let published = crate::fixture::json(&published);
    assert_eq!(published["client_id"], json!(document));
    assert_eq!(published["token_endpoint_auth_method"], "private_key_jwt");
    assert_eq!(published["jwks_uri"], json!(format!("{ISSUER}/.well-known/jwks.json")));
    assert_eq!(published["redirect_uris"], json!([format!("{ISSUER}/oauth/callback")]));
    assert_eq!(published["scope"], "offline_access tools.read");
}

#[tokio::test]
async fn u9_where_documents_are_not_accepted_we_register_with_the_strongest_method() {
    let world = World::new().await;
    world.idp.state().methods = vec!["none", "client_secret_basic", "private_key_jwt"];
    let server = world.ready(|settings| settings.registration.mode = RegistrationMode::Auto).await;
    log_in(&server).await;
    let sent = world.idp.asked(&Method::POST, "/register")[0].json();
    assert_eq!(sent["token_endpoint_auth_method"], "private_key_jwt");
    assert_eq!(sent["jwks_uri"], json!(format!("{ISSUER}/.well-known/jwks.json")));
    let asked = &world.idp.asked(&Method::POST, "/token")[0];
    assert_eq!((asked.client_id.as_deref(), &asked.authorization), (Some("client-1"), &None));
}

#[tokio::test]
async fn u9_a_mode_that_the_upstream_does_not_offer_is_said_to_be_missing() {
    let world = World::new().await;
    let server = world.start(|settings| settings.registration.mode = RegistrationMode::MetadataDocument);
    until(async || {
        readiness(&server).await.is_err_and(|why| why.contains("client_id_metadata_document_supported"))
    })
    .await;
    assert_eq!(world.idp.registrations(), 0);
}

#[tokio::test]
async fn u9_what_was_registered_is_not_used_when_another_way_is_configured() {
    let world = World::new().await;
    world.ready(|_| {}).await;
    world.idp.state().documents = true;
    world.idp.state().methods = vec!["private_key_jwt"];
    let server =
        world.ready(|settings| settings.registration.mode = RegistrationMode::MetadataDocument).await;
    assert_eq!(Away::start(&server).await.client_id(), format!("{ISSUER}/oauth/client-metadata.json"));
    // Left open, what is stored goes before: nothing needs to be asked.
    let server = world.ready(|settings| settings.registration.mode = RegistrationMode::Auto).await;
    assert_eq!(Away::start(&server).await.client_id(), "client-1");
}

#[tokio::test]
async fn u3_what_a_refused_registration_means_is_said_and_it_is_not_repeated_at_once() {
    for (status, text) in [
        (404, "does not support dynamic client registration"),
        (405, "does not support dynamic client registration"),
        (401, "configure an initial access token"),
    ] {
        let world = World::new().await;
        world.idp.state().registration_status = Some(status);
        let server = world.start(|_| {});
        until(async || readiness(&server).await.is_err_and(|why| why.contains(text))).await;
        for _ in 0..3 {
            assert_eq!(param(&Away::start(&server).await.url, "error"), "server_error");
        }
        assert_eq!(world.idp.registrations(), 1);
    }
}
