use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use thv_client::member_path::MemberPath;
use thv_client::token_request::{AuthMethodChoice, ClientCredentials, TokenEndpoint, TokenRequestError};
use thv_client::token_response::{TokenMembers, TokenResponse, TokenResponseShape};
use thv_oauth::server_metadata::AuthorizationServerMetadata;

use crate::provider::{Answer, Asked, Provider, egress};

const SECRET: &str = "s3cr:et%/+ é";
const FORM: &str = "application/x-www-form-urlencoded";

fn endpoint(provider: &Provider, method: AuthMethodChoice, shape: TokenResponseShape) -> TokenEndpoint {
    let client = ClientCredentials {
        client_id: "client:1".into(),
        secret: Some(SecretString::from(SECRET)),
        assertion: None,
        method,
    };
    TokenEndpoint::new(egress(), provider.url("/token"), client, shape)
}

fn standard(provider: &Provider) -> TokenEndpoint {
    endpoint(provider, AuthMethodChoice::ClientSecretPost, TokenResponseShape::Standard)
}

async fn exchange(endpoint: &TokenEndpoint) -> Result<TokenResponse, TokenRequestError> {
    let verifier = SecretString::from("the-verifier-value");
    endpoint
        .exchange_code("the-code", "https://rp.example/cb?x=1", &verifier, &[("resource", "https://r")])
        .await
}

fn tokens() -> Value {
    json!({"access_token": "at", "token_type": "bearer", "expires_in": 60, "refresh_token": "rt", "scope": "a b"})
}

async fn answered(
    answer: impl Fn() -> Answer + Send + Sync + 'static,
) -> Result<TokenResponse, TokenRequestError> {
    let provider = Provider::start().await;
    provider.on("/token", move |_| answer());
    exchange(&standard(&provider)).await
}

#[tokio::test]
async fn u1_basic_encodes_both_parts_before_base64() {
    let provider = Provider::start().await;
    provider.on_json("/token", tokens());
    exchange(&endpoint(&provider, AuthMethodChoice::ClientSecretBasic, TokenResponseShape::Standard))
        .await
        .unwrap();
    let asked = provider.last();
    // base64("client%3A1:s3cr%3Aet%25%2F%2B+%C3%A9")
    let expected = "Basic Y2xpZW50JTNBMTpzM2NyJTNBZXQlMjUlMkYlMkIrJUMzJUE5";
    assert_eq!(asked.header("authorization"), Some(expected));
    assert_eq!((asked.form("client_id"), asked.form("client_secret")), (None, None), "one method at a time");
    assert_eq!(asked.header("accept"), Some("application/json"));
    assert_eq!((asked.method.as_str(), asked.header("content-type")), ("POST", Some(FORM)));
    for (name, value) in [
        ("grant_type", "authorization_code"),
        ("code", "the-code"),
        ("redirect_uri", "https://rp.example/cb?x=1"),
        ("code_verifier", "the-verifier-value"),
        ("resource", "https://r"),
    ] {
        assert_eq!(asked.form(name).as_deref(), Some(value), "{name}");
    }
}

#[tokio::test]
async fn u1_post_and_none_put_the_client_into_the_body() {
    let provider = Provider::start().await;
    provider.on_json("/token", tokens());
    exchange(&standard(&provider)).await.unwrap();
    let asked = provider.last();
    assert_eq!(asked.form("client_id").as_deref(), Some("client:1"));
    assert_eq!(asked.form("client_secret").as_deref(), Some(SECRET));
    assert_eq!(asked.header("authorization"), None);

    let public = ClientCredentials {
        client_id: "public".into(),
        secret: None,
        assertion: None,
        method: AuthMethodChoice::ClientSecretBasic,
    };
    let public = TokenEndpoint::new(egress(), provider.url("/token"), public, TokenResponseShape::Standard);
    let renewed = public.refresh(&SecretString::from("old rt"), None, &[]).await.unwrap();
    assert_eq!(renewed.refresh_token.unwrap().expose_secret(), "rt");
    let asked = provider.last();
    assert_eq!(asked.form("client_id").as_deref(), Some("public"));
    assert_eq!(asked.form("grant_type").as_deref(), Some("refresh_token"));
    assert_eq!(asked.form("refresh_token").as_deref(), Some("old rt"));
    assert_eq!((asked.form("client_secret"), asked.form("scope")), (None, None));
    assert_eq!(asked.header("authorization"), None);
}

