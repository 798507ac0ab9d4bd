//! Token introspection (RFC 7662).

use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Value, json};
use thv_authserver::{Parts, Preregistered};
use thv_jose::algorithm::Algorithm;
use thv_jose::client_assertion::CLIENT_ASSERTION_TYPE;
use thv_jose::digest::sha256;
use thv_jose::key::SigningKey;
use thv_jose::verify::peek_unverified;
use thv_oauth::auth_method::AuthMethod;
use thv_oauth::client_metadata::ClientMetadata;

use crate::confidential::{Confidential, fixture_with, post, text};
use crate::fixture::{Browser, Fixture, Flow, ISSUER, RESOURCE, T0, assert_error, json as body_of};

const PATH: &str = "/oauth/introspect";
const RESOURCE_SERVER: [(&str, &str); 2] = [("client_id", "resource-server"), ("client_secret", "rs-secret")];

/// Configures a resource server that may introspect.
fn with_resource_server(parts: &mut Parts) {
    let metadata = ClientMetadata {
        client_id: Some("resource-server".to_owned()),
        token_endpoint_auth_method: AuthMethod::ClientSecretPost,
        ..ClientMetadata::public(Vec::new())
    };
    parts.settings.preregistered.push(Preregistered { metadata, secret_digest: Some(sha256(b"rs-secret")) });
}

async fn asked_by_resource_server(fixture: &Fixture, token: &str) -> Response<Bytes> {
    post(fixture, PATH, &[RESOURCE_SERVER[0], RESOURCE_SERVER[1], ("token", token)]).await
}

fn assert_inactive(answer: &Response<Bytes>) {
    assert_eq!(answer.status(), StatusCode::OK, "{:?}", answer.body());
    assert_eq!(body_of(answer), json!({"active": false}), "and nothing else");
    assert_eq!(answer.headers()["cache-control"], "no-store");
}

#[tokio::test]
async fn rfc_7662_2_2_an_access_token_is_described_as_it_was_issued() {
    let (fixture, _) = fixture_with(with_resource_server);
    let (client_id, tokens) = fixture.log_in("openid offline_access").await;
    let token = text(&tokens, "access_token");
    let answer = asked_by_resource_server(&fixture, token).await;
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let claims: Value = peek_unverified(token).unwrap();
    let expected = json!({
        "active": true, "scope": claims["scope"], "client_id": client_id, "username": claims["name"],
        "token_type": "Bearer", "exp": T0.as_secs() + 3600, "iat": T0.as_secs(), "sub": claims["sub"],
        "aud": RESOURCE, "iss": ISSUER, "jti": claims["jti"],
    });
    let mut expected = expected.as_object().unwrap().clone();
    expected.retain(|_, value| !value.is_null());
    assert_eq!(body_of(&answer), Value::Object(expected));
}

#[tokio::test]
async fn rfc_7662_2_2_a_refresh_token_is_active_until_it_is_rotated_or_idle() {
    let (fixture, _) = fixture_with(with_resource_server);
    let (client_id, tokens) = fixture.log_in("openid offline_access").await;
    let first = text(&tokens, "refresh_token");
    let described = body_of(&asked_by_resource_server(&fixture, first).await);
    assert_eq!(described["active"], true);
    assert_eq!(described["exp"], T0.as_secs() + 168 * 3600);
    assert_eq!((described.get("token_type"), described.get("jti")), (None, None));
    let refreshed = body_of(&fixture.refresh(&client_id, first).await);
    assert_inactive(&asked_by_resource_server(&fixture, first).await);
    let second = text(&refreshed, "refresh_token");
    assert_eq!(body_of(&asked_by_resource_server(&fixture, second).await)["active"], true);
    fixture.clock.advance(Duration::from_secs(168 * 3600));
    assert_inactive(&asked_by_resource_server(&fixture, second).await);
}

#[tokio::test]
async fn rfc_7662_2_2_what_does_not_count_any_more_is_inactive_and_nothing_else() {
    let (fixture, _) = fixture_with(with_resource_server);
    let (client_id, revoked) = fixture.log_in("openid offline_access").await;
    let form = [("client_id", client_id.as_str()), ("token", text(&revoked, "refresh_token"))];
    assert_eq!(post(&fixture, "/oauth/revoke", &form).await.status(), StatusCode::OK);
    let (_, expired) = fixture.log_in("openid").await;
    let flow = Flow::new(&fixture.register().await);
    let code = Browser::new(&fixture).authorize(&flow.query(&[])).await;
    let forged = format!("{}x", text(&expired, "access_token"));
    for token in ["x", &code, &forged, text(&revoked, "access_token"), text(&revoked, "refresh_token")] {
        assert_inactive(&asked_by_resource_server(&fixture, token).await);
    }
    fixture.clock.advance(Duration::from_secs(3600));
    assert_inactive(&asked_by_resource_server(&fixture, text(&expired, "access_token")).await);
}

