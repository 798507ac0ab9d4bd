use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Stdio;

use crate::run::{Run, command, thv_at};

/// A user whose workloads end with the test.
struct User(tempfile::TempDir);

impl User {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn thv(&self, arguments: &[&str]) -> Run {
        thv_at(self.path(), arguments, "")
    }

    /// With variables of the environment.
    fn thv_with(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Run {
        let mut command = command(arguments);
        command.env("HOME", self.path()).envs(variables.iter().copied()).stdin(Stdio::null());
        Run::of(command.output().unwrap())
    }

    fn file(&self, name: &str, content: &str) -> String {
        let path = self.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn secrets(&self) -> Vec<u8> {
        std::fs::read(self.path().join(".local/share/toolhive/secrets_encrypted")).unwrap()
    }

    fn ok(&self, arguments: &[&str]) -> String {
        let run = self.thv(arguments);
        assert_eq!(run.code, Some(0), "{arguments:?}: {}", run.stderr);
        run.stdout.trim().to_owned()
    }

    fn refused(&self, arguments: &[&str]) -> String {
        let run = self.thv(arguments);
        assert_eq!(run.code, Some(1), "{arguments:?}: {}", run.stdout);
        run.stderr
    }
}

impl Drop for User {
    fn drop(&mut self) {
        self.thv(&["rm", "--all", "--force"]);
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The status of a request for `/health` under a name.
fn health(port: u16, host: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(stream, "GET /health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().to_owned()
}

#[test]
fn a_workload_is_removed_where_secrets_can_only_be_read() {
    let user = User::new();
    let read_only = [("TOOLHIVE_SECRETS_PROVIDER", "environment")];
    let run = user.thv_with(&read_only, &["run", "--name", "w", "--", "cat"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let removed = user.thv_with(&read_only, &["rm", "--force", "w"]);
    assert_eq!((removed.code, removed.stdout.as_str()), (Some(0), "w: removed\n"), "{}", removed.stderr);
    assert_eq!(user.ok(&["list", "--json"]), "[]");
}

#[test]
fn a_secret_that_cannot_be_kept_is_refused_before_anything_is() {
    let user = User::new();
    let token = user.file("token", "t0ken");
    let arguments = ["run", "https://127.0.0.1:1/mcp", "--remote-auth-bearer-token-file", &token];
    let run = user.thv_with(&[("TOOLHIVE_SECRETS_PROVIDER", "environment")], &arguments);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("choose another provider"), "{}", run.stderr);
    assert!(!run.stderr.contains("TOOLHIVE_SECRET_"), "no variable helps: {}", run.stderr);
    assert_eq!(user.ok(&["list", "--json"]), "[]");
}

#[test]
fn a_token_in_the_environment_is_mentioned_and_does_not_concern_a_command() {
    let user = User::new();
    let variables =
        [("TOOLHIVE_REMOTE_AUTH_BEARER_TOKEN", "t0ken"), ("TOOLHIVE_SECRETS_PROVIDER", "encrypted")];
    let run = user.thv_with(&variables, &["run", "--name", "local", "--", "cat"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(!run.stderr.contains("bearer token"), "{}", run.stderr);
    let run = user.thv_with(&variables, &["run", "http://127.0.0.1:1/mcp", "--name", "remote"]);
    let said = "the bearer token comes from TOOLHIVE_REMOTE_AUTH_BEARER_TOKEN\n";
    assert!(run.stderr.contains(said) && !run.stderr.contains("t0ken"), "{}", run.stderr);
}

#[test]
fn a_port_that_is_taken_can_be_changed_as_the_hint_says() {
    let user = User::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken_port = taken.local_addr().unwrap().port().to_string();
    let run = |port: &str| ["run", "--name", "w", "--proxy-port", port, "--", "cat"].map(str::to_owned);
    let words = |run: &[String]| user.thv(&run.iter().map(String::as_str).collect::<Vec<_>>());
    let refused = words(&run(&taken_port));
    assert_eq!(refused.code, Some(1));
    for port in [free_port(), free_port()] {
        let url = words(&run(&port.to_string()));
        assert_eq!(url.stdout, format!("http://127.0.0.1:{port}/mcp\n"), "{}", url.stderr);
        user.ok(&["stop", "w"]);
    }
    // It came up, so anything else would be lost.
    assert_eq!(words(&run(&taken_port)).code, Some(1), "the port is still taken");
    let other = user.refused(&["run", "--name", "w", "--", "cat", "-u"]);
    assert!(other.contains("is a different one"), "{other}");
}

#[test]
fn the_secrets_of_a_running_workload_are_not_overwritten_by_a_second_run() {
    let user = User::new();
    let (one, two) = (user.file("one", "t0ken-1"), user.file("two", "t0ken-2"));
    let run =
        |token| ["run", "http://127.0.0.1:1/mcp", "--name", "w", "--remote-auth-bearer-token-file", token];
    user.ok(&run(&one));
    let before = user.secrets();
    let refused = user.refused(&run(&two));
    assert!(refused.contains("is running already") && refused.contains("thv restart w"), "{refused}");
    assert_eq!(user.secrets(), before);
}

#[test]
fn a_workload_for_others_answers_to_the_names_that_it_was_given() {
    let user = User::new();
    let open = |names: &[&str]| {
        let mut words = vec!["run", "--name", "w", "--host", "0.0.0.0"];
        words.extend(names);
        words.extend(["--", "cat"]);
        user.thv(&words)
    };
    let refused = open(&[]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("--host: "), "{}", refused.stderr);
    let run = open(&["--allowed-hosts", "mcp.lan,proxy.lan:443"]);
    let port: u16 = run.stdout.trim().rsplit(':').next().unwrap().trim_end_matches("/mcp").parse().unwrap();
    for (host, status) in [
        (format!("mcp.lan:{port}"), "204"),
        ("proxy.lan".to_owned(), "204"),
        (format!("127.0.0.1:{port}"), "204"),
        (format!("attacker.example:{port}"), "421"),
    ] {
        assert_eq!(health(port, &host), status, "{host}");
    }
}

#[test]
fn doctor_judges_its_words_as_run_does() {
    let user = User::new();
    for command in ["doctor", "run"] {
        let refused = user.refused(&[command, "http://mcp.example.com/mcp"]);
        assert!(refused.contains("URL: must be https"), "{refused}");
    }
}
