//! The token endpoint.

use std::time::Duration;

use http::StatusCode;
use http::header::AUTHORIZATION;
use serde_json::Value;
use thv_jose::digest::base64url_decode;
use thv_store::Event;

use crate::fixture::{Browser, Fixture, Flow, ISSUER, RESOURCE, T0, assert_error, json};

fn claims(token: &str) -> (Value, Value) {
    let mut parts =
        token.split('.').map(|part| serde_json::from_slice(&base64url_decode(part).unwrap_or_default()));
    (parts.next().unwrap().unwrap(), parts.next().unwrap().unwrap())
}

async fn code(fixture: &Fixture, scope: &str) -> (Flow, String) {
    let flow = Flow::new(&fixture.register().await);
    let code = Browser::new(fixture).authorize(&flow.query(&[("scope", scope)])).await;
    (flow, code)
}

#[tokio::test]
async fn a6_as_127_access_tokens_follow_rfc_9068() {
    let fixture = Fixture::new();
    let (client_id, tokens) = fixture.log_in("openid email").await;
    let (header, claims) = claims(tokens["access_token"].as_str().unwrap());
    assert_eq!((header["typ"].as_str(), header["alg"].as_str()), (Some("at+jwt"), Some("ES256")));
    assert_eq!(claims["iss"], ISSUER);
    assert_eq!(claims["aud"], RESOURCE, "as_128: the default resource");
    assert_eq!(claims["sub"], "local:dev");
    assert_eq!(claims["client_id"], client_id.as_str());
    assert_eq!(claims["scope"], "openid email");
    assert_eq!(
        (claims["iat"].as_u64(), claims["exp"].as_u64()),
        (Some(T0.as_secs()), Some(T0.as_secs() + 3600))
    );
    assert!(claims["jti"].is_string() && claims["tsid"].is_string());
}

#[tokio::test]
async fn as_126_a_refresh_token_is_for_clients_that_registered_the_grant_type() {
    let fixture = Fixture::new();
    let (_, tokens) = fixture.log_in("openid").await;
    assert!(
        tokens["refresh_token"].is_string(),
        "scopes from our challenge do not name offline_access (rs_9)"
    );
    let body = serde_json::json!({
        "client_name": "Once", "redirect_uris": [crate::fixture::REDIRECT], "grant_types": ["authorization_code"],
    });
    let client_id =
        json(&fixture.post_json("/oauth/register", &body).await)["client_id"].as_str().unwrap().to_owned();
    let flow = Flow::new(&client_id);
    let code = Browser::new(&fixture).authorize(&flow.query(&[("scope", "openid offline_access")])).await;
    assert_eq!(json(&fixture.redeem(&flow, &code).await).get("refresh_token"), None);
}

#[tokio::test]
async fn as_37_of_two_redemptions_at_once_neither_outlives_the_other() {
    let fixture = Fixture::new();
    let (flow, code) = code(&fixture, "openid").await;
    let (first, second) = tokio::join!(fixture.redeem(&flow, &code), fixture.redeem(&flow, &code));
    let granted: Vec<_> =
        [first, second].into_iter().filter(|answer| answer.status() == StatusCode::OK).collect();
    assert_eq!(granted.len(), 1);
    let tsid =
        claims(json(&granted[0])["access_token"].as_str().unwrap()).1["tsid"].as_str().unwrap().to_owned();
    assert!(!fixture.server.is_live(&tsid).await.unwrap());
}

#[tokio::test]
async fn as_120_token_responses_are_json_and_never_cached() {
    let fixture = Fixture::new();
    let (flow, code) = code(&fixture, "openid offline_access").await;
    let response = fixture.redeem(&flow, &code).await;
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(response.headers()["pragma"], "no-cache");
    assert_eq!(response.headers()["content-type"], "application/json");
    let body = json(&response);
    assert_eq!((body["token_type"].as_str(), body["expires_in"].as_u64()), (Some("Bearer"), Some(3600)));
    assert!(body["refresh_token"].as_str().unwrap().starts_with("thvr_"));
}

