use std::time::Duration;

use thv_config::SecretRef;
use thv_jose::algorithm::Algorithm;
use thv_jose::key::SigningKey;

use crate::front::{exchange, gateway, gateway_with, has};

#[tokio::test]
async fn as_1_as_14_metadata_and_keys_are_published() {
    let gateway = gateway(|_| {}).await;
    for path in [
        "/.well-known/oauth-authorization-server",
        "/.well-known/oauth-authorization-server/",
        "/.well-known/openid-configuration",
        "/.well-known/jwks.json",
    ] {
        let (head, body) = exchange(gateway.address, &format!("GET {path}"), "", "").await;
        has(&head, &["http/1.1 200", "content-type: application/json", "cache-control: public, max-age=300"]);
        assert!(body.starts_with('{'), "{path}: {body}");
        let etag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
        // Tags are case-sensitive, and the head was read in lower case: any tag matches.
        assert!(etag.starts_with('"'));
        has(
            &exchange(gateway.address, &format!("GET {path}"), "If-None-Match: *\r\n", "").await.0,
            &["http/1.1 304"],
        );
    }
}

#[tokio::test]
async fn an_issuer_with_a_path_has_its_endpoints_below_it() {
    let gateway = gateway(|config| {
        let issuer = format!("{}/tenant", config.public_url);
        config.auth_server.as_mut().unwrap().issuer = issuer;
    })
    .await;
    for path in [
        "/.well-known/oauth-authorization-server/tenant",
        "/.well-known/openid-configuration/tenant",
        "/tenant/.well-known/openid-configuration",
    ] {
        let (head, body) = exchange(gateway.address, &format!("GET {path}"), "", "").await;
        has(&head, &["http/1.1 200"]);
        assert!(body.contains("/tenant/oauth/token"), "{body}");
    }
    has(
        &exchange(gateway.address, "GET /tenant/oauth/token", "", "").await.0,
        &["http/1.1 405", "allow: post"],
    );
    has(&exchange(gateway.address, "GET /oauth/token", "", "").await.0, &["http/1.1 404"]);
}

#[tokio::test]
async fn as_41_pages_may_use_the_token_endpoint_but_not_the_authorization_endpoint() {
    let gateway = gateway(|_| {}).await;
    let origin = "Origin: https://any.example\r\nAccess-Control-Request-Method: POST\r\n";
    for path in ["/oauth/token", "/oauth/register"] {
        let (head, _) = exchange(gateway.address, &format!("OPTIONS {path}"), origin, "").await;
        has(&head, &["http/1.1 204", "access-control-allow-origin: *", "access-control-allow-methods: post"]);
        let (head, _) =
            exchange(gateway.address, &format!("POST {path}"), "Origin: https://any.example\r\n", "").await;
        has(&head, &["http/1.1 4", "access-control-allow-origin: *", "cache-control: no-store"]);
    }
    for line in ["OPTIONS /oauth/authorize", "GET /oauth/authorize"] {
        let (head, _) = exchange(gateway.address, line, origin, "").await;
        assert!(!head.contains("access-control"), "{head}");
    }
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused() {
    let gateway = gateway(|config| config.limits.max_request_body = "1KiB".parse().unwrap()).await;
    let (head, _) = exchange(gateway.address, "POST /oauth/token", "", &"a".repeat(64 * 1024 + 1)).await;
    has(&head, &["http/1.1 413"]);
    // At the MCP endpoint the token comes first.
    let (head, _) = exchange(gateway.address, "POST /mcp", "", &"a".repeat(2048)).await;
    has(&head, &["http/1.1 401"]);
}

#[tokio::test]
async fn the_authorization_server_answers_for_our_hosts_alone() {
    let gateway = gateway(|_| {}).await;
    let (head, _) = exchange(gateway.address, "GET /oauth/authorize", "Host: evil.example\r\n", "").await;
    has(&head, &["http/1.1 421"]);
    let (head, _) = exchange(gateway.address, "POST /oauth/consent", "Origin: null\r\n", "").await;
    has(&head, &["http/1.1 4"]);
    assert!(!head.starts_with("http/1.1 403") && !head.starts_with("http/1.1 421"), "{head}");
}

#[tokio::test]
async fn g6_readiness_names_what_was_looked_at() {
    let gateway = gateway(|_| {}).await;
    let (_, body) = exchange(gateway.address, "GET /readyz", "", "").await;
    assert!(body.contains(r#""store":"ok""#) && body.contains(r#""upstream dev":"ok""#), "{body}");
}

#[tokio::test]
async fn a13_a_changed_key_file_reaches_the_published_keys() {
    use secrecy::ExposeSecret;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("key.pem");
    let write = |key: &SigningKey| {
        // Longer each time, so that the change shows whatever the file system's clock says.
        let before = std::fs::metadata(&file).map_or(0, |metadata| metadata.len());
        let mut pem = key.to_pem().unwrap().expose_secret().to_owned();
        while pem.len() as u64 <= before {
            pem.push('\n');
        }
        std::fs::write(&file, pem).unwrap();
    };
    let (old, new) =
        (SigningKey::generate(Algorithm::ES256).unwrap(), SigningKey::generate(Algorithm::ES256).unwrap());
    write(&old);
    let gateway = gateway_with(Duration::from_millis(1), |config| {
        config.auth_server.as_mut().unwrap().signing_key_secret_refs = vec![SecretRef::file(&file)];
    })
    .await;
    let jwks = async || exchange(gateway.address, "GET /.well-known/jwks.json", "", "").await.1;
    assert!(jwks().await.contains(old.kid()));
    write(&new);
    while !jwks().await.contains(new.kid()) {
        tokio::task::yield_now().await;
    }
    assert!(jwks().await.contains(old.kid()), "its tokens verify until they expire");
}
