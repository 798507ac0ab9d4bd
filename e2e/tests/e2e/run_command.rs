//! `thv run -- COMMAND`: a local MCP server, `@modelcontextprotocol/server-everything`, for several clients.

use serde_json::{Value, json};

use crate::support::{Machine, Scene, children, is_alive, kill, node, package, until};

const NAME: &str = "everything";

/// The command of the server.
fn server() -> [String; 3] {
    [node(), package("@modelcontextprotocol/server-everything/dist/index.js"), "stdio".to_owned()]
}

/// Starts the server, with further `options` of `thv run`: its URL.
async fn run(machine: &Machine, options: &[&str]) -> String {
    let server = server();
    let server: Vec<&str> = server.iter().map(String::as_str).collect();
    machine.url(&[&["run", "--name", NAME], options, &["--"], &server].concat()).await
}

/// The one process of the server.
async fn child(machine: &Machine) -> u32 {
    let children = children(machine.pid(NAME).await);
    let [child] = children[..] else { panic!("one child: {children:?}") };
    child
}

/// A client of the given era that calls tools; nothing must go wrong.
async fn call(scene: &Scene, url: &str, name: &str, era: &str, calls: &[&str]) -> Value {
    let calls: Vec<&str> = calls.iter().flat_map(|call| ["--call", call]).collect();
    let fixed = ["--url", url, "--name", name, "--era", era];
    let report = scene.report("mcp-client.mjs", &[&fixed[..], &calls].concat()).await;
    assert_eq!(report["error"], Value::Null, "{report}");
    report
}

/// Ids and progress of a client's calls are its own.
async fn assert_apart(scene: &Scene, url: &str, name: &str, era: &str) {
    let echo = format!("echo={{\"message\":\"from {name}\"}}");
    let operation = r#"trigger-long-running-operation={"duration":1,"steps":4}"#;
    let report = call(scene, url, name, era, &[&echo, operation]).await;
    let text = report["calls"]["echo"]["text"].as_str().unwrap();
    assert!(text.contains(&format!("from {name}")), "{report}");
    assert_eq!(
        report["calls"]["trigger-long-running-operation"]["progress"],
        json!([1, 2, 3, 4]),
        "{report}"
    );
}

/// What the server asks is asked of the client that calls. (Of several that call at once it says not which it means.)
async fn assert_asked(scene: &Scene, url: &str, name: &str, era: &str) {
    let sampling = r#"trigger-sampling-request={"prompt":"the weather"}"#;
    let report = call(scene, url, name, era, &[sampling, "trigger-elicitation-request={}"]).await;
    let text = |tool: &str| report["calls"][tool]["text"].as_str().unwrap_or_default().to_owned();
    assert_eq!(report["asked"], json!(["sampling", "elicitation"]), "{report}");
    assert!(text("trigger-sampling-request").contains(&format!("{name} has thought about")), "{report}");
    assert!(text("trigger-elicitation-request").contains(name), "{report}");
}

#[tokio::test]
async fn clients_of_both_eras_share_one_process_and_do_not_notice_each_other() {
    let scene = Scene::new("run-command");
    let machine = Machine::new(&scene);
    let url = run(&machine, &[]).await;
    tokio::join!(
        assert_apart(&scene, &url, "ada", "sessions"),
        assert_apart(&scene, &url, "grace", "sessions"),
        assert_apart(&scene, &url, "edsger", "stateless"),
    );
    assert_asked(&scene, &url, "ada", "sessions").await;
    assert_asked(&scene, &url, "edsger", "stateless").await;
    let child = child(&machine).await;
    assert!(machine.log(NAME).contains("Starting default (STDIO) server"), "{}", machine.log(NAME));
    let status = machine.status(NAME).await;
    assert_eq!((&status["transport"], &status["restarts"]), (&json!("stdio"), &json!(0)), "{status}");
    assert_eq!(machine.ok(&["stop", NAME]).await, "everything: stopped\n");
    assert!(!is_alive(child), "nothing is left");
}

#[tokio::test]
async fn a_server_that_dies_is_started_again_and_none_outlives_its_workload() {
    let scene = Scene::new("run-command-dies");
    let machine = Machine::new(&scene);
    let url = run(&machine, &[]).await;
    let first = child(&machine).await;
    kill(&[first.to_string()]);
    machine
        .becomes(NAME, "restarted", |status| status["restarts"] == 1 && status["state"] == "running")
        .await;
    let second = child(&machine).await;
    assert_ne!(first, second);
    // A crash of the workload is the end of the server's standard input, and of a server that has nothing else to do.
    machine.kill(NAME).await;
    until("the end of the server", || !is_alive(second)).await;

    assert_eq!(machine.url(&["start", NAME]).await, url);
    let sum = r#"get-sum={"a":2,"b":3}"#;
    call(&scene, &url, "ada", "sessions", &[sum]).await;
    let third = child(&machine).await;
    kill(&[third.to_string()]);
    until("the end of the server", || !is_alive(third)).await;
    call(&scene, &url, "ada", "stateless", &[sum]).await;
}

#[tokio::test]
async fn the_server_gets_its_variables_and_none_of_our_secrets() {
    let scene = Scene::new("run-command-environment");
    let machine = Machine::new(&scene);
    let secret = "the secret of a local server";
    let mut set = machine.interactive("thv-secret-set", &["secret", "set", "key"]);
    set.type_in(secret).await;
    set.hang_up();
    assert!(set.finished().await.status.success());
    let url = run(&machine, &["-e", "GREETING=hello", "--secret", "key,target=TOKEN"]).await;
    let report = call(&scene, &url, "ada", "sessions", &["get-env={}"]).await;
    let environment = report["calls"]["get-env"]["text"].as_str().unwrap();
    let environment: Value = serde_json::from_str(environment).unwrap();
    assert_eq!((&environment["GREETING"], &environment["TOKEN"]), (&json!("hello"), &json!(secret)));
    assert_eq!(environment["HOME"], machine.path("").to_str().unwrap().trim_end_matches('/'));
    assert_eq!(environment["TOOLHIVE_SECRETS_PASSWORD"], Value::Null);
    let definition = machine.ok(&["export", NAME]).await;
    assert!(definition.contains("\"key\"") && !definition.contains(secret), "{definition}");
    scene.record_secret(secret);
    machine.assert_clean(&scene, 1);
}

#[tokio::test]
async fn a_command_that_cannot_be_started_says_so() {
    let scene = Scene::new("run-command-missing");
    let machine = Machine::new(&scene);
    let refused = machine.refused(&["run", "--", "no-such-program"]).await;
    assert!(refused.contains("\"no-such-program\" cannot be started"), "{refused}");
    let refused = machine.refused(&["login", "no-such-program"]).await;
    assert!(refused.contains("nobody logs in to it"), "{refused}");
    assert_eq!(machine.status("no-such-program").await["state"], "error");
}
