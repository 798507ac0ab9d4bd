use thv_client::preflight::{ErrorPage, Preflight, is_about_client, preflight};

use crate::provider::{Answer, Provider, egress};

const REDIRECT: &str = "http://localhost:8666/callback";

async fn asked(provider: &Provider, answer: impl Fn() -> Answer + Send + Sync + 'static) -> Preflight {
    provider.on("/authorize", move |_| answer());
    preflight(&egress(), &provider.url("/authorize?client_id=c"), REDIRECT).await
}

fn refused(error: &str) -> Preflight {
    Preflight::ClientRefused(ErrorPage { error: error.to_owned(), description: None })
}

#[tokio::test]
async fn r3_the_request_is_a_browsers_without_cookies_and_no_redirect_is_followed() {
    let provider = Provider::start().await;
    let answer = || {
        Answer::of(302, "text/plain", "")
            .with("location", "/login?next=%2Fauthorize")
            .with("set-cookie", "session=s; Path=/")
    };
    for _ in 0..2 {
        assert_eq!(asked(&provider, answer).await, Preflight::Open);
    }
    for request in provider.asked() {
        assert_eq!((request.method.as_str(), request.path.as_str()), ("GET", "/authorize"));
        assert_eq!(request.header("cookie"), None);
        assert!(request.header("accept").unwrap().starts_with("text/html"));
    }
}

#[tokio::test]
async fn r3_an_answer_at_once_is_given_whole() {
    let provider = Provider::start().await;
    for status in [302, 303, 307] {
        let location = format!("{REDIRECT}?code=c%20&state=s&iss=i");
        let said =
            asked(&provider, move || Answer::of(status, "text/plain", "").with("location", &location)).await;
        assert_eq!(said, Preflight::Answered("code=c%20&state=s&iss=i".to_owned()));
        assert_eq!(format!("{said:?}"), "Answered", "a code is shown to nobody");
    }
}

#[tokio::test]
async fn r3_an_answer_to_somewhere_else_is_none() {
    let provider = Provider::start().await;
    for elsewhere in [
        "http://localhost:8666/callback/x?code=c",
        "http://localhost:86660/callback?code=c",
        "http://localhost:8666.evil.example/callback?code=c",
        "https://as.example/?redirect=http://localhost:8666/callback?code=c",
    ] {
        let said =
            asked(&provider, move || Answer::of(302, "text/plain", "").with("location", elsewhere)).await;
        assert_eq!(said, Preflight::Open, "{elsewhere}");
    }
}

#[tokio::test]
async fn t_5_pages_about_the_client_are_recognized() {
    let provider = Provider::start().await;
    for (status, kind, body, expected) in [
        (400, "text/html", "<p>Error: <b>invalid_client</b></p>", "invalid_client"),
        (401, "application/json", r#"{"error":"invalid_client"}"#, "invalid_client"),
        (400, "application/problem+json", r#"{"error":"unauthorized_client"}"#, "unauthorized_client"),
        (200, "text/html", "<title>invalid_client</title>", "invalid_client"),
        (403, "text/html", "unauthorized_client", "unauthorized_client"),
        (400, "text/html", "<h1>Bad Request</h1>", "status 400"),
        (401, "application/json", r#"{"message":"no"}"#, "status 401"),
        (400, "application/json", "not json", "status 400"),
    ] {
        assert_eq!(
            asked(&provider, move || Answer::of(status, kind, body)).await,
            refused(expected),
            "{status} {body}"
        );
    }
}

#[tokio::test]
async fn a_servers_words_are_made_fit_for_people() {
    let provider = Provider::start().await;
    let body = serde_json::json!({"error": "invalid_client", "error_description": format!("\u{1b}[31mno{}", "x".repeat(900))});
    let Preflight::ClientRefused(page) =
        asked(&provider, move || Answer::of(400, "application/json", body.to_string())).await
    else {
        panic!("refused")
    };
    let description = page.description.clone().unwrap();
    assert!(description.len() <= 300 && !description.contains('\u{1b}'), "{description:?}");
    assert_eq!(page.to_string(), format!("invalid_client: {description}"));
    let long = format!(r#"{{"error":"{}"}}"#, "x".repeat(500));
    let said = asked(&provider, move || Answer::of(400, "application/json", long.clone())).await;
    assert!(
        matches!(said, Preflight::RequestRefused(page) if page.error.len() < 64),
        "a code of any length is none"
    );
}

#[tokio::test]
async fn r3_a_server_that_cannot_be_reached_says_nothing() {
    let provider = Provider::start().await;
    provider.set_down(true);
    let said = preflight(&egress(), &provider.url("/authorize"), REDIRECT).await;
    assert!(matches!(said, Preflight::Unknown(_)), "{said:?}");
    let said = preflight(&egress(), "http://10.0.0.1/authorize", REDIRECT).await;
    assert!(matches!(said, Preflight::Unknown(_)), "nothing is dialled that may not be: {said:?}");
}

#[test]
fn t_5_invalid_request_is_not_about_the_client() {
    for code in ["invalid_client", "unauthorized_client", "invalid_client_metadata"] {
        assert!(is_about_client(code), "{code}");
    }
    for code in ["invalid_request", "access_denied", "invalid_grant", "INVALID_CLIENT", "", "server_error"] {
        assert!(!is_about_client(code), "{code}");
    }
}