#[tokio::test]
async fn as_37_a_code_works_once_and_its_reuse_ends_the_grant() {
    let fixture = Fixture::new();
    let (flow, code) = code(&fixture, "openid offline_access").await;
    let tokens = json(&fixture.redeem(&flow, &code).await);
    let tsid = claims(tokens["access_token"].as_str().unwrap()).1["tsid"].as_str().unwrap().to_owned();
    assert!(fixture.server.is_live(&tsid).await.unwrap());
    let told = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let note = std::sync::Arc::clone(&told);
    fixture.server.on_event(move |event| match event {
        Event::GrantRevoked(grant) => note.lock().unwrap().push(grant.to_string()),
        Event::UpstreamTokensChanged(_) | Event::Missed => {}
    });
    assert_error(&fixture.redeem(&flow, &code).await, 400, "invalid_grant", "grant_unknown");
    assert!(!fixture.server.is_live(&tsid).await.unwrap());
    assert_eq!(*told.lock().unwrap(), [tsid]);
    let refreshed = fixture.refresh(&flow.client_id, tokens["refresh_token"].as_str().unwrap()).await;
    assert_error(&refreshed, 400, "invalid_grant", "grant_unknown");
}

#[tokio::test]
async fn as_37_a_code_ends_after_its_minute() {
    let fixture = Fixture::new();
    let (flow, code) = code(&fixture, "openid").await;
    fixture.clock.advance(Duration::from_secs(60));
    assert_error(&fixture.redeem(&flow, &code).await, 400, "invalid_grant", "grant_unknown");
}

#[tokio::test]
async fn as_123_a_wrong_verifier_is_refused_and_does_not_burn_the_code() {
    let fixture = Fixture::new();
    let (flow, code) = code(&fixture, "openid").await;
    let wrong = "w".repeat(43);
    for (verifier, error, reason) in [
        (wrong.as_str(), "invalid_grant", "code_verifier_mismatch"),
        ("short", "invalid_grant", "code_verifier_mismatch"),
        ("", "invalid_request", "code_verifier_missing"),
    ] {
        let mut form = flow.redemption(&code);
        form[4].1 = verifier;
        assert_error(&fixture.token(&form).await, 400, error, reason);
    }
    assert_eq!(fixture.redeem(&flow, &code).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_code_of_another_client_is_refused() {
    let fixture = Fixture::new();
    let (flow, code) = code(&fixture, "openid").await;
    let body = serde_json::json!({"client_name": "Thief", "redirect_uris": [crate::fixture::REDIRECT]});
    let thief =
        json(&fixture.post_json("/oauth/register", &body).await)["client_id"].as_str().unwrap().to_owned();
    let mut form = flow.redemption(&code);
    form[1].1 = &thief;
    assert_error(&fixture.token(&form).await, 400, "invalid_grant", "grant_of_another_client");
}

#[tokio::test]
async fn a_client_that_is_not_known_any_more_is_told_to_register() {
    let fixture = Fixture::new();
    let form = [("grant_type", "refresh_token"), ("client_id", "gone"), ("refresh_token", "thvr_x")];
    assert_error(&fixture.token(&form).await, 401, "invalid_client", "client_unknown");
    let known = fixture.register().await;
    let form = [("grant_type", "refresh_token"), ("client_id", known.as_str()), ("refresh_token", "thvr_x")];
    assert_error(&fixture.token(&form).await, 400, "invalid_grant", "grant_unknown");
}

#[tokio::test]
async fn as_121_malformed_token_requests_get_their_error() {
    let fixture = Fixture::new();
    let client = fixture.register().await;
    let id = ("client_id", client.as_str());
    assert_error(&fixture.token(&[id]).await, 400, "invalid_request", "grant_type_missing");
    assert_error(
        &fixture.token(&[id, ("grant_type", "password")]).await,
        400,
        "unsupported_grant_type",
        "grant_type_unsupported",
    );
    assert_error(
        &fixture.token(&[("grant_type", "refresh_token")]).await,
        401,
        "invalid_client",
        "client_id_missing",
    );
    assert_error(&fixture.token(&[id, id]).await, 400, "invalid_request", "malformed_parameters");
    let no_code = fixture.token(&[id, ("grant_type", "authorization_code")]).await;
    assert_error(&no_code, 400, "invalid_request", "code_missing");
    let json_body = fixture.post_json("/oauth/token", &serde_json::json!({})).await;
    assert_error(&json_body, 400, "invalid_request", "content_type");
}

#[tokio::test]
async fn as_122_exactly_one_client_authentication_and_failures_name_the_scheme() {
    let fixture = Fixture::new();
    let (flow, code) = code(&fixture, "openid").await;
    let basic = |text: &str| {
        use base64::Engine;
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text))
    };
    let mut both = flow.redemption(&code).to_vec();
    both.push(("client_secret", "s"));
    let header = basic("x:y");
    let refused = fixture.token_with(&both, |request| request.header(AUTHORIZATION, &header)).await;
    assert_error(&refused, 400, "invalid_request", "client_authentication_repeated");
    let encoded = thv_oauth::params::encode(&[("v", &flow.client_id)])[2..].to_owned();
    let header = basic(&format!("{encoded}:secret"));
    let refused =
        fixture.token_with(&flow.redemption(&code), |request| request.header(AUTHORIZATION, &header)).await;
    assert_error(&refused, 401, "invalid_client", "client_authentication_method");
    assert_eq!(refused.headers()["www-authenticate"], "Basic realm=\"token\"");
    let header = basic(&format!("{encoded}:"));
    let accepted =
        fixture.token_with(&flow.redemption(&code), |request| request.header(AUTHORIZATION, &header)).await;
    assert_eq!(accepted.status(), StatusCode::OK, "an empty secret is none");
}

