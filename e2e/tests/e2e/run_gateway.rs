//! `thv run` in front of a remote MCP server that `thv serve` protects.

use serde_json::Value;

use crate::support::{Document, Gateway, Machine, Production, Scene, Settings, free_port, whoami};

/// The words of `thv run` with a metadata document.
fn by<'a>(url: &'a str, document: &'a str, port: &'a str) -> Vec<&'a str> {
    let client = ["--remote-auth-client-metadata-url", document, "--remote-auth-callback-port", port];
    [&["run", url, "--name", "gateway"], &client[..]].concat()
}

#[tokio::test]
async fn a_user_consents_at_the_gateway_and_a_crash_of_either_side_costs_no_second_login() {
    let scene = Scene::new("run-gateway");
    let mut machine = Machine::new(&scene);
    // A key beside the file in place of a password.
    machine.set("TOOLHIVE_SECRETS_PASSWORD", "");
    let settings = Settings { tls: true, token_seconds: 3600, clients: "[]" };
    let production = Production::start(&scene, settings).await;
    let port = free_port().to_string();
    let document = Document::of_run(&scene, &port, "native").await;
    let words = by(&production.gateway.url, &document.url, &port);

    let without = machine.url(&words).await;
    let answer = scene.curl(&["--json", "{}", &without]).await;
    assert_eq!((answer.status, &answer.json()["error"]), (502, &Value::from("server_unreachable")));
    assert!(answer.body.contains("certificate"), "nobody vouches for it: {}", answer.body);
    machine.tabs(0).await;
    machine.ok(&["rm", "--force", "gateway"]).await;

    let url = machine.url(&[&words[..], &["--ca-bundle", scene.pki.ca.to_str().unwrap()]].concat()).await;
    let seen = whoami(&scene, &url).await;
    assert_eq!(seen["client"], document.url);
    let tab = &machine.tabs(1).await[0];
    assert!(tab["pages"][0]["at"].as_str().unwrap().ends_with("/oauth/authorize"), "{tab}");

    let gateway = production.gateway.kill(&scene).await;
    machine.kill("gateway").await;
    let gateway = gateway.start_again(&scene).await;
    assert_eq!(machine.url(&["start", "gateway"]).await, url);
    assert_eq!(whoami(&scene, &url).await["client"], document.url);
    machine.tabs(1).await;

    machine.ok(&["rm", "--force", "gateway"]).await;
    machine.assert_clean(&scene, 8);
    gateway.stop(&scene, 8).await;
}

#[tokio::test]
async fn a_user_who_declines_is_not_asked_again_in_another_way() {
    let scene = Scene::new("run-gateway-declined");
    let mut machine = Machine::new(&scene);
    machine.set("THV_E2E_DECISION", "deny");
    let gateway = Gateway::development(&scene).await;
    let port = free_port().to_string();
    let document = Document::of_run(&scene, &port, "native").await;
    let refused = machine.refused(&by(&gateway.url, &document.url, &port)).await;
    assert!(refused.contains("access_denied"), "{refused}");
    let tab = &machine.tabs(1).await[0];
    assert_eq!(tab["answer"]["status"], 400);
    assert!(tab["answer"]["html"].as_str().unwrap().contains("did not succeed"), "{tab}");
    gateway.stop(&scene, 0).await;
}

#[tokio::test]
async fn a_document_that_the_gateway_cannot_read_leads_to_a_registration() {
    let scene = Scene::new("run-gateway-fallback");
    let machine = Machine::new(&scene);
    let gateway = Gateway::development(&scene).await;
    let port = free_port().to_string();
    let nowhere = format!("https://localhost:{}/client.json", free_port());
    let url = machine.url(&by(&gateway.url, &nowhere, &port)).await;
    let seen = whoami(&scene, &url).await;
    let tab = &machine.tabs(1).await[0];
    assert_eq!(seen["clientId"], tab["opened"]["query"]["client_id"]);
    assert_ne!(seen["clientId"], Value::from(nowhere));
    machine.ok(&["rm", "--force", "gateway"]).await;
    machine.assert_clean(&scene, 4);
    gateway.stop(&scene, 4).await;
}
