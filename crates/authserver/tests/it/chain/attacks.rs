//! Attempts to end up with somebody else's accounts.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{start, world, world_of_providers};
use crate::fixture::{Browser, Flow, answer, assert_error, assert_page, location};
use crate::provider::param;
use crate::provider_world::{Failure, LOCAL, between, credential, go_on};

#[tokio::test]
async fn u10_another_browser_can_neither_see_nor_continue_a_login() {
    let world = world().await;
    let server = world.replica();
    let mut owner = Browser::new(&server);
    let response = start(&world, &server, &mut owner).await;
    let page = world.walk_to_page(&mut owner, response).await;
    let state = page.field("state");
    let mut thief = Browser::new(&server);
    for _ in 0..2 {
        assert_page(&thief.get(&format!("/oauth/continue?state={state}")).await, 400, "login_expired");
        assert_page(&go_on(&mut thief, &page, "connect").await, 400, "login_other_browser");
        // With a login of their own under way, too.
        let response = start(&world, &server, &mut thief).await;
        world.walk_to_page(&mut thief, response).await;
    }
    let response = go_on(&mut owner, &page, "connect").await;
    assert!(answer(&world.walk(&mut owner, response).await).contains_key("code"), "the owner still can");
}

#[tokio::test]
async fn u10_an_account_of_the_victim_is_not_connected_to_a_login_of_the_attacker() {
    let world = world_of_providers().await;
    let server = world.replica();
    let mut attacker = Browser::new(&server);
    let response = start(&world, &server, &mut attacker).await;
    let url = world.walk_to(&mut attacker, response, "files").await;
    // The victim follows the attacker's link to the upstream, is logged in there, and comes back.
    let callback = world.provider("files").log_in(&url);
    let mut victim = Browser::new(&server);
    assert_page(&victim.get(&callback).await, 400, "login_other_browser");
    let response = start(&world, &server, &mut victim).await;
    world.walk_to(&mut victim, response, "files").await;
    assert_page(&victim.get(&callback).await, 400, "login_other_browser");
}

#[tokio::test]
async fn u10_a_state_is_good_for_one_decision_and_for_one_callback() {
    let world = world().await;
    let server = world.replica();
    let mut browser = Browser::new(&server);
    let response = start(&world, &server, &mut browser).await;
    let page = world.walk_to_page(&mut browser, response).await;
    let response = go_on(&mut browser, &page, "connect").await;
    assert_page(&go_on(&mut browser, &page, "connect").await, 400, "login_expired");
    let callback = world.provider("files").log_in(&location(&response));
    let next = browser.get(&callback).await;
    assert_page(&browser.get(&callback).await, 400, "login_expired");
    assert!(answer(&world.walk(&mut browser, next).await).contains_key("code"), "the first one counts");
}

#[tokio::test]
async fn u10_of_two_callbacks_at_once_one_counts() {
    let world = world().await;
    let server = world.replica();
    let mut browser = Browser::new(&server);
    let response = start(&world, &server, &mut browser).await;
    let url = world.walk_to(&mut browser, response, "files").await;
    let callback = world.provider("files").log_in(&url);
    let mut twin = Browser::new(&server);
    twin.cookies.clone_from(&browser.cookies);
    let answers = tokio::join!(browser.get(&callback), twin.get(&callback));
    let (went_on, page): (Vec<_>, Vec<_>) =
        [answers.0, answers.1].into_iter().partition(|answer| answer.status() == 303);
    assert_eq!((went_on.len(), page.len()), (1, 1));
    assert_page(&page[0], 400, "login_expired");
}

#[tokio::test]
async fn u10_the_state_of_a_page_is_no_state_of_a_callback_and_gives_nobody_a_way_round() {
    let world = world().await;
    let server = world.replica();
    let mut browser = Browser::new(&server);
    let response = start(&world, &server, &mut browser).await;
    let page = world.walk_to_page(&mut browser, response).await;
    let callback = format!("/oauth/callback?code=x&state={}", page.field("state"));
    assert_page(&browser.get(&callback).await, 400, "login_expired");
    let response = start(&world, &server, &mut browser).await;
    let page = between(&mut browser, &response).await;
    let fields = [("state", &*page.field("state")), ("username", "dev")];
    assert_page(&browser.submit("/oauth/login", &fields).await, 400, "login_expired");
}

