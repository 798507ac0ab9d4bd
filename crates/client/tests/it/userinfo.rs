use http::Method;
use http::header::{HeaderMap, HeaderValue};
use secrecy::SecretString;
use serde_json::json;
use thv_client::userinfo::{UserInfoError, fetch};

use crate::provider::{Answer, Provider, egress};

async fn ask(provider: &Provider, method: Method, headers: HeaderMap) -> Result<String, UserInfoError> {
    let token = SecretString::from("the-token");
    let claims = fetch(&egress(), method, &provider.url("/user?v=1"), headers, &token).await?;
    Ok(claims["sub"].to_string())
}

#[tokio::test]
async fn u2_the_access_token_is_sent_as_a_bearer_token_with_the_configured_headers() {
    let provider = Provider::start().await;
    provider.on_json("/user", json!({"sub": "s"}));
    let mut headers = HeaderMap::new();
    headers.insert("accept", HeaderValue::from_static("application/vnd.github+json"));
    headers.insert("x-api-version", HeaderValue::from_static("2022-11-28"));
    for method in [Method::GET, Method::POST] {
        assert_eq!(ask(&provider, method.clone(), headers.clone()).await.unwrap(), "\"s\"");
        let asked = provider.last();
        assert_eq!(asked.method, method.as_str());
        assert_eq!(asked.header("authorization"), Some("Bearer the-token"));
        assert_eq!(asked.header("accept"), Some("application/vnd.github+json"));
        assert_eq!(asked.header("x-api-version"), Some("2022-11-28"));
    }
    ask(&provider, Method::GET, HeaderMap::new()).await.unwrap();
    assert_eq!(provider.last().header("accept"), Some("application/json"));
}

#[tokio::test]
async fn u2_only_200_with_a_json_object_is_an_answer() {
    let provider = Provider::start().await;
    for (status, body, temporary) in [
        (302, r#"{"sub":"s"}"#, false),
        (401, r#"{"sub":"s"}"#, false),
        (204, "", false),
        (429, "", true),
        (502, "", true),
        (200, "[]", false),
        (200, "eyJhbGciOiJub25lIn0.e30.", false),
    ] {
        provider.on("/user", move |_| {
            Answer::of(status, "application/json", body).with("location", "/elsewhere")
        });
        let error = ask(&provider, Method::GET, HeaderMap::new()).await.unwrap_err();
        assert_eq!(error.is_temporary(), temporary, "{status} {body}: {error:?}");
    }
    assert!(!provider.paths().contains(&"/elsewhere".to_owned()));
    let unsendable = SecretString::from("a\nb");
    let outcome = fetch(&egress(), Method::GET, &provider.url("/user"), HeaderMap::new(), &unsendable).await;
    assert!(matches!(outcome, Err(UserInfoError::AccessToken)));
}
