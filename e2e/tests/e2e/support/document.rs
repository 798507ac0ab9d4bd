//! A client's metadata document, see `metadata-document.mjs`.

use super::program::Program;
use super::scene::Scene;

/// A document on loopback, served until this is dropped.
pub(crate) struct Document {
    _host: Program,
    /// Where it is: the client's identifier.
    pub(crate) url: String,
}

impl Document {
    /// The one of `thv run` with this callback port, as an application of this type: the redirect URI of a `native` one may have
    /// any port (RFC 8252 §7.3), of a `web` one just this.
    pub(crate) async fn of_run(scene: &Scene, callback_port: &str, application_type: &str) -> Self {
        let redirect_uri = format!("http://localhost:{callback_port}/callback");
        Self::serve(scene, &["--redirect-uri", &redirect_uri, "--application-type", application_type]).await
    }

    /// One of a client on this machine; `arguments` say more about it.
    pub(crate) async fn serve(scene: &Scene, arguments: &[&str]) -> Self {
        let (cert, key) = (scene.pki.cert.to_str().unwrap(), scene.pki.key.to_str().unwrap());
        let fixed = ["metadata-document.mjs", "--cert", cert, "--key", key];
        let host = scene.node("metadata-document", &[&fixed, arguments].concat());
        let listening = host.event("where the document is", |event| event["url"].is_string()).await;
        Self { _host: host, url: listening["url"].as_str().unwrap().to_owned() }
    }
}
