use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use crate::run::{command, thv_at};

/// `thv serve --dev`, ended with the test.
struct DevelopmentServer {
    child: Child,
    url: String,
}

impl DevelopmentServer {
    fn start() -> Self {
        let mut child = command(&["serve", "--dev", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let url = lines.find_map(|line| line.trim().strip_prefix("MCP URL").map(|url| url.trim().to_owned()));
        Self { child, url: url.unwrap() }
    }
}

impl Drop for DevelopmentServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn doctor_shows_what_a_login_would_find_and_keeps_nothing() {
    let home = tempfile::tempdir().unwrap();
    let server = DevelopmentServer::start();
    let text = thv_at(home.path(), &["doctor", &server.url], "");
    assert_eq!(text.code, Some(0), "{}", text.stderr);
    for part in [
        "wants a login with the scope",
        "✓ http://127.0.0.1:",
        "/.well-known/oauth-protected-resource/mcp",
        "✓ client ID metadata document",
        "✓ dynamic registration",
        "known by       protected resource metadata",
    ] {
        assert!(text.stdout.contains(part), "{part} is missing from\n{}", text.stdout);
    }
    assert!(!text.stdout.contains('\u{1b}'), "no colours in a pipe");
    let json = thv_at(home.path(), &["doctor", &server.url, "--json"], "");
    let found: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(found["ok"], true);
    assert_eq!(found["answer"], serde_json::json!({"status": 401, "wantsLogin": true}));
    assert_eq!(found["authorizationServer"]["clientIdMetadataDocumentSupported"], true);
    assert_eq!(found["authorizationServer"]["resource"], server.url);
    let left = std::fs::read_dir(home.path()).unwrap().count();
    assert_eq!(left, 0, "a survey leaves nothing behind");
}

#[test]
fn doctor_fails_where_no_way_is_open_and_says_what_helps() {
    let home = tempfile::tempdir().unwrap();
    let server = DevelopmentServer::start();
    let none = ["doctor", &server.url, "--remote-auth-no-cimd", "--remote-auth-no-dcr"];
    let run = thv_at(home.path(), &none, "");
    assert_eq!(run.code, Some(1));
    assert!(run.stdout.contains("✗ dynamic registration"), "{}", run.stdout);
    assert!(run.stderr.contains("hint: register a client there by hand"), "{}", run.stderr);
}

#[test]
fn doctor_says_when_there_is_no_server() {
    let home = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let run = thv_at(home.path(), &["doctor", &format!("http://127.0.0.1:{port}/mcp")], "");
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("could not be connected to"), "{}", run.stderr);
}
