//! What a person or a program without any OAuth library sees: challenges, documents and error pages, with curl.

use crate::support::{Answer, Gateway, Scene};

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"curl","version":"8"}}}"#;

async fn initialize(scene: &Scene, url: &str, more: &[&str]) -> Answer {
    let fixed = ["--json", INITIALIZE, "-H", "Accept: application/json, text/event-stream", url];
    scene.curl(&[&fixed, more].concat()).await
}

/// Registers a client with one redirect URI and returns its identifier.
async fn register(scene: &Scene, gateway: &Gateway) -> String {
    let metadata = r#"{"client_name":"curl","redirect_uris":["http://127.0.0.1/callback"],"token_endpoint_auth_method":"none"}"#;
    let answer = scene.curl(&["--json", metadata, &format!("{}/oauth/register", gateway.origin())]).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()["client_id"].as_str().unwrap().to_owned()
}

/// An authorization request that differs from a good one in what is given.
async fn authorize(scene: &Scene, gateway: &Gateway, client_id: &str, redirect_uri: &str) -> Answer {
    let endpoint = format!("{}/oauth/authorize", gateway.origin());
    let pairs = [
        ("response_type", "code"),
        ("client_id", client_id),
        ("redirect_uri", redirect_uri),
        ("state", "abc"),
        ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
        ("code_challenge_method", "S256"),
        ("resource", &gateway.url),
    ];
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut arguments = vec!["--get", &endpoint];
    for pair in &pairs {
        arguments.extend(["--data-urlencode", pair]);
    }
    scene.curl(&arguments).await
}

/// An error page is for people: never a redirect, never framed, with a reason and a number to quote.
fn assert_error_page(answer: &Answer, reason: &str) {
    assert_eq!(answer.status, 400, "{answer:?}");
    assert_eq!(answer.header("location"), None);
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let policy = answer.header("content-security-policy").expect("a policy");
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    assert!(!answer.body.contains("<script"), "{}", answer.body);
    assert!(answer.body.contains(reason), "{}", answer.body);
}

#[tokio::test]
async fn a_call_without_a_token_is_challenged_and_the_challenge_leads_to_the_authorization_server() {
    let scene = Scene::new("challenge");
    let gateway = Gateway::development(&scene).await;

    let answer = initialize(&scene, &gateway.url, &[]).await;
    assert_eq!(answer.status, 401);
    let challenge = answer.header("www-authenticate").expect("a challenge");
    assert!(challenge.starts_with("Bearer "), "{challenge}");
    assert!(!challenge.contains("error="), "no token was sent: {challenge}");
    let document = challenge.split("resource_metadata=\"").nth(1).and_then(|rest| rest.split('"').next());
    let document = scene.curl(&[document.expect("resource_metadata")]).await.json();
    assert_eq!(document["resource"], *gateway.url);
    assert_eq!(document["authorization_servers"][0], gateway.origin());

    let answer = initialize(&scene, &gateway.url, &["-H", "Authorization: Bearer not-a-token"]).await;
    assert_eq!(answer.status, 401);
    let challenge = answer.header("www-authenticate").expect("a challenge");
    assert!(challenge.contains(r#"error="invalid_token""#), "{challenge}");

    let metadata = format!("{}/.well-known/oauth-authorization-server", gateway.origin());
    let metadata = scene.curl(&[&metadata]).await.json();
    assert_eq!(metadata["issuer"], gateway.origin());
    assert_eq!(metadata["client_id_metadata_document_supported"], true);
    assert_eq!(metadata["code_challenge_methods_supported"], serde_json::json!(["S256"]));
    let methods = metadata["token_endpoint_auth_methods_supported"].as_array().unwrap();
    assert!(methods.contains(&"none".into()), "{methods:?}");
    gateway.stop(&scene, 0).await;
}

#[tokio::test]
async fn an_unknown_client_gets_a_page_and_no_redirect() {
    let scene = Scene::new("unknown-client");
    let gateway = Gateway::development(&scene).await;
    let answer = authorize(&scene, &gateway, "nobody", "http://127.0.0.1:5000/callback").await;
    assert_error_page(&answer, "invalid_client");
    gateway.stop(&scene, 0).await;
}

#[tokio::test]
async fn an_unregistered_redirect_uri_gets_a_page_and_no_redirect() {
    let scene = Scene::new("unregistered-redirect");
    let gateway = Gateway::development(&scene).await;
    let client = register(&scene, &gateway).await;
    for elsewhere in [
        "https://evil.example/callback",
        "http://127.0.0.1:5000/other",
        "http://127.0.0.1.evil.example/callback",
    ] {
        let answer = authorize(&scene, &gateway, &client, elsewhere).await;
        assert_error_page(&answer, "redirect_uri");
    }
    // The same request with the registered one is answered with the consent page.
    let answer = authorize(&scene, &gateway, &client, "http://127.0.0.1:5000/callback").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.body.contains(r#"name="decision""#), "{}", answer.body);
    gateway.stop(&scene, 0).await;
}

#[tokio::test]
async fn a_consent_form_taken_to_another_browser_approves_nothing() {
    let scene = Scene::new("stolen-consent");
    let gateway = Gateway::development(&scene).await;
    let client = register(&scene, &gateway).await;
    let page = authorize(&scene, &gateway, &client, "http://127.0.0.1:5000/callback").await;
    let ticket = page.body.split(r#"name="ticket" value=""#).nth(1).and_then(|rest| rest.split('"').next());
    let ticket = format!("ticket={}", ticket.expect("a ticket"));
    let target = format!("{}/oauth/consent", gateway.origin());
    let origin = format!("Origin: {}", gateway.origin());
    // No cookie comes with it.
    let answer =
        scene.curl(&["--data-urlencode", &ticket, "-d", "decision=approve", "-H", &origin, &target]).await;
    assert!((400..500).contains(&answer.status), "{answer:?}");
    assert_eq!(answer.header("location"), None);
    gateway.stop(&scene, 0).await;
}
