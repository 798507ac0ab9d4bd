//! Who the client is: stored ▶ registered by hand ▶ metadata document ▶ dynamic registration (R2).

use std::time::Duration;

use http::StatusCode;
use serde_json::json;
use thv_remote::credentials::IdentityKind;
use thv_remote::error::LoginError;

use crate::support::authorization_server::{LIFETIME, RFC8414, page, refusal};
use crate::support::world::{A_MINUTE, START, World};

const DAY: Duration = Duration::from_secs(24 * 3600);
const DOCUMENT: &str = "https://toolhive.dev/oauth/client-metadata.json";

#[tokio::test]
async fn r2_t_1_t_4_an_advertised_document_is_the_client_id_and_nothing_is_registered() {
    let world = World::start().await;
    let process = world.logged_in().await;

    let [asked] = &world.idp.browsed()[..] else { panic!("one authorization request") };
    assert_eq!(asked.must("client_id"), DOCUMENT);
    assert_eq!(asked.must("code_challenge_method"), "S256");
    assert_eq!(asked.must("code_challenge").len(), 43);
    assert_eq!(asked.must("redirect_uri"), world.redirect_uri());
    let [redeemed] = &world.idp.granted("authorization_code")[..] else { panic!("one code") };
    assert_eq!(redeemed.must("client_id"), DOCUMENT);
    assert_eq!(redeemed.must("code_verifier").len(), 43);
    assert_eq!((redeemed.one("client_secret"), redeemed.header("authorization")), (None, None));
    assert!(world.idp.asked("/register").is_empty());
    assert!(process.call().await.body.contains(DOCUMENT));
}

#[tokio::test]
async fn r2_cl_23_cl_26_without_the_advertisement_the_client_registers() {
    let world = World::start().await;
    world.idp.behave(|manner| manner.supports_documents(false));
    world.logged_in().await;

    let [registered] = &world.idp.asked("/register")[..] else { panic!("one registration") };
    let metadata = registered.json();
    assert_eq!(metadata["redirect_uris"], json!([world.redirect_uri()]));
    assert_eq!(metadata["grant_types"], json!(["authorization_code", "refresh_token"]));
    assert_eq!(metadata["response_types"], json!(["code"]));
    assert_eq!(metadata["token_endpoint_auth_method"], "none");
    assert_eq!(metadata["application_type"], "native");
    assert_eq!(world.idp.browsed()[0].must("client_id"), "registered-1");
    assert_eq!(world.idp.browsed()[0].must("code_challenge_method"), "S256");
}

#[tokio::test]
async fn r2_a_stored_registration_comes_before_the_document() {
    let world = World::start().await;
    world.idp.behave(|manner| manner.supports_documents(false));
    world.logged_in().await;
    world.idp.behave(|manner| manner.supports_documents(true));
    world.process().await.log_in().await.unwrap();
    let clients: Vec<_> =
        world.idp.browsed().iter().map(|asked| asked.must("client_id").to_owned()).collect();
    assert_eq!(clients, ["registered-1", "registered-1"]);
    assert_eq!(world.idp.asked("/register").len(), 1);
}

#[tokio::test]
async fn r2_a_configured_client_comes_before_everything() {
    let mut world = World::start().await;
    world.idp.behave(|manner| manner.supports_documents(false));
    world.logged_in().await;
    world.settings.client_id = Some("by-hand".to_owned());
    let process = world.process().await;
    assert_eq!(process.call().await.status, StatusCode::OK, "the other client's token is not used");
    let asked = world.idp.browsed().pop().unwrap();
    assert_eq!(asked.must("client_id"), "by-hand");
    assert_eq!(world.keep.kept().grant.unwrap().identity, IdentityKind::Preregistered);
    assert!(world.keep.kept().registrations.contains_key(&world.idp.issuer()), "which is kept for later");
}

#[tokio::test]
async fn r2_a_configured_secret_is_shown_as_the_server_wants_it() {
    for (methods, in_header) in [
        (json!(["client_secret_basic"]), true),
        (json!(["client_secret_post"]), false),
        (json!(["none"]), true),
        (json!(null), true),
    ] {
        let mut world = World::start().await;
        world
            .idp
            .behave(|manner| manner.metadata()["token_endpoint_auth_methods_supported"] = methods.clone());
        world.settings.client_id = Some("by hand:1".to_owned());
        world.client_secret = Some("s3cret%".to_owned().into());
        let process = world.logged_in().await;
        world.idp.forget_access_tokens();
        assert_eq!(process.call().await.status, StatusCode::OK);
        for grant in ["authorization_code", "refresh_token"] {
            let [asked] = &world.idp.granted(grant)[..] else { panic!("one request of {grant}") };
            assert_eq!(asked.header("authorization").is_some(), in_header, "{methods} {grant}");
            assert_eq!(asked.one("client_secret").is_some(), !in_header, "{methods} {grant}");
        }
    }
}

