//! Upstreams that fail in the middle of a login.

use http::StatusCode;
use thv_authserver::Requirement;

use super::{FILES, start, world, world_of_providers};
use crate::fixture::{Browser, Flow, REDIRECT, answer, assert_page, text};
use crate::provider::Fault;
use crate::provider_world::{LOCAL, World, between, credential, go_on};

#[tokio::test]
async fn u10_a_failing_upstream_is_said_on_the_page_what_was_reached_stays_and_the_user_tries_again() {
    let faults = [
        (Fault::Unavailable, "The mail account does not answer at the moment."),
        (Fault::Refuse("invalid_grant"), "The mail account refused the login (invalid_grant)."),
        (Fault::Refuse("invalid_client"), "The mail account refused the login (invalid_client)."),
    ];
    for (fault, words) in faults {
        let world = world_of_providers().await;
        let server = world.replica();
        let mut browser = Browser::new(&server);
        let flow = Flow::new(&server.register().await);
        let response = world.approve(&mut browser, &flow, "openid").await;
        let url = world.walk_to(&mut browser, response, "mail").await;
        world.provider("mail").next(fault);
        let response = browser.get(&world.provider("mail").log_in(&url)).await;
        let page = between(&mut browser, &response).await;
        assert!(page.0.contains(words), "{words} is not in {}", page.0);
        let response = go_on(&mut browser, &page, "connect").await;
        let end = world.walk(&mut browser, response).await;
        let login = world.redeem(&server, flow, &end).await;
        assert_eq!(world.visits(), ["corp", "files", "mail"], "nobody was visited twice");
        for (name, token) in [("corp", "at-corp-0-1"), ("files", "at-files-0-1"), ("mail", "at-mail-0-1")] {
            assert_eq!(credential(&server, &login.tsid, name).await.unwrap(), token);
        }
    }
}

#[tokio::test]
async fn u10_an_upstream_that_breaks_the_connection_does_not_end_the_login() {
    let world = world().await;
    let server = world.replica();
    let mut browser = Browser::new(&server);
    let response = start(&world, &server, &mut browser).await;
    let url = world.walk_to(&mut browser, response, "files").await;
    let files = world.provider("files");
    files.server.down();
    let response = browser.get(&files.log_in(&url)).await;
    files.server.up();
    let page = between(&mut browser, &response).await;
    assert!(page.0.contains("does not answer at the moment"), "{}", page.0);
    let response = go_on(&mut browser, &page, "connect").await;
    assert!(answer(&world.walk(&mut browser, response).await).contains_key("code"));
}

#[tokio::test]
async fn u10_who_declines_at_a_further_upstream_comes_back_to_the_page() {
    let world = world().await;
    let server = world.replica();
    let mut browser = Browser::new(&server);
    let response = start(&world, &server, &mut browser).await;
    let url = world.walk_to(&mut browser, response, "files").await;
    let response = browser.get(&world.provider("files").refuse_login(&url, "access_denied")).await;
    let page = between(&mut browser, &response).await;
    assert!(page.0.contains("You declined at The files account."), "{}", page.0);
    assert!(page.0.contains("Try again"));
    let response = go_on(&mut browser, &page, "connect").await;
    let page = world.walk_to_page(&mut browser, response).await;
    assert!(!page.0.contains("You declined"), "what was said about one upstream is not said about the next");
}

#[tokio::test]
async fn u10_an_optional_upstream_that_fails_can_be_skipped() {
    let world = world().await;
    let server = world.replica();
    let mut browser = Browser::new(&server);
    let response = start(&world, &server, &mut browser).await;
    let url = world.walk_to(&mut browser, response, "mail").await;
    world.provider("mail").next(Fault::Unavailable);
    let response = browser.get(&world.provider("mail").log_in(&url)).await;
    let page = between(&mut browser, &response).await;
    let end = go_on(&mut browser, &page, "skip").await;
    assert!(answer(&end).contains_key("code"));
}

#[tokio::test]
async fn u10_where_the_first_upstream_refuses_the_client_is_told_and_where_it_is_down_the_user_is() {
    let world = world_of_providers().await;
    let server = world.replica();
    let mut browser = Browser::new(&server);
    let response = start(&world, &server, &mut browser).await;
    let url = world.walk_to(&mut browser, response, "corp").await;
    let end = answer(&browser.get(&world.provider("corp").refuse_login(&url, "access_denied")).await);
    assert_eq!((end["error"].as_str(), end["state"].as_str()), ("access_denied", "client-state"));
    let response = start(&world, &server, &mut browser).await;
    let url = world.walk_to(&mut browser, response, "corp").await;
    world.provider("corp").next(Fault::Unavailable);
    let page = browser.get(&world.provider("corp").log_in(&url)).await;
    assert_page(&page, 503, "upstream_unavailable");
    assert!(page.headers().contains_key("retry-after"));
    let page = text(&page).replace("&#38;", "&");
    assert!(page.contains("does not answer at the moment"), "{page}");
    let (_, way_back) = page.split_once("<a href=\"").unwrap();
    let way_back = way_back.split_once('"').unwrap().0;
    assert!(way_back.starts_with(&format!("{REDIRECT}?error=temporarily_unavailable&")), "{way_back}");
    assert!(way_back.contains("state=client-state&"), "{way_back}");
}

#[tokio::test]
async fn u10_what_an_upstream_writes_into_an_error_is_not_shown() {
    let world = World::new(&[(LOCAL, Requirement::Required), FILES]).await;
    let server = world.replica();
    let mut browser = Browser::new(&server);
    let response = start(&world, &server, &mut browser).await;
    let url = world.walk_to(&mut browser, response, "files").await;
    let callback = world.provider("files").refuse_login(&url, "<b>call 555-0100</b>");
    let response = browser.get(&callback).await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    let page = between(&mut browser, &response).await;
    assert!(!page.0.contains("555-0100"), "{}", page.0);
}
