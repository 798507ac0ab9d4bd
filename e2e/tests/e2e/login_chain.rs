//! Logins at several providers in Chromium, with the MCP SDK's client.

use serde_json::{Value, json};

use crate::support::{
    Gateway, Program, Provider, Scene, chromium, discovered, gateway_with, registered_oidc,
};

/// A gateway with a company's provider and a second one, whose token the MCP server demands.
struct Stage {
    scene: Scene,
    corp: Provider,
    second: Provider,
    gateway: Gateway,
    _server: Program,
}

impl Stage {
    /// `second` is what the configuration says about that provider beside where it is.
    async fn set(name: &str, second_settings: &str) -> Self {
        let scene = Scene::new(name);
        let corp = Provider::oidc(&scene, "corp", &["--register"]).await;
        let second = Provider::plain(&scene, "second", &[]).await;
        let (server, backend) = second.token_server(&scene).await;
        let upstreams =
            [registered_oidc("corp", &corp.issuer), discovered("second", &second.issuer, second_settings)];
        let gateway = gateway_with(&scene, &backend, &upstreams).await;
        Self { scene, corp, second, gateway, _server: server }
    }

    /// A person walks through it.
    async fn walk(&self, arguments: &[&str]) -> Value {
        walk(&self.scene, &self.gateway.url, arguments).await
    }

    /// The paths that one login led through, those of the gateway alone.
    fn ours<'a>(&self, login: &'a Value) -> Vec<&'a str> {
        let steps = login["steps"].as_array().unwrap().iter();
        let ours = steps.filter(|step| step["origin"] == self.gateway.origin());
        ours.filter_map(|step| step["path"].as_str()).collect()
    }
}

/// A person walks through the logins of a gateway and calls the tool.
pub(crate) async fn walk(scene: &Scene, url: &str, arguments: &[&str]) -> Value {
    let (out, browser) = (scene.artifacts().to_str().unwrap(), chromium());
    let fixed = ["--url", url, "--out", out, "--chromium", &browser];
    scene.report("chain.mjs", &[&fixed, arguments].concat()).await
}

/// The page between two logins in that login.
fn between(login: &Value) -> &Value {
    let steps = login["steps"].as_array().unwrap();
    steps
        .iter()
        .find(|step| step["path"] == "/oauth/continue")
        .unwrap_or_else(|| panic!("no such page: {login}"))
}

fn assert_page(page: &Value) {
    assert_eq!(page["lang"], "en");
    assert!(page["title"].as_str().is_some_and(|title| !title.is_empty()));
    assert_eq!(page["unnamedFields"], 0);
}

#[tokio::test]
async fn a_user_logs_in_at_both_providers_and_the_servers_token_is_the_second_ones() {
    let stage = Stage::set("chain", "").await;
    for scheme in ["light", "dark"] {
        let report = stage.walk(&["--scheme", scheme]).await;
        assert_eq!(report["calls"][0]["subject"], "lovelace", "{report}");
        assert_eq!(report["logins"].as_array().unwrap().len(), 1);
        assert_eq!(stage.ours(&report["logins"][0]), ["/oauth/authorize", "/oauth/continue"]);
        let page = between(&report["logins"][0]);
        assert_page(page);
        let text = page["text"].as_str().unwrap();
        assert!(text.contains("The second provider") && text.contains("Name of ada"), "{text}");
        assert!(!text.contains("Skip"), "{text}");
        assert_eq!(report["complaints"], json!([]), "the browser has nothing to complain about");
    }
    let accounts = |provider: &Provider| -> Vec<Value> {
        provider.events("authorized").iter().map(|event| event["account"].clone()).collect()
    };
    assert_eq!(accounts(&stage.corp), ["ada", "ada"]);
    assert_eq!(accounts(&stage.second), ["lovelace", "lovelace"]);
    stage.gateway.stop(&stage.scene, 12).await;
}

#[tokio::test]
async fn an_optional_login_that_was_skipped_is_made_up_for_when_its_token_is_needed() {
    let stage = Stage::set("chain-optional", "optional: true,").await;
    let report = stage.walk(&["--skip"]).await;
    let first = &report["logins"][0];
    assert!(between(first)["text"].as_str().unwrap().contains("Skip"), "{first}");
    assert_eq!(between(first)["decision"], "skip");
    // Asked for by the first call, skipped again: the call fails, and the client is not sent round and round.
    assert_eq!(stage.second.count("authorized"), 0);
    assert!(report["calls"][0]["error"].is_string(), "{report}");
    assert!(report["logins"].as_array().unwrap().len() <= 3, "{report}");

    let report = stage.walk(&[]).await;
    assert_eq!(report["calls"][0]["subject"], "lovelace", "{report}");
    stage.gateway.stop(&stage.scene, 8).await;
}

#[tokio::test]
async fn an_on_demand_login_runs_alone_when_a_call_first_needs_it() {
    let stage = Stage::set("chain-on-demand", "onDemand: true,").await;
    let report = stage.walk(&["--calls", "2"]).await;
    let logins = report["logins"].as_array().unwrap();
    assert_eq!(logins.len(), 2, "{report}");
    assert_eq!(stage.ours(&logins[0]), ["/oauth/authorize"], "the first login is the company's alone");
    let asked = logins[1]["scope"].as_str().unwrap();
    assert!(asked.split(' ').any(|scope| scope == "upstream:second"), "{asked}");
    assert_eq!(stage.corp.count("authorized"), 1, "the second login is the second provider's alone");
    assert_eq!(between(&logins[1])["decision"], "connect");
    assert_eq!(report["calls"][0]["subject"], "lovelace", "{report}");
    assert_eq!(report["calls"][1]["subject"], "lovelace", "{report}");
    assert_eq!(stage.second.count("authorized"), 1);
    stage.gateway.stop(&stage.scene, 12).await;
}

#[tokio::test]
async fn logging_out_ends_the_session_and_revokes_the_tokens_at_the_providers() {
    let stage = Stage::set("logout", "").await;
    let report = stage.walk(&["--calls", "2", "--logout"]).await;
    assert_eq!(report["calls"][0]["subject"], "lovelace");
    let logout = &report["logout"];
    assert_page(&logout["asked"]);
    assert_page(&logout["done"]);
    let asked = logout["asked"]["text"].as_str().unwrap();
    assert!(asked.contains("Name of ada") && asked.contains("End-to-end client"), "{asked}");
    assert_eq!(logout["cookies"], json!([]), "nothing of ours is left in the browser");

    // The client is challenged, finds its refresh token void, and has its user log in everywhere again.
    assert_eq!(logout["loginsBefore"], 1);
    assert_eq!(report["logins"].as_array().unwrap().len(), 2, "{report}");
    assert_eq!(report["calls"][1]["subject"], "lovelace", "{report}");
    for provider in [&stage.corp, &stage.second] {
        provider.happened("revoked", 1).await;
        let revoked = provider.events("revoked");
        assert!(revoked.iter().any(|event| event["token"] == "refresh_token"), "{revoked:?}");
    }
    assert_eq!(stage.second.count("authorized"), 2);
    stage.gateway.stop(&stage.scene, 12).await;
}
