//! Token revocation (RFC 7009).

use http::StatusCode;

use crate::confidential::{
    Confidential, fixture_with, give_upstream_tokens, has_upstream_tokens, post, session_of, text, tsid,
};
use crate::fixture::{Browser, Fixture, Flow, ISSUER, assert_error, json};

const PATH: &str = "/oauth/revoke";

#[tokio::test]
async fn as_130_a_refresh_token_given_back_ends_the_grant_and_the_upstream_tokens() {
    let (fixture, stores) = fixture_with(|_| {});
    let (client_id, tokens) = fixture.log_in("openid offline_access").await;
    let session = session_of(&stores, &tokens).await;
    give_upstream_tokens(&stores, &session).await;
    let refresh_token = text(&tokens, "refresh_token");
    let form = [("client_id", client_id.as_str()), ("token", refresh_token)];
    let answer = post(&fixture, PATH, &form).await;
    assert_eq!((answer.status(), answer.body().len()), (StatusCode::OK, 0));
    assert_eq!(answer.headers()["cache-control"], "no-store");
    assert!(!fixture.server.is_live(&tsid(&tokens)).await.unwrap());
    let refused = fixture.refresh(&client_id, refresh_token).await;
    assert_error(&refused, 400, "invalid_grant", "grant_unknown");
    assert!(!has_upstream_tokens(&stores, &session).await);
    assert_eq!(post(&fixture, PATH, &form).await.status(), StatusCode::OK, "a second time changes nothing");
}

#[tokio::test]
async fn as_130_an_access_token_given_back_ends_its_grant_whatever_the_hint_says() {
    let fixture = Fixture::new();
    let (client_id, tokens) = fixture.log_in("openid offline_access").await;
    let form = [
        ("client_id", client_id.as_str()),
        ("token", text(&tokens, "access_token")),
        ("token_type_hint", "refresh_token"),
    ];
    assert_eq!(post(&fixture, PATH, &form).await.status(), StatusCode::OK);
    assert!(!fixture.server.is_live(&tsid(&tokens)).await.unwrap());
    let refused = fixture.refresh(&client_id, text(&tokens, "refresh_token")).await;
    assert_error(&refused, 400, "invalid_grant", "grant_unknown");
}

#[tokio::test]
async fn as_130_a_refresh_token_that_was_rotated_still_names_its_grant() {
    let fixture = Fixture::new();
    let (client_id, tokens) = fixture.log_in("openid offline_access").await;
    let refreshed = fixture.refresh(&client_id, text(&tokens, "refresh_token")).await;
    assert_eq!(refreshed.status(), StatusCode::OK);
    let form = [("client_id", client_id.as_str()), ("token", text(&tokens, "refresh_token"))];
    assert_eq!(post(&fixture, PATH, &form).await.status(), StatusCode::OK);
    assert!(!fixture.server.is_live(&tsid(&tokens)).await.unwrap());
}

#[tokio::test]
async fn upstream_tokens_stay_while_another_grant_rests_on_the_session() {
    let (fixture, stores) = fixture_with(|_| {});
    let mut browser = Browser::new(&fixture);
    let mut logins = Vec::new();
    for name in ["first", "second"] {
        let request = serde_json::json!({"client_name": name, "redirect_uris": [crate::fixture::REDIRECT]});
        let registered = json(&fixture.post_json("/oauth/register", &request).await);
        let flow = Flow::new(text(&registered, "client_id"));
        let code = browser.authorize(&flow.query(&[("scope", "openid")])).await;
        let tokens = json(&fixture.redeem(&flow, &code).await);
        logins.push((flow.client_id, tokens));
    }
    let session = session_of(&stores, &logins[0].1).await;
    assert_eq!(session, session_of(&stores, &logins[1].1).await, "one browser, one session");
    give_upstream_tokens(&stores, &session).await;
    for ((client_id, tokens), kept) in logins.iter().zip([true, false]) {
        let form = [("client_id", client_id.as_str()), ("token", text(tokens, "access_token"))];
        assert_eq!(post(&fixture, PATH, &form).await.status(), StatusCode::OK);
        assert_eq!(has_upstream_tokens(&stores, &session).await, kept);
    }
}

