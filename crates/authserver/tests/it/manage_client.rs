//! Clients manage their registrations (RFC 7592).

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use thv_jose::digest::sha256;

use crate::confidential::{Confidential, REDIRECT, fixture_with, manage, text};
use crate::fixture::{Browser, Fixture, Flow, ISSUER, T0, assert_error, assert_page, json as body_of};

/// A public client too large for a stateless registration; the answer to its registration.
async fn register_large(fixture: &Fixture) -> Value {
    let uris: Vec<String> = (0..10).map(|n| format!("https://app.example/{n}/{}", "x".repeat(300))).collect();
    let request = json!({"client_name": "Large", "redirect_uris": uris});
    body_of(&fixture.post_json("/oauth/register", &request).await)
}

/// Replaces the registration by `metadata`, with its `client_id`.
async fn replace(fixture: &Fixture, registered: &Value, metadata: &Value) -> Response<Bytes> {
    let client_id = text(registered, "client_id");
    let mut body = metadata.clone();
    body["client_id"] = client_id.into();
    let token = text(registered, "registration_access_token");
    manage(fixture, Method::PUT, client_id, token, Some(&body)).await
}

/// The registration as the client reads it.
async fn read(fixture: &Fixture, registered: &Value) -> Value {
    let (client_id, token) = (text(registered, "client_id"), text(registered, "registration_access_token"));
    let answer = manage(fixture, Method::GET, client_id, token, None).await;
    assert_eq!(answer.status(), StatusCode::OK, "{:?}", answer.body());
    body_of(&answer)
}

#[tokio::test]
async fn as_108_only_stored_registrations_are_managed_and_only_a_digest_of_the_token_is_kept() {
    let (fixture, stores) = fixture_with(|_| {});
    let confidential = Confidential::register(&fixture).await.registered;
    for registered in [&confidential, &register_large(&fixture).await] {
        let (client_id, token) =
            (text(registered, "client_id"), text(registered, "registration_access_token"));
        assert_eq!(
            text(registered, "registration_client_uri"),
            format!("{ISSUER}/oauth/register/{client_id}")
        );
        let stored = stores.clients.load(client_id, T0).await.unwrap().unwrap();
        assert_eq!(stored.registration_token_digest, Some(sha256(token.as_bytes())));
        assert!(!serde_json::to_string(&stored).unwrap().contains(token));
    }
    let request = json!({"redirect_uris": [crate::fixture::REDIRECT]});
    let stateless = body_of(&fixture.post_json("/oauth/register", &request).await);
    assert_eq!(
        (stateless.get("registration_access_token"), stateless.get("registration_client_uri")),
        (None, None)
    );
}

#[tokio::test]
async fn as_108_a_client_reads_its_registration_without_the_secret() {
    let (fixture, _) = fixture_with(|_| {});
    let mut registered = Confidential::register(&fixture).await.registered;
    let read = read(&fixture, &registered).await;
    registered.as_object_mut().unwrap().remove("client_secret");
    assert_eq!(read, registered);
}

#[tokio::test]
async fn as_108_an_unknown_client_and_a_wrong_token_get_the_same_401() {
    let (fixture, _) = fixture_with(|_| {});
    let (client, other) = (Confidential::register(&fixture).await, Confidential::register(&fixture).await);
    let stateless = fixture.register().await;
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let mut answers = Vec::new();
        for (client_id, token) in [
            (client.client_id.as_str(), "wrong"),
            (&client.client_id, other.registration_token()),
            (&client.client_id, &client.secret),
            (&client.client_id, ""),
            ("unknown", client.registration_token()),
            (&stateless, client.registration_token()),
        ] {
            let answer = manage(&fixture, method.clone(), client_id, token, Some(&json!({}))).await;
            assert_error(&answer, 401, "invalid_token", "registration_token_wrong");
            assert_eq!(answer.headers()["www-authenticate"], "Bearer error=\"invalid_token\"");
            answers.push(answer.into_body());
        }
        assert!(answers.windows(2).all(|two| two[0] == two[1]));
    }
    let path = format!("/oauth/register/{}", client.client_id);
    let anonymous = fixture.call(Request::get(&path).body(Bytes::new()).unwrap()).await;
    assert_error(&anonymous, 401, "invalid_token", "registration_token_wrong");
    let posted = fixture.post_json(&path, &json!({})).await;
    assert_eq!(posted.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(posted.headers()["allow"], "GET, PUT, DELETE");
    assert_eq!(read(&fixture, &client.registered).await["client_name"], "Confidential");
}