#[tokio::test]
async fn rfc_8707_2_2_a_refresh_carries_resource_and_scope() {
    let provider = Provider::start().await;
    provider.on_json("/token", tokens());
    let extra = [("resource", "https://r/1"), ("resource", "https://r/2")];
    standard(&provider).refresh(&SecretString::from("rt"), Some("a b"), &extra).await.unwrap();
    let body = provider.last().body;
    assert!(body.contains("resource=https%3A%2F%2Fr%2F1&resource=https%3A%2F%2Fr%2F2"), "{body}");
    assert_eq!(provider.last().form("scope").as_deref(), Some("a b"));
}

#[test]
fn u1_the_method_of_a_client_with_a_secret_follows_the_metadata() {
    for (supported, pkce, expected) in [
        (&[][..], false, Some(AuthMethodChoice::ClientSecretBasic)),
        (&["client_secret_post", "client_secret_basic"], false, Some(AuthMethodChoice::ClientSecretBasic)),
        (&["private_key_jwt", "client_secret_post"], false, Some(AuthMethodChoice::ClientSecretPost)),
        (&["none"], true, Some(AuthMethodChoice::None)),
        (&["none"], false, None),
        (&["private_key_jwt", "tls_client_auth"], true, None),
    ] {
        let metadata = AuthorizationServerMetadata {
            token_endpoint_auth_methods_supported: supported.iter().map(|name| (*name).to_owned()).collect(),
            code_challenge_methods_supported: pkce.then(|| "S256".to_owned()).into_iter().collect(),
            ..Default::default()
        };
        match AuthMethodChoice::from_metadata(&metadata) {
            Ok(method) => assert_eq!(Some(method), expected, "{supported:?}"),
            Err(error) => {
                assert_eq!(expected, None, "{supported:?}");
                assert!(error.to_string().contains(&supported.join(", ")), "{error}");
            }
        }
    }
}