#[tokio::test]
async fn as_125_refresh_tokens_rotate_and_reuse_after_the_grace_ends_the_family() {
    let fixture = Fixture::new();
    let (client_id, tokens) = fixture.log_in("openid offline_access").await;
    let first = tokens["refresh_token"].as_str().unwrap();
    let second = json(&fixture.refresh(&client_id, first).await);
    let second_token = second["refresh_token"].as_str().unwrap();
    assert_ne!(first, second_token);
    fixture.clock.advance(Duration::from_secs(59));
    let replay = json(&fixture.refresh(&client_id, first).await);
    assert_eq!(replay["refresh_token"], second_token, "the same successor within the grace");
    let third = json(&fixture.refresh(&client_id, second_token).await);
    assert_ne!(third["refresh_token"], second_token);
    fixture.clock.advance(Duration::from_secs(61));
    assert_error(&fixture.refresh(&client_id, first).await, 400, "invalid_grant", "grant_unknown");
    let after = fixture.refresh(&client_id, third["refresh_token"].as_str().unwrap()).await;
    assert_error(&after, 400, "invalid_grant", "grant_unknown");
}

#[tokio::test]
async fn a7_parallel_refreshes_get_the_same_successor() {
    let fixture = Fixture::new();
    let (client_id, tokens) = fixture.log_in("openid offline_access").await;
    let token = tokens["refresh_token"].as_str().unwrap();
    let (a, b, c) = tokio::join!(
        fixture.refresh(&client_id, token),
        fixture.refresh(&client_id, token),
        fixture.refresh(&client_id, token)
    );
    let successors: Vec<_> = [a, b, c].iter().map(|answer| json(answer)["refresh_token"].clone()).collect();
    assert!(
        successors[0].is_string() && successors.iter().all(|token| *token == successors[0]),
        "{successors:?}"
    );
}

