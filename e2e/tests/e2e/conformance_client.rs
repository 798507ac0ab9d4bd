//! The MCP conformance suite's client mode: `thv run` is the client, with an MCP SDK client before it that knows nothing about
//! authorization, and the suite is server and authorization server.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::conformance::{checks_of, ran};
use crate::support::{Scene, package, script, thv};

/// Scenarios of extensions that `thv run` does not speak.
const EXTENSIONS: [&str; 6] = [
    "auth/client-credentials-basic",
    "auth/client-credentials-jwt",
    "auth/dpop",
    "auth/dpop-nonce",
    "auth/enterprise-managed-authorization",
    "auth/wif-jwt-bearer",
];

/// Scenarios in which the client is right to give up.
const GIVEN_UP: [&str; 7] = [
    "auth/iss-normalized",
    "auth/iss-supported-missing",
    "auth/iss-unexpected",
    "auth/iss-wrong-issuer",
    "auth/metadata-issuer-mismatch",
    "auth/resource-mismatch",
    "auth/scope-retry-limit",
];

/// The suite's server hands the awaited answer to whichever stream is opened next: with everything at once on one machine that
/// is at times one which a late reconnection opens. It runs once more alone.
const ALONE: &str = "sse-retry";

/// Runs scenarios at the same time; where each has its results.
async fn run(scene: &Scene, name: &str, which: &[&str]) -> BTreeMap<String, PathBuf> {
    let results = scene.artifacts().join(name);
    let suite = package("@modelcontextprotocol/conformance/dist/index.js");
    let wrapper = script("conformance-wrapper");
    // Milliseconds; the wrapper gives up before that.
    let fixed = [&suite, "client", "--command", &wrapper, "--timeout", "150000"];
    let output = ["--output-dir", results.to_str().unwrap()];
    let mut command = scene.node_command(&[&fixed, &output[..], which].concat());
    command.env("THV_BIN", thv()).env("CONFORMANCE_LOGS", scene.artifacts().join(format!("{name}-logs")));
    // It ends with 1 when anything has failed, also what is not scored.
    scene.start(name, command).ended().await;
    ran(&results)
}

/// What is wrong with a scenario: verdicts, and an MCP client that was not served.
fn complaints(scenario: &str, folder: &Path) -> Vec<String> {
    let checks = checks_of(scenario, folder);
    let succeeded = checks.iter().filter(|check| check.status == "SUCCESS").count();
    let mut found: Vec<String> = checks
        .iter()
        .filter(|check| !matches!(&*check.status, "SUCCESS" | "INFO" | "SKIPPED"))
        .map(|check| format!("{}: {}", check.status, check.id))
        .collect();
    if succeeded == 0 {
        found.push("nothing was checked".to_owned());
    }
    let printed = fs::read_to_string(folder.join("stdout.txt")).unwrap_or_default();
    let report = printed.lines().last().and_then(|line| serde_json::from_str::<Value>(line).ok());
    let served = report.is_some_and(|report| report["scenario"] == scenario && report["error"].is_null());
    if served == GIVEN_UP.contains(&scenario) {
        found.push(format!("the MCP client was served: {served}\n{printed}"));
    }
    found
}

/// Asserts that of all scenarios just those of the extensions have failed.
async fn assert_conformant(scene: &Scene, revision: &str, scenarios: usize) {
    let mut ran = run(scene, "suite", &["--requirements", revision]).await;
    assert_eq!(ran.len(), scenarios, "{:?}", ran.keys());
    if ran.remove(ALONE).is_some() {
        ran.extend(run(scene, "alone", &["--scenario", ALONE, "--spec-version", revision]).await);
    }
    let failed: BTreeMap<&str, Vec<String>> = ran
        .iter()
        .map(|(scenario, folder)| (scenario.as_str(), complaints(scenario, folder)))
        .filter(|(_, complaints)| !complaints.is_empty())
        .collect();
    let names: BTreeSet<&str> = failed.keys().copied().collect();
    assert_eq!(names, BTreeSet::from(EXTENSIONS), "{failed:#?}");
}

#[tokio::test]
async fn the_client_conforms_to_2025_11_25() {
    assert_conformant(&Scene::new("conformance-client-2025-11-25"), "2025-11-25", 25).await;
}

#[tokio::test]
async fn the_client_conforms_to_2026_07_28() {
    assert_conformant(&Scene::new("conformance-client-2026-07-28"), "2026-07-28", 39).await;
}

#[tokio::test]
async fn the_client_logs_in_at_servers_of_2025_03_26() {
    let scene = Scene::new("conformance-client-2025-03-26");
    let ran = run(&scene, "suite", &["--suite", "backcompat"]).await;
    assert_eq!(ran.len(), 2, "{:?}", ran.keys());
    for (scenario, folder) in &ran {
        assert_eq!(complaints(scenario, folder), [] as [String; 0], "{scenario}");
    }
}
