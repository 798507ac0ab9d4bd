//! The stage for `thv run` with a remote MCP server that demands tokens of an independent authorization server.

use serde_json::Value;

use super::document::Document;
use super::gateway::free_port;
use super::machine::Machine;
use super::program::Program;
use super::provider::Provider;
use super::scene::Scene;

/// The authorization server, the MCP server, the user's machine, and the client's metadata document.
pub(crate) struct RemoteStage {
    pub(crate) machine: Machine,
    pub(crate) provider: Provider,
    pub(crate) document: Document,
    pub(crate) callback_port: String,
    /// The remote MCP server.
    pub(crate) url: String,
    _server: Program,
    pub(crate) scene: Scene,
}

impl RemoteStage {
    /// The workload's name.
    pub(crate) const NAME: &str = "tools";

    /// `provider` is what the authorization server is told beside which resource there is.
    pub(crate) async fn set(name: &str, provider: &[&str]) -> Self {
        let scene = Scene::new(name);
        let port = free_port();
        let resource = format!("http://127.0.0.1:{port}/mcp");
        let provider =
            Provider::oidc(&scene, "provider", &[&["--resource", &resource], provider].concat()).await;
        let (server, url) = provider.protected_resource(&scene, port).await;
        let callback_port = free_port().to_string();
        let document = Document::of_run(&scene, &callback_port, "native").await;
        Self { machine: Machine::new(&scene), provider, document, callback_port, url, _server: server, scene }
    }

    /// `thv run` with the metadata document: the URL for MCP clients.
    pub(crate) async fn run(&self, arguments: &[&str]) -> String {
        self.machine.url(&self.command(&[&self.by_document(), arguments].concat())).await
    }

    /// Says which document that is.
    pub(crate) fn by_document(&self) -> [&str; 2] {
        ["--remote-auth-client-metadata-url", &self.document.url]
    }

    /// The words of `thv run` with further `arguments`.
    pub(crate) fn command<'a>(&'a self, arguments: &[&'a str]) -> Vec<&'a str> {
        let fixed =
            ["run", &self.url, "--name", Self::NAME, "--remote-auth-callback-port", &self.callback_port];
        [&fixed, arguments].concat()
    }

    /// What an MCP client at `url` learns of how its call has arrived; it must succeed.
    pub(crate) async fn whoami(&self, url: &str) -> Value {
        whoami(&self.scene, url).await
    }

    /// Asserts that the token with which a call arrived is the last one that the provider gave out for `grant`.
    pub(crate) fn assert_token_of(&self, seen: &Value, grant: &str) {
        let tokens = self.provider.handed_out(grant);
        let last = tokens.last().unwrap_or_else(|| panic!("no token for {grant}"));
        assert_eq!(seen["sha256"], last["sha256"], "{seen}");
    }
}

/// What an MCP client that knows nothing about authorization learns of how its call has arrived; it must succeed.
pub(crate) async fn whoami(scene: &Scene, url: &str) -> Value {
    let report = scene.report("mcp-client.mjs", &["--url", url, "--call", "whoami={}"]).await;
    assert_eq!(report["error"], Value::Null, "{report}");
    assert!(report["tools"].as_array().unwrap().contains(&Value::from("whoami")), "{report}");
    serde_json::from_str(report["calls"]["whoami"]["text"].as_str().unwrap()).unwrap()
}
