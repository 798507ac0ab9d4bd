//! The OAuth client against a server that is just strict enough to notice a wrong step.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use serde_json::json;
use thv_jose::digest::{base64url, sha256};
use thv_testkit::browser::Browser;
use thv_testkit::http_server::TestServer;
use thv_testkit::oauth_client::{AuthorizationRequest, AuthorizationServer, Tokens, log_in};
use url::Url;

const REDIRECT_URI: &str = "http://127.0.0.1:9/callback";

/// What the server remembers of the one login.
#[derive(Default)]
struct Session {
    authorize: Vec<(String, String)>,
    approved: bool,
}

fn pairs(text: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}

fn value<'a>(pairs: &'a [(String, String)], name: &str) -> &'a str {
    pairs.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str())
}

fn answer(session: &Mutex<Session>, request: &Request<Bytes>) -> Response<Full<Bytes>> {
    let mut session = session.lock().unwrap();
    let origin = format!("http://{}", request.headers()["host"].to_str().unwrap());
    let body = pairs(std::str::from_utf8(request.body()).unwrap());
    let has_cookie = request.headers().get("cookie").is_some_and(|cookie| cookie == "session=1");
    match (request.uri().path(), has_cookie) {
        ("/.well-known/oauth-authorization-server", _) => json_response(
            200,
            &json!({
                "issuer": origin,
                "authorization_endpoint": format!("{origin}/oauth/authorize"),
                "token_endpoint": format!("{origin}/oauth/token"),
                "registration_endpoint": format!("{origin}/oauth/register"),
            }),
        ),
        ("/oauth/register", _) => json_response(201, &json!({ "client_id": "registered" })),
        ("/oauth/authorize", _) => {
            session.authorize = pairs(request.uri().query().unwrap());
            html(
                r#"<form method=post action="/oauth/consent"><input type=hidden name=ticket value="t&amp;1">
                <button name=decision value=approve>Allow</button><button name=decision value=deny>No</button></form>"#,
            )
        }
        ("/oauth/consent", true) => {
            session.approved = value(&body, "ticket") == "t&1" && value(&body, "decision") == "approve";
            redirect("/oauth/login")
        }
        ("/oauth/login", true) if request.method() == "GET" => {
            html("<form method=post><input name=username><input name=password type=password></form>")
        }
        ("/oauth/login", true) if value(&body, "password") == "secret" => redirect("/oauth/callback"),
        ("/oauth/callback", true) if session.approved => {
            let state = value(&session.authorize, "state");
            redirect(&format!("{REDIRECT_URI}?code=c&state={state}&iss={origin}"))
        }
        ("/oauth/token", _) if value(&body, "grant_type") == "refresh_token" => json_response(
            if value(&body, "refresh_token") == "r" { 200 } else { 400 },
            &json!({ "access_token": "b" }),
        ),
        ("/oauth/token", _) => {
            let challenge = base64url(&sha256(value(&body, "code_verifier").as_bytes()));
            let good = challenge == value(&session.authorize, "code_challenge")
                && value(&body, "code") == "c"
                && value(&body, "resource") == "https://rs.example";
            json_response(if good { 200 } else { 400 }, &json!({ "access_token": "a", "refresh_token": "r" }))
        }
        (path, _) => json_response(400, &json!({ "path": path, "cookie": has_cookie })),
    }
}

fn json_response(status: u16, body: &serde_json::Value) -> Response<Full<Bytes>> {
    Response::builder().status(status).body(Full::from(body.to_string())).unwrap()
}

fn html(form: &'static str) -> Response<Full<Bytes>> {
    Response::builder().header("set-cookie", "session=1; Path=/; HttpOnly").body(Full::from(form)).unwrap()
}

fn redirect(location: &str) -> Response<Full<Bytes>> {
    Response::builder().status(303).header("location", location).body(Full::default()).unwrap()
}

#[tokio::test]
async fn a_public_client_logs_in_and_refreshes() {
    let session = Arc::new(Mutex::new(Session::default()));
    let server = TestServer::http(move |request| {
        let session = Arc::clone(&session);
        async move { answer(&session, &request) }
    })
    .await;
    let mut browser = Browser::new(None);
    let authorization_server = AuthorizationServer::discover(&mut browser, &server.url("")).await;
    let client_id = authorization_server.register_public(&mut browser, REDIRECT_URI).await;
    assert_eq!(client_id, "registered");
    let request = AuthorizationRequest::new(&client_id, REDIRECT_URI).with("resource", "https://rs.example");
    let answers = [("username", "dev"), ("password", "secret")];
    let tokens = log_in(&mut browser, &authorization_server, &request, &answers).await;
    assert_eq!((tokens.access_token(), tokens.refresh_token()), ("a", Some("r")));
    let refreshed = Tokens::of(&tokens.refresh(&mut browser, &authorization_server, &client_id).await);
    assert_eq!(refreshed.access_token(), "b");
}

#[tokio::test]
async fn redirects_are_followed_only_when_told() {
    let server = TestServer::http(async |request: Request<Bytes>| match request.uri().path() {
        "/a" => redirect("b"),
        "/b" => redirect("/c#part"),
        _ => Response::new(Full::from("end")),
    })
    .await;
    let mut browser = Browser::new(None);
    let page = browser.get(&server.url("/a")).await;
    assert_eq!(page.location(), Some(Url::parse(&server.url("/b")).unwrap()));
    let page = browser.follow(page, 1).await;
    assert_eq!(page.url().path(), "/b");
    assert_eq!(browser.follow(page, 5).await.text(), "end");
    assert_eq!(server.requests(), 3);
}
