use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// What a run of `thv` left behind.
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// `thv` with an environment of its own.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_thv"));
    command.env_clear().env("HOME", std::env::temp_dir()).args(arguments);
    command
}

/// Runs `thv` to its end.
pub(crate) fn thv(arguments: &[&str]) -> Run {
    Run::of(command(arguments).output().unwrap())
}

/// Runs `thv` as the user whose home is here, who keeps secrets in a file, and types `input`.
pub(crate) fn thv_at(home: &Path, arguments: &[&str], input: &str) -> Run {
    let mut child = command(arguments)
        .env("HOME", home)
        .env("TOOLHIVE_SECRETS_PROVIDER", "encrypted")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that wants no input may have ended before it is written.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    Run::of(child.wait_with_output().unwrap())
}

impl Run {
    pub(crate) fn of(Output { status, stdout, stderr }: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }
}
