//! Which scope is asked for, and asking for more (CL-47 to CL-49).

use std::sync::atomic::{AtomicUsize, Ordering};

use http::StatusCode;
use serde_json::json;
use thv_remote::session::AuthState;

use crate::support::authorization_server::{AuthorizationServer, Issued, redirected_error};
use crate::support::resource::challenged;
use crate::support::user::Act;
use crate::support::world::{A_MINUTE, World};

fn has(issued: &Issued, token: &str) -> bool {
    issued.scope.split(' ').any(|one| one == token)
}

/// The server wants these scopes, and says so one after the other.
fn wants(world: &World, scopes: &'static [&'static str]) {
    world.mcp.on(move |_, issued| {
        let lacking = scopes.iter().find(|scope| !has(issued.unwrap_or(&NOTHING), scope));
        issued
            .and(lacking)
            .map(|scope| challenged(403, &[format!(r#"Bearer error="insufficient_scope", scope="{scope}""#)]))
    });
}

static NOTHING: Issued = Issued { client_id: String::new(), scope: String::new() };

fn scopes(server: &AuthorizationServer) -> Vec<String> {
    server.browsed().iter().map(|asked| asked.one("scope").unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn cl_47_the_challenges_scope_comes_before_the_metadatas_and_the_users_before_both() {
    let mut world = World::start().await;
    world.logged_in().await;
    assert_eq!(world.idp.browsed()[0].one("scope"), None);
    assert_eq!(world.idp.browsed()[0].one("prompt"), None);

    world = World::start().await;
    world.mcp.say("scopes_supported", json!(["read", "write"]));
    world.logged_in().await;
    assert_eq!(scopes(&world.idp), ["read write"]);

    let challenge = r#"Bearer scope="openid read""#;
    world = World::start().await;
    world.mcp.say("scopes_supported", json!(["read", "write"]));
    world.mcp.challenge(&[challenge]);
    world.logged_in().await;
    assert_eq!(scopes(&world.idp), ["openid read"]);

    world = World::start().await;
    world.mcp.challenge(&[challenge]);
    world.settings.scopes = vec!["mine".to_owned()];
    world.logged_in().await;
    assert_eq!(scopes(&world.idp), ["mine"]);
}

#[tokio::test]
async fn cl_48_offline_access_is_asked_for_only_where_it_is_listed() {
    for listed in [true, false] {
        let world = World::start().await;
        world.mcp.challenge(&[r#"Bearer scope="read""#]);
        world.idp.behave(|manner| {
            let scopes = if listed { json!(["read", "offline_access"]) } else { json!(["read"]) };
            manner.metadata()["scopes_supported"] = scopes;
        });
        world.logged_in().await;
        let asked = &world.idp.browsed()[0];
        let expected = if listed { ("read offline_access", Some("consent")) } else { ("read", None) };
        assert_eq!((asked.must("scope"), asked.one("prompt")), expected);
    }
}

#[tokio::test]
async fn cl_45_cl_46_the_resource_is_sent_byte_for_byte_with_every_request() {
    for ending in ["", "/"] {
        let world = World::start().await;
        let resource = format!("{}{ending}", world.mcp.url().replace("http://", "HTTP://"));
        world.mcp.say("resource", resource.clone());
        let process = world.logged_in().await;
        world.idp.forget_access_tokens();
        assert_eq!(process.call().await.status, StatusCode::OK);
        for asked in world.idp.asked("/authorize").iter().chain(&world.idp.asked("/token")) {
            assert_eq!(asked.must("resource"), resource, "{}", asked.path);
        }
        assert_eq!(world.idp.granted("refresh_token").len(), 1);
    }
    let mut world = World::start().await;
    world.settings.resource = Some("https://mine.example".to_owned());
    world.logged_in().await;
    assert_eq!(world.idp.browsed()[0].must("resource"), "https://mine.example");
    assert_eq!(world.process().await.call().await.status, StatusCode::OK, "also after a restart");
    assert_eq!(world.user.opened().len(), 1);
}

#[tokio::test]
async fn cl_49_a_step_up_asks_for_the_union_and_repeats_the_request() {
    let world = World::start().await;
    world.mcp.challenge(&[r#"Bearer scope="read""#]);
    wants(&world, &["read", "write", "admin"]);
    let process = world.process().await;
    assert_eq!(process.call().await.status, StatusCode::OK);
    assert_eq!(scopes(&world.idp), ["read", "read write", "read write admin"]);
    assert_eq!(world.mcp.asked("/mcp").len(), 4, "none, and one for each authorization request");
    // What was granted once is asked for again.
    world.idp.forget_access_tokens();
    world.idp.forget_refresh_tokens();
    world.clock.advance(A_MINUTE * 30);
    assert_eq!(process.call().await.status, StatusCode::OK);
    assert_eq!(scopes(&world.idp)[3..], ["read write admin"]);
}

#[tokio::test]
async fn cl_49_one_request_leads_to_at_most_three_authorization_requests() {
    let world = World::start().await;
    let number = AtomicUsize::new(0);
    world.mcp.on(move |_, issued| {
        issued?;
        let number = number.fetch_add(1, Ordering::SeqCst);
        let challenge = format!(r#"Bearer error="insufficient_scope", scope="more-{number}""#);
        Some(challenged(403, &[challenge]))
    });
    let process = world.process().await;
    let got = process.call().await;
    assert_eq!((got.status, got.body.as_str()), (StatusCode::FORBIDDEN, "no"), "the server's own answer");
    assert_eq!(world.idp.browsed().len(), 3);
    // The next request does not go on at once.
    let got = process.call().await;
    assert_eq!(got.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(got.body.contains("not tried before"), "{}", got.body);
    assert_eq!(world.idp.browsed().len(), 3);
}

/// 401, then more scope twice, then 401 again: the client must not look for an authorization server here.
#[tokio::test]
async fn a_client_never_sees_the_servers_401() {
    let world = World::start().await;
    world.mcp.challenge(&[r#"Bearer scope="a""#]);
    world.mcp.on(|_, issued| match issued?.scope.as_str() {
        "a" => Some(challenged(403, &[r#"Bearer error="insufficient_scope", scope="b""#])),
        "a b" => Some(challenged(403, &[r#"Bearer error="insufficient_scope", scope="c""#])),
        _ => Some(challenged(401, &["Bearer"])),
    });
    let got = world.process().await.call().await;
    assert_eq!(got.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(got.body.contains("login_required"), "{}", got.body);
    assert_eq!(scopes(&world.idp), ["a", "a b", "a b c"]);
}

#[tokio::test]
async fn cl_49_what_was_asked_for_and_not_granted_is_the_servers_last_word() {
    let world = World::start().await;
    world.mcp.challenge(&[r#"Bearer scope="read""#]);
    world.mcp.on(|_, issued| {
        issued?;
        Some(challenged(403, &[r#"Bearer error="insufficient_scope", scope="read""#]))
    });
    let process = world.process().await;
    for _ in 0..3 {
        let got = process.call().await;
        assert_eq!((got.status, got.body.as_str()), (StatusCode::FORBIDDEN, "no"));
        assert!(!got.headers.contains_key("www-authenticate"));
    }
    assert_eq!(world.idp.browsed().len(), 1);
}

#[tokio::test]
async fn cl_49_a_refused_step_up_keeps_the_login() {
    let world = World::start().await;
    world.mcp.challenge(&[r#"Bearer scope="read""#]);
    let process = world.logged_in().await;
    wants(&world, &["write"]);
    world.idp.behave(|manner| {
        manner.on(|asked| {
            let wants_more = asked.one("scope").is_some_and(|scope| scope.contains("write"));
            (asked.by_browser() && wants_more).then(|| redirected_error(asked, "access_denied"))
        });
    });
    let got = process.call().await;
    assert_eq!(got.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(got.body.contains("access_denied"), "{}", got.body);
    assert_eq!(process.call().await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(world.user.opened().len(), 2, "no tab after the other");
    assert_eq!(*process.session.state().borrow(), AuthState::Unauthenticated);
    world.mcp.on(|_, _| None);
    assert_eq!(process.call().await.status, StatusCode::OK, "the token is as good as before");
    assert_eq!(*process.session.state().borrow(), AuthState::Authenticated);
}

#[tokio::test]
async fn cl_49_requests_that_need_more_at_once_share_the_step_up() {
    let world = World::start().await;
    world.mcp.challenge(&[r#"Bearer scope="read""#]);
    let process = world.logged_in().await;
    wants(&world, &["write"]);
    world.user.acts(Act::Waits);
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let process = process.clone();
            tokio::spawn(async move { process.call().await.status })
        })
        .collect();
    let url = world.user.is_asked(2).await;
    world.user.browse(&url).await;
    for call in calls {
        assert_eq!(call.await.unwrap(), StatusCode::OK);
    }
    assert_eq!(scopes(&world.idp), ["read", "read write"]);
}

/// A server that holds a client to the scope of its registration.
#[tokio::test]
async fn cl_49_a_client_that_was_registered_for_less_registers_anew() {
    let world = World::start().await;
    world.mcp.challenge(&[r#"Bearer scope="read""#]);
    world.idp.behave(|manner| {
        manner.supports_documents(false);
        manner.on(|asked| {
            let is_first = asked.one("client_id") == Some("registered-1");
            let is_more = asked.path == "/authorize" && asked.one("scope") != Some("read");
            (is_first && is_more).then(|| redirected_error(asked, "invalid_scope"))
        });
    });
    let process = world.logged_in().await;
    wants(&world, &["write"]);
    assert_eq!(process.call().await.status, StatusCode::OK);
    let registered: Vec<_> =
        world.idp.asked("/register").iter().map(|asked| asked.json()["scope"].clone()).collect();
    assert_eq!(registered, [json!("read"), json!("read write")]);
}
