//! What a document must say, and what is made of it.

use http::StatusCode;
use serde_json::{Value, json};
use thv_jose::algorithm::Algorithm;
use thv_jose::key::SigningKey;
use thv_oauth::scope::ScopeSet;

use super::{World, assert_accepted};
use crate::fixture::{Browser, Flow, REDIRECT, assert_error, assert_page, json as body, location, text};

/// Each patch of a valid document (`null` takes the member away) is refused for its reason; without it, nothing is wrong.
async fn refused(cases: &[(Value, &str)]) {
    let world = World::start().await;
    for (n, (patch, reason)) in cases.iter().enumerate() {
        let path = format!("/{n}");
        let client_id = world.publish(&path, |document| apply(document, patch));
        let response = world.ask(&client_id).await;
        assert!(text(&response).contains(&format!("<code>{reason}</code>")), "{patch}: {}", text(&response));
        assert_page(&response, 400, reason);
        world.advance(2);
        world.publish(&path, |_| {});
        world.accepts(&client_id).await;
    }
}

fn apply(document: &mut Value, patch: &Value) {
    for (name, value) in patch.as_object().unwrap() {
        match value {
            Value::Null => drop(document.as_object_mut().unwrap().remove(name)),
            value => document[name] = value.clone(),
        }
    }
}

#[tokio::test]
async fn as_58_client_id_equals_the_url_byte_for_byte() {
    let world = World::start().await;
    for other in [
        "https://docs.example/clienu",
        "https://docs.example/Client",
        "https://docs.example/client/",
        "https://docs.example/client?",
        "https://docs.example/%63lient",
        "https://DOCS.example/client",
        "http://docs.example/client",
    ] {
        let client_id = world.publish("/client", |document| document["client_id"] = other.into());
        world.refuses(&client_id, "client_id_mismatch").await;
        world.advance(2);
    }
    world.accepts(&world.publish("/client", |_| {})).await;
}

#[tokio::test]
async fn as_58_a_document_is_one_json_object_without_ambiguity() {
    let world = World::start().await;
    let valid =
        thv_testkit::document_host::public_client_document(&super::client_id("/c"), &[REDIRECT]).to_string();
    let twice = valid.replacen('{', "{\"client_id\": \"https://docs.example/other\", ", 1);
    for (bytes, reason) in [
        (format!("[{valid}]"), "not_a_json_object"),
        (json!(valid).to_string(), "not_a_json_object"),
        ("null".to_owned(), "not_a_json_object"),
        (String::new(), "not_a_json_object"),
        (format!("{valid}{valid}"), "not_a_json_object"),
        (valid[..valid.len() - 1].to_owned(), "not_a_json_object"),
        ("<!doctype html><title>Not found</title>".to_owned(), "not_a_json_object"),
        (format!("\u{feff}{valid}"), "byte_order_mark"),
        (twice, "duplicate_member"),
    ] {
        world.host.set_bytes("/c", bytes);
        world.refuses(&super::client_id("/c"), reason).await;
        world.advance(2);
    }
}

#[tokio::test]
async fn as_59_client_id_client_name_and_redirect_uris_are_required() {
    refused(&[
        (json!({"client_id": null}), "client_id_missing"),
        (json!({"client_id": 5}), "client_id_missing"),
        (json!({"client_name": null}), "client_name_invalid"),
        (json!({"client_name": ""}), "client_name_invalid"),
        (json!({"client_name": 5}), "client_name_invalid"),
        (json!({"redirect_uris": null}), "redirect_uris_missing"),
        (json!({"redirect_uris": []}), "redirect_uris_missing"),
        (json!({"redirect_uris": REDIRECT}), "redirect_uris_missing"),
        (json!({"redirect_uris": [REDIRECT, 5]}), "redirect_uris_missing"),
    ])
    .await;
}

#[tokio::test]
async fn as_40_and_77_only_harmless_schemes_are_read() {
    refused(&[
        (json!({"redirect_uris": ["javascript:alert(1)"]}), "redirect_uri_not_allowed"),
        (json!({"redirect_uris": [REDIRECT, "http://app.example/callback"]}), "redirect_uri_not_allowed"),
        (json!({"redirect_uris": ["https://app.example/callback#x"]}), "redirect_uri_not_allowed"),
        (json!({"logo_uri": "javascript:alert(1)"}), "metadata_uri_not_https"),
        (json!({"client_uri": "data:text/html,x"}), "metadata_uri_not_https"),
        (json!({"tos_uri": "http://docs.example/tos"}), "metadata_uri_not_https"),
        (json!({"policy_uri": "file:///etc/passwd"}), "metadata_uri_not_https"),
        (json!({"jwks_uri": "http://docs.example/jwks"}), "metadata_uri_not_https"),
    ])
    .await;
}

#[tokio::test]
async fn as_61_a_document_has_no_secret() {
    refused(&[
        (json!({"client_secret": "hunter2"}), "client_secret_present"),
        (json!({"client_secret": ""}), "client_secret_present"),
        (json!({"client_secret_expires_at": 0}), "client_secret_present"),
    ])
    .await;
}

