//! An upstream of which the operator knows nothing but where its metadata is.

use serde_json::Value;

use crate::support::{Crowd, Provider, Scene, discovered, gateway_with, registered_oidc};

/// The log lines that contain all of these.
fn lines_with(log: &str, parts: &[&str]) -> usize {
    log.lines().filter(|line| parts.iter().all(|part| line.contains(part))).count()
}

fn without_new_logins(report: &[Value]) {
    for person in report {
        assert_eq!(person["logins"].as_array().unwrap().len(), 1, "{person}");
        assert_eq!(person["mistaken"], 0, "{person}");
    }
}

#[tokio::test]
async fn a_discovery_url_suffices_and_a_restart_registers_nothing_and_logs_nobody_out() {
    let scene = Scene::new("registration");
    let corp = Provider::oidc(&scene, "corp", &["--register"]).await;
    // So short that every phase of this test sees refreshes.
    let second = Provider::plain(&scene, "second", &["--access-token-seconds", "10"]).await;
    let (_server, backend) = second.token_server(&scene).await;
    let upstreams = [registered_oidc("corp", &corp.issuer), discovered("second", &second.issuer, "")];
    let gateway = gateway_with(&scene, &backend, &upstreams).await;

    let crowd = Crowd::gather(&scene, &gateway.url, 2);
    crowd.until("two calls of each", |progress| progress["least"].as_u64() >= Some(2)).await;
    assert_eq!((corp.count("registered"), second.count("registered")), (1, 1));
    let client = second.events("registered")[0]["client"].as_str().unwrap().to_owned();
    let log = gateway.output();
    assert_eq!(lines_with(&log, &[" INFO ", "registered at upstream", &client, "second"]), 1, "{log}");
    second.answered("refresh_token", 2).await;

    // A restart: the store has the registration, and everybody's tokens.
    let discoveries = second.count("discovery");
    let refreshes = second.handed_out("refresh_token").len();
    let gateway = gateway.stop(&scene, 12).await.start_again(&scene).await;
    second.answered("refresh_token", refreshes + 2).await;
    crowd.all_call(2).await;
    assert_eq!((corp.count("registered"), second.count("registered")), (1, 1), "the registrations were kept");
    // Those who use it look once whether its metadata has changed.
    assert!(second.count("discovery") <= discoveries + 1, "{}", second.count("discovery"));
    without_new_logins(&crowd.disperse().await);
    assert_eq!((corp.count("reused"), second.count("reused")), (0, 0));
    gateway.stop(&scene, 12).await;
}

#[tokio::test]
async fn a_registration_that_the_provider_forgot_is_replaced_once_and_only_that_login_is_repeated() {
    let scene = Scene::new("registration-forgotten");
    let corp = Provider::oidc(&scene, "corp", &["--register"]).await;
    let second = Provider::oidc(&scene, "second", &["--register", "--access-token-seconds", "10"]).await;
    let (_server, backend) = second.token_server(&scene).await;
    let upstreams = [registered_oidc("corp", &corp.issuer), discovered("second", &second.issuer, "")];
    let gateway = gateway_with(&scene, &backend, &upstreams).await;

    let crowd = Crowd::gather(&scene, &gateway.url, 3);
    crowd.until("two calls of each", |progress| progress["least"].as_u64() >= Some(2)).await;
    assert_eq!(second.count("registered"), 1);

    second.forget_clients(&scene).await;
    second.happened("registered", 2).await;
    second.answered("authorization_code", 6).await;
    crowd.all_call(2).await;
    assert_eq!(second.count("registered"), 2, "one registration for all who need it");
    assert_eq!(corp.count("authorized"), 3, "nobody logged in to the first provider again");
    let log = gateway.output();
    assert!(lines_with(&log, &[" WARN ", "invalid_client", "second"]) > 0, "{log}");
    for person in crowd.disperse().await {
        assert_eq!(person["stuck"], 0, "the client logs in by itself: {person}");
        assert_eq!(person["mistaken"], 0, "{person}");
    }
    gateway.stop(&scene, 12).await;
}

#[tokio::test]
async fn an_initial_access_token_a_resource_and_a_restart_of_the_provider() {
    let scene = Scene::new("registration-initial-token");
    let corp = Provider::oidc(&scene, "corp", &["--register"]).await;
    let resource = "https://tools.example/mcp";
    let (token, state) = ("initial-access-token-from-the-provider", scene.path("provider-state"));
    let arguments = ["--register", "--initial-access-token", token, "--resource", resource];
    let arguments =
        [&arguments[..], &["--access-token-seconds", "10", "--state", state.to_str().unwrap()]].concat();
    let second = Provider::oidc(&scene, "second", &arguments).await;
    let (_server, backend) = second.token_server(&scene).await;
    let token = scene.write("initial-access-token", token);
    let upstream = format!(
        "{{name: second, type: oauth2, oauth2Config: {{scopes: ['mcp:tools'], resource: '{resource}', \
         dcrConfig: {{discoveryUrl: '{}/.well-known/oauth-authorization-server', softwareId: thv-e2e, \
         initialAccessTokenRef: {{file: {}}}}}}}}}",
        second.issuer,
        token.display()
    );
    let upstreams = [registered_oidc("corp", &corp.issuer), upstream];
    let gateway = gateway_with(&scene, &backend, &upstreams).await;

    let crowd = Crowd::gather(&scene, &gateway.url, 2);
    second.refreshed(2).await;
    let registered = second.events("registered");
    assert_eq!(registered.len(), 1);
    assert_eq!(registered[0]["metadata"]["software_id"], "thv-e2e");
    for token in second.events("token") {
        assert_eq!(token["resource"], resource, "{token}");
    }

    // Nothing is on its way when it ends.
    crowd.all_call(1).await;
    let second = second.start_again(&scene, "second", &arguments).await;
    second.refreshed(2).await;
    crowd.all_call(2).await;
    assert_eq!(second.count("registered"), 0, "the provider remembers");
    assert_eq!(second.count("reused"), 0);
    without_new_logins(&crowd.disperse().await);
    gateway.stop(&scene, 12).await;
}
