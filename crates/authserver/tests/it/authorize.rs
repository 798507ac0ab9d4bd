//! Checks of the authorization request.

use http::StatusCode;

use crate::fixture::{Browser, Fixture, Flow, ISSUER, REDIRECT, answer, assert_page};

/// Sends an authorization request and expects an error by redirect.
async fn refused(change: &[(&str, &str)]) -> (String, String) {
    let fixture = Fixture::new();
    let flow = Flow::new(&fixture.register().await);
    let response = Browser::new(&fixture).get(&format!("/oauth/authorize?{}", flow.query(change))).await;
    let answer = answer(&response);
    assert_eq!(answer["iss"], ISSUER, "as_28: iss also on errors");
    assert_eq!(answer["state"], "client-state", "as_29: state echoed");
    let reason = answer["error_description"].split_once(':').unwrap().0.to_owned();
    (answer["error"].clone(), reason)
}

async fn page_for(query: impl Fn(&Flow) -> String, status: u16, reason: &str) {
    let fixture = Fixture::new();
    let flow = Flow::new(&fixture.register().await);
    let response = Browser::new(&fixture).get(&format!("/oauth/authorize?{}", query(&flow))).await;
    assert_page(&response, status, reason);
}

#[tokio::test]
async fn as_23_an_unknown_client_gets_a_page_and_no_redirect() {
    page_for(|flow| flow.query(&[("client_id", "nobody")]), 400, "client_unknown").await;
    page_for(|flow| flow.query(&[("client_id", "thvreg1.forged.tag")]), 400, "registration_not_ours").await;
    page_for(|flow| flow.query(&[("client_id", "https://client.example/c.json")]), 400, "cimd_disabled")
        .await;
    page_for(|flow| flow.query(&[("client_id", "")]), 400, "client_id_missing").await;
}

#[tokio::test]
async fn as_20_an_unregistered_redirect_uri_gets_a_page_and_no_redirect() {
    for uri in
        ["https://evil.example/callback", "http://127.0.0.1:7777/callback/", "http://localhost:7777/callback"]
    {
        page_for(|flow| flow.query(&[("redirect_uri", uri)]), 400, "redirect_uri_not_registered").await;
    }
}

#[tokio::test]
async fn as_21_a_loopback_redirect_uri_may_have_any_port() {
    let fixture = Fixture::new();
    let mut flow = Flow::new(&fixture.register().await);
    flow.redirect_uri = "http://127.0.0.1:50123/callback".to_owned();
    let code = Browser::new(&fixture).authorize(&flow.query(&[])).await;
    let mut other_port = Flow::new(&flow.client_id);
    other_port.redirect_uri = REDIRECT.to_owned();
    let refused = fixture.redeem(&other_port, &code).await;
    crate::fixture::assert_error(&refused, 400, "invalid_grant", "redirect_uri_mismatch");
    assert_eq!(
        fixture.redeem(&flow, &code).await.status(),
        StatusCode::OK,
        "as_22: the port of the request counts"
    );
}

#[tokio::test]
async fn a3_as_25_as_27_pkce_with_s256_is_required() {
    let challenge = |value, reason: &'static str| async move {
        assert_eq!(refused(&[value]).await, ("invalid_request".to_owned(), reason.to_owned()));
    };
    challenge(("code_challenge", ""), "code_challenge_missing").await;
    challenge(("code_challenge_method", "plain"), "code_challenge_unacceptable").await;
    challenge(("code_challenge_method", ""), "code_challenge_unacceptable").await;
    challenge(("code_challenge", "short"), "code_challenge_unacceptable").await;
}

#[tokio::test]
async fn a4_as_28_as_131_other_response_types_are_refused_with_iss_and_state() {
    let expect = |change, error: &'static str, reason: &'static str| async move {
        assert_eq!(refused(&[change]).await, (error.to_owned(), reason.to_owned()));
    };
    expect(("response_type", "token"), "unsupported_response_type", "response_type_unsupported").await;
    expect(("response_type", ""), "invalid_request", "response_type_missing").await;
    expect(("response_mode", "fragment"), "invalid_request", "response_mode_unsupported").await;
    expect(("request", "eyJ"), "invalid_request", "request_object_unsupported").await;
}