#[tokio::test]
async fn as_62_a_document_declares_no_method_with_a_shared_secret() {
    let statement = "e30.eyJ0b2tlbl9lbmRwb2ludF9hdXRoX21ldGhvZCI6ImNsaWVudF9zZWNyZXRfYmFzaWMifQ.e30";
    refused(&[
        (json!({"token_endpoint_auth_method": "client_secret_post"}), "shared_secret_auth_method"),
        (json!({"token_endpoint_auth_method": "client_secret_basic"}), "shared_secret_auth_method"),
        (json!({"token_endpoint_auth_method": "client_secret_jwt"}), "shared_secret_auth_method"),
        (
            json!({"token_endpoint_auth_methods_supported": ["none", "client_secret_basic"]}),
            "shared_secret_auth_method",
        ),
        (json!({"software_statement": statement}), "software_statement_shared_secret"),
    ])
    .await;
}

#[tokio::test]
async fn as_63_a_document_has_no_private_key() {
    let jwk = |member: &str| json!({"jwks": {"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", member: "AA"}]}});
    refused(&[
        (jwk("d"), "jwks_not_public"),
        (jwk("p"), "jwks_not_public"),
        (jwk("q"), "jwks_not_public"),
        (json!({"jwks": {"keys": [{"kty": "oct", "k": "AAAA"}]}}), "jwks_not_public"),
        (json!({"jwks": "AAAA"}), "jwks_not_public"),
    ])
    .await;
}

#[tokio::test]
async fn as_65_to_67_a_client_must_be_able_to_do_something_here() {
    refused(&[
        (json!({"token_endpoint_auth_method": "private_key_jwt"}), "client_keys_missing"),
        (json!({"token_endpoint_auth_method": "tls_client_auth"}), "auth_method_not_supported"),
        (json!({"token_endpoint_auth_methods_supported": ["tls_client_auth"]}), "auth_method_not_supported"),
        (json!({"grant_types": ["refresh_token", "client_credentials"]}), "authorization_code_missing"),
        (json!({"response_types": ["token", "id_token"]}), "response_type_code_missing"),
    ])
    .await;
}