#[tokio::test]
async fn u10_the_state_of_the_first_upstream_does_not_take_a_code_of_another_one() {
    let world = world_of_providers().await;
    let server = world.replica();
    let mut browser = Browser::new(&server);
    let response = start(&world, &server, &mut browser).await;
    let at_files = world.walk_to(&mut browser, response, "files").await;
    let files_code = param(&world.provider("files").log_in(&at_files), "code");
    let second = start(&world, &server, &mut browser).await;
    let at_corp = world.walk_to(&mut browser, second, "corp").await;
    let mixed = format!("/oauth/callback?code={files_code}&state={}", param(&at_corp, "state"));
    let end = answer(&browser.get(&mixed).await);
    assert_eq!(end["error"], "server_error", "the first upstream does not know the code");
}

#[tokio::test]
async fn u10_a_code_of_another_login_at_the_same_upstream_is_of_no_use() {
    let world = world_of_providers().await;
    let server = world.replica();
    let mut attacker = Browser::new(&server);
    let response = start(&world, &server, &mut attacker).await;
    let url = world.walk_to(&mut attacker, response, "files").await;
    world.provider("files").state().user = "attacker".to_owned();
    let planted = param(&world.provider("files").log_in(&url), "code");
    let mut victim = Browser::new(&server);
    let response = start(&world, &server, &mut victim).await;
    let url = world.walk_to(&mut victim, response, "files").await;
    let forged = format!("/oauth/callback?code={planted}&state={}", param(&url, "state"));
    let response = victim.get(&forged).await;
    let page = between(&mut victim, &response).await;
    assert!(page.0.contains("refused the login (invalid_grant)"), "the verifier is another one: {}", page.0);
}

#[tokio::test]
async fn u10_a_different_user_gets_a_session_without_the_former_users_tokens() {
    let world = world_of_providers().await;
    let server = world.replica();
    let mut browser = Browser::new(&server);
    let uma = world.log_in_with(&mut browser, &server, "openid upstream:admin").await;
    world.visits();
    for provider in &world.providers {
        provider.state().user = "ben".to_owned();
    }
    let ben = world.log_in_with(&mut browser, &server, "openid").await;
    assert_eq!(world.visits(), ["corp", "files", "mail"], "every upstream is asked anew");
    assert_ne!(world.session(&uma.tsid).await, world.session(&ben.tsid).await);
    assert_eq!(credential(&server, &ben.tsid, "files").await.unwrap(), "at-files-1-1");
    let never = Failure::Never("upstream:admin".to_owned());
    assert_eq!(credential(&server, &ben.tsid, "admin").await, Err(never));
    assert_eq!(credential(&server, &uma.tsid, "files").await.unwrap(), "at-files-0-1", "both keep theirs");
    // And the browser is Ben's now: a step-up is for his session.
    let step_up = world.log_in_with(&mut browser, &server, "openid upstream:admin").await;
    assert_eq!(world.session(&step_up.tsid).await, world.session(&ben.tsid).await);
}

#[tokio::test]
async fn u10_the_sign_in_cookie_of_another_user_gives_nothing_to_the_one_who_logs_in() {
    let world = world_of_providers().await;
    let server = world.replica();
    let mut uma = Browser::new(&server);
    let victim = world.log_in_with(&mut uma, &server, "openid").await;
    let mut attacker = Browser::new(&server);
    let response = start(&world, &server, &mut attacker).await;
    let at_corp = world.walk_to(&mut attacker, response, "corp").await;
    // The attacker's login ends with the victim's cookie beside the attacker's own.
    attacker.cookies.insert("__Host-thv_sign_in".to_owned(), uma.cookies["__Host-thv_sign_in"].clone());
    world.provider("corp").state().user = "mallory".to_owned();
    let next = attacker.get(&world.provider("corp").log_in(&at_corp)).await;
    let flow_is_new = location(&next).starts_with("/oauth/continue");
    assert!(flow_is_new, "nothing is connected: {}", location(&next));
    assert_ne!(attacker.cookies["__Host-thv_sign_in"], uma.cookies["__Host-thv_sign_in"]);
    world.walk(&mut attacker, next).await;
    assert_eq!(credential(&server, &victim.tsid, "files").await.unwrap(), "at-files-0-1", "not replaced");
}

