//! Authorization servers behind the gateway.

use std::collections::BTreeSet;

use serde_json::Value;

use super::program::Program;
use super::scene::Scene;

/// The secret with which MCP servers ask a provider about tokens.
const RESOURCE_SERVER_SECRET: &str = "the MCP server's secret at the provider";

/// A running authorization server that tells what happens to it.
pub(crate) struct Provider {
    program: Program,
    pub(crate) issuer: String,
}

impl Provider {
    /// An OpenID provider made with oidc-provider, see `oidc-upstream.mjs`.
    pub(crate) async fn oidc(scene: &Scene, name: &str, arguments: &[&str]) -> Self {
        let resource_server = format!("mcp-server:{RESOURCE_SERVER_SECRET}");
        let fixed = ["oidc-upstream.mjs", "--resource-server", &resource_server];
        Self::listening(scene.node(name, &[&fixed, arguments].concat())).await
    }

    /// Ends it, and starts it again with these `arguments`, among them the same `--state`.
    pub(crate) async fn start_again(mut self, scene: &Scene, name: &str, arguments: &[&str]) -> Self {
        let port = self.stop().await;
        Self::oidc(scene, name, &[arguments, &["--port", &port]].concat()).await
    }

    /// Ends it at once: the port that it had.
    pub(crate) async fn stop(&mut self) -> String {
        self.program.end_now().await;
        self.issuer.rsplit(':').next().unwrap().to_owned()
    }

    /// A plain OAuth 2.0 authorization server made with Authlib, see `authorization-server.py`.
    pub(crate) async fn plain(scene: &Scene, name: &str, arguments: &[&str]) -> Self {
        let fixed = ["authorization-server.py", "--resource-server-secret", RESOURCE_SERVER_SECRET];
        Self::listening(scene.python(name, &[&fixed, arguments].concat())).await
    }

    async fn listening(program: Program) -> Self {
        let listening = program.event("that it listens", |event| event["event"] == "listening").await;
        Self { issuer: listening["issuer"].as_str().unwrap().to_owned(), program }
    }

    /// What happened of one kind, oldest first.
    pub(crate) fn events(&self, kind: &str) -> Vec<Value> {
        self.program.events().into_iter().filter(|event| event["event"] == kind).collect()
    }

    /// How often something happened.
    pub(crate) fn count(&self, kind: &str) -> usize {
        self.events(kind).len()
    }

    /// Waits until something of that kind has happened `times` times.
    pub(crate) async fn happened(&self, kind: &str, times: usize) {
        let what = format!("{kind} {times} times");
        self.program.printed(&what, |_| (self.count(kind) >= times).then_some(())).await;
    }

    /// The tokens that it handed out, by grant.
    pub(crate) fn handed_out(&self, grant: &str) -> Vec<Value> {
        self.events("token").into_iter().filter(|event| event["grant"] == grant).collect()
    }

    /// Waits until it has answered a grant `times` times.
    pub(crate) async fn answered(&self, grant: &str, times: usize) {
        let what = format!("{times} answers to {grant}");
        self.program.printed(&what, |_| (self.handed_out(grant).len() >= times).then_some(())).await;
    }

    /// Waits until every access token that it has handed out so far has expired.
    pub(crate) async fn all_expired(&self) {
        let tokens = self.events("token").len();
        let expired = |_: &str| (self.events("expired").len() >= tokens).then_some(());
        self.program.printed("that its tokens have expired", expired).await;
    }

    /// Waits until the tokens of so many `accounts` have been refreshed.
    pub(crate) async fn refreshed(&self, accounts: usize) {
        let refreshed = |_: &str| {
            let tokens = self.handed_out("refresh_token");
            let whose: BTreeSet<&str> = tokens.iter().filter_map(|token| token["account"].as_str()).collect();
            (whose.len() >= accounts).then_some(())
        };
        self.program.printed(&format!("refreshes of {accounts} accounts"), refreshed).await;
    }

    /// Makes it forget every registration, as one does that lost its database.
    pub(crate) async fn forget_clients(&self, scene: &Scene) {
        let answer = scene.curl(&["-X", "DELETE", &format!("{}/__admin/clients", self.issuer)]).await;
        assert_eq!(answer.status, 204);
    }

    /// An MCP server that demands its tokens, see `token-server.mjs`: its URL.
    pub(crate) async fn token_server(&self, scene: &Scene) -> (Program, String) {
        self.token_server_with(scene, &[]).await
    }

    /// As [`Self::token_server`], with metadata that leads its clients to this provider for the scope `mcp:tools`.
    pub(crate) async fn protected_resource(&self, scene: &Scene, port: u16) -> (Program, String) {
        self.token_server_with(scene, &["--port", &port.to_string(), "--scopes", "mcp:tools"]).await
    }

    async fn token_server_with(&self, scene: &Scene, arguments: &[&str]) -> (Program, String) {
        let credentials = ["--issuer", &self.issuer, "--client-secret", RESOURCE_SERVER_SECRET];
        let fixed = [&["token-server.mjs"], &credentials[..]].concat();
        let server = scene.node("token-server", &[&fixed, arguments].concat());
        let listening = server.event("where it listens", |event| event["url"].is_string()).await;
        (server, listening["url"].as_str().unwrap().to_owned())
    }
}
