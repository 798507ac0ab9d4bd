use std::sync::Arc;

use http::HeaderName;
use serde_json::{Value, json};
use thv_gateway::devserver::DevServer;
use thv_telemetry::Metrics;
use tokio_util::sync::CancellationToken;

use crate::support::Wire;

const STATELESS: &str = "2026-07-28";

async fn start(stop: &CancellationToken) -> DevServer {
    let header = HeaderName::from_static("x-api-key");
    DevServer::start(Some(header), Arc::new(Metrics::new("0")), stop.clone()).await.unwrap()
}

/// One stateless request; everything that comes back, head and body.
async fn call(server: &DevServer, method: &str, mut params: Value, headers: &str) -> String {
    params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!(STATELESS);
    params["_meta"]["io.modelcontextprotocol/clientInfo"] = json!({"name": "test", "version": "0"});
    params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
    let name = params["name"].as_str().map(|name| format!("Mcp-Name: {name}\r\n")).unwrap_or_default();
    let mut wire = Wire::open(server.address).await;
    wire.send(&format!(
        "POST /mcp HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: {STATELESS}\r\n\
         Mcp-Method: {method}\r\n{name}{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        server.address,
        body.len(),
    ))
    .await;
    wire.read_to_end().await
}

#[tokio::test]
async fn whoami_shows_what_the_gateway_says_but_no_credential() {
    let stop = CancellationToken::new();
    let server = start(&stop).await;
    let headers = "X-Thv-Subject: alice\r\nX-Thv-Client-Id: https://c.example/m\r\nX-Thv-Scope: openid email\r\n\
                   Authorization: Bearer s3cret\r\n";
    let answer = call(&server, "tools/call", json!({"name": "whoami", "arguments": {}}), headers).await;
    for part in [
        r#""subject":"alice""#,
        r#""clientId":"https://c.example/m""#,
        r#"["openid","email"]"#,
        r#""length":6"#,
    ] {
        assert!(answer.contains(part), "{part} is missing from {answer}");
    }
    assert!(!answer.contains("s3cret"), "{answer}");
    let custom = call(&server, "tools/call", json!({"name": "whoami"}), "X-Api-Key: k3y\r\n").await;
    assert!(custom.contains(r#""header":"x-api-key""#), "{custom}");
    stop.cancel();
    server.task.await.unwrap();
}

#[tokio::test]
async fn countdown_reports_every_step() {
    let stop = CancellationToken::new();
    let server = start(&stop).await;
    let params = json!({
        "name": "countdown", "arguments": {"from": 3, "intervalMs": 0}, "_meta": {"progressToken": "t"},
    });
    let answer = call(&server, "tools/call", params, "").await;
    assert_eq!(answer.matches("notifications/progress").count(), 4, "{answer}");
    assert!(answer.contains("counted down from 3"), "{answer}");
    let refused =
        call(&server, "tools/call", json!({"name": "countdown", "arguments": {"from": 5000}}), "").await;
    assert!(refused.contains(r#""isError":true"#), "{refused}");
}

#[tokio::test]
async fn tools_are_listed_in_the_session_era_as_well() {
    let stop = CancellationToken::new();
    let server = start(&stop).await;
    let stateless = call(&server, "tools/list", json!({}), "").await;
    for tool in ["whoami", "echo", "countdown"] {
        assert!(stateless.contains(&format!(r#""name":"{tool}""#)), "{stateless}");
    }
    let body = json!({
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "0"},
        },
    })
    .to_string();
    let mut wire = Wire::open(server.address).await;
    wire.send(&format!(
        "POST /mcp HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        server.address,
        body.len(),
    ))
    .await;
    let answer = wire.read_to_end().await.to_ascii_lowercase();
    assert!(answer.contains("mcp-session-id: ") && answer.contains("2025-11-25"), "{answer}");
}
