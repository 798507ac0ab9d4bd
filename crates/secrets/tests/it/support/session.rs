//! A session bus of our own, with or without a GNOME keyring on it. All their files are in one temporary directory.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{process, run};

const PASSWORD: &[u8] = b"login-password";
/// How long a daemon may take to start.
const PATIENCE: Duration = Duration::from_secs(20);

/// The bus, and the daemons that are ended with it.
pub(crate) struct Session {
    dir: TempDir,
    daemons: Vec<Child>,
}

impl Drop for Session {
    fn drop(&mut self) {
        for daemon in self.daemons.iter_mut().rev() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

impl Session {
    /// A bus without anybody on it; nobody is started on demand either.
    pub(crate) fn without_service() -> Self {
        let dir = tempfile::Builder::new().prefix("thv-session-").tempdir().unwrap();
        fs::DirBuilder::new().mode(0o700).create(dir.path().join("run")).unwrap();
        let config = dir.path().join("bus.conf");
        fs::write(&config, configuration(&dir.path().join("run/bus"))).unwrap();
        let mut bus = Command::new("dbus-daemon");
        bus.arg("--config-file").arg(config).args(["--nofork", "--print-address=1"]).stdout(Stdio::piped());
        let mut bus = spawn(bus, "dbus");
        // The address is printed when the socket is there.
        let mut address = String::new();
        BufReader::new(bus.stdout.take().unwrap()).read_line(&mut address).unwrap();
        assert!(address.starts_with("unix:path="), "dbus-daemon did not start: {address:?}");
        Self { dir, daemons: vec![bus] }
    }

    /// A bus and a keyring daemon that has no keyring yet.
    pub(crate) fn without_keyring() -> Self {
        let mut session = Self::without_service();
        session.start_keyring_daemon(false);
        session
    }

    /// A bus and a keyring daemon whose login keyring is unlocked.
    pub(crate) fn unlocked() -> Self {
        let mut session = Self::without_service();
        session.start_keyring_daemon(true);
        session
    }

    fn start_keyring_daemon(&mut self, unlock: bool) {
        let mut daemon = Command::new("gnome-keyring-daemon");
        daemon.args(["--foreground", "--components=secrets"]).args(unlock.then_some("--unlock"));
        daemon.arg("--control-directory").arg(self.path("run/keyring"));
        daemon.stdin(Stdio::piped()).stdout(Stdio::null());
        self.environment(&mut daemon);
        let mut daemon = spawn(daemon, "gnome-keyring");
        daemon.stdin.take().unwrap().write_all(PASSWORD).unwrap();
        self.daemons.push(daemon);
        self.wait_for_service(unlock);
    }

    /// Waits until the service answers, and its login keyring is there if it should be.
    fn wait_for_service(&self, with_keyring: bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut question = Command::new("dbus-send");
            question.args(["--session", "--print-reply", "--dest=org.freedesktop.secrets"]);
            question.args(["/org/freedesktop/secrets", "org.freedesktop.Secret.Service.ReadAlias"]);
            question.arg("string:default").stdin(Stdio::null());
            self.environment(&mut question);
            let output = question.output().unwrap_or_else(|error| absent("dbus-send", "dbus", &error));
            let answer = String::from_utf8_lossy(&output.stdout);
            if output.status.success() && (!with_keyring || answer.contains("collection/")) {
                return;
            }
            assert!(Instant::now() < deadline, "gnome-keyring-daemon does not answer: {answer}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Runs the ignored test `name` over the secrets in `dir`, within this session.
    pub(crate) fn run(&self, name: &str, dir: &Path) {
        let mut command = process(name, dir);
        self.environment(&mut command);
        run(command);
    }

    /// [`run`](Self::run) where only the runtime directory tells where the bus is.
    pub(crate) fn run_without_address(&self, name: &str, dir: &Path) {
        let mut command = process(name, dir);
        self.environment(&mut command);
        command.env_remove("DBUS_SESSION_BUS_ADDRESS");
        run(command);
    }

    /// Ends all daemons; the address leads nowhere then.
    pub(crate) fn end_daemons(&mut self) {
        for mut daemon in self.daemons.drain(..).rev() {
            daemon.kill().unwrap();
            daemon.wait().unwrap();
        }
    }

    fn environment(&self, command: &mut Command) {
        command.env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", self.path("run/bus").display()));
        command.env("XDG_RUNTIME_DIR", self.path("run")).env("HOME", self.path("home"));
        for (name, dir) in
            [("XDG_DATA_HOME", "data"), ("XDG_CONFIG_HOME", "config"), ("XDG_CACHE_HOME", "cache")]
        {
            command.env(name, self.path(dir));
        }
        command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

fn spawn(mut command: Command, package: &str) -> Child {
    let program = command.get_program().to_string_lossy().into_owned();
    command.stderr(Stdio::null()).spawn().unwrap_or_else(|error| absent(&program, package, &error))
}

fn absent(program: &str, package: &str, error: &std::io::Error) -> ! {
    panic!("{program} cannot be started ({error}); install the Debian package {package}")
}

fn configuration(socket: &Path) -> String {
    format!(
        r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={}</listen>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"#,
        socket.display()
    )
}
