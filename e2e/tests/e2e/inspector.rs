//! The MCP Inspector's command line, by the line that `thv serve --dev` prints.

use serde_json::Value;

use crate::support::{Gateway, Scene, package};

/// The Inspector's callback, which it always listens on.
const CALLBACK: &str = "http%3A%2F%2F127.0.0.1%3A6276%2Foauth%2Fcallback";

#[tokio::test]
async fn the_printed_inspector_line_lists_the_tools_after_a_login() {
    let scene = Scene::new("inspector");
    let gateway = Gateway::development(&scene).await;

    let printed = gateway.output();
    let line = printed.lines().map(str::trim).find(|line| line.starts_with("npx "));
    let words: Vec<&str> = line.expect("a line for the Inspector").split(' ').skip(1).collect();
    let (program, arguments) = words.split_first().unwrap();
    let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/node/package.json")).unwrap();
    let pinned: Value = serde_json::from_str(&lock).unwrap();
    let version = pinned["dependencies"]["@modelcontextprotocol/inspector"].as_str().unwrap();
    assert_eq!(
        *program,
        format!("@modelcontextprotocol/inspector@{version}"),
        "the version that is tested is printed"
    );

    let inspector = package("@modelcontextprotocol/inspector/clients/launcher/build/index.js");
    let command =
        [&["scripted-login.mjs", "--", "node", &inspector], arguments, &["--format", "json"]].concat();
    let run = scene.node("inspector", &command);
    run.printed("an authorization URL", |text| text.contains(CALLBACK).then_some(())).await;
    let stdout = run.succeeded().await;
    let report: Value = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}"));
    let tools: Vec<&str> = report["result"]["tools"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|tool| tool["name"].as_str())
        .collect();
    assert_eq!(tools, ["whoami", "echo", "countdown"]);
    gateway.stop(&scene, 4).await;
}
