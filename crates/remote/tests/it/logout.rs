//! Ending a login.

use http::StatusCode;
use secrecy::ExposeSecret;
use serde_json::json;
use thv_remote::error::LoginError;
use thv_remote::session::AuthState;

use crate::support::authorization_server::{page, refusal};
use crate::support::user::{Act, within};
use crate::support::world::World;

#[tokio::test]
async fn a_logout_revokes_both_tokens_and_forgets_them() {
    let world = World::start().await;
    let process = world.logged_in().await;
    let grant = world.keep.kept().grant.unwrap();
    let report = process.session.log_out(false).await.unwrap();
    assert!(
        report.was_logged_in && report.not_revoked.is_none() && report.not_deleted.is_empty(),
        "{report:?}"
    );
    let revoked: Vec<_> =
        world.idp.asked("/revoke").iter().map(|asked| asked.must("token").to_owned()).collect();
    assert_eq!(revoked, [grant.refresh_token.unwrap().expose_secret(), grant.access_token.expose_secret()]);
    let asked = &world.idp.asked("/revoke")[0];
    assert_eq!(
        (asked.must("client_id"), asked.must("token_type_hint")),
        (&*grant.client_id, "refresh_token")
    );
    let kept = world.keep.kept();
    assert!(kept.grant.is_none() && kept.logged_out);
    assert!(!process.session.log_out(false).await.unwrap().was_logged_in);
}

#[tokio::test]
async fn after_a_logout_no_browser_opens_until_the_user_logs_in() {
    let world = World::start().await;
    let process = world.logged_in().await;
    process.session.log_out(false).await.unwrap();
    assert_eq!(*process.session.state().borrow(), AuthState::Unauthenticated);
    for process in [process.clone(), world.process().await] {
        let looked = world.mcp.looked_for().len();
        for _ in 0..2 {
            let got = process.call().await;
            assert_eq!(got.status, StatusCode::SERVICE_UNAVAILABLE);
            assert!(got.body.contains("logged out"), "{}", got.body);
        }
        assert!(process.session.prepare().await.is_err());
        assert_eq!(world.mcp.looked_for().len(), looked, "nothing is looked for in vain");
    }
    assert_eq!(world.user.opened().len(), 1);
    process.log_in().await.unwrap();
    assert_eq!(process.call().await.status, StatusCode::OK);
    assert_eq!(world.user.opened().len(), 2);
    assert!(!world.keep.kept().logged_out);
}

#[tokio::test]
async fn a_failed_login_leaves_a_logout_in_force() {
    let world = World::start().await;
    let process = world.logged_in().await;
    process.session.log_out(false).await.unwrap();
    world
        .idp
        .behave(|manner| manner.on(|asked| (asked.path == "/token").then(|| refusal(400, "invalid_grant"))));
    assert!(process.log_in().await.is_err());
    assert!(world.keep.kept().logged_out);
    assert_eq!(process.call().await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(world.user.opened().len(), 2);
}

#[tokio::test]
async fn what_could_not_be_revoked_is_forgotten_and_reported() {
    for down in [true, false] {
        let world = World::start().await;
        let process = world.logged_in().await;
        if down {
            world.idp.server.down();
        } else {
            world.idp.behave(|manner| {
                manner.on(|asked| (asked.path == "/revoke").then(|| page(503, "text/plain", "")))
            });
        }
        let report = process.session.log_out(false).await.unwrap();
        assert!(report.not_revoked.is_some());
        assert!(world.keep.kept().grant.is_none());
    }
    let world = World::start().await;
    world.idp.behave(|manner| drop(manner.metadata().as_object_mut().unwrap().remove("revocation_endpoint")));
    let report = world.logged_in().await.session.log_out(false).await.unwrap();
    assert!(report.not_revoked.unwrap().contains("no revocation endpoint"));
}

#[tokio::test]
async fn r10_registrations_are_deleted_where_that_is_wanted() {
    for (status, is_deleted) in [(204, true), (405, false)] {
        let world = World::start().await;
        let uri = world.idp.server.url("/register/1");
        world.idp.behave(|manner| {
            manner.supports_documents(false);
            manner.registration =
                json!({"registration_client_uri": uri, "registration_access_token": "manage"});
            manner.on(move |asked| (asked.method == "DELETE").then(|| page(status, "text/plain", "")));
        });
        let process = world.logged_in().await;
        process.session.log_out(false).await.unwrap();
        assert!(
            world.keep.kept().registrations.contains_key(&world.idp.issuer()),
            "it is of use at the next login"
        );
        let report = process.session.log_out(true).await.unwrap();
        assert_eq!(report.not_deleted.is_empty(), is_deleted, "{report:?}");
        let [asked] = &world.idp.asked("/register/1")[..] else { panic!("one request") };
        assert_eq!((asked.method.as_str(), asked.header("authorization")), ("DELETE", Some("Bearer manage")));
        assert!(world.keep.kept().registrations.is_empty());
    }
}

#[tokio::test]
async fn t_6_the_document_survives_the_end_of_all_registrations() {
    let world = World::start().await;
    let process = world.logged_in().await;
    process.session.log_out(true).await.unwrap();
    assert!(world.keep.kept().metadata_documents.contains_key(&world.idp.issuer()));
}

#[tokio::test]
async fn a_login_that_waits_for_its_user_holds_up_nobody_and_does_not_outlast_a_logout() {
    let world = World::start().await;
    drop(world.logged_in().await);
    world.user.acts(Act::Waits);
    let daemon = world.process().await;
    let login = tokio::spawn(async move { daemon.log_in().await });
    let url = world.user.is_asked(2).await;
    assert!(world.keep.is_idle());
    let command = world.process().await;
    assert!(within(command.session.log_out(false)).await.unwrap().was_logged_in);
    let page = world.user.browse(&url).await;
    assert_eq!(page.status(), StatusCode::OK);
    let error = within(login).await.unwrap().unwrap_err();
    assert!(matches!(*error, LoginError::LoggedOut), "{error:?}");
    assert!(world.keep.kept().grant.is_none());
    let revoked = world.idp.asked("/revoke");
    assert_eq!(revoked.len(), 4, "those of the old login, and those of the one that came too late");
}