/// Nothing says how the secret is to be shown, and the server takes it in the body alone.
#[tokio::test]
async fn r2_a_secret_that_is_wanted_in_the_body_is_also_sent_there_when_refreshing() {
    let mut world = World::start().await;
    world.settings.authorize_url = Some(world.idp.server.url("/authorize"));
    world.settings.token_url = Some(world.idp.server.url("/token"));
    world.settings.client_id = Some("by-hand".to_owned());
    world.client_secret = Some("s3cret".to_owned().into());
    world.idp.behave(|manner| {
        manner.on(|asked| {
            let in_body = asked.one("client_secret") == Some("s3cret");
            (asked.path == "/token" && !in_body).then(|| refusal(401, "invalid_client"))
        });
    });
    world.logged_in().await;
    world.clock.advance(Duration::from_secs(LIFETIME));
    assert_eq!(world.process().await.call().await.status, StatusCode::OK);
    assert_eq!(world.user.opened().len(), 1, "the restarted process refreshes");
}

#[tokio::test]
async fn t_1_another_document_may_be_named() {
    let mut world = World::start().await;
    world.settings.client_metadata_url = Some("https://client.example/metadata.json".to_owned());
    world.logged_in().await;
    assert_eq!(world.idp.browsed()[0].must("client_id"), "https://client.example/metadata.json");
}

#[tokio::test]
async fn cl_24_the_documents_own_method_counts_and_not_what_the_server_lists_first() {
    let world = World::start().await;
    world.idp.behave(|manner| {
        manner.metadata()["token_endpoint_auth_methods_supported"] =
            json!(["client_secret_basic", "private_key_jwt"]);
    });
    world.logged_in().await;
    let redeemed = &world.idp.granted("authorization_code")[0];
    assert_eq!(redeemed.must("client_id"), DOCUMENT);
    assert_eq!((redeemed.one("client_secret"), redeemed.header("authorization")), (None, None));
}

/// The server has lost its registrations, as one that keeps them in memory does when it restarts.
#[tokio::test]
async fn r2_a_registration_that_the_server_lost_is_made_anew() {
    for by_refresh in [true, false] {
        let world = World::start().await;
        world.idp.behave(|manner| manner.supports_documents(false));
        let process = world.logged_in().await;
        world.idp.behave(|manner| {
            manner.on(|asked| {
                (asked.one("client_id") == Some("registered-1")).then(|| refusal(401, "invalid_client"))
            });
        });
        world.idp.forget_access_tokens();
        world.clock.advance(A_MINUTE);
        if by_refresh {
            assert_eq!(process.call().await.status, StatusCode::OK);
        } else {
            process.log_in().await.unwrap();
        }
        assert_eq!(world.idp.asked("/register").len(), 2);
        assert_eq!(world.keep.kept().registrations[&world.idp.issuer()].client_id, "registered-2");
        assert_eq!(world.user.opened().len(), 2, "one tab for each login");
    }
}

#[tokio::test]
async fn r2_each_way_can_be_forbidden() {
    let mut world = World::start().await;
    world.settings.no_cimd = true;
    world.logged_in().await;
    assert_eq!(world.idp.browsed()[0].must("client_id"), "registered-1");

    let mut world = World::start().await;
    world.settings.no_dcr = true;
    world.idp.behave(|manner| manner.supports_documents(false));
    let error = world.fails_to_log_in().await;
    let text = error.to_string();
    assert!(text.contains("does not accept client ID metadata documents"), "{text}");
    assert!(text.contains("--remote-auth-no-dcr"), "{text}");
    world.settings.no_cimd = true;
    world.idp.behave(|manner| manner.supports_documents(true));
    let text = world.fails_to_log_in().await.to_string();
    assert!(text.contains("--remote-auth-no-cimd") && text.contains("--remote-auth-no-dcr"), "{text}");
    assert!(world.user.opened().is_empty() && world.idp.asked("/register").is_empty());
}

#[tokio::test]
async fn r2_a_server_that_offers_no_way_is_a_clear_error() {
    let world = World::start().await;
    world.idp.behave(|manner| {
        manner.supports_documents(false);
        manner.registers_nobody();
    });
    let error = world.fails_to_log_in().await;
    let LoginError::NoIdentity { issuer, reasons } = &error else { panic!("{error:?}") };
    assert_eq!(*issuer, world.idp.issuer());
    assert!(
        reasons.contains("no registration endpoint") && reasons.contains("does not accept client ID"),
        "{reasons}"
    );
}

