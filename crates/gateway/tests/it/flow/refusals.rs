//! What a client is told whose request does not pass.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};
use thv_config::SecretRef;
use thv_jose::algorithm::Algorithm;
use thv_jose::key::SigningKey;
use thv_jose::random;

use super::backend::Backend;
use super::gate::{Answer, Gate, REDIRECT_URI, Session, TOOL_CALL, auth_server, clock};
use crate::support::Wire;

/// Longer than a rotated refresh token may be presented again.
const AFTER_THE_GRACE: Duration = Duration::from_secs(61);

/// The beginning of every challenge but its error.
fn common(gate: &Gate, scope: &str) -> String {
    let metadata = format!("{}/.well-known/oauth-protected-resource/mcp", gate.origin);
    format!("scope=\"{scope}\", resource_metadata=\"{metadata}\"")
}

fn invalid_token(gate: &Gate, description: &str) -> String {
    let common = common(gate, "openid profile email");
    format!("Bearer error=\"invalid_token\", error_description=\"{description}\", {common}")
}

async fn send(gate: &Gate, request: http::request::Builder) -> Answer {
    gate.whole(request.body(Full::from(TOOL_CALL)).unwrap()).await
}

#[tokio::test]
async fn rs_4_rs_5_a_request_without_a_token_is_told_where_to_get_which() {
    let backend = Backend::start().await;
    let gate = Gate::start(&clock(), &backend.url(), |_| {}).await;
    for method in [Method::POST, Method::GET, Method::DELETE] {
        let answer = send(&gate, Request::builder().method(method).uri(gate.resource())).await;
        assert_eq!(answer.status, 401);
        assert_eq!(answer.challenge(), format!("Bearer {}", common(&gate, "openid profile email")));
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert_eq!(answer.headers["content-type"], "application/json");
    }
    let metadata = gate.get("/.well-known/oauth-protected-resource/mcp").await.json();
    assert_eq!(
        metadata,
        json!({
            "resource": gate.resource(), "authorization_servers": [gate.origin],
            "scopes_supported": ["openid", "profile", "email"], "bearer_methods_supported": ["header"],
        })
    );
    assert_eq!(gate.get("/.well-known/oauth-protected-resource").await.json(), metadata);
    assert!(backend.seen().is_empty());
}

#[tokio::test]
async fn rs_4_an_expired_token_is_an_invalid_token() {
    let backend = Backend::start().await;
    let gate = Gate::start(&clock(), &backend.url(), |_| {}).await;
    let session = gate.log_in().await;
    assert_eq!(gate.call(session.token()).await.status, 200);
    gate.clock.advance(Duration::from_secs(3600));
    let answer = gate.call(session.token()).await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.challenge(), invalid_token(&gate, "the access token has expired (token_expired)"));
    let answer = gate.call("no-token-of-anybody").await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.challenge(), invalid_token(&gate, "the access token is malformed (token_malformed)"));
}

#[tokio::test]
async fn rs_6_too_little_scope_is_a_403_that_names_what_is_needed() {
    let backend = Backend::start().await;
    let gate = Gate::start(&clock(), &backend.url(), |config| {
        config.server.required_scopes = vec!["profile".to_owned(), "email".to_owned()];
    })
    .await;
    let session = gate.log_in().await;
    let answer = gate.call(session.token()).await;
    assert_eq!(answer.status, 403);
    let description = "the access token lacks a scope that this resource requires (scope_insufficient)";
    let error = format!("Bearer error=\"insufficient_scope\", error_description=\"{description}\"");
    assert_eq!(answer.challenge(), format!("{error}, {}", common(&gate, "profile email")));
    assert_eq!(answer.json()["error"], "insufficient_scope");
    assert!(backend.seen().is_empty());
}