#[tokio::test]
async fn as_108_a_replacement_replaces_everything_and_keeps_the_credentials() {
    let (fixture, _) = fixture_with(|_| {});
    let client = Confidential::register(&fixture).await;
    let metadata = json!({"client_name": "Renamed", "redirect_uris": [REDIRECT],
        "token_endpoint_auth_method": "client_secret_basic"});
    let answer = replace(&fixture, &client.registered, &metadata).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let replaced = body_of(&answer);
    assert_eq!(
        (&replaced["client_name"], &replaced["client_id"]),
        (&"Renamed".into(), &client.client_id[..].into())
    );
    assert_eq!((replaced.get("software_id"), replaced.get("client_secret")), (None, None));
    assert_eq!(text(&replaced, "registration_access_token"), client.registration_token());
    assert_eq!(replaced, read(&fixture, &client.registered).await);
    client.log_in(&fixture).await;
    let flow = Flow { redirect_uri: REDIRECT.to_owned(), ..Flow::new(&client.client_id) };
    assert!(Browser::new(&fixture).consent_page(&flow.query(&[])).await.0.contains("Renamed"));
}

#[tokio::test]
async fn as_108_a_replacement_follows_the_rules_of_registration() {
    let (fixture, _) = fixture_with(|_| {});
    let client = Confidential::register(&fixture).await;
    let before = read(&fixture, &client.registered).await;
    let valid = json!({"redirect_uris": [REDIRECT], "token_endpoint_auth_method": "client_secret_post"});
    for (member, value, error, reason) in [
        (
            "redirect_uris",
            json!(["http://example.com/cb"]),
            "invalid_redirect_uri",
            "redirect_uri_not_allowed",
        ),
        ("redirect_uris", Value::Null, "invalid_redirect_uri", "redirect_uris_missing"),
        ("grant_types", json!(["implicit"]), "invalid_client_metadata", "authorization_code_missing"),
        ("client_secret", json!("chosen"), "invalid_client_metadata", "client_secret_chosen"),
        ("client_secret", json!(1), "invalid_client_metadata", "member_malformed"),
        ("registration_access_token", json!("x"), "invalid_client_metadata", "member_not_the_clients"),
        ("registration_client_uri", json!("x"), "invalid_client_metadata", "member_not_the_clients"),
        ("client_secret_expires_at", json!(0), "invalid_client_metadata", "member_not_the_clients"),
        ("client_id_issued_at", json!(1), "invalid_client_metadata", "member_not_the_clients"),
    ] {
        let mut metadata = valid.clone();
        metadata[member] = value;
        assert_error(&replace(&fixture, &client.registered, &metadata).await, 400, error, reason);
    }
    for client_id in [json!("another"), Value::Null] {
        let mut metadata = valid.clone();
        metadata["client_id"] = client_id;
        let token = client.registration_token();
        let answer = manage(&fixture, Method::PUT, &client.client_id, token, Some(&metadata)).await;
        assert_error(&answer, 400, "invalid_client_metadata", "client_id_mismatch");
    }
    assert_eq!(read(&fixture, &client.registered).await, before, "nothing of it was taken over");
    let mut repeated = valid.clone();
    repeated["client_secret"] = client.secret.as_str().into();
    let answer = body_of(&replace(&fixture, &client.registered, &repeated).await);
    assert_eq!(text(&answer, "client_secret"), client.secret, "the one that was issued may be repeated");
}