#[tokio::test]
async fn as_30_repeated_parameters_are_refused_and_unknown_ones_ignored() {
    let fixture = Fixture::new();
    let flow = Flow::new(&fixture.register().await);
    let query = format!("{}&scope=openid&scope=email", flow.query(&[]));
    let response = Browser::new(&fixture).get(&format!("/oauth/authorize?{query}")).await;
    assert_eq!(answer(&response)["error"], "invalid_request");
    let query = format!("{}&state=second", flow.query(&[]));
    let response = Browser::new(&fixture).get(&format!("/oauth/authorize?{query}")).await;
    let refusal = answer(&response);
    assert_eq!(refusal["error"], "invalid_request");
    assert!(!refusal.contains_key("state"), "as_29: neither of two states is the state");
    page_for(|flow| format!("{}&redirect_uri=x", flow.query(&[])), 400, "repeated_parameter").await;
    let query = format!("{}&vendor_extension=1&vendor_extension=2&nonce=", flow.query(&[]));
    Browser::new(&fixture).consent_page(&query).await;
}

#[tokio::test]
async fn as_32_a_missing_scope_means_what_the_client_may_have() {
    let fixture = Fixture::new();
    let (_, tokens) = fixture.log_in("").await;
    assert_eq!(tokens["scope"], "openid profile email offline_access");
}

#[tokio::test]
async fn scopes_that_cannot_be_granted_are_left_out_and_nothing_left_is_an_error() {
    let fixture = Fixture::new();
    let (_, tokens) = fixture.log_in("mcp:tools openid").await;
    assert_eq!(tokens["scope"], "openid");
    assert_eq!(
        refused(&[("scope", "mcp:tools")]).await,
        ("invalid_scope".to_owned(), "scope_not_available".to_owned())
    );
}

#[tokio::test]
async fn as_33_a_foreign_resource_is_an_invalid_target() {
    for resource in ["https://other.example/mcp", "mcp", "https://mcp.example.com/mcp#x"] {
        let expected = ("invalid_target".to_owned(), "resource_unknown".to_owned());
        assert_eq!(refused(&[("resource", resource)]).await, expected, "{resource}");
    }
}

#[tokio::test]
async fn a5_our_own_resource_is_recognised_in_its_equivalent_spellings() {
    let fixture = Fixture::new();
    let flow = Flow::new(&fixture.register().await);
    for resource in
        ["https://mcp.example.com/mcp", "https://MCP.example.com:443/mcp", "https://mcp.example.com/mcp/"]
    {
        Browser::new(&fixture).consent_page(&flow.query(&[("resource", resource)])).await;
    }
}

#[tokio::test]
async fn as_31_unknown_prompt_values_are_ignored_and_none_shows_no_page() {
    let fixture = Fixture::new();
    let flow = Flow::new(&fixture.register().await);
    for prompt in ["consent", "consent whatever", "login consent"] {
        Browser::new(&fixture).consent_page(&flow.query(&[("prompt", prompt)])).await;
    }
    assert_eq!(refused(&[("prompt", "none")]).await, ("login_required".to_owned(), "prompt_none".to_owned()));
    assert_eq!(
        refused(&[("prompt", "none login")]).await,
        ("invalid_request".to_owned(), "prompt_contradictory".to_owned())
    );
}

#[tokio::test]
async fn a2_an_authorization_request_may_be_posted() {
    let fixture = Fixture::new();
    let flow = Flow::new(&fixture.register().await);
    let query = flow.query(&[]);
    let pairs: Vec<(String, String)> = query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(key, value)| {
            (
                key.to_owned(),
                String::from_utf8(thv_oauth::params::decode(value.as_bytes()).unwrap().into_bytes()).unwrap(),
            )
        })
        .collect();
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let response = Browser::new(&fixture).submit("/oauth/authorize", &pairs).await;
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn malformed_requests_get_a_page() {
    for query in ["client_id=%zz", "client_id=%ff%fe", &"a=b&".repeat(101)] {
        page_for(|_| query.to_owned(), 400, "malformed_parameters").await;
    }
}

#[tokio::test]
async fn as_29_a_state_beyond_its_bound_is_refused_and_not_echoed() {
    let fixture = Fixture::new();
    let flow = Flow::new(&fixture.register().await);
    let long = "s".repeat(2049);
    let response =
        Browser::new(&fixture).get(&format!("/oauth/authorize?{}", flow.query(&[("state", &long)]))).await;
    let refusal = answer(&response);
    assert!(refusal["error_description"].starts_with("state_too_long"));
    assert!(!refusal.contains_key("state"));
    Browser::new(&fixture).consent_page(&flow.query(&[("state", &long[1..])])).await;
}

#[tokio::test]
async fn other_methods_are_answered_with_what_is_allowed() {
    let fixture = Fixture::new();
    for (path, allow) in
        [("/oauth/authorize", "GET, POST"), ("/oauth/token", "POST"), ("/oauth/callback", "GET")]
    {
        let request = http::Request::builder().method("DELETE").uri(path).body(bytes::Bytes::new()).unwrap();
        let response = fixture.call(request).await;
        assert_eq!((response.status().as_u16(), response.headers()["allow"].to_str().unwrap()), (405, allow));
    }
}