#[tokio::test]
async fn rs_14_a_token_counts_in_the_header_alone_and_once() {
    let backend = Backend::start().await;
    let gate = Gate::start(&clock(), &backend.url(), |_| {}).await;
    let session = gate.log_in().await;
    let token = session.token();
    let in_query = format!("{}?access_token={token}", gate.resource());
    let answer = send(&gate, Request::post(&in_query)).await;
    assert_eq!((answer.status, answer.challenge().contains("error=")), (401, false));
    let answer = send(&gate, gate.to_mcp(Method::POST, token).uri(&in_query)).await;
    assert_eq!((answer.status, answer.json()["reason"].clone()), (400, json!("token_in_query")));
    assert!(answer.challenge().starts_with("Bearer error=\"invalid_request\""));
    let form = Request::post(gate.resource()).header("content-type", "application/x-www-form-urlencoded");
    let answer = gate.whole(form.body(Full::from(format!("access_token={token}"))).unwrap()).await;
    assert_eq!(answer.status, 401);
    let twice = gate.to_mcp(Method::POST, token).header("authorization", format!("Bearer {token}"));
    assert_eq!(send(&gate, twice).await.json()["reason"], "authorization_repeated");
    let other_scheme = Request::post(gate.resource()).header("authorization", format!("Basic {token}"));
    assert_eq!(send(&gate, other_scheme).await.status, 401);
    assert!(backend.seen().is_empty());
}

/// Claims that differ from those of a good token.
type Claims<'a> = &'a [(&'a str, Value)];

/// A gateway with a key that the test knows, and a login.
async fn with_own_key() -> (Gate, Backend, Session, SigningKey) {
    use secrecy::ExposeSecret;
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), key.to_pem().unwrap().expose_secret()).unwrap();
    let backend = Backend::start().await;
    let gate = Gate::start(&clock(), &backend.url(), |config| {
        auth_server(config).signing_key_secret_refs = vec![SecretRef::file(file.path())];
    })
    .await;
    let session = gate.log_in().await;
    (gate, backend, session, key)
}

#[tokio::test]
async fn rs_10_rs_11_a_token_that_differs_in_one_thing_is_refused() {
    let (gate, backend, session, key) = with_own_key().await;
    let claims = session.claims();
    let signed = |typ: &str, change: Claims| {
        let mut claims = claims.clone();
        for (name, value) in change {
            claims[*name] = value.clone();
        }
        key.sign(typ, &claims).unwrap()
    };
    assert_eq!(gate.call(&signed("at+jwt", &[])).await.status, 200);
    assert_eq!(gate.call(&signed("application/at+jwt", &[])).await.status, 200);
    let mine = gate.resource();
    let cases: [(&str, Claims, &str); 10] = [
        ("at+jwt", &[("aud", json!("https://other.example/mcp"))], "token_audience"),
        ("at+jwt", &[("aud", json!(format!("{mine}/")))], "token_audience"),
        ("at+jwt", &[("aud", json!([]))], "token_audience"),
        ("at+jwt", &[("iss", json!(format!("{}/", gate.origin)))], "token_issuer"),
        ("at+jwt", &[("exp", json!(1))], "token_expired"),
        ("at+jwt", &[("nbf", json!(4_000_000_000_u64))], "token_not_yet_valid"),
        ("at+jwt", &[("tsid", json!("00000000000000000000000000000000"))], "token_revoked"),
        ("JWT", &[], "token_type"),
        ("logout+jwt", &[], "token_type"),
        ("at+jwt", &[("sub", Value::Null)], "token_malformed"),
    ];
    for (typ, change, reason) in cases {
        let answer = gate.call(&signed(typ, change)).await;
        assert_eq!(answer.status, 401, "{typ} {change:?}");
        assert_eq!(answer.json()["reason"], reason, "{typ} {change:?}");
    }
    let stranger = SigningKey::generate(Algorithm::ES256).unwrap();
    let forged = stranger.sign("at+jwt", &claims).unwrap();
    assert_eq!(gate.call(&forged).await.json()["reason"], "token_signature");
    // Their header, our signature; our header, their signature.
    let (ours, theirs) = (session.token().split('.'), forged.split('.').collect::<Vec<_>>());
    let ours: Vec<&str> = ours.collect();
    for mixed in [[theirs[0], ours[1], ours[2]], [ours[0], ours[1], theirs[2]]] {
        assert_eq!(gate.call(&mixed.join(".")).await.json()["reason"], "token_signature");
    }
    assert_eq!(backend.seen().len(), 2);
}

