//! One test's folder, certificates, logs and secrets.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use super::pki::Pki;
use super::program::Program;
use super::tools;

/// The stage of one test.
pub(crate) struct Scene {
    folder: TempDir,
    artifacts: PathBuf,
    pub(crate) pki: Pki,
}

impl Scene {
    /// `name` is the test's; its logs and screenshots are kept under it.
    pub(crate) fn new(name: &str) -> Self {
        let artifacts = tools::target().join("e2e-artifacts").join(name);
        if artifacts.exists() {
            fs::remove_dir_all(&artifacts).expect("old artifacts are removed");
        }
        fs::create_dir_all(&artifacts).expect("a folder for artifacts");
        let folder = TempDir::new().expect("a folder");
        let pki = Pki::new(folder.path());
        Self { folder, artifacts, pki }
    }

    /// A path in the test's own folder, which goes away with the test.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The test's own folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where logs and screenshots are kept.
    pub(crate) fn artifacts(&self) -> &Path {
        &self.artifacts
    }

    /// Writes a file that only its owner can read into the test's own folder.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its owner's alone");
        path
    }

    /// Starts a program; its output goes to `NAME.log` too.
    pub(crate) fn start(&self, name: &str, command: Command) -> Program {
        Program::start(name, command, &self.artifacts.join(format!("{name}.log")))
    }

    /// Starts Node with the environment of the scripts: the private authority trusted, a home of its own, and every Node
    /// process recording the secrets it sees.
    pub(crate) fn node(&self, name: &str, arguments: &[&str]) -> Program {
        self.start(name, self.node_command(arguments))
    }

    /// What [`Self::node`] starts, for those who have more to say to it.
    pub(crate) fn node_command(&self, arguments: &[&str]) -> Command {
        let bin = tools::node_folder();
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new(bin.join("node"));
        command
            .args(arguments)
            .current_dir(tools::scripts())
            .env("PATH", path)
            .env("HOME", self.folder.path())
            .env("THV_E2E_NODE", tools::packages())
            .env("THV_E2E_SECRETS", self.secrets_file())
            .env("NODE_EXTRA_CA_CERTS", &self.pki.ca)
            .env("NODE_OPTIONS", format!("--import \"{}\"", tools::scripts().join("preload.mjs").display()))
            .env("MCP_INSPECTOR_SECRET_STORE", "memory")
            .env("MCP_AUTO_OPEN_ENABLED", "true");
        command
    }

    /// Starts one of the Python programs.
    pub(crate) fn python(&self, name: &str, arguments: &[&str]) -> Program {
        let mut command = Command::new("python3");
        command
            .args(arguments)
            .current_dir(tools::python_programs())
            .env("PYTHONPATH", tools::python_packages())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("THV_E2E_SECRETS", self.secrets_file());
        self.start(name, command)
    }

    /// Runs a script to its end and returns the JSON report that it prints last.
    pub(crate) async fn report(&self, script: &str, arguments: &[&str]) -> Value {
        let program = self.node(script, &[&[script], arguments].concat());
        let stdout = program.succeeded().await;
        let last = stdout.lines().last().unwrap_or_default();
        serde_json::from_str(last).unwrap_or_else(|error| panic!("{script}: no report ({error}):\n{stdout}"))
    }

    /// Where the scripts write down what must not be seen.
    pub(crate) fn secrets_file(&self) -> PathBuf {
        self.path("secrets")
    }

    /// Writes down what else must not be seen.
    pub(crate) fn record_secret(&self, secret: &str) {
        let mut file =
            OpenOptions::new().create(true).append(true).open(self.secrets_file()).expect("a file");
        writeln!(file, "{secret}").expect("it is written");
    }

    /// Every token, code, cookie and client secret that a script has seen so far.
    pub(crate) fn secrets(&self) -> BTreeSet<String> {
        let text = fs::read_to_string(self.secrets_file()).unwrap_or_default();
        text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }
}
