//! Which upstreams a login visits, and what the page between them shows.

use std::time::Duration;

use thv_authserver::{ConsentMode, Requirement};

use super::{FILES, MAIL, start, world, world_of_providers};
use crate::fixture::{Browser, Flow, ISSUER, Page, answer, assert_page, location};
use crate::provider_world::{Failure, LOCAL, World, between, credential, go_on, is_revoked, sign_out};

/// The steps of the page between legs, as `label: state`.
fn steps(page: &Page) -> Vec<String> {
    let steps = page.0.split("<li class=\"").skip(1).map(|step| {
        let (state, rest) = step.split_once('"').unwrap();
        let (_, rest) = rest.split_once("<span>").unwrap();
        format!("{}: {state}", rest.split_once("</span>").unwrap().0)
    });
    steps.collect()
}

#[tokio::test]
async fn u10_upstreams_are_visited_in_order_and_only_on_demand_ones_are_left_out() {
    let world = world().await;
    let server = world.replica();
    let login = world.log_in(&server).await;
    assert_eq!(world.visits(), [LOCAL, "files", "mail"]);
    assert_eq!(credential(&server, &login.tsid, "files").await.unwrap(), "at-files-0-1");
    assert_eq!(credential(&server, &login.tsid, "mail").await.unwrap(), "at-mail-0-1");
    let never = Failure::Never("upstream:admin".to_owned());
    assert_eq!(credential(&server, &login.tsid, "admin").await, Err(never));
    assert_eq!(credential(&server, &login.tsid, LOCAL).await.unwrap(), "none");
}

#[tokio::test]
async fn u10_who_asks_for_no_scope_asks_for_no_upstream_on_demand() {
    let world = world().await;
    let server = world.replica();
    let mut browser = Browser::new(&server);
    let flow = Flow::new(&server.register().await);
    let response = world.approve(&mut browser, &flow, "").await;
    let end = world.walk(&mut browser, response).await;
    assert!(answer(&end).contains_key("code"));
    assert_eq!(world.visits(), [LOCAL, "files", "mail"]);
}

#[tokio::test]
async fn u10_a_provider_as_the_first_upstream_says_who_the_user_is() {
    let world = world_of_providers().await;
    let server = world.replica();
    let login = world.log_in(&server).await;
    assert_eq!(world.visits(), ["corp", "files", "mail"]);
    assert_eq!(credential(&server, &login.tsid, "corp").await.unwrap(), "at-corp-0-1");
    let mut browser = Browser::new(&server);
    let response = start(&world, &server, &mut browser).await;
    world.provider("files").state().user = "uma at files".to_owned();
    let page = world.walk_to_page(&mut browser, response).await;
    assert!(page.0.contains("<strong>corp:uma</strong>"), "{}", page.0);
}

#[tokio::test]
async fn u10_the_page_between_upstreams_shows_how_far_the_login_has_come() {
    let world = world().await;
    let server = world.replica();
    let mut browser = Browser::new(&server);
    let response = start(&world, &server, &mut browser).await;
    let page = world.walk_to_page(&mut browser, response).await;
    assert_eq!(
        steps(&page),
        ["local", "files", "mail"].map(|name| match name {
            "local" => "The local account: connected",
            "files" => "The files account: next",
            _ => "The mail account: later",
        })
    );
    assert!(!page.0.contains("value=\"skip\""), "a required upstream cannot be skipped");
    let response = go_on(&mut browser, &page, "connect").await;
    let page = world.walk_to_page(&mut browser, response).await;
    let done = ["The local account: connected", "The files account: connected", "The mail account: next"];
    assert_eq!(steps(&page), done);
    assert!(page.0.contains("value=\"skip\""));
}

#[tokio::test]
async fn u10_an_optional_upstream_can_be_skipped_and_the_login_ends_well() {
    let world = world().await;
    let server = world.replica();
    let mut browser = Browser::new(&server);
    let flow = Flow::new(&server.register().await);
    let response = world.approve(&mut browser, &flow, "openid").await;
    let page = world.walk_to_page(&mut browser, response).await;
    let response = go_on(&mut browser, &page, "connect").await;
    let page = world.walk_to_page(&mut browser, response).await;
    let end = go_on(&mut browser, &page, "skip").await;
    let login = world.redeem(&server, flow, &end).await;
    assert_eq!(world.visits(), [LOCAL, "files"]);
    assert_eq!(credential(&server, &login.tsid, "files").await.unwrap(), "at-files-0-1");
    let never = Failure::Never("upstream:mail".to_owned());
    assert_eq!(credential(&server, &login.tsid, "mail").await, Err(never));
}

#[tokio::test]
async fn u10_a_skipped_upstream_is_shown_as_skipped() {
    let world = World::new(&[(LOCAL, Requirement::Required), MAIL, FILES]).await;
    let server = world.replica();
    let mut browser = Browser::new(&server);
    let response = start(&world, &server, &mut browser).await;
    let page = world.walk_to_page(&mut browser, response).await;
    let response = go_on(&mut browser, &page, "skip").await;
    let page = between(&mut browser, &response).await;
    assert_eq!(
        steps(&page),
        ["The local account: connected", "The mail account: skipped", "The files account: next"]
    );
}

