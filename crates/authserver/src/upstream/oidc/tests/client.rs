//! What we are as a client: what is sent, as whom, and what a failure means for the tokens that were sent.

use thv_client::discovery::DiscoveryUrl;

use super::*;

#[tokio::test]
async fn rfc_8707_the_resource_is_sent_with_every_request_and_slack_gets_its_scope_parameter() {
    let provider = Provider::start().await;
    let upstream = provider.oauth2(|settings| {
        settings.provider.resource = Some("https://api.example/mcp".to_owned());
        settings.provider.scopes = vec!["a".to_owned(), "b".to_owned()];
        settings.provider.scope_parameter = "user_scope".to_owned();
        settings.provider.scope_separator = ",".to_owned();
    });
    let challenge = CodeVerifier::from_random([7; 32]).challenge();
    let url = upstream.authorization_url(&request(&challenge, false, false)).await.unwrap().url;
    assert_eq!(query(&url).one("resource"), Ok(Some("https://api.example/mcp")));
    assert_eq!((query(&url).one("user_scope"), query(&url).one("scope")), (Ok(Some("a,b")), Ok(None)));
    provider.answers(json!({"access_token": "at", "refresh_token": "rt"}));
    upstream.redeem("the-code", &SecretString::from("the-verifier"), None).await.unwrap();
    upstream.refresh(&SecretString::from("rt"), "u1", None).await.unwrap();
    for (_, form) in provider.answers.lock().unwrap().asked.iter().filter(|(path, _)| path == "/token") {
        let form = Params::parse(form.as_bytes()).unwrap();
        assert_eq!(form.one("resource"), Ok(Some("https://api.example/mcp")));
    }
}

#[tokio::test]
async fn rfc_7009_the_refresh_token_is_revoked_and_then_the_access_token() {
    let provider = Provider::start().await;
    let upstream = provider.oauth2(|_| {});
    provider.answers(json!({"access_token": "at", "refresh_token": "rt"}));
    let verifier = SecretString::from("the-verifier");
    let tokens = upstream.redeem("the-code", &verifier, None).await.unwrap().tokens.unwrap();
    upstream.provider().revoke(&tokens).await.unwrap();
    let asked = provider.answers.lock().unwrap().asked.clone();
    let revoked: Vec<_> =
        asked.iter().filter(|(path, _)| path == "/revoke").map(|(_, form)| form.as_str()).collect();
    assert_eq!(revoked, ["token=rt&token_type_hint=refresh_token", "token=at&token_type_hint=access_token"]);
    let without = provider.oauth2(|settings| settings.provider.endpoints.revocation = None);
    without.provider().revoke(&tokens).await.unwrap();
}

#[tokio::test]
async fn u6_a_refresh_token_of_an_unknown_client_is_not_sent() {
    let provider = Provider::start().await;
    let upstream = provider.oauth2(|_| {});
    provider.answers(json!({"access_token": "at", "refresh_token": "rt-2"}));
    let old = SecretString::from("rt");
    let refused = upstream.refresh(&old, "u1", Some("another client")).await;
    assert!(refused.unwrap_err().is_invalid_grant());
    assert!(provider.paths().is_empty());
    upstream.refresh(&old, "u1", Some("rp")).await.unwrap();
}

#[tokio::test]
async fn u11_only_what_was_sent_can_be_used_up() {
    let provider = Provider::start().await;
    let upstream = provider.oidc(|_| {});
    let old = SecretString::from("rt");
    provider.server.down();
    let error = upstream.refresh(&old, "u1", None).await.unwrap_err();
    assert!(error.is_temporary() && !error.may_have_been_processed(), "{error:?}");
    let wrong = provider.oidc(|settings| settings.issuer = format!("{}/other", settings.issuer));
    provider.server.up();
    let error = wrong.refresh(&old, "u1", None).await.unwrap_err();
    assert!(error.is_temporary() && !error.may_have_been_processed(), "{error:?}");
    provider.answers(json!({"no": "tokens"}));
    provider.clock.advance(Duration::from_secs(5));
    let error = upstream.refresh(&old, "u1", None).await.unwrap_err();
    assert!(error.may_have_been_processed(), "{error:?}");
}

#[tokio::test]
async fn u3_an_id_token_is_for_the_client_that_was_registered() {
    let provider = Provider::start().await;
    let registers = |settings: &mut OidcSettings| {
        settings.provider.registration = RegistrationSettings::default();
        settings.provider.endpoints.registration = Some(provider.server.url("/register"));
    };
    let upstream = provider.oidc(registers);
    let verifier = SecretString::from("the-verifier");
    for (audience, ok) in [("dynamic", true), ("rp", false)] {
        let id_token = provider.id_token(&json!({"aud": audience}));
        provider.answers(json!({"access_token": "at", "token_type": "Bearer", "id_token": id_token}));
        match upstream.redeem("the-code", &verifier, "the-nonce", Some("dynamic")).await {
            Ok(login) => assert!(ok && login.tokens.unwrap().client_id.as_deref() == Some("dynamic")),
            Err(error) => assert!(!ok && matches!(error, UpstreamError::Unacceptable { .. }), "{error:?}"),
        }
    }
    upstream.ready().await.unwrap();
    assert_eq!(provider.paths().iter().filter(|path| *path == "/register").count(), 1);
    // A discovery URL must lead to the issuer that is configured.
    let upstream = provider.oidc(|settings| {
        registers(settings);
        let url = DiscoveryUrl::parse(&settings.issuer, AllowHttp::Loopback).unwrap();
        settings.provider.discovery = Some(url);
        settings.issuer = "https://corp.example".to_owned();
    });
    let challenge = CodeVerifier::from_random([7; 32]).challenge();
    let error = upstream.authorization_url(&request(&challenge, false, false)).await;
    let error = thv_telemetry::chain(&error.err().unwrap());
    assert!(error.contains("not of the configured one"), "{error}");
}