#[tokio::test]
async fn u10_a_forged_sign_in_cookie_is_none() {
    let world = world_of_providers().await;
    let server = world.replica();
    let mut browser = Browser::new(&server);
    world.log_in_with(&mut browser, &server, "openid").await;
    world.visits();
    let cookie = browser.cookies.get_mut("__Host-thv_sign_in").unwrap();
    let last = cookie.pop().unwrap();
    cookie.push(if last == 'A' { 'B' } else { 'A' });
    let mut half = cookie.split_at(cookie.len() / 2).0.to_owned();
    half.push('x');
    *cookie = half;
    world.log_in_with(&mut browser, &server, "openid upstream:admin").await;
    assert_eq!(world.visits(), ["corp", "files", "mail", "admin"], "a whole login in a session of its own");
}

#[tokio::test]
async fn u10_the_sign_in_cookie_of_a_session_that_has_ended_brings_none_of_its_tokens_back() {
    for (world, first) in [(world().await, LOCAL), (world_of_providers().await, "corp")] {
        let server = world.replica();
        let mut browser = Browser::new(&server);
        let ended = world.log_in_with(&mut browser, &server, "openid").await;
        world.visits();
        let again = server.redeem(&ended.flow, &ended.code).await;
        assert_error(&again, 400, "invalid_grant", "grant_unknown");
        let scope = "openid upstream:admin";
        let login = world.log_in_with(&mut browser, &server, scope).await;
        assert_eq!(world.visits(), [first, "files", "mail", "admin"], "a new session, empty");
        assert_eq!(credential(&server, &login.tsid, "files").await.unwrap(), "at-files-1-1");
    }
}

#[tokio::test]
async fn u10_a_sign_in_is_forgotten_after_eight_hours() {
    let world = world_of_providers().await;
    let server = world.replica();
    let mut browser = Browser::new(&server);
    world.log_in_with(&mut browser, &server, "openid offline_access").await;
    world.visits();
    world.clock.advance(Duration::from_secs(8 * 3600));
    world.log_in_with(&mut browser, &server, "openid upstream:admin").await;
    assert_eq!(world.visits(), ["corp", "files", "mail", "admin"]);
}

#[tokio::test]
async fn u10_two_logins_in_one_browser_do_not_mix() {
    let world = world_of_providers().await;
    let server = world.replica();
    let mut browser = Browser::new(&server);
    let (first, second) = (Flow::new(&server.register().await), Flow::new(&server.register().await));
    // Uma is half-way, then Ben logs in in another tab.
    let response = world.approve(&mut browser, &first, "openid").await;
    let uma_at_files = world.walk_to(&mut browser, response, "files").await;
    world.provider("corp").state().user = "ben".to_owned();
    let response = world.approve(&mut browser, &second, "openid").await;
    let ben_at_files = world.walk_to(&mut browser, response, "files").await;
    let files = world.provider("files");
    let mut tsids = BTreeMap::new();
    for (user, url, flow) in [("uma", uma_at_files, first), ("ben", ben_at_files, second)] {
        files.state().user = user.to_owned();
        let response = browser.get(&files.log_in(&url)).await;
        let end = world.walk(&mut browser, response).await;
        tsids.insert(user, world.redeem(&server, flow, &end).await.tsid);
    }
    let sessions = (world.session(&tsids["uma"]).await, world.session(&tsids["ben"]).await);
    for (session, user) in [(sessions.0, "uma"), (sessions.1, "ben")] {
        for upstream in ["corp", "files"] {
            assert_eq!(world.entry(&session, upstream).await.unwrap().tokens.subject, user, "{upstream}");
        }
    }
}
