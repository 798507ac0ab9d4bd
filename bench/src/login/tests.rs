//! The flow against a small authorization server that insists on what matters: cookies, hidden fields, PKCE.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use super::form::parameter;
use super::{Endpoints, PublicClient};

type Challenge = Arc<Mutex<String>>;

async fn server() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let challenge = Challenge::default();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let challenge = Arc::clone(&challenge);
            let service = service_fn(move |request| answer(request, address, Arc::clone(&challenge)));
            tokio::spawn(
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    address
}

async fn answer(
    request: Request<Incoming>,
    address: SocketAddr,
    challenge: Challenge,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    let query = parts.uri.query().unwrap_or_default();
    let cookie = parts.headers.get(header::COOKIE).map_or("", |value| value.to_str().unwrap());
    let ok = |body: &str| Response::new(Full::new(Bytes::from(body.to_owned())));
    let found = |location: String| {
        Response::builder().status(303).header(header::LOCATION, location).body(Full::default()).unwrap()
    };
    let mut refused = Response::new(Full::new(Bytes::from("refused")));
    *refused.status_mut() = StatusCode::BAD_REQUEST;
    Ok(match parts.uri.path() {
        "/.well-known/oauth-authorization-server" => ok(&format!(
            r#"{{"authorization_endpoint":"http://{address}/oauth/authorize","token_endpoint":"http://{address}/oauth/token","registration_endpoint":"http://{address}/oauth/register"}}"#
        )),
        "/.well-known/oauth-protected-resource/mcp" => {
            ok(&format!(r#"{{"resource":"http://{address}/mcp"}}"#))
        }
        "/oauth/register" if body.contains("redirect_uris") => ok(r#"{"client_id":"client/1"}"#),
        "/oauth/authorize"
            if parameter(query, "client_id").as_deref() == Some("client/1") && cookie.is_empty() =>
        {
            *challenge.lock().unwrap() = parameter(query, "code_challenge").unwrap();
            let mut page = ok(
                r#"<form method="post" action="/oauth/consent"><input type="hidden" name="ticket" value="a&amp;b">
                <button name="decision" value="deny">No</button><button name="decision" value="approve">Yes</button></form>"#,
            );
            page.headers_mut().insert(header::SET_COOKIE, "browser=1; Path=/; HttpOnly".parse().unwrap());
            page
        }
        "/oauth/consent" if cookie == "browser=1" && body == "ticket=a%26b&decision=approve" => {
            found("/oauth/login".into())
        }
        "/oauth/login" if parts.method == "GET" => {
            ok(r#"<form method="post"><button>Log in</button></form>"#)
        }
        "/oauth/login" if cookie == "browser=1" => {
            found("http://127.0.0.1:9/callback?state=x&code=c%2F1".into())
        }
        "/oauth/token" if parameter(&body, "code").as_deref() == Some("c/1") => {
            let verifier = parameter(&body, "code_verifier").unwrap();
            let proven = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
            if proven == *challenge.lock().unwrap() {
                ok(r#"{"access_token":"access","refresh_token":"refresh"}"#)
            } else {
                refused
            }
        }
        _ => refused,
    })
}

#[tokio::test]
async fn a_client_logs_in_through_consent_and_login_pages_again_and_again() {
    let server = server().await;
    let endpoints = Endpoints::discover(server).await.unwrap();
    let mut client = PublicClient::register(server, &endpoints, 70_000).await.unwrap();
    for _ in 0..2 {
        let grant = client.log_in().await.unwrap();
        assert_eq!((grant.access_token.as_str(), grant.refresh_token.as_str()), ("access", "refresh"));
    }
}

#[tokio::test]
async fn a_refused_step_is_named_with_its_status() {
    let server = server().await;
    let mut endpoints = Endpoints::discover(server).await.unwrap();
    endpoints.registration = "/oauth/nowhere".into();
    let error = PublicClient::register(server, &endpoints, 0).await.err().unwrap();
    assert_eq!(error.to_string(), "the registration was answered with status 400: refused");
}
