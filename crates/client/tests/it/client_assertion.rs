use std::collections::HashSet;

use secrecy::SecretString;
use serde_json::{Value, json};
use thv_client::client_assertion::{AssertionSigner, ClientAssertion};
use thv_client::token_request::{
    AuthMethodChoice, ClientCredentials, CredentialsError, TokenEndpoint, TokenRequestError,
};
use thv_client::token_response::TokenResponseShape;
use thv_jose::algorithm::Algorithm;
use thv_jose::client_assertion::CLIENT_ASSERTION_TYPE;
use thv_jose::key::SigningKey;
use thv_jose::keyring::KeyRing;
use thv_jose::reload::KeyHandle;
use thv_jose::verify::peek_unverified;

use crate::provider::{Asked, NOW, Provider, clock, egress};

const CLIENT_ID: &str = "https://rp.example/oauth/client-metadata.json";

fn ring(algorithm: Algorithm) -> KeyRing {
    KeyRing::new(vec![SigningKey::generate(algorithm).unwrap()]).unwrap()
}

fn endpoint(provider: &Provider, assertion: Option<ClientAssertion>) -> TokenEndpoint {
    // A secret that is there must not be sent besides.
    let secret = Some(SecretString::from("s3cret"));
    let method = AuthMethodChoice::PrivateKeyJwt;
    let client = ClientCredentials { client_id: CLIENT_ID.into(), secret, assertion, method };
    TokenEndpoint::new(egress(), provider.url("/token"), client, TokenResponseShape::Standard)
}

async fn refresh(endpoint: &TokenEndpoint) -> Result<(), TokenRequestError> {
    endpoint.refresh(&SecretString::from("rt"), None, &[]).await.map(drop)
}

fn claims(asked: &Asked) -> Value {
    assert_eq!(asked.form("client_assertion_type").as_deref(), Some(CLIENT_ASSERTION_TYPE));
    peek_unverified(&asked.form("client_assertion").unwrap()).unwrap()
}

#[tokio::test]
async fn rfc_7523_2_2_every_request_carries_an_assertion_of_its_own() {
    let provider = Provider::start().await;
    provider.on_json("/token", json!({"access_token": "at", "token_type": "bearer"}));
    let keys = KeyHandle::new(ring(Algorithm::ES256));
    let signer = AssertionSigner::new(keys.clone(), clock().shared());
    let token_endpoint = provider.url("/token");
    let assertion = ClientAssertion::new(signer.clone(), Some("https://as.example"), &token_endpoint);
    let endpoint = endpoint(&provider, Some(assertion));
    refresh(&endpoint).await.unwrap();
    assert_eq!(signer.algorithm(), Algorithm::ES256);
    // A key that is exchanged signs the next request.
    keys.replace(ring(Algorithm::EdDSA));
    assert_eq!(signer.algorithm(), Algorithm::EdDSA);
    refresh(&endpoint).await.unwrap();

    let mut seen = HashSet::new();
    for asked in provider.asked() {
        let claims = claims(&asked);
        assert_eq!((&claims["iss"], &claims["sub"]), (&json!(CLIENT_ID), &json!(CLIENT_ID)));
        assert_eq!(claims["aud"], "https://as.example", "AS-133: the issuer identifier");
        assert_eq!(claims["exp"].as_u64().unwrap(), NOW.as_secs() + 60);
        assert!(seen.insert(claims["jti"].as_str().unwrap().to_owned()), "jti is used once");
        assert_eq!(asked.form("client_id").as_deref(), Some(CLIENT_ID));
        assert_eq!((asked.form("client_secret"), asked.header("authorization")), (None, None));
        assert_eq!(asked.form("grant_type").as_deref(), Some("refresh_token"));
    }
    assert_eq!(seen.len(), 2);
}

#[tokio::test]
async fn rfc_7523_3_without_an_issuer_the_audience_is_the_token_endpoint() {
    let provider = Provider::start().await;
    provider.on_json("/token", json!({"access_token": "at", "token_type": "bearer"}));
    let signer = AssertionSigner::new(KeyHandle::new(ring(Algorithm::ES256)), clock().shared());
    let assertion = ClientAssertion::new(signer, None, &provider.url("/token"));
    refresh(&endpoint(&provider, Some(assertion))).await.unwrap();
    assert_eq!(claims(&provider.last())["aud"], provider.url("/token"));
}

#[tokio::test]
async fn private_key_jwt_without_a_key_sends_nothing() {
    let provider = Provider::start().await;
    let error = refresh(&endpoint(&provider, None)).await.unwrap_err();
    assert!(matches!(error, TokenRequestError::Credentials(CredentialsError::NoKey)), "{error:?}");
    assert!(!error.may_have_been_processed());
    assert!(provider.asked().is_empty());
}
