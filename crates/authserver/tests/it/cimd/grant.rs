//! What becomes of logins when documents change or cannot be had.

use http::StatusCode;
use thv_authserver::ConsentMode;

use super::World;
use crate::confidential::{post, tsid};
use crate::fixture::{Browser, Fixture, Flow, answer, json};

/// Redeems a code and refreshes twice at `fixture`.
async fn redeem_and_refresh(fixture: &Fixture, flow: &Flow, code: &str) {
    let redeemed = fixture.redeem(flow, code).await;
    assert_eq!(redeemed.status(), StatusCode::OK, "{:?}", redeemed.body());
    let mut tokens = json(&redeemed);
    for _ in 0..2 {
        let refreshed = fixture.refresh(&flow.client_id, tokens["refresh_token"].as_str().unwrap()).await;
        assert_eq!(refreshed.status(), StatusCode::OK, "{:?}", refreshed.body());
        tokens = json(&refreshed);
    }
}

async fn logged_in(world: &World) -> (Flow, String) {
    let flow = Flow::new(&world.publish("/c", |_| {}));
    let code =
        Browser::new(&world.fixture).authorize(&flow.query(&[("scope", "openid offline_access")])).await;
    (flow, code)
}

#[tokio::test]
async fn c9_as_86_tokens_are_had_while_the_document_host_is_down() {
    let world = World::start().await;
    let (flow, code) = logged_in(&world).await;
    world.host.down();
    redeem_and_refresh(&world.fixture, &flow, &code).await;
    assert_eq!(world.host.total_requests(), 1);
}

#[tokio::test]
async fn c9_as_86_tokens_are_had_from_a_server_that_never_fetched_the_document() {
    let world = World::start().await;
    let (flow, code) = logged_in(&world).await;
    world.host.down();
    redeem_and_refresh(&world.restarted(), &flow, &code).await;
}

#[tokio::test]
async fn as_86_a_refresh_long_after_fetches_nothing() {
    let world = World::start().await;
    let (flow, code) = logged_in(&world).await;
    let tokens = json(&world.fixture.redeem(&flow, &code).await);
    world.publish_invalid("/c");
    world.advance(6 * 24 * 3600);
    let refreshed = world.fixture.refresh(&flow.client_id, tokens["refresh_token"].as_str().unwrap()).await;
    assert_eq!(refreshed.status(), StatusCode::OK);
    assert_eq!(world.host.total_requests(), 1);
}

#[tokio::test]
async fn an_unknown_code_of_a_document_client_causes_no_fetch() {
    let world = World::start().await;
    let client_id = world.publish("/c", |_| {});
    let form =
        [("grant_type", "refresh_token"), ("client_id", client_id.as_str()), ("refresh_token", "thvr_x")];
    let refused = world.fixture.token(&form).await;
    crate::fixture::assert_error(&refused, 400, "invalid_grant", "grant_unknown");
    assert_eq!(world.host.total_requests(), 0);
}

#[tokio::test]
async fn as_80_a_remembered_approval_ends_when_the_document_changes_materially() {
    let world = World::with(|parts| parts.settings.consent = ConsentMode::Remember).await;
    let flow = Flow::new(&world.publish("/c", |_| {}));
    let query = flow.query(&[("scope", "openid"), ("prompt", "none")]);
    let uri = format!("/oauth/authorize?{query}");
    let mut browser = Browser::new(&world.fixture);
    browser.authorize(&flow.query(&[("scope", "openid")])).await;
    assert!(answer(&browser.get(&uri).await).contains_key("code"));
    world.advance(300);
    assert!(answer(&browser.get(&uri).await).contains_key("code"), "fetched anew, and the same");
    assert_eq!(world.host.requests("/c"), 2);
    let changes: [(&str, serde_json::Value); 4] = [
        ("redirect_uris", serde_json::json!([crate::fixture::REDIRECT, "https://evil.example/callback"])),
        ("client_name", "Another name".into()),
        ("scope", "openid email".into()),
        ("logo_uri", "https://docs.example/logo.png".into()),
    ];
    for (member, value) in changes {
        world.publish("/c", |document| document[member] = value);
        world.advance(300);
        assert_eq!(answer(&browser.get(&uri).await)["error"], "consent_required", "{member}");
        browser.authorize(&flow.query(&[("scope", "openid")])).await;
        assert!(answer(&browser.get(&uri).await).contains_key("code"), "approved as it is now");
    }
}

#[tokio::test]
async fn c9_as_130_tokens_are_revoked_while_the_document_host_is_down() {
    let world = World::start().await;
    let (flow, code) = logged_in(&world).await;
    let tokens = json(&world.fixture.redeem(&flow, &code).await);
    world.host.down();
    let replica = world.restarted();
    for token in ["unknown", tokens["refresh_token"].as_str().unwrap()] {
        let form = [("client_id", flow.client_id.as_str()), ("token", token)];
        assert_eq!(post(&replica, "/oauth/revoke", &form).await.status(), StatusCode::OK);
    }
    assert!(!replica.server.is_live(&tsid(&tokens)).await.unwrap());
    assert_eq!(world.host.total_requests(), 1);
}