#[tokio::test]
async fn u10_who_cancels_is_sent_back_to_the_client_with_state_and_issuer() {
    for decision in ["cancel", "skip", "anything else", ""] {
        let world = world().await;
        let server = world.replica();
        let mut browser = Browser::new(&server);
        let response = start(&world, &server, &mut browser).await;
        let page = world.walk_to_page(&mut browser, response).await;
        let answer = answer(&go_on(&mut browser, &page, decision).await);
        assert_eq!(answer["error"], "access_denied", "{decision:?}: a required upstream cannot be skipped");
        assert_eq!((answer["state"].as_str(), answer["iss"].as_str()), ("client-state", ISSUER));
        assert_page(&go_on(&mut browser, &page, "connect").await, 400, "login_expired");
    }
}

#[tokio::test]
async fn u10_a_second_login_in_the_same_browser_asks_only_for_what_is_missing() {
    let world = world().await;
    let server = world.replica();
    let mut browser = Browser::new(&server);
    world.log_in_with(&mut browser, &server, "openid").await;
    world.visits();
    world.log_in_with(&mut browser, &server, "openid").await;
    assert!(world.visits().is_empty(), "the user is known, and connected everywhere");
    let world = world_of_providers().await;
    let server = world.replica();
    let mut browser = Browser::new(&server);
    world.log_in_with(&mut browser, &server, "openid").await;
    world.visits();
    world.log_in_with(&mut browser, &server, "openid").await;
    assert_eq!(world.visits(), ["corp"], "a provider is asked each time who the user is");
}

#[tokio::test]
async fn u10_prompt_none_ends_where_a_further_upstream_would_have_to_be_asked() {
    let world = World::new(&[("corp", Requirement::Required), FILES]).await.with_consent(ConsentMode::Off);
    let server = world.replica();
    let mut browser = Browser::new(&server);
    let flow = Flow::new(&server.register().await);
    let silent = format!("/oauth/authorize?{}", flow.query(&[("scope", "openid"), ("prompt", "none")]));
    let response = browser.get(&silent).await;
    assert!(location(&response).contains("prompt=none"), "{}", location(&response));
    let end = answer(&world.walk(&mut browser, response).await);
    assert_eq!(end["error"], "interaction_required");
    let aloud = format!("/oauth/authorize?{}", flow.query(&[("scope", "openid")]));
    let response = browser.get(&aloud).await;
    world.walk(&mut browser, response).await;
    let response = browser.get(&silent).await;
    let end = answer(&world.walk(&mut browser, response).await);
    assert!(end.contains_key("code"), "now everything is connected: {end:?}");
}

#[tokio::test]
async fn u10_prompt_none_does_not_insist_on_an_optional_upstream() {
    let world = World::new(&[("corp", Requirement::Required), MAIL]).await.with_consent(ConsentMode::Off);
    let server = world.replica();
    let mut browser = Browser::new(&server);
    let flow = Flow::new(&server.register().await);
    let silent = format!("/oauth/authorize?{}", flow.query(&[("scope", "openid"), ("prompt", "none")]));
    let response = browser.get(&silent).await;
    let end = answer(&world.walk(&mut browser, response).await);
    assert!(end.contains_key("code"), "{end:?}");
}

#[tokio::test]
async fn u10_of_a_login_that_takes_more_than_an_hour_no_tokens_are_left() {
    let world = world().await;
    let server = world.replica();
    let mut browser = Browser::new(&server);
    let response = start(&world, &server, &mut browser).await;
    let page = world.walk_to_page(&mut browser, response).await;
    let response = go_on(&mut browser, &page, "connect").await;
    let mut page = world.walk_to_page(&mut browser, response).await;
    // The user keeps the login alive, by going to the upstream and declining there.
    for _ in 0..7 {
        world.clock.advance(Duration::from_secs(590));
        let response = go_on(&mut browser, &page, "connect").await;
        let url = world.walk_to(&mut browser, response, "mail").await;
        let callback = world.provider("mail").refuse_login(&url, "access_denied");
        let response = browser.get(&callback).await;
        page = between(&mut browser, &response).await;
    }
    let response = go_on(&mut browser, &page, "connect").await;
    let page = world.walk_to_page(&mut browser, response).await;
    assert_eq!(steps(&page)[1], "The files account: next", "its tokens are gone");
    assert_eq!(world.provider("files").state().refresh_requests, 0);
}

#[tokio::test]
async fn u10_a_page_that_is_left_open_for_too_long_leads_nowhere() {
    let world = world().await;
    let server = world.replica();
    let mut browser = Browser::new(&server);
    let response = start(&world, &server, &mut browser).await;
    let page = world.walk_to_page(&mut browser, response).await;
    world.clock.advance(Duration::from_secs(600));
    let url = format!("/oauth/continue?state={}", page.field("state"));
    assert_page(&browser.get(&url).await, 400, "login_expired");
    assert_page(&go_on(&mut browser, &page, "connect").await, 400, "login_expired");
}

#[tokio::test]
async fn u10_who_signs_out_in_the_middle_of_a_login_does_not_finish_it() {
    let world = world_of_providers().await;
    let server = world.replica();
    let mut browser = Browser::new(&server);
    let response = start(&world, &server, &mut browser).await;
    let url = world.walk_to(&mut browser, response, "files").await;
    let flow_cookie = browser.cookies["__Host-thv_flow"].clone();
    sign_out(&mut browser).await;
    // Even if the browser still had what ties it to the login.
    browser.cookies.insert("__Host-thv_flow".to_owned(), flow_cookie);
    let end = browser.get(&world.provider("files").log_in(&url)).await;
    assert_page(&end, 400, "login_expired");
    is_revoked(&world.provider("corp"), "rt-corp-0-0").await;
    is_revoked(&world.provider("files"), "rt-files-0-0").await;
}
