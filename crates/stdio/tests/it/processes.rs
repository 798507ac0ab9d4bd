//! The server's process: how it is started and ended.

use serde_json::json;
use thv_stdio::{Bridge, Server, Status};

use crate::support::{Endpoint, PATIENCE, ended, eventually, is_alive, quick, server, stderr_lines};

#[tokio::test]
async fn arguments_arrive_literally_because_there_is_no_shell() {
    let args = ["; touch /tmp/pwned", "$(id)", "`id`", "*", "a b", "", "\"", "$HOME", "\\", "&& exit"];
    let endpoint = Endpoint::of(server(args), quick()).await;
    let environment = endpoint.session(json!({})).await.call("environment", json!({})).await;
    assert_eq!(environment["args"], json!(args));
}

#[tokio::test]
async fn the_environment_and_the_directory_are_as_configured() {
    let directory = tempfile::tempdir().unwrap();
    let mut with = server([]);
    with.env.insert("PLAIN".to_owned(), "a=b".to_owned());
    with.env.insert("TOKEN".to_owned(), "overruled".to_owned());
    with.secret_env.push(("TOKEN".to_owned(), "hunter2".to_owned().into()));
    with.cwd = Some(directory.path().to_owned());
    let without = Server { inherit_env: false, ..with.clone() };
    for (server, inherits) in [(with, true), (without, false)] {
        let endpoint = Endpoint::of(server, quick()).await;
        let environment = endpoint.session(json!({})).await.call("environment", json!({})).await;
        let env = &environment["env"];
        assert_eq!((&env["PLAIN"], &env["TOKEN"]), (&json!("a=b"), &json!("hunter2")));
        assert_eq!(env["PATH"].is_string(), inherits);
        assert_eq!(environment["cwd"], directory.path().canonicalize().unwrap().to_str().unwrap());
        let Status::Running { pid, restarts: 0 } = endpoint.bridge.status() else { panic!("it runs") };
        assert_eq!(environment["group"], pid);
    }
}

#[tokio::test]
async fn a_program_that_is_not_there_is_told_at_once() {
    let error = Bridge::start(Server::new("no-such-program", ["x"]), quick()).err().unwrap();
    assert_eq!(error.to_string(), "\"no-such-program\" cannot be started");
    assert!(std::error::Error::source(&error).is_some());
}

#[tokio::test]
async fn what_goes_to_standard_error_is_passed_on() {
    let mut options = quick();
    let lines = stderr_lines(&mut options);
    let endpoint = Endpoint::of(server([]), options).await;
    let client = endpoint.session(json!({})).await;
    assert_eq!(client.call("noise", json!({})).await, "still here");
    eventually(|| *lines.lock().unwrap() == ["a word to the log"]).await;
}

#[tokio::test]
async fn stopping_ends_the_server_and_what_it_started() {
    for (args, ignore_term) in
        [(vec![], false), (vec![], true), (vec!["--stubborn"], false), (vec!["--stubborn"], true)]
    {
        let server = match args.as_slice() {
            [] => server([]),
            _ => server(["--stubborn"]),
        };
        let endpoint = Endpoint::of(server, quick()).await;
        let client = endpoint.session(json!({})).await;
        let grandchild =
            client.call("spawn", json!({"ignore_term": ignore_term})).await["pid"].as_u64().unwrap();
        let Status::Running { pid, .. } = endpoint.bridge.status() else { panic!("it runs") };
        assert!(is_alive(pid.into()) && is_alive(grandchild));
        tokio::time::timeout(PATIENCE, endpoint.bridge.stop()).await.unwrap();
        assert_eq!(endpoint.bridge.status(), Status::Stopped);
        assert!(!is_alive(pid.into()));
        ended(grandchild).await;
    }
}

#[tokio::test]
async fn a_server_that_ends_when_its_input_ends_gets_no_signal() {
    let mut options = quick();
    options.shutdown.after_close = PATIENCE * 2;
    let endpoint = Endpoint::of(server([]), options).await;
    let client = endpoint.session(json!({})).await;
    let mut stream = client.get().await;
    tokio::time::timeout(PATIENCE, endpoint.bridge.stop()).await.unwrap();
    assert_eq!(stream.next().await, None);
    let response = client.begin("echo", json!({})).await.response().await;
    assert_eq!(response["error"]["message"], "the MCP server was stopped");
}

#[tokio::test]
async fn a_server_that_exits_takes_along_what_it_started() {
    let endpoint = Endpoint::start().await;
    let client = endpoint.session(json!({})).await;
    let grandchild = client.call("spawn", json!({"ignore_term": true})).await["pid"].as_u64().unwrap();
    client.begin("die", json!({})).await.response().await;
    ended(grandchild).await;
}

#[tokio::test]
async fn dropping_the_bridge_ends_the_server() {
    let endpoint = Endpoint::start().await;
    let client = endpoint.session(json!({})).await;
    let grandchild = client.call("spawn", json!({})).await["pid"].as_u64().unwrap();
    let Status::Running { pid, .. } = endpoint.bridge.status() else { panic!("it runs") };
    drop((endpoint, client));
    ended(pid.into()).await;
    ended(grandchild).await;
}

#[test]
fn a_runtime_that_ends_leaves_nothing_behind() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (pid, grandchild) = runtime.block_on(async {
        let endpoint = Endpoint::of(server(["--stubborn"]), quick()).await;
        let client = endpoint.session(json!({})).await;
        let grandchild = client.call("spawn", json!({})).await["pid"].as_u64().unwrap();
        let Status::Running { pid, .. } = endpoint.bridge.status() else { panic!("it runs") };
        (u64::from(pid), grandchild)
    });
    drop(runtime);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        eventually(|| !is_alive(pid) && !is_alive(grandchild)).await;
    });
}