fn only_post(asked: &Asked) -> Answer {
    if asked.form("client_secret").as_deref() == Some(SECRET) {
        Answer::json(&tokens())
    } else {
        Answer::of(401, "application/json", r#"{"error":"invalid_client"}"#)
    }
}

#[tokio::test]
async fn u2_without_metadata_post_is_tried_after_basic_and_remembered() {
    let provider = Provider::start().await;
    provider.on("/token", only_post);
    let endpoint = endpoint(&provider, AuthMethodChoice::Unknown, TokenResponseShape::Lenient);
    exchange(&endpoint).await.unwrap();
    exchange(&endpoint).await.unwrap();
    let basic: Vec<bool> =
        provider.asked().iter().map(|asked| asked.header("authorization").is_some()).collect();
    assert_eq!(basic, [true, false, false]);
}

#[tokio::test]
async fn u2_a_wrong_secret_and_a_refused_grant_are_not_mistaken_for_a_method() {
    let provider = Provider::start().await;
    let endpoint = endpoint(&provider, AuthMethodChoice::Unknown, TokenResponseShape::Lenient);
    provider.on("/token", |_| Answer::of(401, "application/json", r#"{"error":"invalid_client"}"#));
    for requests in [2, 4] {
        let error = exchange(&endpoint).await.unwrap_err();
        assert!(matches!(error, TokenRequestError::Refused { error } if error == "invalid_client"));
        assert_eq!(provider.asked().len(), requests);
    }
    provider.on("/token", |_| Answer::of(400, "application/json", r#"{"error":"invalid_grant"}"#));
    let error = exchange(&endpoint).await.unwrap_err();
    assert!(matches!(error, TokenRequestError::Refused { error } if error == "invalid_grant"));
    assert_eq!(provider.asked().len(), 5, "a code is not sent twice");
}

#[tokio::test]
async fn u2_answers_in_the_manner_of_github_are_understood() {
    let tokens = answered(|| {
        Answer::of(200, FORM, "access_token=gho_1&scope=repo%2Cgist&token_type=bearer&expires_in=28800")
    });
    let tokens = tokens.await.unwrap();
    assert_eq!(tokens.access_token.expose_secret(), "gho_1");
    assert_eq!(tokens.scope.as_deref(), Some("repo,gist"));
    assert_eq!(tokens.expires_in, Some(Duration::from_secs(28_800)));
    for answer in [
        || Answer::of(200, "application/json; charset=utf-8", r#"{"error":"bad_verification_code"}"#),
        || Answer::of(200, FORM, "error=bad_verification_code&error_description=x"),
    ] {
        let error = answered(answer).await.unwrap_err();
        assert!(matches!(error, TokenRequestError::Refused { error } if error == "bad_verification_code"));
    }
}

#[tokio::test]
async fn u2_expires_in_may_be_a_string_and_zero_is_unknown() {
    for (expires_in, expected) in [
        (json!(3600), Some(3600)),
        (json!("3600"), Some(3600)),
        (json!(3599.9), Some(3599)),
        (json!(0), None),
        (json!(-1), None),
        (json!("soon"), None),
        (json!(null), None),
        (json!(1e300), None),
    ] {
        let body = json!({"access_token": "a", "token_type": "Bearer", "expires_in": expires_in});
        let tokens = answered(move || Answer::json(&body)).await.unwrap();
        assert_eq!(tokens.expires_in, expected.map(Duration::from_secs), "{expires_in}");
    }
}

#[tokio::test]
async fn u1_u2_the_token_type_must_be_bearer_and_may_be_absent_for_oauth2_only() {
    for (kind, standard_ok, lenient_ok) in [
        (json!("Bearer"), true, true),
        (json!("BEARER"), true, true),
        (json!("DPoP"), false, false),
        (json!("mac"), false, false),
        (json!(null), false, true),
    ] {
        let provider = Provider::start().await;
        provider.on_json("/token", json!({"access_token": "a", "token_type": kind}));
        let lenient = endpoint(&provider, AuthMethodChoice::None, TokenResponseShape::Lenient);
        assert_eq!(exchange(&standard(&provider)).await.is_ok(), standard_ok, "{kind}");
        assert_eq!(exchange(&lenient).await.is_ok(), lenient_ok, "{kind}");
    }
}

#[tokio::test]
async fn u1_what_is_temporary_is_told_from_what_is_refused() {
    type Expected = fn(&TokenRequestError) -> bool;
    let unavailable: Expected = |error| matches!(error, TokenRequestError::Unavailable { .. });
    let refused: Expected = |error| matches!(error, TokenRequestError::Refused { .. });
    let malformed: Expected = |error| matches!(error, TokenRequestError::Malformed { .. });
    for (status, body, expected) in [
        (500, "", unavailable),
        (503, "<html>", unavailable),
        (429, r#"{"error":"slow_down"}"#, unavailable),
        (500, r#"{"error":"invalid_grant"}"#, unavailable),
        (400, r#"{"error":"temporarily_unavailable"}"#, unavailable),
        (400, r#"{"error":"invalid_grant"}"#, refused),
        (403, r#"{"error":"access_denied"}"#, refused),
        (400, "no", refused),
        (401, "", refused),
        (400, r#"{"error":{"message":"x"}}"#, refused),
        (302, "", malformed),
        (307, "", malformed),
        (404, "<html>", malformed),
        (403, "blocked by the firewall", malformed),
        (200, "", malformed),
        (200, "{}", malformed),
        (200, "[]", malformed),
        (200, r#"{"access_token":"","token_type":"bearer"}"#, malformed),
        (200, r#"{"access_token":7,"token_type":"bearer"}"#, malformed),
    ] {
        let error = answered(move || {
            Answer::of(status, "application/json", body).with("location", "https://elsewhere.example/")
        });
        let error = error.await.unwrap_err();
        assert!(expected(&error), "{status} {body}: {error:?}");
    }
    let provider = Provider::start().await;
    provider.set_down(true);
    assert!(matches!(exchange(&standard(&provider)).await, Err(TokenRequestError::Unreachable(_))));
    let huge = json!({"access_token": "a".repeat(256 * 1024), "token_type": "bearer"});
    let error = answered(move || Answer::json(&huge)).await.unwrap_err();
    assert!(matches!(error, TokenRequestError::Unreachable(_)));
}

#[tokio::test]
async fn o6_no_error_shows_what_was_sent_or_received() {
    let secrets = ["the-code", "the-verifier-value", SECRET, "at-secret"];
    for body in [
        json!({"error": format!("bad {SECRET}"), "error_description": "the-verifier-value"}),
        json!({"error": "unknown_the-code"}),
        json!({"access_token": "at-secret", "token_type": "mac"}),
        json!({"access_token": ["at-secret"], "token_type": "bearer"}),
    ] {
        let error = answered(move || Answer::json(&body)).await.unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!secrets.iter().any(|secret| shown.contains(secret)), "{shown}");
    }
    let received = json!({"access_token": "at-secret", "token_type": "bearer", "id_token": "at-secret"});
    let tokens = answered(move || Answer::json(&received)).await.unwrap();
    assert!(!format!("{tokens:?}").contains("at-secret"));
}

#[tokio::test]
async fn u2_members_of_a_mapped_response_are_found_by_path() {
    let provider = Provider::start().await;
    provider.on_json(
        "/token",
        json!({"ok": true, "access_token": "bot", "token_type": "bot", "authed_user": {
            "id": "U1", "access_token": "xoxp", "scope": ["a", "b"], "refresh_token": "xoxe", "expires_in": "43200"}}),
    );
    let path = |path: &str| MemberPath::parse(&format!("authed_user.{path}"));
    let members = TokenMembers {
        access_token: path("access_token"),
        scope: Some(path("scope")),
        refresh_token: Some(path("refresh_token")),
        expires_in: Some(path("expires_in")),
    };
    let shape = TokenResponseShape::Mapped(members);
    let endpoint = endpoint(&provider, AuthMethodChoice::Unknown, shape);
    let tokens = exchange(&endpoint).await.unwrap();
    assert_eq!(tokens.access_token.expose_secret(), "xoxp");
    assert_eq!(tokens.refresh_token.unwrap().expose_secret(), "xoxe");
    assert_eq!(tokens.scope.as_deref(), Some("a b"));
    assert_eq!(tokens.expires_in, Some(Duration::from_secs(43_200)));
    assert_eq!(tokens.document.text(&path("id")).as_deref(), Some("U1"));
    provider.on("/token", |_| Answer::json(&json!({"access_token": "xoxe-2", "refresh_token": "xoxe-3"})));
    let refreshed = endpoint.refresh(&SecretString::from("xoxe"), None, &[]).await.unwrap();
    assert_eq!(
        refreshed.access_token.expose_secret(),
        "xoxe-2",
        "what is renewed alone has no place of its own"
    );
}

#[tokio::test]
async fn a_grant_is_used_up_at_most_where_the_answer_was_lost() {
    for (status, body, may_have_been) in [
        (500, "", true),
        (502, "", false),
        (503, "", false),
        (504, "", true),
        (400, r#"{"error":"server_error"}"#, true),
        (503, r#"{"error":"temporarily_unavailable"}"#, false),
        (429, "", false),
        (400, r#"{"error":"invalid_grant"}"#, false),
        (200, "not tokens", true),
        (302, "", true),
    ] {
        let error = answered(move || Answer::of(status, "application/json", body)).await.unwrap_err();
        assert_eq!(error.may_have_been_processed(), may_have_been, "{status}: {error:?}");
    }
    let provider = Provider::start().await;
    provider.on("/token", |_| Answer::json(&tokens()).with("content-encoding", "gzip"));
    let error = exchange(&standard(&provider)).await.unwrap_err();
    assert!(matches!(error, TokenRequestError::Unreachable(_)), "{error:?}");
    assert!(error.may_have_been_processed(), "it was answered, if only in a coding that nobody asked for");

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/token", listener.local_addr().unwrap());
    drop(listener);
    let client = ClientCredentials {
        client_id: "c".into(),
        secret: None,
        assertion: None,
        method: AuthMethodChoice::None,
    };
    let closed = TokenEndpoint::new(egress(), url, client, TokenResponseShape::Standard);
    let error = exchange(&closed).await.unwrap_err();
    assert!(matches!(error, TokenRequestError::Unreachable(_)), "{error:?}");
    assert!(!error.may_have_been_processed());
}
