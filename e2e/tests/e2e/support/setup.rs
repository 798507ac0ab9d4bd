//! Configuration files with upstreams that the gateway registers at by itself.

use super::gateway::{Gateway, free_port};
use super::scene::Scene;

/// What tests vary in a file for `thv serve`.
pub(crate) struct Setup<'a> {
    /// Where this process listens.
    pub(crate) port: u16,
    /// What clients see.
    pub(crate) origin: &'a str,
    /// The MCP server, and the name of the upstream whose token it gets.
    pub(crate) backend: &'a str,
    pub(crate) inject: &'a str,
    /// Further keys of `authServer`, as lines of YAML at its indentation.
    pub(crate) auth_server: &'a str,
    /// `authServer.upstreamProviders`, as a list in YAML.
    pub(crate) upstreams: &'a [String],
}

impl Setup<'_> {
    /// The file's text.
    pub(crate) fn yaml(&self, scene: &Scene) -> String {
        let Self { port, origin, backend, inject, auth_server, upstreams } = self;
        format!(
            "
listen: 127.0.0.1:{port}
publicUrl: {origin}
stateDir: {state}
server: {{url: '{backend}', upstreamInject: {{providerName: {inject}}}}}
authServer:
  issuer: {origin}
{auth_server}
  upstreamProviders: [{upstreams}]
egress: {{allowCidrs: [127.0.0.0/8], caBundle: {ca}}}
",
            state = scene.path("state").display(),
            upstreams = upstreams.join(", "),
            ca = scene.pki.ca.display(),
        )
    }
}

/// A gateway on a free port that logs in at `upstreams` and injects the token of `second`.
pub(crate) async fn gateway_with(scene: &Scene, backend: &str, upstreams: &[String]) -> Gateway {
    let port = free_port();
    let origin = format!("http://127.0.0.1:{port}");
    let setup = Setup { port, origin: &origin, backend, inject: "second", auth_server: "", upstreams };
    Gateway::configured(scene, &[], &origin, &setup.yaml(scene)).await
}

/// An OpenID provider at which the gateway registers itself; refresh tokens only come after consent there.
pub(crate) fn registered_oidc(name: &str, issuer: &str) -> String {
    format!(
        "{{name: {name}, type: oidc, oidcConfig: {{issuerUrl: '{issuer}', dcrConfig: {{}}, \
         scopes: [openid, profile, email, offline_access], additionalAuthorizationParams: {{prompt: consent}}}}}}"
    )
}

/// An OAuth 2.0 server of which only its discovery URL is known.
pub(crate) fn discovered(name: &str, issuer: &str, more: &str) -> String {
    format!(
        "{{name: {name}, label: The {name} provider, type: oauth2, {more} \
         oauth2Config: {{dcrConfig: {{discoveryUrl: '{issuer}'}}, scopes: ['mcp:tools']}}}}"
    )
}
