//! Logins that add one upstream to a session, because a backend needs it.

use super::{world, world_of_providers};
use crate::fixture::{Browser, Flow, answer};
use crate::provider_world::{Failure, LOCAL, credential, login_at};

#[tokio::test]
async fn u10_a_step_up_visits_only_the_upstream_that_is_asked_for_and_all_grants_get_its_token() {
    for (world, identity) in [(world().await, LOCAL), (world_of_providers().await, "corp")] {
        let server = world.replica();
        let mut browser = Browser::new(&server);
        let before = world.log_in_with(&mut browser, &server, "openid").await;
        assert_eq!(world.visits(), [identity, "files", "mail"]);
        let never = Failure::Never("upstream:admin".to_owned());
        assert_eq!(credential(&server, &before.tsid, "admin").await, Err(never));
        let flow = Flow::new(&before.flow.client_id);
        let response = world.approve(&mut browser, &flow, "openid upstream:admin").await;
        let end = world.walk(&mut browser, response).await;
        let after = world.redeem(&server, flow, &end).await;
        assert_eq!(world.visits(), ["admin"]);
        assert!(after.tokens["scope"].as_str().unwrap().contains("upstream:admin"));
        assert_ne!(before.tsid, after.tsid);
        for tsid in [&before.tsid, &after.tsid] {
            assert_eq!(credential(&server, tsid, "admin").await.unwrap(), "at-admin-0-1");
            assert_eq!(credential(&server, tsid, "files").await.unwrap(), "at-files-0-1", "untouched");
        }
    }
}

#[tokio::test]
async fn u10_a_step_up_whose_upstream_is_connected_already_goes_the_usual_way() {
    let world = world_of_providers().await;
    let server = world.replica();
    let mut browser = Browser::new(&server);
    world.log_in_with(&mut browser, &server, "openid upstream:admin").await;
    assert_eq!(world.visits(), ["corp", "files", "mail", "admin"]);
    world.log_in_with(&mut browser, &server, "openid upstream:admin").await;
    assert_eq!(world.visits(), ["corp"]);
}

#[tokio::test]
async fn u10_a_step_up_in_another_browser_is_a_whole_login() {
    let world = world_of_providers().await;
    let server = world.replica();
    let before = world.log_in_with(&mut Browser::new(&server), &server, "openid").await;
    world.visits();
    let mut other = Browser::new(&server);
    let after = world.log_in_with(&mut other, &server, "openid upstream:admin").await;
    assert_eq!(world.visits(), ["corp", "files", "mail", "admin"]);
    assert_ne!(world.session(&before.tsid).await, world.session(&after.tsid).await);
    let never = Failure::Never("upstream:admin".to_owned());
    assert_eq!(credential(&server, &before.tsid, "admin").await, Err(never), "another session");
}

#[tokio::test]
async fn u10_scopes_of_unknown_upstreams_and_of_the_first_one_are_ignored() {
    let world = world_of_providers().await;
    let server = world.replica();
    let mut browser = Browser::new(&server);
    let scope = "openid upstream:corp upstream:nobody upstream:";
    let login = world.log_in_with(&mut browser, &server, scope).await;
    assert_eq!(login.tokens["scope"], "openid");
    assert_eq!(world.visits(), ["corp", "files", "mail"]);
}

#[tokio::test]
async fn u10_after_a_lost_refresh_token_one_step_up_heals_the_session() {
    let world = world_of_providers().await;
    let server = world.replica();
    let mut browser = Browser::new(&server);
    let before = world.log_in_with(&mut browser, &server, "openid").await;
    let session = world.session(&before.tsid).await;
    world.change_entry(&session, "files", |entry| entry.tokens.refresh_token = None).await;
    world.clock.advance(std::time::Duration::from_secs(3600));
    assert_eq!(credential(&server, &before.tsid, "files").await, Err(login_at("files")));
    world.visits();
    world.log_in_with(&mut browser, &server, "openid upstream:files").await;
    assert_eq!(world.visits(), ["files"]);
    assert_eq!(credential(&server, &before.tsid, "files").await.unwrap(), "at-files-1-1");
    assert_eq!(world.entry(&session, "files").await.unwrap().login, 2);
}

#[tokio::test]
async fn u10_prompt_login_makes_a_step_up_a_whole_login_of_the_same_session() {
    let world = world_of_providers().await;
    let server = world.replica();
    let mut browser = Browser::new(&server);
    let before = world.log_in_with(&mut browser, &server, "openid").await;
    world.visits();
    let flow = Flow::new(&before.flow.client_id);
    let query = flow.query(&[("scope", "openid upstream:admin"), ("prompt", "login")]);
    let page = browser.consent_page(&query).await;
    let response = browser.decide(&page, "approve").await;
    let end = world.walk(&mut browser, response).await;
    let after = world.redeem(&server, flow, &end).await;
    assert_eq!(world.visits(), ["corp", "admin"]);
    assert_eq!(world.session(&before.tsid).await, world.session(&after.tsid).await);
    assert_eq!(credential(&server, &before.tsid, "corp").await.unwrap(), "at-corp-1-1");
}

#[tokio::test]
async fn u10_the_consent_page_names_the_upstream_that_is_asked_for() {
    let world = world().await;
    let server = world.replica();
    let mut browser = Browser::new(&server);
    let flow = Flow::new(&server.register().await);
    let page = browser.consent_page(&flow.query(&[("scope", "openid upstream:admin")])).await;
    assert!(page.0.contains("upstream:admin"), "{}", page.0);
    let refused = answer(&browser.decide(&page, "deny").await);
    assert_eq!(refused["error"], "access_denied");
}
