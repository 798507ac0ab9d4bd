use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use thv_client::client_authentication::AuthMethodChoice;
use thv_client::registration::{Registration, RegistrationError, RegistrationRequest, register};
use thv_oauth::auth_method::AuthMethod;
use thv_oauth::grant_type::GrantType;

use crate::provider::{Answer, Provider, egress};

pub(crate) const STATEMENT: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzb2Z0d2FyZV9pZCI6IngifQ.c2lnbmF0dXJl";

pub(crate) fn request() -> RegistrationRequest {
    RegistrationRequest {
        redirect_uris: vec!["https://rp.example/oauth/callback".into()],
        token_endpoint_auth_method: Some(AuthMethod::ClientSecretPost),
        grant_types: GrantType::ALL.to_vec(),
        response_types: vec!["code".into()],
        client_name: Some("ToolHive".into()),
        scope: Some("openid a".into()),
        software_id: Some("sw".into()),
        software_statement: Some(SecretString::from(STATEMENT)),
        ..RegistrationRequest::default()
    }
}

async fn answered(
    initial_access_token: Option<&str>,
    answer: impl Fn() -> Answer + Send + Sync + 'static,
) -> (Provider, Result<Registration, RegistrationError>) {
    let provider = Provider::start().await;
    provider.on("/register", move |_| answer());
    let token = initial_access_token.map(SecretString::from);
    let outcome = register(&egress(), &provider.url("/register"), token.as_ref(), &request()).await;
    (provider, outcome)
}

async fn refused(status: u16, body: &'static str) -> RegistrationError {
    let (provider, outcome) = answered(Some("initial-t0ken"), move || {
        Answer::of(status, "application/json", body)
            .with("location", "https://elsewhere.example/")
            .with("retry-after", "30")
    })
    .await;
    assert_eq!(provider.asked().len(), 1, "nothing is followed or sent again");
    outcome.unwrap_err()
}

#[tokio::test]
async fn rfc_7591_3_the_request_carries_everything_and_the_answer_is_kept() {
    let (provider, outcome) = answered(Some("initial-t0ken"), || {
        let body = json!({
            "client_id": "abc", "client_secret": "the-s3cret", "client_id_issued_at": 1_700_000_000,
            "client_secret_expires_at": 1_700_086_400, "registration_access_token": "the-rat",
            "registration_client_uri": "https://as.example/register/abc", "scope": "openid",
            "token_endpoint_auth_method": "client_secret_basic", "something_else": [1]
        });
        Answer::of(201, "application/json; charset=utf-8", body.to_string())
    })
    .await;
    let asked = provider.last();
    assert_eq!(
        (asked.method.as_str(), asked.header("authorization")),
        ("POST", Some("Bearer initial-t0ken"))
    );
    assert_eq!(asked.header("content-type"), Some("application/json"));
    let sent: Value = serde_json::from_str(&asked.body).unwrap();
    assert_eq!(sent["software_statement"], STATEMENT, "verbatim");
    assert_eq!((&sent["software_id"], &sent["scope"]), (&json!("sw"), &json!("openid a")));

    let registration = outcome.unwrap();
    assert_eq!(registration.client_id, "abc");
    assert_eq!(registration.client_secret.as_ref().unwrap().expose_secret(), "the-s3cret");
    assert_eq!(registration.client_id_issued_at.unwrap().as_secs(), 1_700_000_000);
    assert_eq!(registration.client_secret_expires_at.unwrap().as_secs(), 1_700_086_400);
    assert_eq!(registration.registration_access_token.as_ref().unwrap().expose_secret(), "the-rat");
    assert_eq!(registration.registration_client_uri.as_deref(), Some("https://as.example/register/abc"));
    assert_eq!(registration.token_endpoint_auth_method, AuthMethod::ClientSecretBasic, "the server's word");
    assert_eq!(registration.scope.as_deref(), Some("openid"));
    assert_eq!(registration.credentials(None).method, AuthMethodChoice::ClientSecretBasic);
    let shown = format!("{registration:?}");
    assert!(!shown.contains("the-s3cret") && !shown.contains("the-rat"), "{shown}");
}

#[tokio::test]
async fn rfc_7591_3_without_an_initial_token_there_is_no_authorization() {
    let (provider, outcome) =
        answered(None, || Answer::json(&json!({"client_id": "abc", "client_secret": "s"}))).await;
    assert_eq!(provider.last().header("authorization"), None);
    let registration = outcome.unwrap();
    assert_eq!(registration.token_endpoint_auth_method, AuthMethod::ClientSecretPost, "as asked for");
    assert!(registration.client_secret_expires_at.is_none());
}

