//! An OpenID provider as upstream.

use serde_json::{Value, json};

use crate::support::{Crowd, Gateway, Production, Scene, Settings};

/// Logs in with the SDK's client and returns what the MCP server saw of it.
async fn whoami(scene: &Scene, gateway: &Gateway) -> (Value, Value) {
    let (cert, key) = (scene.pki.cert.to_str().unwrap(), scene.pki.key.to_str().unwrap());
    let arguments =
        ["--url", &gateway.url, "--register", "dcr", "--cert", cert, "--key", key, "--call", "whoami={}"];
    let report = scene.report("sdk-client.mjs", &arguments).await;
    let seen = serde_json::from_str(report["calls"]["whoami"]["text"].as_str().unwrap()).unwrap();
    (report, seen)
}

#[tokio::test]
async fn a_login_at_the_provider_puts_its_token_into_calls_and_nothing_of_the_clients() {
    let scene = Scene::new("oidc-upstream");
    let settings = Settings { tls: false, token_seconds: 3600, clients: "[]" };
    let production = Production::start(&scene, settings).await;
    let (report, seen) = whoami(&scene, &production.gateway).await;

    let paths: Vec<&str> =
        report["pages"].as_array().unwrap().iter().filter_map(|page| page["path"].as_str()).collect();
    assert!(paths[0].starts_with("/oauth/"), "consent comes before the provider: {paths:?}");
    assert!(paths[1].starts_with("/interaction/"), "{paths:?}");

    let tokens = production.provider.handed_out("authorization_code");
    assert_eq!(tokens.len(), 1, "{tokens:?}");
    assert_eq!(seen["scheme"], "Bearer");
    assert_eq!(seen["sha256"], tokens[0]["sha256"], "the provider's token arrived");
    assert_eq!(seen["client"], report["clientId"]);
    assert!(!seen["names"].as_array().unwrap().contains(&json!("cookie")));
    assert_eq!(
        production.provider.handed_out("refresh_token"),
        [] as [Value; 0],
        "a fresh token is not refreshed"
    );
    production.gateway.stop(&scene, 8).await;
}

#[tokio::test]
async fn a_provider_token_about_to_expire_is_refreshed_before_the_call() {
    let scene = Scene::new("oidc-upstream-refresh");
    let settings = Settings { tls: false, token_seconds: 5, clients: "[]" };
    let production = Production::start(&scene, settings).await;
    let crowd = Crowd::gather(&scene, &production.gateway.url, 1);
    production.provider.refreshed(1).await;
    crowd.all_call(2).await;
    let [person] = &crowd.disperse().await[..] else { panic!("one person") };

    assert_eq!(person["logins"].as_array().unwrap().len(), 1, "{person}");
    assert_eq!((&person["failures"], &person["unavailable"]), (&json!([]), &json!(0)), "{person}");
    let renewed = production.provider.handed_out("refresh_token");
    assert!(renewed.iter().any(|token| token["sha256"] == person["sha256"]), "{renewed:?} holds {person}");
    assert_eq!(production.provider.events("error"), [] as [Value; 0]);
    production.gateway.stop(&scene, 8).await;
}
