use serde_json::json;
use thv_clock::{Clock, SystemClock};
use thv_config::config::Oidc;
use thv_jose::algorithm::Algorithm;
use thv_jose::key::SigningKey;
use thv_jose::keyring::KeyRing;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::front::{exchange, gateway, has};

const ISSUER: &str = "https://idp.example";

/// Publishes this key set for as long as the test runs.
async fn publish(jwks: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/jwks", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut wire, _)) = listener.accept().await {
            let _ = wire.read(&mut [0; 4096]).await;
            let length = jwks.len();
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{jwks}"
            );
            let _ = wire.write_all(answer.as_bytes()).await;
        }
    });
    url
}

#[tokio::test]
async fn g3_tokens_of_another_issuer_are_verified_with_its_keys() {
    let keys = KeyRing::new(vec![SigningKey::generate(Algorithm::ES256).unwrap()]).unwrap();
    let jwks_url = publish(String::from_utf8(keys.jwks_json().to_vec()).unwrap()).await;
    let gateway = gateway(|config| {
        config.auth_server = None;
        config.oidc = Some(Oidc { issuer: ISSUER.to_owned(), jwks_url: Some(jwks_url), ..Oidc::default() });
    })
    .await;
    let now = SystemClock.now().as_secs();
    let resource = format!("http://{}/mcp", gateway.address);
    let token = |issuer: &str, audience: &str, keys: &KeyRing| {
        let claims = json!({
            "iss": issuer, "aud": audience, "sub": "alice", "client_id": "client", "jti": "1", "iat": now,
            "exp": now + 600, "scope": "openid",
        });
        keys.sign("at+jwt", &claims).unwrap()
    };
    let body = json!({
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "0"},
        },
    })
    .to_string();
    let call = async |token: String| {
        let headers = format!(
            "Authorization: Bearer {token}\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\n"
        );
        exchange(gateway.address, "POST /mcp", &headers, &body).await.0
    };
    has(&call(token(ISSUER, &resource, &keys)).await, &["http/1.1 200", "mcp-session-id: "]);
    let other = KeyRing::new(vec![SigningKey::generate(Algorithm::ES256).unwrap()]).unwrap();
    for bad in [
        token(ISSUER, &resource, &other),
        token(ISSUER, "https://other.example/mcp", &keys),
        token("https://other.example", &resource, &keys),
    ] {
        has(&call(bad).await, &["http/1.1 401", "www-authenticate: bearer"]);
    }
    // Nothing of an authorization server is here.
    has(
        &exchange(gateway.address, "GET /.well-known/oauth-authorization-server", "", "").await.0,
        &["http/1.1 404"],
    );
}
