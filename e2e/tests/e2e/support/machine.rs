//! One user's machine for `thv run`: folders and a browser of its own, and the processes that go on in the background.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use super::program::{Finished, PATIENCE, Program};
use super::scene::Scene;
use super::tools;

/// How often something in a file or a process table is looked at.
const LOOK: Duration = Duration::from_millis(25);

/// The machine. Whatever runs in its background ends with it.
pub(crate) struct Machine {
    home: PathBuf,
    artifacts: PathBuf,
    environment: Vec<(String, String)>,
}

impl Machine {
    /// A machine on which nobody has run anything yet. Its browser logs in as alice and consents to everything.
    pub(crate) fn new(scene: &Scene) -> Self {
        let (home, artifacts) = (scene.path("home"), scene.artifacts().to_owned());
        fs::create_dir(&home).expect("a home");
        let path = |path: PathBuf| path.to_str().expect("UTF-8").to_owned();
        let below = |name: &str| path(home.join(name));
        let environment = [
            ("PATH", std::env::var("PATH").expect("PATH is set")),
            ("HOME", path(home.clone())),
            ("XDG_CONFIG_HOME", below("config")),
            ("XDG_STATE_HOME", below("state")),
            ("XDG_DATA_HOME", below("data")),
            ("XDG_RUNTIME_DIR", below("run")),
            ("TOOLHIVE_SECRETS_PROVIDER", "encrypted".to_owned()),
            ("TOOLHIVE_SECRETS_PASSWORD", PASSWORD.to_owned()),
            // Everything that can be, so that a secret among it is found.
            ("THV_LOG_LEVEL", "trace".to_owned()),
            ("BROWSER", tools::script("headless-browser")),
            ("THV_E2E_NODE", path(tools::packages().to_owned())),
            ("THV_E2E_SECRETS", path(scene.secrets_file())),
            ("THV_E2E_BROWSER_LOG", path(artifacts.join("browser.log"))),
            ("NODE_EXTRA_CA_CERTS", path(scene.pki.ca.clone())),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value)).to_vec();
        Self { home, artifacts, environment }
    }

    /// Sets a variable for what is started from now on.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// The variables that the user has set, and no others.
    pub(crate) fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    /// `thv ARGUMENTS`.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(tools::thv());
        command.args(arguments).env_clear().envs(self.environment.iter().cloned()).current_dir(&self.home);
        command
    }

    /// Starts `thv ARGUMENTS`; its output goes to `NAME.log` too.
    pub(crate) fn start(&self, name: &str, arguments: &[&str]) -> Program {
        Program::start(name, self.command(arguments), &self.artifacts.join(format!("{name}.log")))
    }

    /// Starts `thv ARGUMENTS` with somebody who types into a pipe.
    pub(crate) fn interactive(&self, name: &str, arguments: &[&str]) -> Program {
        Program::interactive(name, self.command(arguments), &self.artifacts.join(format!("{name}.log")))
    }

    /// Starts `thv ARGUMENTS` on a terminal of 80 columns, see `terminal.py`.
    pub(crate) fn on_terminal(&self, name: &str, arguments: &[&str]) -> Program {
        let mut command = Command::new("python3");
        let helper = tools::python_programs().join("terminal.py");
        command.arg(helper).arg(tools::thv()).args(arguments);
        command.env_clear().envs(self.environment.iter().cloned()).env("TERM", "xterm-256color");
        // A log would be in the way of what people see.
        command.env_remove("THV_LOG_LEVEL").current_dir(&self.home);
        Program::interactive(name, command, &self.artifacts.join(format!("{name}.log")))
    }

    /// Runs `thv ARGUMENTS` to its end.
    pub(crate) async fn thv(&self, arguments: &[&str]) -> Finished {
        self.start(&format!("thv-{}", arguments[0]), arguments).finished().await
    }

    /// Runs `thv ARGUMENTS`, which succeeds: what it prints to standard output.
    pub(crate) async fn ok(&self, arguments: &[&str]) -> String {
        let Finished { status, stdout, stderr } = self.thv(arguments).await;
        assert!(status.success(), "{arguments:?}: {status}\n{stdout}{stderr}");
        stdout
    }

    /// Runs `thv ARGUMENTS --json`, which succeeds: what it prints.
    pub(crate) async fn json(&self, arguments: &[&str]) -> Value {
        let printed = self.ok(&[arguments, &["--json"]].concat()).await;
        serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {printed}"))
    }

    /// Runs `thv ARGUMENTS`, which fails (exit code 1) without data: what it prints to standard error.
    pub(crate) async fn refused(&self, arguments: &[&str]) -> String {
        let Finished { status, stdout, stderr } = self.thv(arguments).await;
        assert_eq!((status.code(), &*stdout), (Some(1), ""), "{arguments:?}: {stderr}");
        assert!(stderr.contains("error: "), "{arguments:?}: {stderr}");
        stderr
    }

    /// Runs `thv run`, or another command that prints the URL of a workload and nothing else.
    pub(crate) async fn url(&self, arguments: &[&str]) -> String {
        let printed = self.ok(arguments).await;
        let url = printed.strip_suffix('\n').filter(|url| url.ends_with("/mcp") && !url.contains('\n'));
        url.unwrap_or_else(|| panic!("{arguments:?} printed no URL: {printed}")).to_owned()
    }

    /// What `thv status` says.
    pub(crate) async fn status(&self, workload: &str) -> Value {
        self.json(&["status", workload]).await
    }

    /// Waits until the status of a workload is as wanted.
    pub(crate) async fn becomes(&self, workload: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.status(workload).await;
            if wanted(&status) {
                return status;
            }
            assert!(Instant::now() < deadline, "{workload} never becomes {what}: {status}");
            sleep(LOOK).await;
        }
    }

    /// The process of a workload that runs.
    pub(crate) async fn pid(&self, workload: &str) -> u32 {
        let status = self.status(workload).await;
        let pid = status["pid"].as_u64().unwrap_or_else(|| panic!("it does not run: {status}"));
        pid.try_into().unwrap()
    }

    /// Kills the process of a workload as a crash does, and waits until the system has noticed.
    pub(crate) async fn kill(&self, workload: &str) {
        let pid = self.pid(workload).await;
        kill(&[pid.to_string()]);
        until("the end of a killed process", || !is_alive(pid)).await;
    }

    /// What the workload has logged.
    pub(crate) fn log(&self, workload: &str) -> String {
        fs::read_to_string(self.home.join(format!("data/toolhive/logs/{workload}.log"))).unwrap_or_default()
    }

    /// What the browser was opened for, just `count` times, and what came of it, oldest first.
    pub(crate) async fn tabs(&self, count: usize) -> Vec<Value> {
        let log = || {
            let text = fs::read_to_string(self.artifacts.join("browser.log")).unwrap_or_default();
            let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            let values = lines.map(|line| serde_json::from_str(line).expect("JSON"));
            values.partition::<Vec<Value>, _>(|line| line["opening"].is_object())
        };
        // The program may have its answer before the user has read what the browser shows.
        until("the end of what happens in the browser", || log().1.len() >= count).await;
        let (opened, ended) = log();
        assert_eq!(opened.len(), count, "{opened:?}");
        ended
    }

    /// Everything that is kept on this machine by files' paths, below `home`.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.home.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
                match entry.file_type().unwrap() {
                    kind if kind.is_dir() => folders.push(entry.path()),
                    kind if kind.is_file() => found.push(entry.path()),
                    _ => {}
                }
            }
        }
        found
    }

    /// Whether there are any secrets: without one, there is no file of them.
    pub(crate) fn has_secrets(&self) -> bool {
        self.path("data/toolhive/secrets_encrypted").exists()
    }

    /// A path below `home`.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.home.join(path)
    }

    /// Asserts that nothing that is kept or was printed holds any of the scene's secrets, of which there are at least `least`,
    /// nor the password of the secrets.
    pub(crate) fn assert_clean(&self, scene: &Scene, least: usize) {
        let mut secrets = scene.secrets();
        assert!(secrets.len() >= least, "only {} secrets were seen, {least} expected", secrets.len());
        secrets.insert(PASSWORD.to_owned());
        let logs = fs::read_dir(&self.artifacts).unwrap().map(|entry| entry.unwrap().path());
        let ours = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.starts_with("thv") && name.ends_with(".log")
        };
        for file in self.files().into_iter().chain(logs.filter(ours)) {
            let bytes = fs::read(&file).unwrap();
            let text = String::from_utf8_lossy(&bytes);
            assert!(!text.contains("panicked"), "{}: {text}", file.display());
            let leaked = secrets.iter().find(|secret| text.contains(*secret));
            assert_eq!(leaked, None, "a secret is in {}", file.display());
        }
    }
}

