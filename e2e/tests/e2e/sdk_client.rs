//! The MCP TypeScript SDK's client against `thv serve --dev`.

use serde_json::{Value, json};

use crate::support::{Gateway, Scene};

const CALLS: [&str; 6] = [
    "--call",
    "whoami={}",
    "--call",
    r#"echo={"text":"Grüße"}"#,
    "--call",
    r#"countdown={"from":3,"intervalMs":10}"#,
];

async fn log_in(scene: &Scene, gateway: &Gateway, register: &str, more: &[&str]) -> Value {
    let (cert, key) = (scene.pki.cert.to_str().unwrap(), scene.pki.key.to_str().unwrap());
    let fixed = ["--url", &gateway.url, "--register", register, "--cert", cert, "--key", key];
    scene.report("sdk-client.mjs", &[&fixed, more].concat()).await
}

/// What both kinds of registration have in common.
fn assert_full_session(scene: &Scene, gateway: &Gateway, report: &Value) {
    assert_eq!(report["challenged"], true, "a client without a token is told to log in");
    assert_eq!(report["logins"], 1, "one login, the refresh needs none");
    assert_eq!(report["authorization"]["resource"], *gateway.url);
    assert_eq!(report["authorization"]["code_challenge_method"], "S256");
    assert_eq!(report["callback"]["iss"], gateway.origin(), "RFC 9207");
    assert_eq!(report["callback"]["state"], report["authorization"]["state"]);
    assert_eq!(report["tokenType"], "Bearer");
    assert_eq!(report["tools"], json!(["whoami", "echo", "countdown"]));

    let calls = &report["calls"];
    let whoami: Value = serde_json::from_str(calls["whoami"]["text"].as_str().unwrap()).unwrap();
    assert_eq!(whoami["subject"], "dev:dev", "the provider's name and the user's");
    assert_eq!(whoami["clientId"], report["clientId"]);
    assert_eq!(calls["echo"]["text"], "Grüße");
    assert_eq!(calls["countdown"]["progress"], json!([0, 1, 2, 3]));
    assert_eq!(calls["countdown"]["isError"], false);

    assert_eq!(report["refresh"], json!({"newAccessToken": true, "newRefreshToken": true}));
    assert!(
        scene.secrets().contains(report["accessToken"].as_str().unwrap()),
        "what must not be logged is known"
    );
}

#[tokio::test]
async fn a_cimd_client_nobody_registered_logs_in_calls_tools_and_refreshes() {
    let scene = Scene::new("sdk-client-cimd");
    let gateway = Gateway::development(&scene).await;
    let report = log_in(&scene, &gateway, "cimd", &CALLS).await;
    assert_full_session(&scene, &gateway, &report);
    assert_eq!(report["clientId"], report["documentUrl"]);
    assert_eq!(report["documentRequests"], 1, "the document is fetched once and then cached");
    let consent = report["pages"][0]["html"].as_str().unwrap();
    assert!(consent.contains("End-to-end client"), "{consent}");
    gateway.stop(&scene, 6).await;
}

#[tokio::test]
async fn a_dcr_client_logs_in_calls_tools_and_refreshes() {
    let scene = Scene::new("sdk-client-dcr");
    let gateway = Gateway::development(&scene).await;
    let report = log_in(&scene, &gateway, "dcr", &CALLS).await;
    assert_full_session(&scene, &gateway, &report);
    assert!(report["documentUrl"].is_null());
    gateway.stop(&scene, 6).await;
}

#[tokio::test]
async fn a_user_who_declines_sends_the_client_back_with_access_denied() {
    let scene = Scene::new("sdk-client-declined");
    let gateway = Gateway::development(&scene).await;
    let report = log_in(&scene, &gateway, "dcr", &["--decision", "deny"]).await;
    assert_eq!(report["callback"]["error"], "access_denied");
    assert_eq!(report["callback"]["iss"], gateway.origin());
    assert_eq!(report["callback"]["state"], report["authorization"]["state"]);
    assert!(report["tools"].is_null());
    gateway.stop(&scene, 1).await;
}