#[tokio::test]
async fn rfc_7591_3_a_server_without_registration_says_so() {
    for status in [404, 405, 501] {
        let error = refused(status, "").await;
        assert!(matches!(error, RegistrationError::NotSupported { status: of } if of == status), "{error:?}");
        assert!(error.to_string().contains("RFC 7591") && error.to_string().contains("client_id"), "{error}");
        assert!(!error.is_temporary());
    }
}

#[tokio::test]
async fn rfc_7591_3_redirects_are_refused() {
    for status in [301, 302, 303, 307, 308] {
        let error = refused(status, "").await;
        assert!(matches!(error, RegistrationError::Redirected { status: of } if of == status), "{error:?}");
    }
}

#[tokio::test]
async fn rfc_7591_3_1_who_may_not_register_is_told_what_to_configure() {
    for status in [401, 403] {
        let error = refused(status, r#"{"error":"invalid_token"}"#).await;
        assert!(matches!(error, RegistrationError::InitialTokenRefused { .. }), "{error:?}");
        let (_, outcome) = answered(None, move || Answer::of(status, "text/plain", "")).await;
        let error = outcome.unwrap_err();
        assert!(matches!(error, RegistrationError::InitialTokenNeeded { .. }), "{error:?}");
        assert!(error.to_string().contains("initial access token"), "{error}");
    }
}

#[tokio::test]
async fn rfc_7591_3_2_2_a_refusal_has_its_code_and_description() {
    let error =
        refused(400, r#"{"error":"invalid_redirect_uri","error_description":"no \"http\"\u202e, please\n"}"#)
            .await;
    let RegistrationError::Refused { error: code, description } = &error else { panic!("{error:?}") };
    assert_eq!(
        (code.as_str(), description.as_deref()),
        ("invalid_redirect_uri", Some("no 'http'?, please?"))
    );
    assert!(!error.is_temporary());
    let error = refused(400, "<html>").await;
    assert!(matches!(error, RegistrationError::Malformed { .. }), "{error:?}");
}

#[tokio::test]
async fn rfc_7591_5_no_error_repeats_a_secret() {
    for body in [
        r#"{"error":"initial-t0ken"}"#,
        r#"{"error":"invalid_client_metadata","error_description":"bad initial-t0ken"}"#,
        r#"{"error":"invalid_software_statement","error_description":"eyJhbGciOiJSUzI1NiJ9.eyJzb2Z0d2FyZV9pZCI6IngifQ.c2lnbmF0dXJl"}"#,
    ] {
        let error = refused(400, body).await;
        assert!(matches!(error, RegistrationError::Refused { .. }), "{error:?}");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("initial-t0ken") && !shown.contains(STATEMENT), "{shown}");
    }
}

#[tokio::test]
async fn what_may_pass_is_temporary() {
    for status in [429, 500, 502, 503] {
        let error = refused(status, "").await;
        assert!(error.is_temporary(), "{error:?}");
        let RegistrationError::Unavailable { retry_after, .. } = error else { panic!("{error:?}") };
        assert_eq!(retry_after, Some(Duration::from_secs(30)));
    }
    let provider = Provider::start().await;
    provider.set_down(true);
    let error = register(&egress(), &provider.url("/register"), None, &request()).await.unwrap_err();
    assert!(matches!(error, RegistrationError::Unreachable(_)) && error.is_temporary(), "{error:?}");
    let error = register(&egress(), "https://", None, &request()).await.unwrap_err();
    assert!(!error.is_temporary(), "{error:?}");
}

#[tokio::test]
async fn rfc_7591_3_2_1_an_answer_is_json_of_status_200_or_201_and_of_moderate_size() {
    let body = || json!({"client_id": "abc", "client_secret": "s"}).to_string();
    for (status, content_type, accepted) in [
        (200, "application/json", true),
        (201, "application/json", true),
        (202, "application/json", false),
        (204, "application/json", false),
        (200, "text/html", false),
    ] {
        let (_, outcome) = answered(None, move || Answer::of(status, content_type, body())).await;
        match outcome {
            Ok(_) => assert!(accepted, "{status} {content_type}"),
            Err(error) => {
                assert!(!accepted && matches!(error, RegistrationError::Malformed { .. }), "{error:?}");
            }
        }
    }
    let (_, outcome) = answered(None, || {
        Answer::json(&json!({"client_id": "abc", "client_secret": "s", "x": "x".repeat(256 * 1024)}))
    })
    .await;
    let error = outcome.unwrap_err();
    assert!(matches!(error, RegistrationError::Unreachable(_)) && !error.is_temporary(), "{error:?}");
}
