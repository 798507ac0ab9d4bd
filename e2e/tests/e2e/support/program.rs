//! A running program whose output is kept.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Longest wait for a program to print something or to end.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// A child process, killed when dropped. Everything it prints goes to a log file too.
pub(crate) struct Program {
    name: String,
    child: Child,
    stdout: watch::Receiver<String>,
    stderr: watch::Receiver<String>,
    pumps: Vec<JoinHandle<()>>,
}

impl Program {
    pub(crate) fn start(name: &str, mut command: Command, log: &Path) -> Self {
        command.stdin(Stdio::null());
        Self::spawn(name, command, log)
    }

    /// Starts one that is typed to, see [`Self::type_in`].
    pub(crate) fn interactive(name: &str, mut command: Command, log: &Path) -> Self {
        command.stdin(Stdio::piped());
        Self::spawn(name, command, log)
    }

    fn spawn(name: &str, mut command: Command, log: &Path) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let open = || OpenOptions::new().create(true).append(true).open(log).expect("a log file");
        let (out, stdout) = watch::channel(String::new());
        let (err, stderr) = watch::channel(String::new());
        let pumps = vec![
            tokio::spawn(pump(child.stdout.take().expect("piped"), out, open())),
            tokio::spawn(pump(child.stderr.take().expect("piped"), err, open())),
        ];
        Self { name: name.to_owned(), child, stdout, stderr, pumps }
    }

    /// Writes to the program's standard input.
    pub(crate) async fn type_in(&mut self, text: &str) {
        let stdin = self.child.stdin.as_mut().expect("started as an interactive one");
        stdin.write_all(text.as_bytes()).await.unwrap_or_else(|error| panic!("{}: {error}", self.name));
        stdin.flush().await.unwrap_or_else(|error| panic!("{}: {error}", self.name));
    }

    /// Closes the program's standard input.
    pub(crate) fn hang_up(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().unwrap_or_else(|| panic!("{} has ended already:\n{}", self.name, self.output()))
    }

    /// Everything printed so far.
    pub(crate) fn output(&self) -> String {
        format!("{}{}", *self.stdout.borrow(), *self.stderr.borrow())
    }

    /// Waits until `find` finds something in what the program printed to stdout or stderr.
    pub(crate) async fn printed<T>(&self, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        let (mut out, mut err) = (self.stdout.clone(), self.stderr.clone());
        let found = async {
            loop {
                if let Some(found) = find(&self.output()) {
                    return Some(found);
                }
                let alive = tokio::select! {
                    Ok(()) = out.changed() => true,
                    Ok(()) = err.changed() => true,
                    else => false,
                };
                if !alive {
                    return find(&self.output());
                }
            }
        };
        let found = timeout(PATIENCE, found).await.ok().flatten();
        found.unwrap_or_else(|| panic!("{} never printed {what}:\n{}", self.name, self.output()))
    }

    /// The JSON objects that the program prints, one a line, as soon as there is one that `wanted` accepts.
    pub(crate) async fn event(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        self.printed(what, |text| events(text).find(|event| wanted(event))).await
    }

    /// All JSON objects printed so far.
    pub(crate) fn events(&self) -> Vec<Value> {
        events(&self.stdout.borrow()).collect()
    }

    /// Asks the program to end, as an operator does.
    pub(crate) async fn terminate(self) -> (ExitStatus, String) {
        let id = self.id();
        let told =
            Command::new("sh").args(["-c", &format!("kill -TERM {id}")]).status().await.expect("sh runs");
        assert!(told.success(), "{} has ended already", self.name);
        self.ended().await
    }

    /// Ends the program at once, as a crash does: all it printed.
    pub(crate) async fn kill(mut self) -> String {
        self.end_now().await;
        self.ended().await.1
    }

    /// As [`Self::kill`], where it is asked later what it has printed.
    pub(crate) async fn end_now(&mut self) {
        self.child.kill().await.unwrap_or_else(|error| panic!("{}: {error}", self.name));
    }

    /// Waits for the program to end by itself: its exit status and all it printed.
    pub(crate) async fn ended(self) -> (ExitStatus, String) {
        let Finished { status, stdout, stderr } = self.finished().await;
        (status, stdout + &stderr)
    }

    /// Waits for the program to end by itself.
    pub(crate) async fn finished(mut self) -> Finished {
        let Ok(status) = timeout(PATIENCE, self.child.wait()).await else {
            panic!("{} did not end within {PATIENCE:?}:\n{}", self.name, self.output());
        };
        for pump in self.pumps.drain(..) {
            pump.await.expect("output is read");
        }
        let (stdout, stderr) = (self.stdout.borrow().clone(), self.stderr.borrow().clone());
        Finished { status: status.expect("a status"), stdout, stderr }
    }

    /// Waits for the program to end well: what it printed to stdout.
    pub(crate) async fn succeeded(self) -> String {
        let name = self.name.clone();
        let Finished { status, stdout, stderr } = self.finished().await;
        assert!(status.success(), "{name}: {status}\n{stdout}{stderr}");
        stdout
    }
}

/// How a program ended, and what it printed.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

fn events(text: &str) -> impl Iterator<Item = Value> {
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).filter(Value::is_object)
}

async fn pump(mut from: impl AsyncRead + Unpin, to: watch::Sender<String>, mut log: File) {
    let mut chunk = vec![0; 16 * 1024];
    let mut cut = Vec::new();
    while let Ok(length @ 1..) = from.read(&mut chunk).await {
        log.write_all(&chunk[..length]).expect("the log is written");
        cut.extend_from_slice(&chunk[..length]);
        // A character may be split between two reads.
        let whole = cut.utf8_chunks().next().map_or(0, |first| first.valid().len());
        let rest = cut.split_off(if whole == 0 { cut.len() } else { whole });
        let text = String::from_utf8_lossy(&cut).into_owned();
        to.send_modify(|all| all.push_str(&text));
        cut = rest;
    }
}