#[tokio::test]
async fn rfc_7009_2_2_what_is_no_token_any_more_is_revoked_already() {
    let fixture = Fixture::new();
    let (client_id, tokens) = fixture.log_in("openid").await;
    fixture.clock.advance(std::time::Duration::from_secs(3600));
    for token in ["x", "thvr_x", "a.b.c", text(&tokens, "access_token")] {
        let answer = post(&fixture, PATH, &[("client_id", &client_id), ("token", token)]).await;
        assert_eq!(answer.status(), StatusCode::OK, "{token}");
    }
    let answer = post(&fixture, PATH, &[("client_id", &client_id)]).await;
    assert_error(&answer, 400, "invalid_request", "token_missing");
    let answer = post(&fixture, PATH, &[("client_id", "nobody"), ("token", "x")]).await;
    assert_error(&answer, 401, "invalid_client", "client_unknown");
    let answer = post(&fixture, PATH, &[("token", "x")]).await;
    assert_error(&answer, 401, "invalid_client", "client_id_missing");
}

#[tokio::test]
async fn rfc_7009_2_1_a_client_cannot_revoke_what_was_issued_to_another() {
    let fixture = Fixture::new();
    let (_, tokens) = fixture.log_in("openid offline_access").await;
    let request = serde_json::json!({"client_name": "Other", "redirect_uris": [crate::fixture::REDIRECT]});
    let other = json(&fixture.post_json("/oauth/register", &request).await);
    for member in ["access_token", "refresh_token"] {
        let form = [("client_id", text(&other, "client_id")), ("token", text(&tokens, member))];
        assert_error(&post(&fixture, PATH, &form).await, 400, "invalid_grant", "grant_of_another_client");
    }
    assert!(fixture.server.is_live(&tsid(&tokens)).await.unwrap());
}

#[tokio::test]
async fn rfc_7009_2_1_a_confidential_client_authenticates_even_for_an_unknown_token() {
    let (fixture, _) = fixture_with(|_| {});
    let client = Confidential::register(&fixture).await;
    let tokens = client.log_in(&fixture).await;
    for token in [text(&tokens, "refresh_token"), text(&tokens, "access_token"), "unknown"] {
        let form = [("client_id", client.client_id.as_str()), ("token", token)];
        let anonymous = post(&fixture, PATH, &form).await;
        assert_error(&anonymous, 401, "invalid_client", "client_authentication_method");
        let wrong = post(&fixture, PATH, &[form[0], form[1], ("client_secret", "wrong")]).await;
        assert_error(&wrong, 401, "invalid_client", "client_secret_wrong");
    }
    assert!(fixture.server.is_live(&tsid(&tokens)).await.unwrap());
    for token in ["unknown", text(&tokens, "refresh_token")] {
        let answer = post(&fixture, PATH, &client.with_credentials(&[("token", token)])).await;
        assert_eq!(answer.status(), StatusCode::OK);
    }
    assert!(!fixture.server.is_live(&tsid(&tokens)).await.unwrap());
}

#[tokio::test]
async fn rfc_8414_2_both_discovery_documents_name_the_endpoints_and_who_may_use_them() {
    let (confidential, _) = fixture_with(|_| {});
    let secrets = ["client_secret_basic", "client_secret_post"];
    for (fixture, secrets) in [(&Fixture::new(), &[][..]), (&confidential, &secrets[..])] {
        let documents = fixture.server.documents();
        for bytes in [&documents.authorization_server, &documents.openid] {
            let document: serde_json::Value = serde_json::from_slice(bytes).unwrap();
            for (endpoint, path, public) in
                [("revocation", "revoke", true), ("introspection", "introspect", false)]
            {
                assert_eq!(document[format!("{endpoint}_endpoint")], format!("{ISSUER}/oauth/{path}"));
                let mut methods = if public { vec!["none"] } else { Vec::new() };
                methods.push("private_key_jwt");
                methods.extend(secrets);
                let member = |name: &str| &document[format!("{endpoint}_endpoint_auth_{name}_supported")];
                assert_eq!(*member("methods"), serde_json::json!(methods));
                let algorithms = &document["token_endpoint_auth_signing_alg_values_supported"];
                assert_eq!(member("signing_alg_values"), algorithms);
                assert!(!algorithms.as_array().unwrap().is_empty());
            }
            assert_eq!(document.get("end_session_endpoint"), None, "there are no ID tokens to hint with");
        }
    }
}
