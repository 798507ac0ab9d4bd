//! A place for secrets, and processes of this test's own.

pub(crate) mod session;

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use secrecy::{ExposeSecret, SecretString};
use tempfile::TempDir;
use thv_secrets::{Choice, Provider, SecretStore, SecretsError, Settings, Variables};

pub(crate) const FILE: Choice = Choice::Named(Provider::File);
/// Tells a process of ours where to keep secrets.
const DIR: &str = "THV_SECRETS_TEST_DIR";

/// A directory for secrets that does not exist yet, and an environment without a session bus.
pub(crate) struct Place {
    _parent: Option<TempDir>,
    pub(crate) dir: PathBuf,
    pub(crate) variables: HashMap<&'static str, OsString>,
    pub(crate) password: Option<&'static str>,
}

impl Place {
    pub(crate) fn new() -> Self {
        let parent = tempfile::Builder::new().prefix("thv-secrets-").tempdir().unwrap();
        let dir = parent.path().join("config/toolhive");
        Self { _parent: Some(parent), dir, variables: HashMap::new(), password: None }
    }

    /// In a process that was started by [`process`]: the place of the test that started it.
    pub(crate) fn given() -> Self {
        let dir = std::env::var_os(DIR).expect("started by another test").into();
        Self { _parent: None, dir, variables: HashMap::new(), password: None }
    }

    pub(crate) fn with_password(mut self, password: &'static str) -> Self {
        self.password = Some(password);
        self
    }

    pub(crate) fn with_variable(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.variables.insert(name, value.into());
        self
    }

    pub(crate) fn settings(&self, choice: Choice) -> Settings {
        let variables = self.variables.clone();
        Settings {
            choice,
            dir: self.dir.clone(),
            password: self.password.map(SecretString::from),
            environment: Variables::new(move |name| variables.get(name).cloned()),
        }
    }

    pub(crate) fn open(&self, choice: Choice) -> Result<SecretStore, SecretsError> {
        SecretStore::open(&self.settings(choice))
    }

    pub(crate) fn file(&self) -> SecretStore {
        self.open(FILE).unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The names of the files that there are.
    pub(crate) fn files(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(&self.dir) else { return Vec::new() };
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

pub(crate) fn secret(value: impl Into<String>) -> SecretString {
    SecretString::from(value.into())
}

pub(crate) fn get(store: &SecretStore, name: &str) -> Option<String> {
    store.get(name).unwrap().map(|secret| secret.expose_secret().to_owned())
}

pub(crate) fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// This test binary, running only the ignored test `name` over the secrets in `dir`.
pub(crate) fn process(name: &str, dir: &Path) -> Command {
    process_of(Command::new(std::env::current_exe().unwrap()), name, dir)
}

/// [`process`], started by a shell that first runs `preparation`.
pub(crate) fn prepared_process(preparation: &str, name: &str, dir: &Path) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("{preparation}; exec \"$0\" \"$@\"")).arg(std::env::current_exe().unwrap());
    process_of(shell, name, dir)
}

/// [`process`], in surroundings that `confined.py` makes.
pub(crate) fn confined_process(surroundings: &str, name: &str, dir: &Path) -> Command {
    let mut python = Command::new("python3");
    python.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/confined.py")).arg(surroundings);
    python.arg(std::env::current_exe().unwrap());
    process_of(python, name, dir)
}

fn process_of(mut command: Command, name: &str, dir: &Path) -> Command {
    command.args(["--exact", name, "--ignored", "--nocapture", "--test-threads=1"]);
    command.env(DIR, dir).env_remove("DBUS_SESSION_BUS_ADDRESS").env_remove("XDG_RUNTIME_DIR");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs it to its end; the test in it must have run and passed. Returns what it printed.
pub(crate) fn run(mut command: Command) -> String {
    let program = command.get_program().to_owned();
    let output =
        command.output().unwrap_or_else(|error| panic!("{}: {error}; is it installed?", program.display()));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let passed = output.status.success() && text.contains("1 passed");
    assert!(passed, "{}\n{text}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    text
}
