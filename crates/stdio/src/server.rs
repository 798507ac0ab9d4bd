//! The command that runs a local MCP server.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;

use secrecy::{ExposeSecret, SecretString};
use tokio::process::Command;

/// How a local MCP server is started: without a shell, so that nothing in its arguments means anything to anybody but it.
#[derive(Clone, Debug)]
pub struct Server {
    /// The program: a path, or a name that is looked up in this process's `PATH`.
    pub command: OsString,
    /// Its arguments, passed on as they are.
    pub args: Vec<OsString>,
    /// Whether it gets this process's environment, to which the next two are then added.
    pub inherit_env: bool,
    /// Environment variables.
    pub env: BTreeMap<String, String>,
    /// Environment variables whose values are secret. They win over `env`.
    pub secret_env: Vec<(String, SecretString)>,
    /// The directory that it runs in; this process's own if there is none.
    pub cwd: Option<PathBuf>,
}

impl Server {
    /// A server with this process's environment and directory.
    pub fn new<A: Into<OsString>>(command: impl Into<OsString>, args: impl IntoIterator<Item = A>) -> Self {
        Self {
            command: command.into(),
            args: args.into_iter().map(Into::into).collect(),
            inherit_env: true,
            env: BTreeMap::new(),
            secret_env: Vec::new(),
            cwd: None,
        }
    }

    /// The command with all three streams piped, in a process group of its own.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.command);
        command.args(&self.args).process_group(0).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if !self.inherit_env {
            command.env_clear();
        }
        command.envs(&self.env);
        command.envs(self.secret_env.iter().map(|(name, value)| (name, value.expose_secret())));
        if let Some(cwd) = &self.cwd {
            command.current_dir(cwd);
        }
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        let mut server = Server::new("npx", ["server"]);
        server.secret_env.push(("TOKEN".to_owned(), SecretString::from("hunter2")));
        let shown = format!("{server:?}");
        assert!(shown.contains("TOKEN") && !shown.contains("hunter2"), "{shown}");
    }
}
