//! `examples/upstream-dcr`, as it is written.

use std::path::Path;

use tokio::process::Command;

use crate::login_chain::walk;
use crate::support::{Scene, free_port, thv};

#[tokio::test]
async fn the_example_runs_as_written_and_the_second_providers_token_arrives() {
    let scene = Scene::new("example-upstream-dcr");
    let ports = [free_port(), free_port(), free_port(), free_port()].map(|port| port.to_string());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/upstream-dcr");
    let mut command = Command::new(folder.join("run"));
    command.env("THV_BIN", thv()).env("TMPDIR", scene.folder());
    for (name, port) in ["THV_PORT", "CORP_PORT", "SECOND_PORT", "MCP_PORT"].into_iter().zip(&ports) {
        command.env(name, port);
    }
    let example = scene.start("run", command);
    let url = example
        .printed("where it listens", |text| {
            let line = text.lines().find_map(|line| line.strip_prefix("ready: "));
            line.and_then(|line| line.split(' ').next()).map(str::to_owned)
        })
        .await;
    assert_eq!(url, format!("http://127.0.0.1:{}/mcp", ports[0]));

    let report = walk(&scene, &url, &[]).await;
    assert_eq!(report["calls"][0]["subject"], "lovelace", "{report}");
    let (status, output) = example.terminate().await;
    assert!(status.success(), "{status}: {output}");
}
