//! Many people with real clients, see `crowd.mjs`.

use serde_json::Value;

use super::program::Program;
use super::scene::Scene;

/// People who go on until they are stopped.
pub(crate) struct Crowd(Program);

impl Crowd {
    /// So many `users` of the MCP endpoint at `url`.
    pub(crate) fn gather(scene: &Scene, url: &str, users: usize) -> Self {
        Self::queue(scene, url, users, "0")
    }

    /// As [`Self::gather`], one after the other in steps of so many milliseconds.
    pub(crate) fn queue(scene: &Scene, url: &str, users: usize, apart: &str) -> Self {
        let users = users.to_string();
        let arguments = ["crowd.mjs", "--url", url, "--users", &users, "--apart-ms", apart];
        Self(scene.node("crowd", &arguments))
    }

    /// Waits until `enough` accepts how far they are.
    pub(crate) async fn until(&self, what: &str, enough: impl Fn(&Value) -> bool) -> Value {
        self.0.event(what, |event| event["event"] == "progress" && enough(event)).await
    }

    /// How far they are.
    pub(crate) fn progress(&self) -> Value {
        let last = self.0.events().into_iter().rfind(|event| event["event"] == "progress");
        last.unwrap_or_else(|| panic!("the crowd says nothing"))
    }

    /// Waits until every one of them has called the server `times` times more.
    pub(crate) async fn all_call(&self, times: u64) {
        let now = self.progress()["most"].as_u64().unwrap();
        let what = format!("that each has made {times} calls after {now}");
        self.until(&what, |progress| progress["least"].as_u64().unwrap() >= now + times).await;
    }

    /// Stops them: what each of them met with.
    pub(crate) async fn disperse(self) -> Vec<Value> {
        let (status, output) = self.0.terminate().await;
        assert!(status.success(), "{status}: {output}");
        let last = output.lines().find(|line| line.starts_with(r#"{"event":"report""#)).expect("a report");
        let report: Value = serde_json::from_str(last).expect("JSON");
        report["users"].as_array().expect("users").clone()
    }
}
