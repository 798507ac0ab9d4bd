//! The MCP conformance suite's authorization server mode.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{Document, Gateway, Production, Scene, Settings, free_port, package};

/// A client that the configuration names, and its secret.
const CONFIDENTIAL: (&str, &str) = ("confidential", "a preregistered client's secret");

/// `authServer.clients`: a public client for the suite.
fn public_client(port: u16) -> String {
    format!("{{clientId: registered-by-hand, redirectUris: ['http://127.0.0.1:{port}/callback']}}")
}

/// Runs both scenarios with a scripted login and asserts that every check of them succeeded.
async fn assert_conformant(scene: &Scene, gateway: &Gateway, port: u16, client: &str) {
    let results = scene.path("results");
    if results.exists() {
        fs::remove_dir_all(&results).unwrap();
    }
    let suite = package("@modelcontextprotocol/conformance/dist/index.js");
    let port = port.to_string();
    let mut arguments =
        vec!["scripted-login.mjs", "--", "node", &suite, "authorization", "--url", gateway.origin()];
    arguments.extend(["--resource", &gateway.url, "--client-id", client, "--port", &port]);
    arguments.extend(["--output-dir", results.to_str().unwrap()]);
    let output = scene.node("conformance", &arguments).succeeded().await;

    let checks = checks(&results);
    for scenario in ["authorization-server-metadata-endpoint", "authorization-code-grant"] {
        let of_this: Vec<&Check> = checks.iter().filter(|check| check.scenario.ends_with(scenario)).collect();
        let succeeded = of_this.iter().filter(|check| check.status == "SUCCESS").count();
        assert!(succeeded > 0, "{scenario} has checked nothing:\n{output}");
        for check in of_this {
            assert!(matches!(&*check.status, "SUCCESS" | "INFO"), "{check:?}\n{output}");
        }
    }
}

#[tokio::test]
async fn the_authorization_server_conforms_over_http_on_loopback() {
    let scene = Scene::new("conformance-http");
    let callback = free_port();
    let listen = format!("127.0.0.1:{}", free_port());
    let origin = format!("http://{listen}");
    let yaml = format!("{{publicUrl: '{origin}', authServer: {{clients: [{}]}}}}", public_client(callback));
    let gateway = Gateway::configured(&scene, &["--dev", "--listen", &listen], &origin, &yaml).await;
    assert_conformant_to_all_clients(&scene, &gateway, callback).await;
    gateway.stop(&scene, 9).await;
}

#[tokio::test]
async fn the_authorization_server_conforms_over_https_with_a_private_authority() {
    let scene = Scene::new("conformance-https");
    let callback = free_port();
    let (client_id, client_secret) = CONFIDENTIAL;
    let secret = scene.write("client-secret", client_secret);
    let confidential = format!(
        "{{clientId: {client_id}, clientSecretRef: {{file: {}}}, redirectUris: ['http://127.0.0.1:53682/callback']}}",
        secret.display()
    );
    let clients = format!("[{}, {confidential}]", public_client(callback));
    let settings = Settings { tls: true, token_seconds: 3600, clients: &clients };
    let production = Production::start(&scene, settings).await;
    assert_conformant_to_all_clients(&scene, &production.gateway, callback).await;

    // Where `none` is offered the suite never authenticates a client; the SDK does.
    let url = &production.gateway.url;
    let arguments =
        ["--url", url, "--register", "static", "--client-id", client_id, "--client-secret", client_secret];
    let report = scene.report("sdk-client.mjs", &[&arguments[..], &["--call", "whoami={}"]].concat()).await;
    assert_eq!(report["calls"]["whoami"]["isError"], false);
    assert_eq!(report["refresh"]["newAccessToken"], true);
    production.gateway.stop(&scene, 12).await;
}

/// Once each with a dynamically registered, a CIMD and a preregistered client.
async fn assert_conformant_to_all_clients(scene: &Scene, gateway: &Gateway, port: u16) {
    let registered = register(scene, gateway, port).await;
    assert_conformant(scene, gateway, port, &registered).await;

    let document = Document::serve(scene, &[]).await;
    assert_conformant(scene, gateway, port, &document.url).await;
    drop(document);

    assert_conformant(scene, gateway, port, "registered-by-hand").await;
}

async fn register(scene: &Scene, gateway: &Gateway, port: u16) -> String {
    let metadata = json!({
        "client_name": "conformance",
        "redirect_uris": [format!("http://127.0.0.1:{port}/callback")],
        "token_endpoint_auth_method": "none",
    });
    let endpoint = format!("{}/oauth/register", gateway.origin());
    let answer = scene.curl(&["--json", &metadata.to_string(), &endpoint]).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()["client_id"].as_str().unwrap().to_owned()
}

/// One verdict of the suite.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Check {
    pub(crate) scenario: String,
    pub(crate) id: String,
    pub(crate) status: String,
}

/// The verdicts in the suite's output folder, ordered.
pub(crate) fn checks(results: &Path) -> Vec<Check> {
    ran(results).iter().flat_map(|(scenario, folder)| checks_of(scenario, folder)).collect()
}

/// The scenarios in the suite's output folder by name, each with its folder, which is named `SCENARIO-TIME`. The name of a
/// scenario may be a path.
pub(crate) fn ran(results: &Path) -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    for folder in fs::read_dir(results).expect("results").map(|entry| entry.unwrap().path()) {
        let name = folder.file_name().unwrap().to_str().unwrap();
        if folder.join("checks.json").exists() {
            let time = name.len() - "-2026-01-01T00-00-00-000Z".len();
            found.insert(name[..time].to_owned(), folder);
        } else {
            found.extend(ran(&folder).into_iter().map(|(inner, path)| (format!("{name}/{inner}"), path)));
        }
    }
    found
}

/// The verdicts on one scenario, whose folder this is.
pub(crate) fn checks_of(scenario: &str, folder: &Path) -> Vec<Check> {
    let text = fs::read_to_string(folder.join("checks.json")).expect("checks.json");
    let listed: Vec<Value> = serde_json::from_str(&text).expect("a list of checks");
    let field = |check: &Value, name: &str| check[name].as_str().unwrap_or_default().to_owned();
    let check = |check| Check {
        scenario: scenario.to_owned(),
        id: field(check, "id"),
        status: field(check, "status"),
    };
    listed.iter().map(check).collect()
}