#[tokio::test]
async fn rfc_7662_4_a_client_sees_its_own_tokens_and_a_configured_one_sees_all() {
    let (fixture, _) = fixture_with(with_resource_server);
    let (owner, other) = (Confidential::register(&fixture).await, Confidential::register(&fixture).await);
    let tokens = owner.log_in(&fixture).await;
    for member in ["access_token", "refresh_token"] {
        let token = [("token", text(&tokens, member))];
        let seen = body_of(&post(&fixture, PATH, &owner.with_credentials(&token)).await);
        assert_eq!(
            (&seen["active"], text(&seen, "client_id")),
            (&Value::Bool(true), owner.client_id.as_str())
        );
        assert_inactive(&post(&fixture, PATH, &other.with_credentials(&token)).await);
        assert_eq!(body_of(&asked_by_resource_server(&fixture, token[0].1).await)["active"], true);
    }
}

#[tokio::test]
async fn rfc_7662_2_1_only_clients_that_prove_who_they_are_may_ask() {
    let (fixture, _) = fixture_with(with_resource_server);
    let (client_id, tokens) = fixture.log_in("openid").await;
    for token in [text(&tokens, "access_token"), "x"] {
        let public = post(&fixture, PATH, &[("client_id", &client_id), ("token", token)]).await;
        assert_error(&public, 401, "invalid_client", "client_authentication_missing");
        let lying = [("client_id", client_id.as_str()), ("client_secret", "x"), ("token", token)];
        let lying = post(&fixture, PATH, &lying).await;
        assert_error(&lying, 401, "invalid_client", "client_authentication_method");
        let wrong = [RESOURCE_SERVER[0], ("client_secret", "wrong"), ("token", token)];
        assert_error(&post(&fixture, PATH, &wrong).await, 401, "invalid_client", "client_secret_wrong");
        let unknown = [("client_id", "nobody"), ("client_secret", "x"), ("token", token)];
        assert_error(&post(&fixture, PATH, &unknown).await, 401, "invalid_client", "client_unknown");
    }
    let answer = post(&fixture, PATH, &RESOURCE_SERVER).await;
    assert_error(&answer, 400, "invalid_request", "token_missing");
}

#[tokio::test]
async fn rfc_7662_2_1_a_client_may_prove_itself_with_an_assertion() {
    let fixture = Fixture::new();
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let request = json!({"client_name": "Keyed", "redirect_uris": [crate::fixture::REDIRECT],
        "token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [key.public().to_jwk()]}});
    let registered = body_of(&fixture.post_json("/oauth/register", &request).await);
    let client_id = text(&registered, "client_id");
    let assertion = || {
        let claims = json!({"iss": client_id, "sub": client_id, "aud": ISSUER, "jti": thv_jose::random::token(),
            "iat": T0.as_secs(), "exp": T0.as_secs() + 60});
        key.sign("JWT", &claims).unwrap()
    };
    let flow = Flow::new(client_id);
    let code = Browser::new(&fixture).authorize(&flow.query(&[("scope", "openid")])).await;
    let (first, second) = (assertion(), assertion());
    let mut form = flow.redemption(&code).to_vec();
    form.extend([("client_assertion_type", CLIENT_ASSERTION_TYPE), ("client_assertion", &first)]);
    let tokens = body_of(&fixture.token(&form).await);
    let ask = async |assertion: &str| {
        let form = [
            ("client_assertion_type", CLIENT_ASSERTION_TYPE),
            ("client_assertion", assertion),
            ("token", text(&tokens, "access_token")),
        ];
        post(&fixture, PATH, &form).await
    };
    assert_error(&ask(&first).await, 401, "invalid_client", "client_assertion_replayed");
    assert_eq!(body_of(&ask(&second).await)["active"], true);
    // Each takes a place in the store, and anybody can make them.
    for _ in 2..60 {
        ask(&assertion()).await;
    }
    assert_eq!(ask(&assertion()).await.status(), 429);
}