#[tokio::test]
async fn as_108_a_client_that_comes_to_need_a_secret_is_issued_one() {
    let (fixture, stores) = fixture_with(|_| {});
    let client = Confidential::register(&fixture).await;
    let public = json!({"redirect_uris": [REDIRECT]});
    let answer = body_of(&replace(&fixture, &client.registered, &public).await);
    assert_eq!(answer["token_endpoint_auth_method"], "none");
    assert_eq!((answer.get("client_secret"), answer.get("client_secret_expires_at")), (None, None));
    assert_eq!(stores.clients.load(&client.client_id, T0).await.unwrap().unwrap().secret_digest, None);

    let confidential =
        json!({"redirect_uris": [REDIRECT], "token_endpoint_auth_method": "client_secret_post"});
    let answer = body_of(&replace(&fixture, &client.registered, &confidential).await);
    let secret = text(&answer, "client_secret").to_owned();
    assert_ne!(secret, client.secret);
    assert_eq!(answer["client_secret_expires_at"], 0);
    Confidential { secret, ..client }.log_in(&fixture).await;
}

#[tokio::test]
async fn as_108_a_deleted_client_is_unknown_and_its_grants_are_of_no_use() {
    let (fixture, _) = fixture_with(|_| {});
    let client = Confidential::register(&fixture).await;
    let tokens = client.log_in(&fixture).await;
    let delete = async |registered: &Value| {
        let token = text(registered, "registration_access_token");
        manage(&fixture, Method::DELETE, text(registered, "client_id"), token, None).await
    };
    let answer = delete(&client.registered).await;
    assert_eq!((answer.status(), answer.body().len()), (StatusCode::NO_CONTENT, 0));
    let refused = client.refresh(&fixture, &tokens).await;
    assert_error(&refused, 401, "invalid_client", "client_secret_wrong");
    let flow = Flow { redirect_uri: REDIRECT.to_owned(), ..Flow::new(&client.client_id) };
    let page = Browser::new(&fixture).get(&format!("/oauth/authorize?{}", flow.query(&[]))).await;
    assert_page(&page, 400, "client_unknown");
    assert_error(&delete(&client.registered).await, 401, "invalid_token", "registration_token_wrong");
}

#[tokio::test]
async fn as_108_a_deleted_public_client_can_neither_redeem_nor_refresh() {
    let (fixture, _) = fixture_with(|_| {});
    let registered = register_large(&fixture).await;
    let client_id = text(&registered, "client_id");
    let flow = Flow {
        redirect_uri: registered["redirect_uris"][0].as_str().unwrap().to_owned(),
        ..Flow::new(client_id)
    };
    let query = flow.query(&[("scope", "openid offline_access")]);
    let mut browser = Browser::new(&fixture);
    let tokens = body_of(&fixture.redeem(&flow, &browser.authorize(&query).await).await);
    let code = browser.authorize(&query).await;
    let token = text(&registered, "registration_access_token");
    let answer = manage(&fixture, Method::DELETE, client_id, token, None).await;
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    let refused = fixture.refresh(client_id, text(&tokens, "refresh_token")).await;
    assert_error(&refused, 401, "invalid_client", "client_unknown");
    assert_error(&fixture.redeem(&flow, &code).await, 401, "invalid_client", "client_unknown");
}

#[tokio::test]
async fn as_107_replacements_are_limited_like_registrations() {
    let (fixture, _) = fixture_with(|parts| parts.settings.registrations_per_minute = 2);
    let client = Confidential::register(&fixture).await;
    let metadata = json!({"redirect_uris": [REDIRECT]});
    let within = replace(&fixture, &client.registered, &metadata).await;
    assert_eq!(within.status(), StatusCode::OK);
    let refused = replace(&fixture, &client.registered, &metadata).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    read(&fixture, &client.registered).await;
}
