use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use thv_client::token_request::{
    AuthMethodChoice, ClientCredentials, TokenEndpoint, TokenExchange, TokenRequestError,
};
use thv_client::token_response::{TokenResponse, TokenResponseShape};

use crate::provider::{Answer, Asked, Provider, egress};

const SUBJECT: &str = "the-subject-token-0123456789";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

async fn exchanged(
    provider: &Provider,
    audience: Option<&str>,
    scope: Option<&str>,
) -> Result<TokenResponse, TokenRequestError> {
    let client = ClientCredentials {
        client_id: "exchanger".into(),
        secret: Some(SecretString::from("s3cret-0123456789")),
        assertion: None,
        method: AuthMethodChoice::ClientSecretPost,
    };
    let endpoint = TokenEndpoint::new(egress(), provider.url("/token"), client, TokenResponseShape::Lenient);
    let subject_token = SecretString::from(SUBJECT);
    let scope = scope.map(str::to_owned);
    let exchange =
        TokenExchange { subject_token: &subject_token, subject_token_type: ACCESS_TOKEN, audience, scope };
    endpoint.exchange_token(&exchange).await
}

#[tokio::test]
async fn rfc_8693_2_1_what_is_wanted_is_sent_and_nothing_else() {
    let provider = Provider::start().await;
    provider.on_json(
        "/token",
        json!({"access_token": "at", "issued_token_type": ACCESS_TOKEN, "token_type": "Bearer", "expires_in": 60}),
    );
    let tokens = exchanged(&provider, Some("https://api.example"), Some("a b")).await.unwrap();
    assert_eq!((tokens.access_token.expose_secret(), tokens.expires_in.unwrap().as_secs()), ("at", 60));
    let form = |asked: &Asked, name| asked.form(name).unwrap_or_default();
    let asked = provider.last();
    assert_eq!(form(&asked, "grant_type"), "urn:ietf:params:oauth:grant-type:token-exchange");
    assert_eq!(
        (form(&asked, "subject_token"), form(&asked, "subject_token_type")),
        (SUBJECT.into(), ACCESS_TOKEN.into())
    );
    assert_eq!(
        (form(&asked, "audience"), form(&asked, "scope")),
        ("https://api.example".into(), "a b".into())
    );
    assert_eq!(
        (form(&asked, "client_id"), form(&asked, "client_secret")),
        ("exchanger".into(), "s3cret-0123456789".into())
    );

    exchanged(&provider, None, None).await.unwrap();
    let asked = provider.last();
    assert_eq!((asked.form("audience"), asked.form("scope"), asked.form("resource")), (None, None, None));
}

#[tokio::test]
async fn rfc_8693_2_2_2_a_refusal_is_told_from_an_outage_and_repeats_no_token() {
    let provider = Provider::start().await;
    let body = json!({"error": "invalid_target", "error_description": format!("not {SUBJECT}")});
    provider.on("/token", move |_| Answer::of(400, "application/json", body.to_string()));
    let error = exchanged(&provider, None, None).await.unwrap_err();
    assert!(matches!(&error, TokenRequestError::Refused { error } if error == "invalid_target"), "{error:?}");
    assert!(!format!("{error:?} {error}").contains(SUBJECT));

    let body = json!({"error": SUBJECT});
    provider.on("/token", move |_| Answer::of(400, "application/json", body.to_string()));
    let error = exchanged(&provider, None, None).await.unwrap_err();
    assert!(!format!("{error:?} {error}").contains(SUBJECT));

    provider.on("/token", |_| Answer::of(503, "text/html", ""));
    assert!(matches!(exchanged(&provider, None, None).await, Err(TokenRequestError::Unavailable { .. })));
    provider.set_down(true);
    assert!(matches!(exchanged(&provider, None, None).await, Err(TokenRequestError::Unreachable(_))));
}

#[tokio::test]
async fn rfc_8693_2_2_1_a_token_that_is_no_bearer_token_is_of_no_use() {
    let provider = Provider::start().await;
    provider.on_json("/token", json!({"access_token": "at", "token_type": "N_A"}));
    assert!(matches!(exchanged(&provider, None, None).await, Err(TokenRequestError::Malformed { .. })));
}