#[tokio::test]
async fn as_64_without_a_declared_method_the_client_is_public() {
    let world = World::start().await;
    let client_id =
        world.publish("/c", |document| apply(document, &json!({"token_endpoint_auth_method": null})));
    let flow = Flow::new(&client_id);
    let code = Browser::new(&world.fixture).authorize(&flow.query(&[])).await;
    assert_eq!(world.fixture.redeem(&flow, &code).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn as_64_a_client_that_lists_only_private_key_jwt_is_not_public() {
    let world = World::start().await;
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let client_id = world.publish("/c", |document| {
        let keys = json!({"keys": [key.public().to_jwk()]});
        let methods = json!(["private_key_jwt", "tls_client_auth"]);
        let patch = json!({"token_endpoint_auth_methods_supported": methods, "jwks": keys, "token_endpoint_auth_method": null});
        apply(document, &patch);
    });
    let flow = Flow::new(&client_id);
    let code = Browser::new(&world.fixture).authorize(&flow.query(&[])).await;
    let refused = world.fixture.redeem(&flow, &code).await;
    assert_error(&refused, 401, "invalid_client", "client_authentication_method");
}

#[tokio::test]
async fn as_67_the_document_of_vs_code_works() {
    let world = World::start().await;
    let client_id = world.publish("/oauth/client-metadata.json", |document| {
        *document = json!({
            "client_id": document["client_id"],
            "client_name": "Visual Studio Code",
            "client_uri": "https://vscode.dev/product",
            "logo_uri": "https://vscode.dev/logo.png",
            "application_type": "native",
            "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
            "response_types": ["code"],
            "redirect_uris": ["https://vscode.dev/redirect", "http://127.0.0.1:33418/"],
            "token_endpoint_auth_method": "none",
        });
    });
    let mut flow = Flow::new(&client_id);
    flow.redirect_uri = "http://127.0.0.1:33418/".to_owned();
    let code =
        Browser::new(&world.fixture).authorize(&flow.query(&[("scope", "openid offline_access")])).await;
    let tokens = body(&world.fixture.redeem(&flow, &code).await);
    let refreshed = world.fixture.refresh(&client_id, tokens["refresh_token"].as_str().unwrap()).await;
    assert_eq!(
        refreshed.status(),
        StatusCode::OK,
        "unsupported grant types take nothing from the supported ones"
    );
    flow.redirect_uri = "https://vscode.dev/redirect".to_owned();
    assert_accepted(&world.ask_with(&flow, &[]).await, "as_69");
    flow.redirect_uri = "https://vscode.dev:444/redirect".to_owned();
    assert_page(&world.ask_with(&flow, &[]).await, 400, "redirect_uri_not_registered");
}

const CLAUDE_CODE: [&str; 2] = ["http://localhost/callback", "http://127.0.0.1/callback"];

#[tokio::test]
async fn as_68_and_21_the_document_of_claude_code_works_on_any_port() {
    let world = World::start().await;
    let client_id = world.publish("/claude-code", |document| document["redirect_uris"] = json!(CLAUDE_CODE));
    let mut flow = Flow::new(&client_id);
    for (redirect_uri, accepted) in [
        ("http://localhost:54321/callback", true),
        ("http://localhost/callback", true),
        ("http://127.0.0.1:1/callback", true),
        ("http://127.0.0.1:65535/callback", true),
        ("http://[::1]:54321/callback", false),
        ("http://127.0.0.2:54321/callback", false),
        ("http://localhost.example:54321/callback", false),
        ("http://localhost:54321/callback/", false),
        ("http://localhost:54321/callback?x=1", false),
        ("http://localhost:54321/Callback", false),
        ("http://user@localhost:54321/callback", false),
        ("http://localhost:54321@evil.example/callback", false),
        ("https://localhost:54321/callback", false),
    ] {
        flow.redirect_uri = redirect_uri.to_owned();
        let response = world.ask_with(&flow, &[]).await;
        match accepted {
            true => assert_accepted(&response, redirect_uri),
            false => assert_page(&response, 400, "redirect_uri_not_registered"),
        }
    }
    assert_eq!(world.host.requests("/claude-code"), 1);
}

#[tokio::test]
async fn as_21_and_22_a_login_keeps_the_port_it_began_with() {
    let world = World::start().await;
    let client_id = world.publish("/claude-code", |document| document["redirect_uris"] = json!(CLAUDE_CODE));
    let mut flow = Flow::new(&client_id);
    flow.redirect_uri = "http://localhost:54321/callback".to_owned();
    let mut browser = Browser::new(&world.fixture);
    let page = browser.consent_page(&flow.query(&[])).await;
    let to_login = browser.decide(&page, "approve").await;
    let to_client = location(&browser.sign_in(&to_login).await);
    assert!(to_client.starts_with("http://localhost:54321/callback?code="), "{to_client}");
    let (_, code) = to_client.split_once("code=").unwrap();
    let code = code.split_once('&').unwrap().0;
    flow.redirect_uri = "http://localhost:54322/callback".to_owned();
    assert_error(&world.fixture.redeem(&flow, code).await, 400, "invalid_grant", "redirect_uri_mismatch");
    flow.redirect_uri = "http://localhost:54321/callback".to_owned();
    assert_eq!(world.fixture.redeem(&flow, code).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn as_21_localhost_and_its_address_are_not_the_same() {
    let world = World::start().await;
    let client_id =
        world.publish("/c", |document| document["redirect_uris"] = json!(["http://localhost/callback"]));
    let mut flow = Flow::new(&client_id);
    flow.redirect_uri = "http://127.0.0.1:54321/callback".to_owned();
    assert_page(&world.ask_with(&flow, &[]).await, 400, "redirect_uri_not_registered");
}

#[tokio::test]
async fn as_78_the_consent_page_shows_the_host_of_the_client_id() {
    let world = World::start().await;
    let name = |document: &mut Value| document["client_name"] = "Visual Studio Code".into();
    let page = text(&world.ask(&world.publish("/vscode.dev/client", name)).await);
    assert!(page.contains("<dd class=\"host\">docs.example</dd>"), "{page}");
    assert!(page.contains("<strong>Visual Studio Code</strong>") && !page.contains("Not verified"), "{page}");
    let with_port = "https://docs.example:8443/client";
    world.publish("/client", |document| document["client_id"] = with_port.into());
    let page = text(&world.ask(with_port).await);
    assert!(page.contains("<dd class=\"host\">docs.example:8443</dd>"), "{page}");
}

#[tokio::test]
async fn a8_scopes_are_the_declared_ones_that_are_supported_and_the_baseline() {
    let world =
        World::with(|parts| parts.settings.baseline_scopes = ScopeSet::parse("openid").unwrap()).await;
    for (declared, requested, granted) in [
        (json!("email mcp:tools"), "", "email openid"),
        (json!("email mcp:tools"), "openid email profile mcp:tools", "email openid"),
        (json!(null), "", "email offline_access openid profile"),
        (json!(""), "", "email offline_access openid profile"),
        (json!(null), "profile mcp:tools", "profile"),
        (json!("mcp:tools"), "", "openid"),
    ] {
        let client_id = world.publish("/c", |document| apply(document, &json!({"scope": declared})));
        let flow = Flow::new(&client_id);
        let code = Browser::new(&world.fixture).authorize(&flow.query(&[("scope", requested)])).await;
        let tokens = body(&world.fixture.redeem(&flow, &code).await);
        let mut scopes: Vec<_> = tokens["scope"].as_str().unwrap().split(' ').collect();
        scopes.sort_unstable();
        assert_eq!(scopes.join(" "), granted, "{declared} {requested}");
        world.advance(300);
    }
}