#[tokio::test]
async fn a_refused_refresh_invalidates_nothing() {
    let fixture = Fixture::new();
    let (client_id, tokens) = fixture.log_in("openid offline_access").await;
    let token = tokens["refresh_token"].as_str().unwrap();
    let form = |extra| {
        [("grant_type", "refresh_token"), ("client_id", client_id.as_str()), ("refresh_token", token), extra]
    };
    let wider = fixture.token(&form(("scope", "openid email"))).await;
    assert_error(&wider, 400, "invalid_scope", "scope_not_granted");
    let elsewhere = fixture.token(&form(("resource", "https://other.example/"))).await;
    assert_error(&elsewhere, 400, "invalid_target", "resource_not_granted");
    let narrower = json(&fixture.token(&form(("scope", "openid"))).await);
    assert_eq!(narrower["scope"], "openid");
    let whole = json(&fixture.refresh(&client_id, narrower["refresh_token"].as_str().unwrap()).await);
    assert_eq!(whole["scope"], "openid offline_access", "narrowing is for one token, not for the family");
}

#[tokio::test]
async fn a7_a_family_ends_by_inactivity_and_after_ninety_days() {
    let fixture = Fixture::new();
    let day = Duration::from_secs(24 * 3600);
    let (client_id, tokens) = fixture.log_in("openid offline_access").await;
    fixture.clock.advance(7 * day);
    let idle = fixture.refresh(&client_id, tokens["refresh_token"].as_str().unwrap()).await;
    assert_error(&idle, 400, "invalid_grant", "grant_unknown");
    let (client_id, tokens) = fixture.log_in("openid offline_access").await;
    let mut token = tokens["refresh_token"].as_str().unwrap().to_owned();
    for _ in 0..14 {
        fixture.clock.advance(6 * day);
        token =
            json(&fixture.refresh(&client_id, &token).await)["refresh_token"].as_str().unwrap().to_owned();
    }
    fixture.clock.advance(6 * day);
    assert_error(&fixture.refresh(&client_id, &token).await, 400, "invalid_grant", "grant_unknown");
}

#[tokio::test]
async fn a_forged_or_foreign_token_is_refused() {
    let fixture = Fixture::new();
    let (client_id, tokens) = fixture.log_in("openid offline_access").await;
    let token = tokens["refresh_token"].as_str().unwrap();
    for forged in
        [token.replace("thvr_", "thvc_"), format!("{token}A"), token[..20].to_owned(), String::from("é")]
    {
        assert_error(&fixture.refresh(&client_id, &forged).await, 400, "invalid_grant", "grant_unknown");
    }
}

#[tokio::test]
async fn a1_as_5_as_6_as_8_as_9_as_12_discovery_documents_tell_the_truth() {
    let fixture = Fixture::new();
    let documents = fixture.server.documents();
    let metadata: Value = serde_json::from_slice(&documents.authorization_server).unwrap();
    assert_eq!(metadata["issuer"], ISSUER);
    assert_eq!(metadata["code_challenge_methods_supported"], serde_json::json!(["S256"]), "as_6");
    assert_eq!(metadata["authorization_response_iss_parameter_supported"], true, "as_9");
    assert_eq!(metadata.get("client_id_metadata_document_supported"), None, "as_7: omitted, not false");
    assert!(
        metadata["token_endpoint_auth_methods_supported"].as_array().unwrap().contains(&"none".into()),
        "as_8"
    );
    assert!(metadata["token_endpoint_auth_signing_alg_values_supported"].is_array(), "as_12");
    let openid: Value = serde_json::from_slice(&documents.openid).unwrap();
    assert_eq!(openid["subject_types_supported"], serde_json::json!(["public"]));
    let jwks: Value = serde_json::from_slice(&documents.jwks).unwrap();
    assert_eq!(jwks["keys"].as_array().unwrap().len(), 1);
    assert_eq!(jwks["keys"][0].get("d"), None);
}
