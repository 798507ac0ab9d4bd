//! The user ends the sign-in of a browser.

use bytes::Bytes;
use http::header::SET_COOKIE;
use http::{Method, Request, Response, StatusCode};
use serde_json::Value;

use crate::confidential::{
    fixture_with, give_upstream_tokens, has_upstream_tokens, post, session_of, text as member, tsid,
};
use crate::fixture::{Browser, Fixture, Flow, Page, assert_page, json, text};

const PATH: &str = "/oauth/logout";

/// A login of a fresh client in `browser`; its client_id and tokens.
async fn log_in(fixture: &Fixture, browser: &mut Browser<'_>, name: &str) -> (String, Value) {
    let request = serde_json::json!({"client_name": name, "redirect_uris": [crate::fixture::REDIRECT]});
    let registered = json(&fixture.post_json("/oauth/register", &request).await);
    let flow = Flow::new(member(&registered, "client_id"));
    let code = browser.authorize(&flow.query(&[("scope", "openid offline_access")])).await;
    (flow.client_id.clone(), json(&fixture.redeem(&flow, &code).await))
}

async fn page(browser: &mut Browser<'_>) -> Page {
    let response = browser.get(PATH).await;
    assert_eq!(response.status(), StatusCode::OK);
    Page(text(&response))
}

async fn sign_out(browser: &mut Browser<'_>, page: &Page) -> Response<Bytes> {
    browser.submit(PATH, &[("ticket", &page.field("ticket"))]).await
}

#[tokio::test]
async fn signing_out_ends_every_grant_of_the_session_its_upstream_tokens_and_the_cookies() {
    let (fixture, stores) = fixture_with(|_| {});
    let (mut browser, mut elsewhere) = (Browser::new(&fixture), Browser::new(&fixture));
    let (_, first) = log_in(&fixture, &mut browser, "First application").await;
    let (client_id, second) = log_in(&fixture, &mut browser, "Second application").await;
    let (_, other) = log_in(&fixture, &mut elsewhere, "Third application").await;
    let session = session_of(&stores, &first).await;
    give_upstream_tokens(&stores, &session).await;

    let question = page(&mut browser).await;
    assert!(question.0.contains("First application") && question.0.contains("Second application"));
    assert!(!question.0.contains("Third application"), "that one is connected in another browser");
    assert!(fixture.server.is_live(&tsid(&first)).await.unwrap(), "the page alone ends nothing");

    let response = sign_out(&mut browser, &question).await;
    assert!(text(&response).contains("You are signed out"), "{}", text(&response));
    let cleared: Vec<_> =
        response.headers().get_all(SET_COOKIE).iter().map(|line| line.to_str().unwrap()).collect();
    for name in ["__Host-thv_sign_in", "__Host-thv_flow", "__Host-thv_csrf"] {
        let line = format!("{name}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure");
        assert!(cleared.contains(&line.as_str()), "{cleared:?}");
    }
    for (tokens, live) in [(&first, false), (&second, false), (&other, true)] {
        assert_eq!(fixture.server.is_live(&tsid(tokens)).await.unwrap(), live);
    }
    assert!(!has_upstream_tokens(&stores, &session).await);
    let refused = fixture.refresh(&client_id, member(&second, "refresh_token")).await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    assert!(page(&mut browser).await.0.contains("Nobody is signed in"));
}

#[tokio::test]
async fn a_browser_without_a_sign_in_is_told_so() {
    let fixture = Fixture::new();
    let shown = page(&mut Browser::new(&fixture)).await.0;
    assert!(shown.contains("Nobody is signed in") && !shown.contains("<form"), "{shown}");
}

#[tokio::test]
async fn as_141_a_sign_out_counts_only_in_the_browser_that_was_asked() {
    let fixture = Fixture::new();
    let (mut browser, mut other) = (Browser::new(&fixture), Browser::new(&fixture));
    let (_, tokens) = log_in(&fixture, &mut browser, "Application").await;
    log_in(&fixture, &mut other, "Application").await;
    let question = page(&mut browser).await;
    page(&mut other).await;
    assert_page(&sign_out(&mut other, &question).await, 400, "logout_other_browser");
    assert_page(&sign_out(&mut Browser::new(&fixture), &question).await, 400, "logout_other_browser");
    let forged = browser.submit(PATH, &[("ticket", &format!("{}x", question.field("ticket")))]).await;
    assert_page(&forged, 400, "logout_unreadable");
    assert_page(&browser.submit(PATH, &[]).await, 400, "logout_unreadable");

    let cookies: Vec<_> = browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let body = thv_oauth::params::encode(&[("ticket", &question.field("ticket"))]);
    let cross_site = Request::builder()
        .method(Method::POST)
        .uri(PATH)
        .header("cookie", cookies.join("; "))
        .header("sec-fetch-site", "cross-site")
        .body(Bytes::from(body))
        .unwrap();
    assert_page(&fixture.call(cross_site).await, 400, "logout_other_browser");
    assert!(fixture.server.is_live(&tsid(&tokens)).await.unwrap());
}

#[tokio::test]
async fn who_signed_in_since_the_page_was_shown_is_asked_first() {
    let fixture = Fixture::new();
    let mut browser = Browser::new(&fixture);
    let (client_id, tokens) = log_in(&fixture, &mut browser, "Former application").await;
    let question = page(&mut browser).await;
    let form = [("client_id", client_id.as_str()), ("token", member(&tokens, "refresh_token"))];
    assert_eq!(post(&fixture, "/oauth/revoke", &form).await.status(), StatusCode::OK);
    let (_, later) = log_in(&fixture, &mut browser, "Later application").await;
    let again = Page(text(&sign_out(&mut browser, &question).await));
    assert!(again.0.contains("Later application"), "{}", again.0);
    assert!(fixture.server.is_live(&tsid(&later)).await.unwrap());
    sign_out(&mut browser, &again).await;
    assert!(!fixture.server.is_live(&tsid(&later)).await.unwrap());
}
