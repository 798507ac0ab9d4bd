//! A gateway as in production: configured by a file alone, an OpenID provider as upstream, an MCP server behind it.

use super::gateway::{Gateway, free_port};
use super::program::Program;
use super::provider::Provider;
use super::scene::Scene;

/// The gateway's secret at the provider.
const CLIENT_SECRET: &str = "the gateway's secret at the provider";

/// The three programs.
pub(crate) struct Production {
    pub(crate) gateway: Gateway,
    pub(crate) provider: Provider,
    _server: Program,
}

/// What tests vary.
pub(crate) struct Settings<'a> {
    /// Whether the gateway terminates TLS, with a certificate of the scene's private authority.
    pub(crate) tls: bool,
    /// How long the provider's access tokens live.
    pub(crate) token_seconds: u32,
    /// `authServer.clients`, as YAML.
    pub(crate) clients: &'a str,
}

impl Production {
    pub(crate) async fn start(scene: &Scene, settings: Settings<'_>) -> Self {
        let port = free_port();
        let (origin, tls) = if settings.tls {
            let (cert, key) = (scene.pki.cert.display(), scene.pki.key.display());
            (format!("https://localhost:{port}"), format!("{{certFile: {cert}, keyFile: {key}}}"))
        } else {
            (format!("http://127.0.0.1:{port}"), "null".to_owned())
        };
        let callback = format!("{origin}/oauth/callback");
        let seconds = settings.token_seconds.to_string();
        let client = ["--redirect-uri", &callback, "--client-secret", CLIENT_SECRET];
        let provider = Provider::oidc(
            scene,
            "oidc-upstream",
            &[&client[..], &["--access-token-seconds", &seconds]].concat(),
        )
        .await;
        let server = scene.node("mcp-server", &["mcp-server.mjs"]);
        let listening = server.event("where it listens", |event| event["url"].is_string()).await;
        let yaml = format!(
            "
listen: 127.0.0.1:{port}
publicUrl: {origin}
tls: {tls}
stateDir: {state}
server: {{url: '{backend}', forwardIdentity: true}}
authServer:
  issuer: {origin}
  cimd: {{enabled: true}}
  clients: {clients}
  upstreamProviders:
    - name: corp
      type: oidc
      oidcConfig:
        issuerUrl: {issuer}
        clientId: gateway
        clientSecretRef: {{file: {secret}}}
        scopes: [openid, profile, email, offline_access]
        additionalAuthorizationParams: {{prompt: consent}}
egress: {{allowCidrs: [127.0.0.0/8], caBundle: {ca}}}
",
            state = scene.path("state").display(),
            issuer = provider.issuer,
            backend = listening["url"].as_str().unwrap(),
            clients = settings.clients,
            secret = scene.write("provider-client-secret", CLIENT_SECRET).display(),
            ca = scene.pki.ca.display(),
        );
        let gateway = Gateway::configured(scene, &[], &origin, &yaml).await;
        Self { gateway, provider, _server: server }
    }
}
