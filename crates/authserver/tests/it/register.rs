//! Dynamic client registration.

use http::StatusCode;
use serde_json::{Value, json};
use thv_store::memory::{Capacity, stores};

use crate::fixture::{Browser, Fixture, Flow, REDIRECT, assert_error, json as body_of};

#[tokio::test]
async fn as_101_the_answer_is_201_with_everything_as_registered() {
    let fixture = Fixture::new();
    let request = json!({"client_name": "App", "redirect_uris": [REDIRECT], "unknown_member": 1});
    let response = fixture.post_json("/oauth/register", &request).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    assert_eq!(response.headers()["cache-control"], "no-store");
    let body = body_of(&response);
    assert_eq!(body["client_name"], "App");
    assert_eq!(body["redirect_uris"], json!([REDIRECT]));
    assert_eq!(body["grant_types"], json!(["authorization_code", "refresh_token"]));
    assert_eq!(body["response_types"], json!(["code"]));
    assert_eq!(body["token_endpoint_auth_method"], "none");
    assert_eq!(body["scope"], "openid profile email offline_access");
    assert!(body["client_id_issued_at"].as_u64().unwrap() > 0);
    assert_eq!(body.get("unknown_member"), None);
    assert!(!body["client_id"].as_str().unwrap().starts_with("https://"), "as_81");
}

#[tokio::test]
async fn as_103_bad_metadata_is_refused_with_its_code() {
    let fixture = Fixture::new();
    let cases: [(Value, &str); 5] = [
        (json!({"client_name": "App"}), "invalid_redirect_uri"),
        (json!({"redirect_uris": ["javascript:alert(1)"]}), "invalid_redirect_uri"),
        (json!({"redirect_uris": ["http://example.com/cb"]}), "invalid_redirect_uri"),
        (json!({"redirect_uris": [REDIRECT], "grant_types": ["implicit"]}), "invalid_client_metadata"),
        (json!([1]), "invalid_client_metadata"),
    ];
    for (request, error) in cases {
        let response = fixture.post_json("/oauth/register", &request).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{request}");
        assert_eq!(body_of(&response)["error"], error, "{request}");
    }
    let form = http::Request::builder()
        .method("POST")
        .uri("/oauth/register")
        .body(bytes::Bytes::from("a=b"))
        .unwrap();
    assert_error(&fixture.call(form).await, 400, "invalid_client_metadata", "content_type");
}

