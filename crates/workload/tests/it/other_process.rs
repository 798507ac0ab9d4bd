//! This test program as another process that runs a workload, or tries to.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use secrecy::{ExposeSecret, SecretString};
use thv_workload::process::{Spawned, detach, spawn_detached};
use thv_workload::run_lock::TakeError;
use thv_workload::status::State;
use thv_workload::{Paths, RunLock, Status};
use tokio::signal::unix::{SignalKind, signal};

use crate::home::{Home, name};

const ROLE: &str = "THV_TEST_ROLE";
const WORKLOAD: &str = "w";
/// Runs nothing but [`plays_its_role`], and prints what that prints.
const ARGS: [&str; 5] = ["--exact", "other_process::plays_its_role", "--ignored", "--nocapture", "--quiet"];

/// A process of a role, whose standard input is ours.
pub(crate) struct Other {
    pub(crate) child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Other {
    pub(crate) fn start(home: &Home, role: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(ARGS).env(ROLE, role).stdin(Stdio::piped()).stdout(Stdio::piped());
        for (name, value) in home.variables() {
            command.env(name, value.expose_secret());
        }
        let mut child = command.spawn().unwrap();
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    /// What it says next, after the mark that sets it apart from what the test harness prints.
    pub(crate) fn says(&mut self) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "it ended without a word");
            if let Some((_, said)) = line.split_once("says: ") {
                return said.trim_end().to_owned();
            }
        }
    }

    pub(crate) fn tell(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Ends it as if the power had failed.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends its standard input, and with it the process.
    pub(crate) fn dismiss(mut self) {
        self.input = None;
        assert!(self.child.wait().unwrap().success());
    }
}

/// Starts a process of a role as workloads are started.
pub(crate) fn spawn(home: &Home, role: &str) -> Spawned {
    let role = SecretString::from(role);
    let variables = home.variables();
    let mut env: Vec<(&str, &SecretString)> = variables.iter().map(|(name, value)| (*name, value)).collect();
    env.push((ROLE, &role));
    spawn_detached(&std::env::current_exe().unwrap(), ARGS, &home.paths().log(&name(WORKLOAD)), &env).unwrap()
}

fn say(line: &str) {
    println!("says: {line}");
}

fn wait_for_a_line() -> bool {
    std::io::stdin().read_line(&mut String::new()).unwrap() > 0
}

#[test]
#[ignore = "this is the other process of the tests here"]
fn plays_its_role() {
    let role = std::env::var(ROLE).unwrap();
    let paths = Paths::from_env(|name| std::env::var_os(name)).unwrap();
    match role.as_str() {
        "holder" => hold(&paths, "running"),
        "stopping" => hold(&paths, "stopping"),
        "contender" => contend(&paths),
        "launcher" => launch(),
        "server" => serve(&paths, Ending::Polite),
        "rude-server" => serve(&paths, Ending::Sudden),
        "stubborn-server" => serve(&paths, Ending::Never),
        "failing-server" => fail(&paths),
        "crashing-server" => crash(),
        "slow-server" => slow(&paths),
        _ => panic!("{role}"),
    }
}

fn take(paths: &Paths) -> RunLock {
    RunLock::try_take(paths, &name(WORKLOAD)).unwrap_or_else(|error| {
        eprintln!("{error}");
        std::process::exit(1)
    })
}

fn report(lock: &RunLock, state: State) {
    lock.report(&Status::new(name(WORKLOAD), state)).unwrap();
}

fn hold(paths: &Paths, state: &str) {
    let lock = take(paths);
    report(&lock, serde_json::from_value(state.into()).unwrap());
    say("held");
    wait_for_a_line();
}

/// Waits for a word, so that several try at the same time.
fn contend(paths: &Paths) {
    say("ready");
    wait_for_a_line();
    let lock = RunLock::try_take(paths, &name(WORKLOAD));
    match &lock {
        Ok(_) => say("won"),
        Err(TakeError::Running { pid, .. }) => say(&format!("lost to {}", pid.unwrap())),
        Err(error) => panic!("{error}"),
    }
    wait_for_a_line();
}

/// Starts a server in this process's own directories and ends.
fn launch() {
    let paths = Paths::from_env(|name| std::env::var_os(name)).unwrap();
    let log = paths.log(&name(WORKLOAD));
    let server = SecretString::from("server");
    let spawned = spawn_detached(&std::env::current_exe().unwrap(), ARGS, &log, &[(ROLE, &server)]).unwrap();
    say(&spawned.pid().to_string());
}

enum Ending {
    Polite,
    Sudden,
    Never,
}

#[tokio::main(flavor = "current_thread")]
async fn serve(paths: &Paths, ending: Ending) {
    detach().unwrap();
    let lock = take(paths);
    report(&lock, State::Starting);
    println!("a line in the log");
    eprintln!("another line in the log");
    if matches!(ending, Ending::Sudden) {
        report(&lock, State::Running);
        return std::future::pending().await;
    }
    let mut terminate = signal(SignalKind::terminate()).unwrap();
    report(&lock, State::Running);
    while terminate.recv().await.is_some() {
        if matches!(ending, Ending::Polite) {
            return lock
                .report(&Status::new(name(WORKLOAD), State::Stopped).with_detail("as asked"))
                .unwrap();
        }
    }
}

fn fail(paths: &Paths) {
    let lock = take(paths);
    eprintln!("what led to it");
    lock.report(&Status::new(name(WORKLOAD), State::Error).with_detail("the port is taken")).unwrap();
}

fn crash() {
    eprintln!("out of luck");
    std::process::exit(3);
}

/// Gets ready when it is told to, by a file.
fn slow(paths: &Paths) {
    let lock = take(paths);
    report(&lock, State::Starting);
    crate::home::until("the word to go on", || go_on(paths).exists().then_some(()));
    report(&lock, State::Unauthenticated);
    crate::home::until("the word to end", || (!go_on(paths).exists()).then_some(()));
}

/// The file that a slow server waits for.
pub(crate) fn go_on(paths: &Paths) -> Box<Path> {
    paths.secrets().join("go-on").into()
}