#[tokio::test]
async fn as_125_a_reused_refresh_token_ends_the_access_tokens_at_once() {
    let backend = Backend::start().await;
    let gate = Gate::start(&clock(), &backend.url(), |_| {}).await;
    let mut session = gate.log_in().await;
    let (first, first_access) = (session.tokens.clone(), session.token().to_owned());
    session.refresh().await;
    let second_access = session.token().to_owned();
    for token in [&first_access, &second_access] {
        assert_eq!(gate.call(token).await.status, 200, "both are alive and remembered as good");
    }
    gate.clock.advance(AFTER_THE_GRACE);
    let reused = first.refresh(&mut session.browser, &session.server, &session.client_id).await;
    assert_eq!((reused.status().as_u16(), reused.json()["error"].clone()), (400, json!("invalid_grant")));
    for token in [&first_access, &second_access] {
        let answer = gate.call(token).await;
        assert_eq!((answer.status, answer.json()["reason"].clone()), (401, json!("token_revoked")));
    }
    let last = session.tokens.refresh(&mut session.browser, &session.server, &session.client_id).await;
    assert_eq!(last.json()["error"], "invalid_grant");
}

#[tokio::test]
async fn as_37_a_code_redeemed_twice_ends_the_tokens_of_the_first_time() {
    let backend = Backend::start().await;
    let gate = Gate::start(&clock(), &backend.url(), |_| {}).await;
    let (mut browser, server) = (gate.browser(), gate.discover().await);
    let client_id = server.register_public(&mut browser, REDIRECT_URI).await;
    let request = gate.request(&client_id);
    let callback = request.authorize(&mut browser, &server, &[]).await;
    let first = request.exchange(&mut browser, &server, callback.code()).await.json();
    let token = first["access_token"].as_str().unwrap();
    assert_eq!(gate.call(token).await.status, 200);
    let second = request.exchange(&mut browser, &server, callback.code()).await;
    assert_eq!(second.json()["error"], "invalid_grant");
    assert_eq!(gate.call(token).await.json()["reason"], "token_revoked");
}

#[tokio::test]
async fn a_body_that_is_too_long_is_413_whether_it_is_announced_or_not() {
    let backend = Backend::start().await;
    let gate = Gate::start(&clock(), &backend.url(), |config| {
        config.limits.max_request_body = "1KiB".parse().unwrap();
    })
    .await;
    let session = gate.log_in().await;
    let body = |length| Full::from(Bytes::from("a".repeat(length)));
    let fits = gate.to_mcp(Method::POST, session.token()).body(body(1024)).unwrap();
    assert_eq!(gate.whole(fits).await.status, 200);
    assert_eq!(backend.only().body.len(), 1024);
    let long = gate.to_mcp(Method::POST, session.token()).body(body(1025)).unwrap();
    let answer = gate.whole(long).await;
    assert_eq!((answer.status, answer.json()["error"].clone()), (413, json!("body_too_large")));
    assert!(backend.seen().is_empty(), "an announced length is refused before anything is sent on");

    let mut wire = Wire::open(gate.running.address).await;
    wire.send(&format!(
        "POST /mcp HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nTransfer-Encoding: chunked\r\n\
         Connection: close\r\n\r\n",
        gate.running.address,
        session.token()
    ))
    .await;
    for _ in 0..3 {
        wire.send(&format!("200\r\n{}\r\n", "a".repeat(512))).await;
    }
    let answer = wire.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("body_too_large"), "{answer}");
    // Without a token the length does not matter.
    let stranger = gate.to_mcp(Method::POST, &random::token()).body(body(1025)).unwrap();
    assert_eq!(gate.whole(stranger).await.status, 401);
}
