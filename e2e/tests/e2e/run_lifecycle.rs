//! What looks after the workloads of `thv run`: the commands, and what a user meets in the terminal.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Document, Finished, Program, RemoteStage, Scene, is_alive, of_process, script, until};

const NAME: &str = RemoteStage::NAME;

/// The members of a JSON object.
fn members(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap_or_else(|| panic!("no object: {value}")).keys().map(String::as_str).collect()
}

/// The address that a user is to open, as soon as the program has printed it.
async fn invitation(program: &Program) -> String {
    let line = |text: &str| {
        let mut lines = text.lines().map(str::trim);
        lines.find(|line| line.starts_with("http") && line.contains("code_challenge=")).map(str::to_owned)
    };
    program.printed("where to log in", line).await
}

/// The user opens an address in a browser on this machine.
async fn open(scene: &Scene, url: &str) {
    scene.node("user", &["headless-browser.mjs", url]).succeeded().await;
}

/// The user opens an address in a browser on another machine: the address that it ends at.
async fn open_elsewhere(scene: &Scene, url: &str) -> String {
    let mut command = scene.node_command(&["headless-browser.mjs", url]);
    command.env("THV_E2E_ELSEWHERE", "yes");
    scene.start("user", command).succeeded().await.trim().to_owned()
}

#[tokio::test]
async fn the_commands_speak_text_and_json_and_the_process_shows_nothing() {
    let stage = RemoteStage::set("run-lifecycle", &["--cimd"]).await;
    let machine = &stage.machine;
    let ran = machine.json(&stage.command(&stage.by_document())).await;
    assert_eq!(members(&ran), BTreeSet::from(["name", "url"]));
    let url = ran["url"].as_str().unwrap();
    let follow = machine.start("thv-logs-follow", &["logs", "-f", NAME]);

    let status = machine.status(NAME).await;
    let running = ["auth", "name", "pid", "restarts", "server", "started_at", "state", "transport", "url"];
    assert_eq!(members(&status), BTreeSet::from(running));
    assert_eq!((&status["state"], &status["server"]), (&json!("running"), &json!(stage.url)));
    assert_eq!(machine.json(&["list"]).await, json!([status]));
    assert_eq!(machine.json(&["list", "--running"]).await, json!([status]));
    let text = machine.ok(&["list"]).await;
    let words = |line: usize| text.lines().nth(line).unwrap().split_whitespace().collect::<Vec<_>>();
    assert_eq!(words(0), ["NAME", "STATE", "URL", "SERVER"]);
    assert_eq!(words(1), [NAME, "running", url, &stage.url]);
    let text = machine.ok(&["status", NAME]).await;
    for line in ["state    running", "login    authenticated", "url      http://127.0.0.1:"] {
        assert!(text.contains(line), "{text}");
    }

    // Nobody who lists processes learns anything, and it has no variables but the user's.
    let pid = u32::try_from(status["pid"].as_u64().unwrap()).unwrap();
    assert_eq!(of_process(pid, "cmdline")[1..], ["start", NAME, "--foreground", "--detached"]);
    let variables: BTreeSet<String> = of_process(pid, "environ").into_iter().collect();
    let ours = machine.environment().iter().map(|(name, value)| format!("{name}={value}"));
    assert_eq!(variables, ours.collect());

    let again = machine.refused(&stage.command(&stage.by_document())).await;
    assert!(
        again.contains(&format!("running already (process {pid})")) && again.contains("thv status"),
        "{again}"
    );
    let different = machine.refused(&["run", "http://127.0.0.1:1/mcp", "--name", NAME]).await;
    assert!(different.contains("is a different one") && different.contains("thv rm"), "{different}");
    let unknown = machine.refused(&["start", "unknown"]).await;
    assert!(unknown.contains("no workload unknown") && unknown.contains("thv list"), "{unknown}");

    assert_eq!(machine.json(&["restart", NAME]).await, ran);
    follow
        .printed("that it has started twice", |text| (text.matches("ready").count() == 2).then_some(()))
        .await;
    drop(follow);
    assert_eq!(machine.ok(&["logs", NAME, "-n", "1"]).await.lines().count(), 1);
    let definition: Value = serde_json::from_str(&machine.ok(&["export", NAME]).await).unwrap();
    assert_eq!((&definition["remote_url"], &definition["schema_version"]), (&json!(stage.url), &json!(1)));
    assert_eq!(format!("http://127.0.0.1:{}/mcp", definition["proxy_port"]), url);

    let stopped = machine.json(&["stop", "--all"]).await;
    assert_eq!(stopped, json!([{"name": NAME, "result": "stopped"}]));
    assert_eq!(machine.ok(&["stop", NAME]).await, "tools: not running\n");
    assert_eq!(machine.ok(&["list", "--running"]).await, "");
    assert_eq!(machine.status(NAME).await["state"], "stopped");
    assert_eq!(machine.json(&["start", NAME]).await, ran);
    let removed = machine.json(&["rm", "--all", "--force"]).await;
    assert_eq!(removed, json!([{"name": NAME, "result": "removed"}]));
    machine.assert_clean(&stage.scene, 3);
    assert_uncoloured(&stage.scene);
}

