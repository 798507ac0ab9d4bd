//! `thv serve`.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

use tokio::process::Command;

use super::program::Program;
use super::scene::Scene;
use super::tools;

/// A running gateway.
pub(crate) struct Gateway {
    program: Program,
    command: Invocation,
    /// The URL of the MCP endpoint.
    pub(crate) url: String,
}

/// How a gateway is started.
#[derive(Clone)]
struct Invocation {
    /// Of its log.
    name: String,
    arguments: Vec<String>,
}

/// A gateway that was ended, and may be started again.
pub(crate) struct Ended {
    command: Invocation,
    url: String,
}

impl Gateway {
    /// `thv serve --dev` on a free port.
    pub(crate) async fn development(scene: &Scene) -> Self {
        let command = Invocation::new("thv", &["--dev", "--listen", "127.0.0.1:0"]);
        let program = command.start(scene);
        let url = program.printed("the URL of its MCP endpoint", mcp_url).await;
        Self { program, command, url }
    }

    /// `thv serve ARGUMENTS -c` with a configuration whose `publicUrl` is `origin`.
    pub(crate) async fn configured(scene: &Scene, arguments: &[&str], origin: &str, yaml: &str) -> Self {
        let file = scene.write("thv.yaml", yaml);
        let command = Invocation::new("thv", &[arguments, &["-c", file.to_str().unwrap()]].concat());
        command.ready(scene, format!("{origin}/mcp")).await
    }

    /// `thv serve -c`: one of several, called `name`.
    pub(crate) async fn replica(scene: &Scene, name: &str, origin: &str, yaml: &str) -> Self {
        let file = scene.write(&format!("{name}.yaml"), yaml);
        let command = Invocation::new(name, &["-c", file.to_str().unwrap()]);
        command.ready(scene, format!("{origin}/mcp")).await
    }

    /// Origin and issuer.
    pub(crate) fn origin(&self) -> &str {
        self.url.strip_suffix("/mcp").unwrap()
    }

    /// What it has printed so far.
    pub(crate) fn output(&self) -> String {
        self.program.output()
    }

    /// Stops it, and sees that it ended well and wrote none of the scene's secrets, of which there are at least `least`,
    /// into its log (O6).
    pub(crate) async fn stop(self, scene: &Scene, least: usize) -> Ended {
        let secrets = scene.secrets();
        assert!(secrets.len() >= least, "only {} secrets were seen, {least} expected", secrets.len());
        let (status, log) = self.program.terminate().await;
        assert!(status.success(), "thv serve ended with {status}:\n{log}");
        assert_clean(scene, &log);
        Ended { command: self.command, url: self.url }
    }

    /// Ends it at once with SIGKILL.
    pub(crate) async fn kill(self, scene: &Scene) -> Ended {
        let log = self.program.kill().await;
        assert_clean(scene, &log);
        Ended { command: self.command, url: self.url }
    }
}

impl Ended {
    /// Starts it again as it was started before.
    pub(crate) async fn start_again(self, scene: &Scene) -> Gateway {
        self.command.ready(scene, self.url).await
    }
}

impl Invocation {
    fn new(name: &str, arguments: &[&str]) -> Self {
        Self { name: name.to_owned(), arguments: arguments.iter().map(|&text| text.to_owned()).collect() }
    }

    /// Runs it with everything logged that can be.
    fn start(&self, scene: &Scene) -> Program {
        let mut command = Command::new(tools::thv());
        command.args(["--log-level", "trace", "serve"]).args(&self.arguments);
        if self.arguments.iter().any(|argument| argument == "--dev") {
            // In production the file says whom to trust.
            command.env("SSL_CERT_FILE", &scene.pki.ca);
        }
        scene.start(&self.name, command)
    }

    async fn ready(self, scene: &Scene, url: String) -> Gateway {
        let program = self.start(scene);
        program.printed("that it is ready", |text| text.contains(" ready ").then_some(())).await;
        Gateway { program, command: self, url }
    }
}

/// A log without panics and without secrets.
fn assert_clean(scene: &Scene, log: &str) {
    assert!(!log.contains("panicked"), "{log}");
    for secret in scene.secrets() {
        let line = log.lines().find(|line| line.contains(&secret));
        assert_eq!(line, None, "a secret is in the log");
    }
}

/// The first URL with the path `/mcp` in what was printed.
fn mcp_url(text: &str) -> Option<String> {
    let end = |character: char| {
        character.is_whitespace() || matches!(character, '"' | '\'' | '<' | '>' | ',' | '`')
    };
    // Only complete lines: the rest of the URL may still be on its way.
    let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    let mut words = lines.flat_map(|line| line.split(end));
    words
        .find(|word| word.starts_with("http") && word.ends_with("/mcp") && !word.contains(".well-known"))
        .map(str::to_owned)
}

/// A port that was free a moment ago, for configurations that must name it beforehand. Outside the range from which the
/// system hands out ports, so that nobody who asks for any port gets it.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 10_000).unwrap();
    loop {
        let port = 20_000 + (start + NEXT.fetch_add(7, Ordering::Relaxed)) % 10_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
