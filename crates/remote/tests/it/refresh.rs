//! Staying logged in without the user.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::StatusCode;
use secrecy::ExposeSecret;
use thv_oauth::received_challenge::ReceivedChallenge;
use thv_remote::error::LoginError;
use thv_remote::session::{AuthState, Demand};
use tokio::sync::watch;

use crate::support::authorization_server::{LIFETIME, page, refusal};
use crate::support::user::{Act, within};
use crate::support::world::{A_MINUTE, Got, Process, World};

const LIFE: Duration = Duration::from_secs(LIFETIME);

/// As many calls at once.
async fn calls(process: &Process, count: usize) -> Vec<Got> {
    let calls: Vec<_> = (0..count)
        .map(|_| {
            let process = process.clone();
            tokio::spawn(async move { process.call().await })
        })
        .collect();
    let mut got = Vec::new();
    for call in calls {
        got.push(call.await.unwrap());
    }
    got
}

async fn becomes(process: &Process, wanted: AuthState) {
    let mut state: watch::Receiver<AuthState> = process.session.state();
    within(state.wait_for(|state| *state == wanted)).await.unwrap();
}

#[tokio::test]
async fn a_hundred_requests_at_the_tokens_end_share_one_refresh() {
    let world = World::start().await;
    let process = world.logged_in().await;
    world.clock.advance(LIFE);
    world.idp.forget_access_tokens();
    assert!(calls(&process, 100).await.iter().all(|got| got.status == StatusCode::OK));
    assert_eq!(world.idp.granted("refresh_token").len(), 1);
    assert_eq!(world.user.opened().len(), 1);
}

#[tokio::test]
async fn a_hundred_refused_requests_share_one_login() {
    let world = World::start().await;
    let process = world.process().await;
    assert!(calls(&process, 100).await.iter().all(|got| got.status == StatusCode::OK));
    assert_eq!(world.user.opened().len(), 1);
    assert_eq!(world.idp.granted("authorization_code").len(), 1);
}