/// Nothing that was printed into a pipe has colours.
fn assert_uncoloured(scene: &Scene) {
    for entry in fs::read_dir(scene.artifacts()).unwrap().map(Result::unwrap) {
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        let ours = entry.file_name().to_string_lossy().starts_with("thv-");
        assert!(!ours || !text.contains('\u{1b}'), "{:?} has escape sequences: {text}", entry.path());
    }
}

#[tokio::test]
async fn a_port_that_another_program_holds_is_avoided_where_the_server_lets_it_and_named_where_not() {
    let mut stage = RemoteStage::set("run-lifecycle-port", &["--cimd"]).await;
    let holder = stage.scene.node("holder", &["--eval", HOLDER, &stage.callback_port]);
    holder.printed("that it listens", |text| text.contains("listening").then_some(())).await;
    let url = stage.run(&[]).await;
    stage.whoami(&url).await;
    let at = stage.machine.tabs(1).await[0]["callback"]["at"].clone();
    assert_ne!(
        at,
        format!("http://localhost:{}/callback", stage.callback_port),
        "a native client's port is free"
    );
    stage.machine.ok(&["rm", "--force", NAME]).await;

    stage.document = Document::of_run(&stage.scene, &stage.callback_port, "web").await;
    let refused = stage.machine.refused(&stage.command(&stage.by_document())).await;
    let named = format!("port {}, where the browser", stage.callback_port);
    assert!(
        refused.contains(&named) && refused.contains(&format!("process {} (node", holder.id())),
        "{refused}"
    );
    // No browser opens for nothing.
    stage.machine.tabs(1).await;

    // The port for MCP clients.
    let words = ["run", "http://127.0.0.1:1/mcp", "--name", "taken", "--proxy-port", &stage.callback_port];
    let refused = stage.machine.refused(&words).await;
    assert!(refused.contains(&format!("cannot listen on 127.0.0.1:{}", stage.callback_port)), "{refused}");
    assert!(refused.contains(&format!("process {} (node", holder.id())), "{refused}");
    assert!(refused.contains("--proxy-port"), "{refused}");
    let status = stage.machine.status("taken").await;
    assert_eq!(status["state"], "error");
    assert!(status["detail"].as_str().unwrap().contains("cannot listen"), "{status}");
    holder.kill().await;
    stage.machine.url(&["start", "taken"]).await;
}

/// Listens on a port.
const HOLDER: &str = "require('net').createServer().listen(Number(process.argv[1]), '127.0.0.1', () => console.log('listening'))";

#[tokio::test]
async fn two_logins_at_once_share_the_port_that_both_servers_insist_on() {
    let mut first = RemoteStage::set("run-lifecycle-shared", &["--cimd"]).await;
    let mut second = RemoteStage::set("run-lifecycle-shared-too", &["--cimd"]).await;
    second.callback_port.clone_from(&first.callback_port);
    for stage in [&mut first, &mut second] {
        stage.document = Document::of_run(&stage.scene, &stage.callback_port, "web").await;
    }
    let machine = &first.machine;
    let log_in = |stage: &RemoteStage, name: &str| {
        let options = [&stage.by_document()[..], &["--remote-auth-skip-browser"]].concat();
        let port = ["--remote-auth-callback-port", &stage.callback_port];
        let words = [&["run", &stage.url, "--name", name], &port[..], &options].concat();
        machine.start(&format!("thv-run-{name}"), &words)
    };
    let one = log_in(&first, "one");
    let at_one = invitation(&one).await;
    let two = log_in(&second, "two");
    let at_two = invitation(&two).await;
    for url in [&at_one, &at_two] {
        assert!(url.contains(&format!("localhost%3A{}%2Fcallback", first.callback_port)), "{url}");
    }
    // The one that came later has not got the port.
    open(&second.scene, &at_two).await;
    second.whoami(two.succeeded().await.trim()).await;
    open(&first.scene, &at_one).await;
    first.whoami(one.succeeded().await.trim()).await;
    machine.assert_clean(&first.scene, 3);
}