/// Of the encrypted secrets.
const PASSWORD: &str = "the password of this machine's secrets";

impl Drop for Machine {
    fn drop(&mut self) {
        for log in fs::read_dir(self.home.join("data/toolhive/logs")).into_iter().flatten().flatten() {
            // For whoever reads the artifacts of a failed test.
            let _ = fs::copy(log.path(), self.artifacts.join(log.file_name()));
        }
        let statuses = fs::read_dir(self.home.join("data/toolhive/statuses")).into_iter().flatten().flatten();
        let locks =
            statuses.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "lock"));
        let holders = locks.filter_map(|lock| fs::read_to_string(lock).ok());
        let pids: Vec<String> =
            holders.filter_map(|holder| Some(holder.split_once(' ')?.0.to_owned())).collect();
        if !pids.is_empty() {
            kill(&pids);
        }
    }
}

/// Kills processes; those that are gone already are fine.
pub(crate) fn kill(pids: &[String]) {
    let mut command = std::process::Command::new("kill");
    let _ = command.arg("-KILL").args(pids).stderr(Stdio::null()).status().expect("kill runs");
}

/// Whether a process is there and is no zombie.
pub(crate) fn is_alive(pid: u32) -> bool {
    state_and_parent(pid).is_some_and(|(state, _)| state != "Z")
}

/// The processes that a process has started and that are alive.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let all =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    all.filter(|&one| state_and_parent(one).is_some_and(|(state, parent)| state != "Z" && parent == pid))
        .collect()
}

/// See `proc_pid_stat(5)`.
fn state_and_parent(pid: u32) -> Option<(String, u32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.to_owned(), fields.next()?.parse().ok()?))
}

/// Waits until something that nobody announces is so.
pub(crate) async fn until(what: &str, so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < deadline, "{what} does not come");
        sleep(LOOK).await;
    }
}

/// The arguments, or the variables, of a running process.
pub(crate) fn of_process(pid: u32, file: &str) -> Vec<String> {
    let text = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join(file)).expect("a process");
    text.split_terminator('\0').map(str::to_owned).collect()
}
