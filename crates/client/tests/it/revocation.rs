use std::time::Duration;

use secrecy::SecretString;
use thv_client::client_authentication::{AuthMethodChoice, ClientCredentials};
use thv_client::revocation::{RevocationEndpoint, RevocationError, TokenTypeHint};

use crate::provider::{Answer, Provider, egress};

fn endpoint(provider: &Provider, method: AuthMethodChoice) -> RevocationEndpoint {
    let secret = Some(SecretString::from("s3cret"));
    let client = ClientCredentials { client_id: "c".into(), secret, assertion: None, method };
    RevocationEndpoint::new(egress(), provider.url("/revoke"), client)
}

async fn answered(status: u16, body: &'static str) -> Result<(), RevocationError> {
    let provider = Provider::start().await;
    provider.on("/revoke", move |_| {
        Answer::of(status, "application/json", body).with("retry-after", "7").with("location", "https://x/")
    });
    let endpoint = endpoint(&provider, AuthMethodChoice::ClientSecretPost);
    endpoint.revoke(&SecretString::from("the-token"), TokenTypeHint::AccessToken).await
}

#[tokio::test]
async fn rfc_7009_2_1_the_token_and_its_type_are_sent_with_client_authentication() {
    let provider = Provider::start().await;
    provider.on("/revoke", |_| Answer::of(200, "text/plain", ""));
    let basic = endpoint(&provider, AuthMethodChoice::ClientSecretBasic);
    basic.revoke(&SecretString::from("rt"), TokenTypeHint::RefreshToken).await.unwrap();
    let asked = provider.last();
    assert_eq!(asked.method, "POST");
    assert_eq!(asked.header("authorization"), Some("Basic YzpzM2NyZXQ="));
    assert_eq!(asked.form("token").as_deref(), Some("rt"));
    assert_eq!(asked.form("token_type_hint").as_deref(), Some("refresh_token"));
    assert_eq!((asked.form("client_id"), asked.form("client_secret")), (None, None));
}

#[tokio::test]
async fn rfc_6749_2_3_1_an_unknown_method_is_found_out_and_remembered() {
    let provider = Provider::start().await;
    provider.on("/revoke", |asked| match asked.form("client_secret") {
        Some(_) => Answer::of(200, "text/plain", ""),
        None => Answer::of(401, "application/json", r#"{"error":"invalid_client"}"#),
    });
    let endpoint = endpoint(&provider, AuthMethodChoice::Unknown);
    for requests in [2, 3] {
        endpoint.revoke(&SecretString::from("rt"), TokenTypeHint::RefreshToken).await.unwrap();
        assert_eq!(provider.asked().len(), requests);
    }
}

#[tokio::test]
async fn rfc_7009_2_2_an_unsupported_token_type_is_as_good_as_revoked() {
    answered(400, r#"{"error":"unsupported_token_type"}"#).await.unwrap();
    answered(200, "").await.unwrap();
}

#[tokio::test]
async fn rfc_7009_2_2_1_a_503_says_when_to_try_again_and_other_failures_do_not() {
    let error = answered(503, "").await.unwrap_err();
    let RevocationError::Unavailable { retry_after, .. } = &error else { panic!("{error:?}") };
    assert_eq!(*retry_after, Some(Duration::from_secs(7)));
    for (status, body) in [
        (401, r#"{"error":"invalid_client"}"#),
        (400, r#"{"error":"invalid_request"}"#),
        (404, "<html>"),
        (307, ""),
    ] {
        let error = answered(status, body).await.unwrap_err();
        assert!(!matches!(error, RevocationError::Unavailable { .. }), "{status}: {error:?}");
    }
    let error = answered(400, r#"{"error":"bad_the-token"}"#).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("the-token"), "{error:?}");
}
