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
    /// The URL of the MCP endpoint that it printed.
    pub(crate) url: String,
}

impl Gateway {
    /// `thv serve --dev` on a free port.
    pub(crate) async fn development(scene: &Scene) -> Self {
        let program = start(scene, &["--dev", "--listen", "127.0.0.1:0"]);
        let url = program.printed("the URL of its MCP endpoint", mcp_url).await;
        Self { program, url }
    }

    /// `thv serve ARGUMENTS -c` with a configuration whose `publicUrl` is `origin`.
    pub(crate) async fn configured(scene: &Scene, arguments: &[&str], origin: &str, yaml: &str) -> Self {
        let file = scene.write("thv.yaml", yaml);
        let program = start(scene, &[arguments, &["-c", file.to_str().unwrap()]].concat());
        program.printed("that it is ready", |text| text.contains(" ready ").then_some(())).await;
        Self { program, url: format!("{origin}/mcp") }
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
    pub(crate) async fn stop(self, scene: &Scene, least: usize) {
        let secrets = scene.secrets();
        assert!(secrets.len() >= least, "only {} secrets were seen, {least} expected", secrets.len());
        let (status, log) = self.program.terminate().await;
        assert!(status.success(), "thv serve ended with {status}:\n{log}");
        assert!(!log.contains("panicked"), "{log}");
        for secret in secrets {
            let line = log.lines().find(|line| line.contains(&secret));
            assert_eq!(line, None, "a secret is in the log");
        }
    }
}

/// Runs it with everything logged that can be.
fn start(scene: &Scene, arguments: &[&str]) -> Program {
    let mut command = Command::new(tools::thv());
    command.args(["--log-level", "trace", "serve"]).args(arguments);
    if arguments.contains(&"--dev") {
        // In production the file says whom to trust.
        command.env("SSL_CERT_FILE", &scene.pki.ca);
    }
    scene.start("thv", command)
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
