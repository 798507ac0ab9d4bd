//! A server that names another authorization server than before (CL-9, CL-28).

use std::sync::Arc;

use http::StatusCode;
use thv_remote::error::LoginError;

use crate::support::authorization_server::AuthorizationServer;
use crate::support::world::{Process, World};

/// From the first server, at which a client is registered, to the second.
async fn moves(world: &World) -> (Process, AuthorizationServer) {
    world.idp.behave(|manner| manner.supports_documents(false));
    let process = world.logged_in().await;
    let second = AuthorizationServer::start().await;
    second.behave(|manner| {
        manner.supports_documents(false);
        manner.registration = serde_json::json!({"client_id": "of-the-second"});
    });
    world.mcp.trusts(&second.state);
    world.mcp.names(&[second.issuer()]);
    world.idp.forget_access_tokens();
    (process, second)
}

#[tokio::test]
async fn cl_28_at_another_server_the_client_registers_anew() {
    let world = World::start().await;
    let (process, second) = moves(&world).await;
    let refreshes = world.idp.granted("refresh_token").len();
    assert_eq!(process.call().await.status, StatusCode::OK);
    assert_eq!(second.asked("/register").len(), 1);
    for asked in second.asked("/authorize").iter().chain(&second.asked("/token")) {
        assert_eq!(asked.must("client_id"), "of-the-second");
        assert_eq!(asked.one("refresh_token"), None);
    }
    assert_eq!(
        world.idp.granted("refresh_token").len(),
        refreshes,
        "the first server is of no interest any more"
    );

    // Both are known, each as what it registered; moving back needs no registration.
    let kept = world.keep.kept();
    assert_eq!(kept.registrations[&world.idp.issuer()].client_id, "registered-1");
    assert_eq!(kept.registrations[&second.issuer()].client_id, "of-the-second");
    world.mcp.names(&[world.idp.issuer()]);
    second.forget_access_tokens();
    assert_eq!(process.call().await.status, StatusCode::OK);
    assert_eq!(world.idp.asked("/register").len(), 1);
    assert_eq!(world.idp.browsed()[1].must("client_id"), "registered-1");
}

#[tokio::test]
async fn cl_28_a_document_is_shown_at_any_server() {
    let world = World::start().await;
    let process = world.logged_in().await;
    let second = AuthorizationServer::start().await;
    world.mcp.trusts(&second.state);
    world.mcp.names(&[second.issuer()]);
    world.idp.forget_access_tokens();
    assert_eq!(process.call().await.status, StatusCode::OK);
    assert_eq!(second.browsed()[0].must("client_id"), world.idp.browsed()[0].must("client_id"));
    assert!(second.asked("/register").is_empty());
}

#[tokio::test]
async fn cl_28_a_client_registered_by_hand_is_not_shown_to_another_server() {
    let mut world = World::start().await;
    world.settings.client_id = Some("by-hand".to_owned());
    world.client_secret = Some("s3cret".to_owned().into());
    let (process, second) = moves(&world).await;
    let got = process.call().await;
    assert_eq!(got.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(got.body.contains("by-hand") && got.body.contains(&second.issuer()), "{}", got.body);
    assert!(second.asked("/authorize").is_empty() && second.asked("/token").is_empty());
    assert!(
        matches!(world.fails_to_log_in().await, LoginError::OtherServer { .. }),
        "not even when asked to"
    );

    // Who names the server means it; and so does who logs out first.
    world.settings.issuer = Some(second.issuer());
    world.process().await.log_in().await.unwrap();
    assert_eq!(second.browsed().len(), 1);
}

#[tokio::test]
async fn cl_8_a_login_stays_where_it_is_while_that_server_is_named() {
    let world = World::start().await;
    let process = world.logged_in().await;
    let second = AuthorizationServer::start().await;
    world.mcp.trusts(&second.state);
    world.mcp.names(&[second.issuer(), world.idp.issuer()]);
    world.idp.forget_access_tokens();
    assert_eq!(process.call().await.status, StatusCode::OK);
    assert_eq!(world.idp.granted("refresh_token").len(), 1, "it is only refreshed");
    assert!(second.asked("/authorize").is_empty());

    // Not even when it is down for a moment.
    world.idp.forget_access_tokens();
    world.idp.server.down();
    let got = process.call().await;
    assert_eq!(got.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(got.body.contains("server_unreachable"), "{}", got.body);
    assert_eq!(world.user.opened().len(), 1);
    world.idp.server.up();
    assert_eq!(process.call().await.status, StatusCode::OK);
}

#[tokio::test]
async fn cl_52_a_token_is_not_sent_to_another_server() {
    let world = World::start().await;
    world.logged_in().await;
    let other = World::start().await;
    let mut config = other.config().await;
    config.keep = Arc::clone(&world.keep) as _;
    let process = other.process_of(config).await;
    other.mcp.on(|_, _| None);
    assert_eq!(process.call().await.status, StatusCode::OK);
    let sent = other.mcp.asked("/mcp");
    assert_eq!(sent[0].header("authorization"), None);
    assert_eq!(other.idp.browsed().len(), 1, "it has a login of its own");
}
