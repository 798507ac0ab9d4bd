//! What we are as a client: what is sent, as whom, and what a failure means for the tokens that were sent.

use thv_client::discovery::DiscoveryUrl;
use thv_jose::digest::sha256;
use thv_store::records::UpstreamTokens;

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
    let refused = upstream.refresh(&old, "u1", Some("another client")).await.unwrap_err();
    assert!(matches!(refused, UpstreamError::UnknownClient), "{refused:?}");
    assert!(!refused.is_invalid_grant() && !refused.may_have_been_processed());
    let tokens = upstream.refresh(&old, "u1", Some("rp")).await.unwrap();
    assert_eq!(provider.paths(), ["/token"]);
    let tokens = UpstreamTokens { client_id: Some("another client".to_owned()), ..tokens };
    let refused = upstream.provider().revoke(&tokens).await;
    assert!(matches!(refused, Err(UpstreamError::UnknownClient)), "it is not said to be done");
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
async fn u11_nothing_is_waited_for_between_renewed_tokens_and_the_vault() {
    let provider = Provider::start().await;
    let upstream = provider.oidc(|_| {});
    let old = SecretString::from("rt");
    for (sub, ok) in [("u1", true), ("u2", false)] {
        let id_token = provider.id_token(&json!({"sub": sub}));
        provider.answers(json!({
            "access_token": "at", "token_type": "Bearer", "refresh_token": "rt-2", "id_token": id_token
        }));
        let refreshed = upstream.refresh(&old, "u1", None).await;
        assert_eq!(refreshed.is_ok(), ok, "{refreshed:?}");
    }
    assert!(!provider.paths().contains(&"/jwks".to_owned()), "{:?}", provider.paths());
}

#[tokio::test]
async fn u11_what_precedes_a_refresh_has_a_deadline_of_its_own_and_costs_no_token() {
    let provider = Provider::start().await;
    let parts = provider.parts();
    let stores = parts.stores.clone();
    let upstream = provider.oauth2_with(parts, |settings| {
        settings.provider.registration = RegistrationSettings::default();
        settings.provider.endpoints.registration = Some(provider.server.url("/register"));
    });
    let key = upstream.provider().registrar().key();
    let until = NOW + Duration::from_secs(60);
    stores.leases.acquire(sha256(&key.to_bytes()), until, NOW).await.unwrap().unwrap();
    // Another replica is about to register, and takes its time.
    let prepared = upstream.provider().prepared(Duration::from_millis(10), Some("c")).await;
    let error = prepared.err().unwrap();
    assert!(error.is_temporary() && !error.may_have_been_processed(), "{error:?}");
    assert!(provider.paths().is_empty());
}

#[tokio::test]
async fn u1_plain_http_is_refused_where_it_is_not_allowed_however_the_metadata_was_found() {
    let provider = Provider::start().await;
    provider.oidc(|_| {}).ready().await.unwrap();
    let strict = provider.oidc(|settings| settings.provider.allow_http = AllowHttp::No);
    assert!(strict.ready().await.unwrap_err().contains("issuer must be an https URL"));
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