#[tokio::test]
async fn cl_29_the_registered_method_and_secret_are_used() {
    let world = World::start().await;
    world.idp.behave(|manner| {
        manner.supports_documents(false);
        manner.registration =
            json!({"client_secret": "given", "token_endpoint_auth_method": "client_secret_post"});
    });
    let process = world.logged_in().await;
    world.idp.forget_access_tokens();
    assert_eq!(process.call().await.status, StatusCode::OK);
    for grant in ["authorization_code", "refresh_token"] {
        assert_eq!(world.idp.granted(grant)[0].must("client_secret"), "given");
    }

    let world = World::start().await;
    world.idp.behave(|manner| {
        manner.supports_documents(false);
        // The secret of a client that was registered without one is nobody's business.
        manner.registration = json!({"client_secret": "stray", "token_endpoint_auth_method": null});
    });
    world.logged_in().await;
    assert_eq!(world.idp.granted("authorization_code")[0].one("client_secret"), None);
}

/// A registration with a secret that ends in two days.
async fn with_a_secret() -> World {
    let world = World::start().await;
    let expires_at = START.as_secs() + 2 * DAY.as_secs();
    let uri = world.idp.server.url("/register/1");
    world.idp.behave(|manner| {
        manner.supports_documents(false);
        manner.metadata()["token_endpoint_auth_methods_supported"] = json!(["client_secret_basic"]);
        manner.registration = json!({
            "client_secret": "first", "client_secret_expires_at": expires_at,
            "registration_client_uri": uri, "registration_access_token": "manage",
        });
    });
    world.logged_in().await;
    world.idp.behave(|manner| {
        manner.registration =
            json!({"client_secret": "second", "client_secret_expires_at": expires_at + 3600 * 24 * 365});
    });
    world
}

#[tokio::test]
async fn r10_a_secret_is_renewed_before_it_ends() {
    for by_login in [true, false] {
        let world = with_a_secret().await;
        world.clock.advance(DAY + A_MINUTE);
        let process = world.process().await;
        if by_login {
            process.log_in().await.unwrap();
        } else {
            assert_eq!(process.call().await.status, StatusCode::OK, "renewed and refreshed without the user");
            assert_eq!(world.user.opened().len(), 1);
        }
        let [put] = &world.idp.asked("/register/1")[..] else { panic!("one renewal") };
        assert_eq!((put.method.as_str(), put.header("authorization")), ("PUT", Some("Bearer manage")));
        let metadata = put.json();
        assert_eq!(
            (&metadata["client_id"], &metadata["client_secret"]),
            (&json!("registered-1"), &json!("first"))
        );
        assert_eq!(metadata["redirect_uris"], json!([world.redirect_uri()]));
        assert_eq!(world.idp.asked("/register").len(), 1);
        let last = world.idp.asked("/token").pop().unwrap();
        assert_eq!(
            last.header("authorization"),
            Some("Basic cmVnaXN0ZXJlZC0xOnNlY29uZA=="),
            "registered-1:second"
        );
        process.log_in().await.unwrap();
        assert_eq!(world.idp.asked("/register/1").len(), 1, "it is kept");
    }
}

#[tokio::test]
async fn r10_a_secret_that_cannot_be_renewed_serves_until_its_end() {
    let world = with_a_secret().await;
    world.idp.behave(|manner| {
        manner.on(|asked| (asked.method == "PUT").then(|| page(405, "text/plain", "")));
    });
    world.clock.advance(DAY + A_MINUTE);
    let process = world.process().await;
    process.log_in().await.unwrap();
    assert_eq!(world.idp.asked("/register").len(), 1);
    world.clock.advance(DAY);
    process.log_in().await.unwrap();
    assert_eq!(world.idp.asked("/register").len(), 2, "it has ended");
    assert_eq!(world.idp.browsed().last().unwrap().must("client_id"), "registered-2");
}

#[tokio::test]
async fn t_6_the_document_is_kept_apart_from_registrations_and_survives_their_end() {
    let world = World::start().await;
    world.logged_in().await;
    world.keep.meddle(|kept| kept.registrations.clear());
    let kept = world.keep.kept();
    assert_eq!(kept.metadata_documents[&world.idp.issuer()], DOCUMENT);
    assert!(kept.registrations.is_empty());

    // After a restart, and when the token has ended.
    world.clock.advance(Duration::from_secs(LIFETIME));
    assert_eq!(world.process().await.call().await.status, StatusCode::OK);
    assert_eq!(world.idp.granted("refresh_token")[0].must("client_id"), DOCUMENT);
    assert_eq!(world.idp.asked(RFC8414).len(), 1, "no discovery, no document, no browser");
    assert_eq!(world.user.opened().len(), 1);
}

/// Only one of a server's documents can be read for a moment, and it is the one without the advertisement.
#[tokio::test]
async fn t_6_an_issuer_that_took_the_document_is_not_registered_at() {
    let world = World::start().await;
    world.logged_in().await;
    world.idp.behave(|manner| manner.supports_documents(false));
    world.process().await.log_in().await.unwrap();
    assert_eq!(world.idp.browsed()[1].must("client_id"), DOCUMENT);
    assert!(world.idp.asked("/register").is_empty());
}
