//! Another token for the one of the login (RFC 8693).

use std::time::Duration;

use http::StatusCode;
use thv_remote::token_exchange::TokenExchangeSettings;

use crate::support::authorization_server::{LIFETIME, page, refusal};
use crate::support::world::{Process, World};

/// A world whose server takes exchanged tokens alone, each for a minute.
async fn exchanging(settings: TokenExchangeSettings) -> (World, Process) {
    let world = World::start().await;
    let number = std::sync::atomic::AtomicUsize::new(0);
    world.idp.behave(|manner| {
        manner.on(move |asked| {
            (asked.path == "/exchange").then(|| {
                let number = number.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                let answer = format!(
                    r#"{{"access_token":"exchanged-{number}","token_type":"Bearer","expires_in":60}}"#
                );
                page(200, "application/json", answer)
            })
        });
    });
    world.mcp.on(|asked, _| {
        let own = asked.header("x-upstream-token").or(asked.header("authorization"));
        own.is_some_and(|token| token.starts_with("Bearer exchanged-")).then(|| page(200, "text/plain", "ok"))
    });
    let mut config = world.config().await;
    let url = world.idp.server.url("/exchange");
    config.token_exchange =
        Some((TokenExchangeSettings { url, ..settings }, Some("s3cret".to_owned().into())));
    let process = world.process_of(config).await;
    (world, process)
}

#[tokio::test]
async fn rfc_8693_the_logins_token_is_exchanged_and_never_sent_itself() {
    let settings = TokenExchangeSettings {
        client_id: Some("exchanger".to_owned()),
        audience: Some("https://api.example".to_owned()),
        scopes: vec!["a".to_owned(), "b".to_owned()],
        header_name: Some("X-Upstream-Token".to_owned()),
        ..TokenExchangeSettings::default()
    };
    let (world, process) = exchanging(settings).await;
    assert_eq!(process.call().await.status, StatusCode::OK);
    let [asked] = &world.idp.asked("/exchange")[..] else { panic!("one exchange") };
    assert_eq!(asked.must("grant_type"), "urn:ietf:params:oauth:grant-type:token-exchange");
    assert!(asked.must("subject_token").starts_with("access-"));
    assert_eq!(asked.must("subject_token_type"), "urn:ietf:params:oauth:token-type:access_token");
    assert_eq!((asked.must("audience"), asked.must("scope")), ("https://api.example", "a b"));
    for asked in world.mcp.asked("/mcp") {
        assert_eq!(asked.header("authorization"), None, "the token of the login is for the exchange alone");
    }
}

#[tokio::test]
async fn rfc_8693_the_exchange_is_repeated_at_its_tokens_end_and_the_login_refreshed_at_its_own() {
    let (world, process) = exchanging(TokenExchangeSettings::default()).await;
    assert_eq!(process.call().await.status, StatusCode::OK);
    assert_eq!(world.mcp.asked("/mcp")[1].header("authorization"), Some("Bearer exchanged-0"));
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(process.call().await.status, StatusCode::OK);
    assert_eq!((world.idp.asked("/exchange").len(), world.idp.granted("refresh_token").len()), (2, 0));
    world.clock.advance(Duration::from_secs(LIFETIME - 100));
    assert_eq!(process.call().await.status, StatusCode::OK);
    assert_eq!((world.idp.asked("/exchange").len(), world.idp.granted("refresh_token").len()), (3, 1));
    assert_eq!(world.user.opened().len(), 1);
}

#[tokio::test]
async fn rfc_8693_a_refused_exchange_is_an_error_and_no_reason_for_a_login() {
    let (world, process) = exchanging(TokenExchangeSettings::default()).await;
    world.idp.behave(|manner| {
        manner.on(|asked| (asked.path == "/exchange").then(|| refusal(400, "invalid_target")))
    });
    for _ in 0..2 {
        let got = process.call().await;
        assert_eq!(got.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(got.body.contains("invalid_target") && got.body.contains("/exchange"), "{}", got.body);
    }
    assert_eq!(world.user.opened().len(), 1);
}

#[tokio::test]
async fn rfc_8693_an_id_token_is_exchanged_only_where_the_login_has_one() {
    let settings =
        TokenExchangeSettings { subject_token_type: Some("id_token".to_owned()), ..Default::default() };
    let (world, process) = exchanging(settings.clone()).await;
    let answer = process.call().await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.body.contains("issued none") && answer.body.contains("openid"), "{}", answer.body);
    assert!(world.idp.asked("/exchange").is_empty(), "an access token is not passed off as an ID token");
    let (world, process) = exchanging(settings).await;
    world.idp.behave(|manner| manner.id_token = Some("id-token"));
    assert_eq!(process.call().await.status, StatusCode::OK);
    let [asked] = &world.idp.asked("/exchange")[..] else { panic!("one exchange") };
    assert_eq!(asked.must("subject_token"), "id-token");
}
