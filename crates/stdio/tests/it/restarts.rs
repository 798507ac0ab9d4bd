//! Servers that exit.

use std::time::Duration;

use serde_json::{Value, json};
use thv_clock::{ManualClock, Timestamp};
use thv_stdio::{Restart, Status};

use crate::support::{Endpoint, call, ended, eventually, hold, lines_file, quick, server};

fn pid(endpoint: &Endpoint) -> u64 {
    match endpoint.bridge.status() {
        Status::Running { pid, .. } => pid.into(),
        status => panic!("it does not run: {status:?}"),
    }
}

#[tokio::test]
async fn requests_in_progress_fail_at_once_when_the_server_is_killed() {
    let endpoint = Endpoint::start().await;
    let (ann, bob) = (endpoint.session(json!({})).await, endpoint.session(json!({})).await);
    let streamed = hold(&ann, "ann", &json!("a"), &json!(1)).await;
    let (killed, streamed) = tokio::join!(bob.begin("kill", json!({})), streamed.response());
    for (response, id) in [(killed.response().await, json!(1)), (streamed, json!("a"))] {
        assert_eq!((&response["id"], &response["error"]["code"]), (&id, &json!(-32603)));
        assert_eq!(
            response["error"]["message"],
            "the MCP server exited before it answered; it is being restarted"
        );
    }
}

#[tokio::test]
async fn sessions_go_on_after_a_restart() {
    let endpoint = Endpoint::start().await;
    let ann = endpoint.session(json!({"sampling": {}})).await;
    let bob = endpoint.session(json!({})).await;
    let before = pid(&endpoint);
    let request =
        |method: &str, params: Value| json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    bob.post(&request("logging/setLevel", json!({"level": "error"}))).await.message().await;
    bob.post(&request("resources/subscribe", json!({"uri": "file:///a"}))).await.message().await;
    let mut streams = [ann.get().await, bob.get().await];
    ann.begin("die", json!({})).await.response().await;

    // Requests wait for the new server, which is what the old one was.
    let seen = ann.call("seen", json!({})).await;
    let got =
        |method: &str| seen.as_array().unwrap().iter().find(|message| message["method"] == method).cloned();
    assert_eq!(got("initialize").unwrap()["params"]["capabilities"], json!({"sampling": {}}));
    assert!(got("notifications/initialized").is_some());
    assert_eq!(got("logging/setLevel").unwrap()["params"]["level"], "error");
    assert_eq!(got("resources/subscribe").unwrap()["params"]["uri"], "file:///a");
    assert_ne!(pid(&endpoint), before);
    assert!(matches!(endpoint.bridge.status(), Status::Running { restarts: 1, .. }));

    // And everybody is told to look again.
    let updated = streams[1].next().await.unwrap();
    assert_eq!(updated["method"], "notifications/resources/updated");
    for stream in &mut streams {
        for kind in ["tools", "prompts", "resources"] {
            let changed = stream.next().await.unwrap();
            assert_eq!(changed["method"], format!("notifications/{kind}/list_changed"));
        }
    }
}

#[tokio::test]
async fn an_answer_to_a_request_of_the_old_server_does_not_reach_the_new_one() {
    let endpoint = Endpoint::start().await;
    let ann = endpoint.session(json!({"sampling": {}})).await;
    let mut stream = ann.get().await;
    let ask = json!({"method": "sampling/createMessage", "then": {"name": "none"}});
    let mut reply = ann.begin("ask", ask.clone()).await;
    let old = reply.next().await.unwrap();
    ann.begin("die", json!({})).await.response().await;
    // The client is told that its answer is not wanted any more.
    assert_eq!(reply.next().await.unwrap()["params"]["requestId"], old["id"]);
    let mut reply = ann.begin("ask", ask).await;
    let new = reply.next().await.unwrap();
    assert_ne!(old["id"], new["id"]);
    ann.answer(&old["id"], json!({"old": true})).await;
    let seen = ann.call("seen", json!({})).await;
    assert!(!seen.to_string().contains("\"old\""));
    assert!(stream.next().await.is_some());
}

#[tokio::test]
async fn a_server_that_closes_its_output_is_replaced() {
    let endpoint = Endpoint::start().await;
    let ann = endpoint.session(json!({})).await;
    let before = pid(&endpoint);
    let response = ann.begin("close_stdout", json!({})).await.response().await;
    assert_eq!(response["error"]["code"], -32603);
    assert_eq!(ann.call("echo", json!({})).await["arguments"], json!({}));
    ended(before).await;
}

#[tokio::test]
async fn after_too_many_failures_in_a_row_only_a_request_starts_it_again() {
    let directory = tempfile::tempdir().unwrap();
    let runs = lines_file(directory.path(), 0);
    let clock = ManualClock::at(Timestamp::from_secs(1_000_000));
    let mut options = quick();
    options.clock = clock.shared();
    options.restart = Restart { max_failures: 3, max_delay: Duration::from_millis(10), ..options.restart };
    let endpoint = Endpoint::of(server(["--once", runs.to_str().unwrap()]), options).await;
    let failed = || matches!(endpoint.bridge.status(), Status::Failed { .. });
    eventually(failed).await;
    assert_eq!(endpoint.bridge.status(), Status::Failed { reason: "it exited (exit status: 8)".to_owned() });

    // Not at once: clients that try again and again must not keep it starting.
    let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25", "capabilities": {}}});
    lines_file(directory.path(), 1);
    let reply = endpoint.client().post(&initialize).await;
    assert_eq!(reply.headers.get("mcp-session-id"), None);
    let message = reply.message().await["error"]["message"].to_string();
    assert!(message.contains("exit status: 8"), "{message}");
    assert!(failed());

    clock.advance(Duration::from_millis(10));
    let client = endpoint.session(json!({})).await;
    assert_eq!(client.call("echo", json!({})).await["arguments"], json!({}));

    // It fails again, and there is no long series of attempts.
    client.begin("die", json!({})).await.response().await;
    eventually(failed).await;
}

#[tokio::test]
async fn a_server_that_ran_for_long_has_not_failed() {
    let directory = tempfile::tempdir().unwrap();
    let runs = lines_file(directory.path(), 100);
    let clock = ManualClock::at(Timestamp::from_secs(1_000_000));
    let mut options = quick();
    options.clock = clock.shared();
    options.restart.max_failures = 3;
    let stable = options.restart.stable_after;
    let endpoint = Endpoint::of(server(["--once", runs.to_str().unwrap()]), options).await;
    let client = endpoint.session(json!({})).await;
    for round in 1..=9 {
        clock.advance(stable);
        let message = call(&json!(1), "die", json!({}), None);
        assert_eq!(client.post(&message).await.response().await["error"]["code"], -32603);
        assert_eq!(client.call("echo", json!({})).await["arguments"], json!({}));
        assert!(matches!(endpoint.bridge.status(), Status::Running { restarts, .. } if restarts == round));
    }
}
