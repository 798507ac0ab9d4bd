//! The harness against its own servers: what it counts, and that it refuses to count failures.
#![expect(clippy::unwrap_used, reason = "a test that cannot start its servers has failed")]

mod sessions;

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};

const BENCH: &str = env!("CARGO_BIN_EXE_thv-bench");

struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(args: &[&str]) -> Self {
        let mut child = Command::new(BENCH).args(args).stdout(Stdio::piped()).spawn().unwrap();
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
        Self { child, address: address.trim().to_owned() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn load(server: &Server, work: &Value, pace: &Value) -> Output {
    load_on(server, work, pace, None)
}

fn load_on(server: &Server, work: &Value, pace: &Value, store: Option<u32>) -> Output {
    run(&json!({
        "server": server.address, "server_pid": server.child.id(), "store_pid": store, "work": work, "pace": pace,
        "warmup_ms": 20, "measure_ms": 300,
    }))
}

fn run(plan: &Value) -> Output {
    let mut child = Command::new(BENCH)
        .arg("load")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(plan.to_string().as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn outcome(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn post(expect: &str) -> Value {
    json!({"same": {
        "connections": 4, "method": "POST", "path": "/mcp", "headers": [["content-type", "application/json"]],
        "body": "{}", "expect": expect,
    }})
}

#[test]
fn the_closed_loop_counts_answers_that_came_through_the_proxy() {
    let backend = Server::start(&["backend"]);
    let proxy = Server::start(&["baseline", "proxy", "--backend", &backend.address]);
    let outcome = outcome(&load(&proxy, &post("\"result\""), &json!("closed")));
    let requests = outcome["requests"].as_f64().unwrap();
    assert!(requests > 0.0);
    assert!((outcome["throughput"].as_f64().unwrap() - requests / 0.3).abs() < 1e-6);
}

#[test]
fn the_open_loop_counts_what_was_due_and_not_what_the_server_could_do() {
    let backend = Server::start(&["backend"]);
    let pace = json!({"open": {"requests_per_second": 100.0}});
    let requests = outcome(&load(&backend, &post("\"result\""), &pace))["requests"].as_u64().unwrap();
    assert!((30..=31).contains(&requests), "100 per second for 300 ms are 30 requests, not {requests}");
}

#[test]
fn an_answer_without_the_proof_of_work_ends_the_run() {
    let responder = Server::start(&["baseline", "responder", "--body-bytes", "100"]);
    let output = load(&responder, &post("\"result\""), &json!("closed"));
    assert!(!output.status.success() && output.stdout.is_empty());
}

#[test]
fn a_request_without_the_injected_token_ends_the_run() {
    let backend = Server::start(&["backend", "--authorization", "Bearer injected"]);
    let output = load(&backend, &post("\"result\""), &json!("closed"));
    assert!(!output.status.success() && output.stdout.is_empty());
    let mut work = post("\"result\"");
    work["same"]["headers"] = json!([["authorization", "Bearer injected"]]);
    assert!(outcome(&load(&backend, &work, &json!("closed")))["requests"].as_u64().unwrap() > 0);
}

#[test]
fn a_backend_that_reads_answers_the_call_that_it_was_sent() {
    let backend = Server::start(&["backend", "--reads"]);
    let mut work = post("hello");
    work["same"]["body"] = json!(r#"{"jsonrpc":"2.0","id":7,"method":"tools/call"}"#);
    assert!(outcome(&load(&backend, &work, &json!("closed")))["requests"].as_u64().unwrap() > 0);
    work["same"]["expect"] = json!(r#""id":7"#);
    assert!(outcome(&load(&backend, &work, &json!("closed")))["requests"].as_u64().unwrap() > 0);
}

#[test]
fn the_stdio_server_answers_requests_line_by_line_until_its_input_ends() {
    let mut child =
        Command::new(BENCH).arg("stdio-server").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let messages = concat!(
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        "\n",
        r#"{"jsonrpc":"2.0","id":"a","method":"ping"}"#,
        "\n"
    );
    child.stdin.take().unwrap().write_all(messages.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"result\":{}}\n"
    );
}

#[test]
fn the_cpu_time_of_a_store_is_reported_only_when_there_is_one() {
    let backend = Server::start(&["backend"]);
    let outcome = outcome(&load(&backend, &post("\"result\""), &json!("closed")));
    assert!(outcome["cpu_micros_per_request"].as_f64().unwrap() >= 0.0);
    assert!(outcome.get("store_cpu_micros_per_request").is_none());
    let with_store = load_on(&backend, &post("\"result\""), &json!("closed"), Some(backend.child.id()));
    let outcome = self::outcome(&with_store);
    assert_eq!(outcome["store_cpu_micros_per_request"], outcome["cpu_micros_per_request"]);
}

#[test]
fn a_refresh_chain_goes_on_with_the_newest_token() {
    let signer = Server::start(&["baseline", "signer", "--body-bytes", "1000"]);
    let chains =
        json!([{"client_id": "a", "refresh_token": "first"}, {"client_id": "b", "refresh_token": "first"}]);
    let work = json!({"refresh": {"path": "/oauth/token", "chains": chains}});
    let outcome = outcome(&load(&signer, &work, &json!("closed")));
    let newest: Vec<_> =
        outcome["chains"].as_array().unwrap().iter().map(|one| &one["refresh_token"]).collect();
    assert_eq!(newest, ["baseline", "baseline"]);
}