#[tokio::test]
async fn a_hundred_requests_share_one_login_that_fails() {
    let world = World::start().await;
    world
        .idp
        .behave(|manner| manner.on(|asked| (asked.path == "/token").then(|| refusal(400, "invalid_grant"))));
    let process = world.process().await;
    for got in calls(&process, 100).await {
        assert_eq!(got.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(got.body.contains("invalid_grant") && !got.body.contains("not tried before"), "{}", got.body);
    }
    assert_eq!(world.user.opened().len(), 1);
    // The next one waits a while, and longer every time.
    for (pause, opened) in [(29, 1), (9, 2), (59, 2), (16, 3), (119, 3), (31, 4)] {
        world.clock.advance(Duration::from_secs(pause));
        let got = process.call().await;
        assert_eq!(got.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(world.user.opened().len(), opened, "{}", got.body);
    }
    // The user may try at any time.
    assert!(process.log_in().await.is_err());
    assert_eq!(world.user.opened().len(), 5);
}

#[tokio::test]
async fn a_refused_token_is_refreshed_and_the_request_repeated() {
    let world = World::start().await;
    let process = world.logged_in().await;
    world.idp.forget_access_tokens();
    assert_eq!(process.call().await.status, StatusCode::OK);
    assert_eq!((world.idp.granted("refresh_token").len(), world.user.opened().len()), (1, 1));
}

#[tokio::test]
async fn a_token_is_renewed_ahead_of_its_end() {
    let world = World::start().await;
    let process = world.logged_in().await;
    world.clock.advance(LIFE * 4 / 5);
    let before = world.keep.kept().grant.unwrap();
    let fresh = process.clone();
    let keeping = tokio::spawn(async move { fresh.session.keep_fresh().await });
    within(async {
        while world.keep.kept().grant.unwrap().same_tokens(&before) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    world.clock.advance(LIFE / 2);
    assert_eq!(process.call().await.status, StatusCode::OK);
    assert_eq!(world.idp.granted("refresh_token").len(), 1, "it is not refreshed at its own end");
    keeping.abort();
}

#[tokio::test]
async fn a_login_that_has_ended_is_noticed_ahead_and_opens_no_browser_by_itself() {
    let world = World::start().await;
    let process = world.logged_in().await;
    world.idp.forget_refresh_tokens();
    world.clock.advance(LIFE * 9 / 10);
    let fresh = process.clone();
    let keeping = tokio::spawn(async move { fresh.session.keep_fresh().await });
    becomes(&process, AuthState::Unauthenticated).await;
    assert_eq!(world.user.opened().len(), 1);
    // Somebody who asks is there to log in.
    world.clock.advance(LIFE);
    world.idp.forget_access_tokens();
    assert_eq!(process.call().await.status, StatusCode::OK);
    assert_eq!(world.user.opened().len(), 2);
    assert_eq!(*process.session.state().borrow(), AuthState::Authenticated);
    keeping.abort();
}

/// A renewal ahead of the end fails while a request asks for a login.
#[tokio::test]
async fn a_quiet_failure_is_not_the_failure_of_those_who_can_ask_the_user() {
    let world = World::start().await;
    let process = world.logged_in().await;
    let used = process.session.access().await.unwrap().unwrap();
    world.idp.forget_refresh_tokens();
    world.clock.advance(LIFE);
    let quiet = process.session.obtain(Demand::RenewQuietly, Some(&used));
    let asked = process.session.obtain(Demand::Expired, Some(&used));
    let (quiet, asked) = within(async { tokio::join!(quiet, asked) }).await;
    assert!(quiet.is_err());
    asked.expect("the user logs in");
}

/// One request wants more scope than there is to be had, another one's token is at its end.
#[tokio::test]
async fn the_failure_to_get_more_scope_is_not_that_of_others() {
    let world = World::start().await;
    let process = world.logged_in().await;
    let used = process.session.access().await.unwrap().unwrap();
    world.clock.advance(LIFE);
    let challenge = ReceivedChallenge::parse_all(["Bearer"]).remove(0);
    let more = process.session.obtain(Demand::InsufficientScope(challenge), Some(&used));
    let fresh = process.session.obtain(Demand::Expired, Some(&used));
    let (more, fresh) = within(async { tokio::join!(more, fresh) }).await;
    assert!(matches!(*more.unwrap_err(), LoginError::ScopeRefused { .. }));
    fresh.expect("it is refreshed");
    assert_eq!(*process.session.state().borrow(), AuthState::Authenticated);
}

#[tokio::test]
async fn r4_a_restarted_process_uses_and_renews_what_is_kept() {
    let world = World::start().await;
    drop(world.logged_in().await);
    assert_eq!(world.process().await.call().await.status, StatusCode::OK);
    assert_eq!(world.idp.asked("/token").len(), 1, "the kept token is still good");
    world.clock.advance(LIFE);
    world.idp.forget_access_tokens();
    assert_eq!(world.process().await.call().await.status, StatusCode::OK);
    assert_eq!(world.idp.granted("refresh_token").len(), 1);
    assert_eq!(world.user.opened().len(), 1);
}

#[tokio::test]
async fn a_refresh_token_that_is_not_replaced_is_used_on() {
    let world = World::start().await;
    let process = world.logged_in().await;
    let first = world.keep.kept().grant.unwrap().refresh_token.unwrap();
    world.idp.behave(|manner| {
        manner.on(|asked| {
            (asked.one("grant_type") == Some("refresh_token")).then(|| {
                page(
                    200,
                    "application/json",
                    r#"{"access_token":"a2","token_type":"Bearer","expires_in":10}"#,
                )
            })
        });
    });
    world.mcp.on(|_, _| Some(page(200, "application/json", "{}")));
    for _ in 0..2 {
        world.clock.advance(LIFE);
        assert_eq!(process.call().await.status, StatusCode::OK);
    }
    let sent: Vec<_> = world
        .idp
        .granted("refresh_token")
        .iter()
        .map(|asked| asked.must("refresh_token").to_owned())
        .collect();
    assert_eq!(sent, [first.expose_secret(), first.expose_secret()]);
}

#[tokio::test]
async fn without_a_refresh_token_the_user_logs_in_again() {
    let world = World::start().await;
    world.idp.behave(|manner| manner.gives_refresh_tokens = false);
    let process = world.logged_in().await;
    world.clock.advance(LIFE);
    assert_eq!(process.call().await.status, StatusCode::OK);
    assert_eq!(world.user.opened().len(), 2);
    assert!(world.idp.granted("refresh_token").is_empty());
}

#[tokio::test]
async fn what_another_process_renewed_is_taken_over() {
    let world = World::start().await;
    let (one, other) = (world.logged_in().await, world.process().await);
    world.clock.advance(LIFE);
    world.idp.forget_access_tokens();
    assert_eq!(one.call().await.status, StatusCode::OK);
    assert_eq!(other.call().await.status, StatusCode::OK);
    assert_eq!(world.idp.granted("refresh_token").len(), 1);
    // Both notice at the same moment: the turn decides.
    world.idp.forget_access_tokens();
    let (first, second) = tokio::join!(one.call(), other.call());
    assert_eq!((first.status, second.status), (StatusCode::OK, StatusCode::OK));
    assert_eq!(world.idp.granted("refresh_token").len(), 2);
    assert_eq!(world.user.opened().len(), 1);
}

/// The other process knows no turns: it renews while our own refresh request is on its way, which is then refused.
#[tokio::test]
async fn a_failed_refresh_deletes_nothing_that_another_process_has_renewed() {
    let world = World::start().await;
    let process = world.logged_in().await;
    let other = Arc::clone(&world.keep);
    world.idp.behave(|manner| {
        manner.on(move |asked| {
            (asked.one("grant_type") == Some("refresh_token")).then(|| {
                other.meddle(|kept| {
                    let grant = kept.grant.as_mut().unwrap();
                    grant.access_token = "of-the-other".to_owned().into();
                    grant.refresh_token = Some("of-the-other-too".to_owned().into());
                    grant.expires_at = grant.expires_at.map(|at| at + LIFE);
                });
                refusal(400, "invalid_grant")
            })
        });
    });
    world.mcp.on(|asked, _| {
        let known = asked.header("authorization") == Some("Bearer of-the-other");
        known.then(|| page(200, "application/json", "{}"))
    });
    world.clock.advance(LIFE);
    assert_eq!(process.call().await.status, StatusCode::OK);
    let kept = world.keep.kept().grant.unwrap();
    assert_eq!(kept.refresh_token.unwrap().expose_secret(), "of-the-other-too");
    assert_eq!(world.user.opened().len(), 1, "there is no need for a login");
}

/// As above, but what the other process renewed has come to its end, too.
#[tokio::test]
async fn the_refresh_token_of_another_process_is_used_and_never_deleted() {
    for accepts_the_second in [true, false] {
        let world = World::start().await;
        let process = world.logged_in().await;
        let (other, number) = (Arc::clone(&world.keep), AtomicUsize::new(0));
        world.idp.behave(|manner| {
            manner.on(move |asked| {
                (asked.one("grant_type") == Some("refresh_token")).then(|| {
                    let number = number.fetch_add(1, Ordering::SeqCst);
                    if accepts_the_second && asked.must("refresh_token") == "of-the-other-0" {
                        let tokens = r#"{"access_token":"renewed","token_type":"Bearer","expires_in":600}"#;
                        return page(200, "application/json", tokens);
                    }
                    other.meddle(|kept| {
                        let token = format!("of-the-other-{number}");
                        kept.grant.as_mut().unwrap().refresh_token = Some(token.into());
                    });
                    refusal(400, "invalid_grant")
                })
            });
        });
        world.mcp.on(|asked, _| {
            let known = asked.header("authorization") == Some("Bearer renewed");
            known.then(|| page(200, "application/json", "{}"))
        });
        world.clock.advance(LIFE);
        world.user.acts(Act::Waits);
        let call = tokio::spawn(async move { process.call().await.status });
        if accepts_the_second {
            assert_eq!(call.await.unwrap(), StatusCode::OK);
            assert_eq!(world.user.opened().len(), 1);
        } else {
            world.user.is_asked(2).await;
            let kept = world.keep.kept().grant.unwrap().refresh_token.unwrap();
            assert_eq!(kept.expose_secret(), "of-the-other-1");
            call.abort();
        }
        assert_eq!(world.idp.granted("refresh_token").len(), 2);
    }
}

#[tokio::test]
async fn a_network_that_is_down_opens_no_browser_and_loses_no_token() {
    let world = World::start().await;
    let process = world.logged_in().await;
    let before = world.keep.kept().grant.unwrap();
    world.clock.advance(LIFE);
    world.idp.server.down();
    for _ in 0..3 {
        let got = process.call().await;
        assert_eq!(got.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(got.body.contains("server_unreachable"), "{}", got.body);
    }
    assert_eq!(*process.session.state().borrow(), AuthState::Retrying);
    world.idp.server.up();
    for status in [429, 500, 502, 503, 504] {
        world.idp.behave(|manner| {
            manner.on(move |asked| {
                (asked.path == "/token").then(|| page(status, "text/html", "<h1>Busy</h1>"))
            });
        });
        assert_eq!(process.call().await.status, StatusCode::SERVICE_UNAVAILABLE, "{status}");
    }
    // A captive portal.
    world.idp.behave(|manner| {
        manner.on(|asked| (asked.path == "/token").then(|| page(200, "text/html", "Log in to the Wi-Fi")))
    });
    assert_eq!(process.call().await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(world.keep.kept().grant.unwrap().same_tokens(&before));
    assert_eq!(world.user.opened().len(), 1);

    world.idp.behave(|manner| manner.hook = None);
    assert_eq!(process.call().await.status, StatusCode::OK);
    assert_eq!(*process.session.state().borrow(), AuthState::Authenticated);
    assert_eq!(world.user.opened().len(), 1);
}

#[tokio::test]
async fn a_refusal_that_is_not_about_the_refresh_token_does_not_delete_it() {
    for (error, is_kept) in [
        ("invalid_grant", false),
        ("invalid_client", false),
        ("invalid_scope", true),
        ("invalid_target", true),
        ("invalid_request", true),
    ] {
        let world = World::start().await;
        let process = world.logged_in().await;
        world.idp.behave(|manner| {
            manner.on(move |asked| {
                (asked.one("grant_type") == Some("refresh_token")).then(|| refusal(400, error))
            });
        });
        world.user.acts(Act::Waits);
        world.clock.advance(LIFE);
        let call = tokio::spawn(async move { process.call().await.status });
        let url = world.user.is_asked(2).await;
        assert_eq!(world.keep.kept().grant.unwrap().refresh_token.is_some(), is_kept, "{error}");
        assert_eq!(world.idp.granted("refresh_token").len(), 1, "{error}");
        world.user.browse(&url).await;
        assert_eq!(call.await.unwrap(), StatusCode::OK);
    }
}

#[tokio::test]
async fn renewed_tokens_that_cannot_be_written_are_used_and_written_later() {
    let world = World::start().await;
    let process = world.logged_in().await;
    world.keep.fill(true);
    for _ in 0..2 {
        world.clock.advance(LIFE);
        world.idp.forget_access_tokens();
        assert_eq!(process.call().await.status, StatusCode::OK);
    }
    process.session.reload().await.unwrap();
    assert_eq!(process.call().await.status, StatusCode::OK, "what is kept is older");
    world.keep.fill(false);
    world.clock.advance(LIFE);
    assert_eq!(process.call().await.status, StatusCode::OK);
    assert_eq!((world.idp.granted("refresh_token").len(), world.user.opened().len()), (3, 1));
    world.clock.advance(LIFE);
    assert_eq!(world.process().await.call().await.status, StatusCode::OK);
    assert_eq!(world.user.opened().len(), 1, "what is kept is the newest");
}

#[tokio::test]
async fn a_renewal_that_could_not_be_written_undoes_no_logout_of_another_process() {
    let world = World::start().await;
    let process = world.logged_in().await;
    world.keep.fill(true);
    world.clock.advance(LIFE);
    assert_eq!(process.call().await.status, StatusCode::OK);
    world.keep.fill(false);
    world.process().await.session.log_out(false).await.unwrap();
    process.session.reload().await.unwrap();
    assert_eq!(process.call().await.status, StatusCode::SERVICE_UNAVAILABLE);
    let kept = world.process().await;
    assert_eq!(kept.call().await.status, StatusCode::SERVICE_UNAVAILABLE, "the tokens are not put back");
    assert_eq!(world.user.opened().len(), 1);
}

/// The server accepts no token for one of its tools, and any for another: every answer to the one would be a reason to log in.
#[tokio::test]
async fn a_server_that_refuses_good_tokens_does_not_open_tab_after_tab() {
    let world = World::start().await;
    let process = world.logged_in().await;
    world.mcp.on(|asked, issued| {
        let is_bad_tool = String::from_utf8_lossy(&asked.body).contains("bad");
        (is_bad_tool && issued.is_some()).then(|| page(401, "text/plain", "no"))
    });
    for _ in 0..5 {
        let bad = http::Request::post("/mcp").body(r#"{"method":"bad"}"#.into()).unwrap();
        assert_eq!(process.send(bad).await.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(process.call().await.status, StatusCode::OK, "the others go on");
    }
    assert_eq!(world.user.opened().len(), 1);
    world.clock.advance(A_MINUTE);
    for _ in 0..5 {
        let bad = http::Request::post("/mcp").body(r#"{"method":"bad"}"#.into()).unwrap();
        assert_eq!(process.send(bad).await.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(process.call().await.status, StatusCode::OK);
    }
    assert_eq!(world.user.opened().len(), 2, "once more, and then there is a longer pause");
}

#[tokio::test]
async fn a_server_that_refuses_every_token_is_told_so() {
    let world = World::start().await;
    world.mcp.on(|_, _| Some(page(401, "text/plain", "no")));
    let process = world.process().await;
    for _ in 0..3 {
        let got = process.call().await;
        assert_eq!(got.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(got.body.contains("refuses the token that"), "{}", got.body);
        assert!(!got.body.contains("not tried before"), "waiting would not help: {}", got.body);
        world.clock.advance(A_MINUTE);
    }
    assert_eq!(world.user.opened().len(), 1, "one more login would bring one more such token");
}

/// A server that fails has not looked at the token, so its later refusal is its first word about it.
#[tokio::test]
async fn an_error_of_the_server_proves_no_token() {
    let world = World::start().await;
    let failures = AtomicUsize::new(0);
    world.mcp.on(move |_, issued| {
        issued?;
        let is_first = failures.fetch_add(1, Ordering::SeqCst) == 0;
        Some(if is_first { page(503, "text/plain", "busy") } else { page(401, "text/plain", "no") })
    });
    let process = world.process().await;
    assert_eq!(process.call().await.body, "busy");
    let got = process.call().await;
    assert!(got.body.contains("refuses the token that"), "{}", got.body);
    assert!(world.idp.granted("refresh_token").is_empty());
}

#[tokio::test]
async fn what_another_process_did_is_taken_over_when_told() {
    let world = World::start().await;
    let daemon = world.process().await;
    assert_eq!(*daemon.session.state().borrow(), AuthState::NotNeeded);
    world.process().await.log_in().await.unwrap();
    daemon.session.reload().await.unwrap();
    assert_eq!(*daemon.session.state().borrow(), AuthState::Authenticated);
    assert_eq!(daemon.call().await.status, StatusCode::OK);
    assert_eq!(world.user.opened().len(), 1);
}