#[tokio::test]
async fn two_logins_at_the_same_server_come_one_after_the_other() {
    let stage = RemoteStage::set("run-lifecycle-one-tab", &["--cimd"]).await;
    let log_in = |name: &str| {
        let options = [&stage.by_document()[..], &["--remote-auth-skip-browser"]].concat();
        let words = [&["run", &stage.url, "--name", name], &options[..]].concat();
        stage.machine.start(&format!("thv-run-{name}"), &words)
    };
    let one = log_in("one");
    let at_one = invitation(&one).await;
    let two = log_in("two");
    two.printed("that it waits", |text| text.contains("another login at this server").then_some(())).await;
    assert!(!two.output().contains("code_challenge"), "{}", two.output());
    open(&stage.scene, &at_one).await;
    stage.whoami(one.succeeded().await.trim()).await;
    let at_two = invitation(&two).await;
    open(&stage.scene, &at_two).await;
    stage.whoami(two.succeeded().await.trim()).await;
}

#[tokio::test]
async fn over_ssh_the_address_that_the_browser_ends_at_is_pasted() {
    let stage = RemoteStage::set("run-lifecycle-paste", &["--cimd"]).await;
    let words = stage.command(&[&stage.by_document()[..], &["--remote-auth-skip-browser"]].concat());
    for terminal in [false, true] {
        let mut program = match terminal {
            true => stage.machine.on_terminal("terminal-run", &words),
            false => stage.machine.interactive("thv-run", &words),
        };
        let url = invitation(&program).await;
        let mistaken = format!("http://localhost:{}/callback?code=x&state=another", stage.callback_port);
        program.type_in(&format!("{mistaken}\n")).await;
        program
            .printed("a complaint", |text| text.contains("does not belong to this login").then_some(()))
            .await;
        let ended_at = open_elsewhere(&stage.scene, &url).await;
        program.type_in(&format!("{ended_at}\n")).await;
        let Finished { status, stdout, stderr } = program.finished().await;
        assert!(status.success(), "{stdout}{stderr}");
        let served = stdout.lines().last().unwrap().trim().to_owned();
        assert_eq!(stage.whoami(&served).await["subject"], "alice");
        let pid = stage.machine.pid(NAME).await;
        assert!(is_alive(pid), "it goes on when its terminal is gone");
        stage.machine.ok(&["rm", "--force", NAME]).await;
    }
    stage.machine.tabs(0).await;
    stage.machine.assert_clean(&stage.scene, 6);
}

#[tokio::test]
async fn a_terminal_counts_down_enter_opens_the_browser_again_and_the_end_says_what_to_do() {
    let mut stage = RemoteStage::set("run-lifecycle-countdown", &["--cimd"]).await;
    let opened = stage.scene.path("opened");
    let browser = format!("#!/bin/sh\necho \"$1\" >>'{}'\n", opened.display());
    let browser = stage.scene.write("browser", &browser);
    fs::set_permissions(&browser, fs::Permissions::from_mode(0o700)).unwrap();
    stage.machine.set("BROWSER", browser.to_str().unwrap());
    let words = stage.command(&[&stage.by_document()[..], &["--remote-auth-timeout", "5s"]].concat());

    let mut program = stage.machine.on_terminal("terminal-run", &words);
    for left in ["0:04 left", "0:03 left"] {
        program.printed(left, |text| text.contains(left).then_some(())).await;
    }
    program.type_in("\n").await;
    let lines = || fs::read_to_string(&opened).unwrap_or_default().lines().count();
    until("a second tab", || lines() == 2).await;
    let Finished { status, stdout, .. } = program.finished().await;
    assert_eq!(status.code(), Some(1));
    assert!(stdout.contains("Enter opens it again"), "{stdout}");
    assert!(stdout.contains("\u{1b}[1;31merror\u{1b}[0m: nobody logged in within 5 s"), "{stdout}");
    assert!(stdout.contains("--remote-auth-timeout"), "{stdout}");

    let piped = stage.machine.refused(&words).await;
    assert!(piped.contains("nobody logged in within 5 s"), "{piped}");
    // Who mends what they have said is not to be told that there is such a workload.
    stage.machine.set("BROWSER", &script("headless-browser"));
    let url = stage.run(&[]).await;
    stage.whoami(&url).await;
    assert_uncoloured(&stage.scene);
}

#[tokio::test]
async fn a_crash_of_the_first_run_at_any_moment_leaves_nothing_in_the_way_of_the_next() {
    let stage = RemoteStage::set("run-lifecycle-crash", &["--cimd"]).await;
    let machine = &stage.machine;
    let words = stage.command(&stage.by_document());
    for milliseconds in (0..1000).step_by(70) {
        let program = machine.start("thv-run", &words);
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        program.kill().await;
        let listed = machine.json(&["list"]).await;
        if !listed[0]["pid"].is_null() {
            // It has left the background process behind.
            machine.kill(NAME).await;
        }
    }
    let url = machine.url(&words).await;
    assert_eq!(stage.whoami(&url).await["subject"], "alice");
    machine.ok(&["rm", "--force", NAME]).await;
    assert!(!machine.has_secrets());
    let temporary = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "tmp");
    assert_eq!(machine.files().into_iter().find(temporary), None);
}
