//! The MCP conformance suite's server mode: a real MCP server gets the same verdict directly and through the gateway.

use std::collections::BTreeMap;

use serde_json::json;

use crate::conformance::{Check, checks};
use crate::support::{Gateway, Scene, free_port, package};

/// The verdicts of one run of the suite against the MCP server at `url`.
async fn verdicts(scene: &Scene, name: &str, url: &str, revision: &str) -> Vec<Check> {
    let results = scene.path(name);
    let suite = package("@modelcontextprotocol/conformance/dist/index.js");
    let arguments = [
        &suite,
        "server",
        "--url",
        url,
        "--requirements",
        revision,
        "--output-dir",
        results.to_str().unwrap(),
    ];
    // The exit code tells of failures, which the server may have: what counts is that they are the same ones.
    scene.node(name, &arguments).ended().await;
    checks(&results)
}

/// How often each verdict was given: some scenarios record a check for every message, in the order of arrival.
fn counted(checks: &[Check]) -> BTreeMap<&Check, usize> {
    let mut counted = BTreeMap::new();
    for check in checks {
        *counted.entry(check).or_default() += 1;
    }
    counted
}

async fn assert_same_verdict(scene: &Scene, revision: &str, least: usize) {
    let server = scene.node("mcp-server", &["mcp-server.mjs"]);
    let server_url = server.event("where it listens", |event| event["url"].is_string()).await;
    let server_url = server_url["url"].as_str().unwrap();

    // The suite cannot log in, so a shim adds the token. It keeps the Host header, so it is what clients call the gateway.
    let shim = scene.node("bearer-shim", &["bearer-shim.mjs"]);
    let public = shim.event("where it listens", |event| event["url"].is_string()).await;
    let public = public["url"].as_str().unwrap();
    let listen = format!("127.0.0.1:{}", free_port());
    let yaml = format!("{{publicUrl: '{public}', server: {{url: '{server_url}'}}}}");
    let gateway = Gateway::configured(scene, &["--dev", "--listen", &listen], public, &yaml).await;

    let control = format!("{public}/__shim");
    let target = format!("http://{listen}");
    let tell = async |message: serde_json::Value| {
        let answer = scene.curl(&["-X", "PUT", "-d", &message.to_string(), &control]).await;
        assert_eq!(answer.status, 200);
    };
    tell(json!({"target": target})).await;
    let report = scene.report("sdk-client.mjs", &["--url", &gateway.url, "--register", "dcr"]).await;
    tell(json!({"target": target, "token": report["accessToken"]})).await;

    let direct = verdicts(scene, "direct", server_url, revision).await;
    let proxied = verdicts(scene, "proxied", &gateway.url, revision).await;
    let good = direct.iter().filter(|check| check.status == "SUCCESS").count();
    assert!(good >= least, "the server itself passes only {good} checks");
    let (direct, proxied) = (counted(&direct), counted(&proxied));
    let differ = |(check, count): &(&&Check, &usize), other: &BTreeMap<&Check, usize>| {
        other.get(*check) != Some(count)
    };
    let only_direct: Vec<_> = direct.iter().filter(|entry| differ(entry, &proxied)).collect();
    let only_proxied: Vec<_> = proxied.iter().filter(|entry| differ(entry, &direct)).collect();
    assert!(
        only_direct.is_empty() && only_proxied.is_empty(),
        "direct {only_direct:#?}\nproxied {only_proxied:#?}"
    );
    gateway.stop(scene, 4).await;
    drop((server, shim));
}

#[tokio::test]
async fn a_server_with_sessions_gets_the_same_verdict_through_the_gateway() {
    let scene = Scene::new("transparency-2025-11-25");
    assert_same_verdict(&scene, "2025-11-25", 84).await;
}

#[tokio::test]
async fn a_stateless_server_gets_the_same_verdict_through_the_gateway() {
    let scene = Scene::new("transparency-2026-07-28");
    assert_same_verdict(&scene, "2026-07-28", 120).await;
}
