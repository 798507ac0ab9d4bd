//! Access tokens of another issuer (G3, RS-12).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use thv_config::config::Oidc;
use thv_config::{Config, SecretRef};
use thv_jose::algorithm::Algorithm;
use thv_jose::key::SigningKey;
use thv_jose::keyring::KeyRing;
use thv_testkit::http_server::TestServer;

use super::backend::Backend;
use super::gate::{Gate, T0, clock};

const ISSUER: &str = "https://idp.example";

fn external(config: &mut Config, oidc: Oidc) {
    config.auth_server = None;
    config.oidc = Some(Oidc { issuer: ISSUER.to_owned(), scopes: vec!["openid".to_owned()], ..oidc });
    config.server.forward_identity = true;
}

fn json_response(body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    Response::builder().header(CONTENT_TYPE, "application/json").body(Full::new(body.into())).unwrap()
}

#[tokio::test]
async fn rs_12_signed_tokens_are_verified_with_the_issuers_keys_and_stay_here() {
    let keys = KeyRing::new(vec![SigningKey::generate(Algorithm::ES256).unwrap()]).unwrap();
    let set = keys.jwks_json();
    let jwks = TestServer::http(move |_| {
        let response = json_response(set.clone());
        async move { response }
    })
    .await;
    let backend = Backend::start().await;
    let gate = Gate::start(&clock(), &backend.url(), |config| {
        external(config, Oidc { jwks_url: Some(jwks.url("/keys")), ..Oidc::default() });
    })
    .await;
    let token = |audience: &str, sub: &str, exp: u64| {
        let now = T0.as_secs();
        let claims = json!({
            "iss": ISSUER, "aud": audience, "sub": sub, "client_id": "client", "jti": "1", "iat": now,
            "exp": now + exp, "scope": "openid",
        });
        keys.sign("at+jwt", &claims).unwrap()
    };
    let good = token(&gate.resource(), "alice", 600);
    assert_eq!(gate.call(&good).await.status, 200);
    let seen = backend.only();
    assert_eq!(
        (seen.header("authorization"), seen.header("x-thv-subject")),
        (String::new(), "alice".to_owned())
    );
    let wrong = gate.call(&token("https://other.example/mcp", "alice", 600)).await;
    assert_eq!((wrong.status, wrong.json()["reason"].clone()), (401, json!("token_audience")));
    let metadata = gate.get("/.well-known/oauth-protected-resource/mcp").await.json();
    assert_eq!(metadata["authorization_servers"], json!([ISSUER]));
    assert_eq!(gate.get("/oauth/authorize").await.status(), StatusCode::NOT_FOUND);
    assert_eq!(jwks.requests(), 1, "keys are fetched once");
    gate.clock.advance(Duration::from_secs(600));
    assert_eq!(gate.call(&good).await.json()["reason"], "token_expired");
}

#[tokio::test]
async fn rs_12_tokens_are_unavailable_not_invalid_while_the_issuers_keys_cannot_be_had() {
    let jwks = TestServer::http(async |_| json_response("{}")).await;
    jwks.down();
    let backend = Backend::start().await;
    let gate = Gate::start(&clock(), &backend.url(), |config| {
        external(config, Oidc { jwks_url: Some(jwks.url("/keys")), ..Oidc::default() });
    })
    .await;
    let claims = json!({"iss": ISSUER, "aud": gate.resource(), "sub": "a", "exp": T0.as_secs() + 60});
    let token = SigningKey::generate(Algorithm::ES256).unwrap().sign("at+jwt", &claims).unwrap();
    let answer = gate.call(&token).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.headers.contains_key("retry-after"));
}

/// An introspection endpoint that knows the tokens `alice` and `elsewhere`, and counts.
async fn introspection(resource: &'static str) -> (TestServer, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let server = TestServer::http(move |request: Request<Bytes>| {
        counted.fetch_add(1, Ordering::SeqCst);
        let credentials = format!("Basic {}", STANDARD.encode("gateway:s3cret"));
        let authorized = request.headers().get(AUTHORIZATION).is_some_and(|value| *value == credentials);
        let (exp, body) = (T0.as_secs() + 3600, String::from_utf8_lossy(request.body()).into_owned());
        let active = |sub: &str, aud: &str| json!({"active": true, "sub": sub, "aud": aud, "exp": exp, "scope": "openid"});
        let answer: Value = match body.as_str() {
            body if body.starts_with("token=alice") => active("alice", resource),
            body if body.starts_with("token=elsewhere") => active("alice", "https://other.example"),
            _ => json!({"active": false}),
        };
        let mut response = json_response(answer.to_string());
        if !authorized {
            *response.status_mut() = StatusCode::UNAUTHORIZED;
        }
        async move { response }
    })
    .await;
    (server, count)
}

#[tokio::test]
async fn rs_12_opaque_tokens_are_introspected_and_the_verdict_is_kept_for_a_while() {
    const AUDIENCE: &str = "https://mcp.example.com";
    let (endpoint, count) = introspection(AUDIENCE).await;
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "s3cret").unwrap();
    let backend = Backend::start().await;
    let gate = Gate::start(&clock(), &backend.url(), |config| {
        let oidc = Oidc {
            audience: Some(AUDIENCE.to_owned()),
            introspection_url: Some(endpoint.url("/introspect")),
            client_id: Some("gateway".to_owned()),
            client_secret_ref: Some(SecretRef::file(secret.path())),
            ..Oidc::default()
        };
        external(config, oidc);
    })
    .await;
    for _ in 0..3 {
        assert_eq!(gate.call("alice").await.status, 200);
        assert_eq!(backend.only().header("x-thv-subject"), "alice");
    }
    assert_eq!(count.load(Ordering::SeqCst), 1, "the verdict is remembered");
    for (token, reason) in [("elsewhere", "token_audience"), ("ended", "token_revoked")] {
        let answer = gate.call(token).await;
        assert_eq!((answer.status, answer.json()["reason"].clone()), (401, json!(reason)), "{token}");
    }
    // Nobody tells us of revocations there, so the verdict is not kept for long.
    gate.clock.advance(Duration::from_secs(61));
    let before = count.load(Ordering::SeqCst);
    assert_eq!(gate.call("alice").await.status, 200);
    assert_eq!(count.load(Ordering::SeqCst), before + 1);
    endpoint.down();
    gate.clock.advance(Duration::from_secs(61));
    assert_eq!(gate.call("alice").await.status, 503);
}