#[tokio::test]
async fn a14_a_public_registration_survives_a_lost_store_and_works_on_every_replica() {
    let client_id = Fixture::new().register().await;
    let another = Fixture::new();
    let flow = Flow::new(&client_id);
    let code = Browser::new(&another).authorize(&flow.query(&[])).await;
    assert_eq!(another.redeem(&flow, &code).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a14_a_registration_too_large_for_a_client_id_is_stored() {
    let fixture = Fixture::new();
    let uris: Vec<String> = (0..10).map(|n| format!("https://app.example/{n}/{}", "x".repeat(300))).collect();
    let response =
        fixture.post_json("/oauth/register", &json!({"client_name": "Big", "redirect_uris": uris})).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    let client_id = body_of(&response)["client_id"].as_str().unwrap().to_owned();
    assert!(client_id.len() < 64);
    let flow = Flow::new(&client_id);
    Browser::new(&fixture).consent_page(&flow.query(&[("redirect_uri", &uris[0])])).await;
}

#[tokio::test]
async fn a14_unused_registrations_make_room_when_the_store_is_full() {
    let fixture = Fixture::with(|parts| {
        parts.settings.confidential_registration = true;
        parts.stores = stores(Capacity { clients: 1, ..Capacity::default() });
    });
    let confidential = json!({"redirect_uris": ["https://app.example/cb"], "token_endpoint_auth_method": "client_secret_basic"});
    assert_eq!(fixture.post_json("/oauth/register", &confidential).await.status(), StatusCode::CREATED);
    let second = fixture.post_json("/oauth/register", &confidential).await;
    assert_eq!(second.status(), StatusCode::CREATED, "the first, never used, gave way");
    let mut flow = Flow::new(body_of(&second)["client_id"].as_str().unwrap());
    flow.redirect_uri = "https://app.example/cb".to_owned();
    Browser::new(&fixture).authorize(&flow.query(&[])).await;
    let full = fixture.post_json("/oauth/register", &confidential).await;
    assert_eq!(full.status(), StatusCode::SERVICE_UNAVAILABLE, "one that is used stays");
    assert!(full.headers().contains_key("retry-after"));
}

#[tokio::test]
async fn a14_registrations_that_need_a_place_in_the_store_are_rarer() {
    let fixture = Fixture::new();
    let uris: Vec<String> = (0..10).map(|n| format!("https://app.example/{n}/{}", "x".repeat(300))).collect();
    let large = json!({"client_name": "Big", "redirect_uris": uris});
    for _ in 0..10 {
        assert_eq!(fixture.post_json("/oauth/register", &large).await.status(), StatusCode::CREATED);
    }
    assert_eq!(fixture.post_json("/oauth/register", &large).await.status(), StatusCode::TOO_MANY_REQUESTS);
    fixture.register().await;
}

#[tokio::test]
async fn a14_registrations_are_forgotten_when_unused_but_never_while_a_grant_lives() {
    const HOUR: std::time::Duration = std::time::Duration::from_secs(3600);
    let fixture = Fixture::with(|parts| parts.settings.confidential_registration = true);
    let request = json!({"redirect_uris": ["https://app.example/callback"],
        "token_endpoint_auth_method": "client_secret_post"});
    let used = body_of(&fixture.post_json("/oauth/register", &request).await);
    let unused = body_of(&fixture.post_json("/oauth/register", &request).await);
    let flow = |registered: &Value| Flow {
        redirect_uri: "https://app.example/callback".to_owned(),
        ..Flow::new(registered["client_id"].as_str().unwrap())
    };
    let code = Browser::new(&fixture).authorize(&flow(&used).query(&[("scope", "offline_access")])).await;
    let (used_flow, secret) = (flow(&used), used["client_secret"].as_str().unwrap());
    let mut redemption = used_flow.redemption(&code).to_vec();
    redemption.push(("client_secret", secret));
    assert_eq!(fixture.token(&redemption).await.status(), StatusCode::OK);

    let known = async |registered: &Value| {
        let query = flow(registered).query(&[]);
        Browser::new(&fixture).get(&format!("/oauth/authorize?{query}")).await.status() == StatusCode::OK
    };
    fixture.clock.advance(HOUR * 25);
    assert!(known(&used).await && !known(&unused).await);
    // The grant may be refreshed for 90 days.
    fixture.clock.advance(HOUR * 24 * 90);
    assert!(known(&used).await);
    fixture.clock.advance(HOUR * 24 * 31);
    assert!(!known(&used).await);
}

#[tokio::test]
async fn as_102_a_confidential_client_gets_a_secret_once_and_must_use_it() {
    let fixture = Fixture::with(|parts| parts.settings.confidential_registration = true);
    let request = json!({"redirect_uris": [REDIRECT.replace("http://127.0.0.1:7777", "https://app.example")],
        "token_endpoint_auth_method": "client_secret_post"});
    let registered = body_of(&fixture.post_json("/oauth/register", &request).await);
    let (client_id, secret) =
        (registered["client_id"].as_str().unwrap(), registered["client_secret"].as_str().unwrap());
    assert_eq!(registered["client_secret_expires_at"], 0);
    let mut flow = Flow::new(client_id);
    flow.redirect_uri = "https://app.example/callback".to_owned();
    let code = Browser::new(&fixture).authorize(&flow.query(&[])).await;
    assert_error(&fixture.redeem(&flow, &code).await, 401, "invalid_client", "client_authentication_method");
    let mut wrong = flow.redemption(&code).to_vec();
    wrong.push(("client_secret", "wrong"));
    assert_error(&fixture.token(&wrong).await, 401, "invalid_client", "client_secret_wrong");
    let mut right = flow.redemption(&code).to_vec();
    right.push(("client_secret", secret));
    assert_eq!(
        fixture.token(&right).await.status(),
        StatusCode::OK,
        "the code was not burnt by the failures"
    );
}

#[tokio::test]
async fn as_105_a_secret_is_not_granted_where_confidential_clients_are_not_allowed() {
    let fixture = Fixture::new();
    let request = json!({"redirect_uris": ["https://app.example/cb"], "token_endpoint_auth_method": "client_secret_basic"});
    let registered = body_of(&fixture.post_json("/oauth/register", &request).await);
    assert_eq!(registered["token_endpoint_auth_method"], "none");
    assert_eq!(registered.get("client_secret"), None);
}

#[tokio::test]
async fn as_107_registrations_are_limited_per_source_address() {
    let fixture = Fixture::with(|parts| parts.settings.registrations_per_minute = 2);
    fixture.register().await;
    fixture.register().await;
    let request = json!({"redirect_uris": [REDIRECT]});
    let refused = fixture.post_json("/oauth/register", &request).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.headers()["retry-after"], "1");
    fixture.clock.advance(std::time::Duration::from_secs(30));
    fixture.register().await;
}

#[tokio::test]
async fn a8_baseline_scopes_are_united_into_every_registration() {
    let fixture = Fixture::with(|parts| {
        parts.settings.baseline_scopes = thv_oauth::scope::ScopeSet::parse("offline_access").unwrap();
    });
    let request = json!({"redirect_uris": [REDIRECT], "scope": "openid"});
    let registered = body_of(&fixture.post_json("/oauth/register", &request).await);
    assert_eq!(registered["scope"], "openid offline_access");
}
