//! The way of requests to the remote server.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, COOKIE, HOST, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use thv_egress::Roots;
use thv_remote::error::LoginError;
use thv_remote::forward::Forward;
use thv_testkit::http_server::TestServer;
use thv_testkit::streaming::{AnyBody, channel, full};
use tokio::sync::mpsc;

use crate::support::authorization_server::page;
use crate::support::user::{Act, within};
use crate::support::world::World;

const MIB: usize = 1024 * 1024;

fn roots() -> Roots {
    Roots::load(None).unwrap()
}

#[tokio::test]
async fn px_4_what_a_client_says_to_us_is_not_passed_on() {
    let world = World::start().await;
    let process = world.logged_in().await;
    let mut request = Request::post("/mcp?access_token=x").body(Full::from("{}")).unwrap();
    let fields = [
        ("authorization", "Bearer of-the-client"),
        ("cookie", "session=of-the-client"),
        ("origin", "http://localhost:6274"),
        ("host", "localhost:1"),
        ("x-forwarded-for", "10.0.0.1"),
        ("connection", "keep-alive, x-hop"),
        ("x-hop", "1"),
        ("mcp-session-id", "s"),
        ("mcp-protocol-version", "2025-11-25"),
        ("mcp-method", "tools/call"),
        ("last-event-id", "7"),
        ("accept", "application/json, text/event-stream"),
    ];
    for (name, value) in fields {
        request.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    assert_eq!(process.send(request).await.status, StatusCode::OK);
    let asked = world.mcp.asked("/mcp").pop().unwrap();
    for name in [COOKIE, ORIGIN, HeaderName::from_static("x-forwarded-for"), HeaderName::from_static("x-hop")]
    {
        assert_eq!(asked.header(name.as_str()), None, "{name}");
    }
    assert!(asked.header("authorization").unwrap().starts_with("Bearer access-"), "ours, and nothing else");
    assert_eq!(asked.headers.get_all(AUTHORIZATION).iter().count(), 1);
    assert_eq!(asked.headers[HOST], world.mcp.server.addr().to_string());
    for (name, value) in &fields[7..] {
        assert_eq!(asked.header(name), Some(*value));
    }
}

#[tokio::test]
async fn cl_51_a_server_without_a_login_gets_no_token_at_all() {
    let world = World::start().await;
    world.mcp.on(|_, _| Some(page(200, "text/plain", "open")));
    let request = Request::get("/mcp").header(AUTHORIZATION, "Bearer x").body(Full::default()).unwrap();
    assert_eq!(world.process().await.send(request).await.body, "open");
    assert_eq!(world.mcp.asked("/mcp")[0].header("authorization"), None);
}

#[tokio::test]
async fn the_servers_cookies_and_challenges_stay_behind() {
    let world = World::start().await;
    world.mcp.on(|_, issued| {
        issued?;
        let mut answer = page(202, "text/plain", "");
        for (name, value) in [("set-cookie", "a=b"), ("www-authenticate", "Bearer"), ("mcp-session-id", "s")]
        {
            answer.headers_mut().insert(name, value.parse().unwrap());
        }
        Some(answer)
    });
    let got = world.process().await.call().await;
    assert_eq!((got.status, got.headers["mcp-session-id"].to_str().unwrap()), (StatusCode::ACCEPTED, "s"));
    assert!(!got.headers.contains_key("set-cookie") && !got.headers.contains_key("www-authenticate"));
}

#[tokio::test]
async fn a_server_that_knows_its_users_by_a_header_field_wants_no_login() {
    let world = World::start().await;
    world.mcp.on(|request, _| {
        let known = request.header("x-api-key") == Some("k");
        Some(if known { page(200, "text/plain", "hello") } else { page(401, "text/plain", "") })
    });
    let mut config = world.config().await;
    config.headers =
        HeaderMap::from_iter([(HeaderName::from_static("x-api-key"), HeaderValue::from_static("k"))]);
    let process = world.process_of(config).await;
    assert!(!process.session.prepare().await.unwrap(), "no login is made");
    assert_eq!(process.call().await.body, "hello");
}

#[tokio::test]
async fn configured_header_fields_go_with_every_request() {
    let world = World::start().await;
    let mut config = world.config().await;
    config.headers =
        HeaderMap::from_iter([(HeaderName::from_static("x-tenant"), HeaderValue::from_static("ours"))]);
    let forward = Forward::new(world.process_of(config).await.session, &roots()).unwrap();
    let request = Request::post("/anything").header("x-tenant", "theirs").body(Full::from("{}")).unwrap();
    assert_eq!(within(forward.forward(request)).await.status(), StatusCode::OK);
    for asked in world.mcp.asked("/mcp") {
        assert_eq!(asked.header("x-tenant"), Some("ours"));
    }
    assert_eq!(world.mcp.asked("/mcp").len(), 2, "before and after the login");
}

/// A remote server whose bodies are streams: it gives its response at once, and hands out both ends.
async fn streaming()
-> (TestServer, mpsc::Receiver<Request<hyper::body::Incoming>>, mpsc::Sender<Response<AnyBody>>) {
    let (arrived, arrivals) = mpsc::channel(4);
    let (answers, answered) = mpsc::channel::<Response<AnyBody>>(4);
    let answered = Arc::new(tokio::sync::Mutex::new(answered));
    let server = TestServer::http_streaming(move |request| {
        let (arrived, answered) = (arrived.clone(), Arc::clone(&answered));
        async move {
            arrived.send(request).await.unwrap();
            answered.lock().await.recv().await.unwrap()
        }
    });
    (server.await, arrivals, answers)
}

async fn forward_to<B>(world: &World, server: &TestServer) -> Forward<B>
where
    B: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + Unpin
        + 'static,
{
    let mut config = world.config().await;
    config.server_url = server.url("/mcp");
    Forward::new(world.process_of(config).await.session, &roots()).unwrap()
}

async fn piece<B>(body: &mut B) -> Option<Bytes>
where
    B: http_body::Body<Data = Bytes, Error: std::fmt::Debug> + Unpin,
{
    within(body.frame()).await.map(|frame| frame.unwrap().into_data().unwrap())
}

#[tokio::test]
async fn both_bodies_are_passed_on_as_they_come() {
    let world = World::start().await;
    let (server, mut arrivals, answers) = streaming().await;
    let forward = forward_to::<AnyBody>(&world, &server).await;
    let (to_server, body) = channel();
    let answer =
        tokio::spawn(async move { forward.forward(Request::post("/mcp").body(body).unwrap()).await });
    let mut arrived = within(arrivals.recv()).await.unwrap().into_body();
    assert!(to_server.send("one\n").await);
    assert_eq!(piece(&mut arrived).await.unwrap(), "one\n", "before the body has ended");

    let (to_client, body) = channel();
    answers.send(Response::new(body)).await.unwrap();
    let mut answer = within(answer).await.unwrap().into_body();
    for number in 0..50 {
        let event = format!("id: {number}\ndata: {{\"x\": \"\u{fc}\"}}\n\n");
        assert!(to_client.send(event.clone()).await);
        assert_eq!(piece(&mut answer).await.unwrap(), event, "before the next one");
    }
    assert!(to_server.send("two").await);
    drop(to_server);
    assert_eq!(piece(&mut arrived).await.unwrap(), "two");
    assert!(piece(&mut arrived).await.is_none());
    drop(to_client);
    assert!(piece(&mut answer).await.is_none());
}

#[tokio::test]
async fn a_client_that_goes_away_takes_its_request_along() {
    let world = World::start().await;
    let (server, mut arrivals, answers) = streaming().await;
    let forward = forward_to::<AnyBody>(&world, &server).await;
    let answer =
        tokio::spawn(async move { forward.forward(Request::get("/mcp").body(full("")).unwrap()).await });
    within(arrivals.recv()).await.unwrap();
    let (to_client, body) = channel();
    answers.send(Response::new(body)).await.unwrap();
    let mut answer = within(answer).await.unwrap().into_body();
    assert!(to_client.send("data: 1\n\n").await);
    assert_eq!(piece(&mut answer).await.unwrap(), "data: 1\n\n");
    drop(answer);
    within(to_client.closed()).await;
}

#[tokio::test]
async fn a_body_of_up_to_8_mib_is_sent_again_with_the_token() {
    for length in [0, 1, 8 * MIB] {
        let world = World::start().await;
        let body: Bytes = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let request = Request::post("/mcp").body(Full::new(body.clone())).unwrap();
        assert_eq!(world.process().await.send(request).await.status, StatusCode::OK, "{length}");
        let asked = world.mcp.asked("/mcp");
        assert_eq!(asked.len(), 2);
        assert!(asked.iter().all(|asked| asked.body == body), "{length}: byte for byte");
    }
}

#[tokio::test]
async fn a_body_that_was_not_kept_is_for_the_client_to_repeat() {
    let world = World::start().await;
    let process = world.process().await;
    let long = || Request::post("/mcp").body(Full::new(Bytes::from(vec![7; 8 * MIB + 1]))).unwrap();
    let got = process.send(long()).await;
    assert_eq!(got.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(got.body.contains("login_renewed"), "{}", got.body);
    assert_eq!(process.send(long()).await.status, StatusCode::OK, "the login is there now");
    assert_eq!(world.user.opened().len(), 1);

    // Nor is one whose length nobody knows.
    let world = World::start().await;
    let session = world.process().await.session;
    let forward = Forward::<AnyBody>::new(session, &roots()).unwrap();
    let (writer, body) = channel();
    let writing = tokio::spawn(async move { writer.send("{}").await });
    let answer = within(forward.forward(Request::post("/mcp").body(body).unwrap())).await;
    writing.await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&body).contains("login_renewed"));
}

#[tokio::test]
async fn a_server_that_is_down_is_a_bad_gateway_and_no_end_of_the_login() {
    let world = World::start().await;
    let process = world.logged_in().await;
    world.mcp.server.down();
    let got = process.call().await;
    assert_eq!(got.status, StatusCode::BAD_GATEWAY);
    assert!(got.body.contains("server_unreachable") && got.body.contains(&world.mcp.url()), "{}", got.body);
    assert_eq!(got.headers["content-type"], "application/json");
    world.mcp.server.up();
    assert_eq!(process.call().await.status, StatusCode::OK);
    assert_eq!((world.user.opened().len(), world.idp.asked("/token").len()), (1, 1));
}

#[tokio::test]
async fn the_servers_own_errors_are_passed_on() {
    let world = World::start().await;
    let process = world.logged_in().await;
    for status in [400, 404, 405, 429, 500, 503] {
        world.mcp.on(move |_, _| Some(page(status, "text/plain", "from the server")));
        let got = process.call().await;
        assert_eq!((got.status.as_u16(), got.body.as_str()), (status, "from the server"));
    }
    assert_eq!(world.user.opened().len(), 1);
}

#[tokio::test]
async fn a_login_goes_on_when_the_request_that_began_it_is_gone() {
    let world = World::start().await;
    world.user.acts(Act::Waits);
    let process = world.process().await;
    let impatient = process.clone();
    let call = tokio::spawn(async move { impatient.call().await });
    let url = world.user.is_asked(1).await;
    call.abort();
    assert!(call.await.is_err());
    assert_eq!(world.user.browse(&url).await.status(), StatusCode::OK);
    assert_eq!(process.call().await.status, StatusCode::OK);
    assert_eq!(world.user.opened().len(), 1);
}

#[tokio::test]
async fn a_configured_token_is_used_and_its_refusal_reported() {
    let world = World::start().await;
    let mut config = world.config().await;
    config.bearer_token = Some("of-the-user".to_owned().into());
    let process = world.process_of(config).await;
    world.mcp.on(|asked, _| {
        let known = asked.header("authorization") == Some("Bearer of-the-user");
        known.then(|| page(200, "text/plain", "welcome"))
    });
    assert_eq!(process.call().await.body, "welcome");
    world.mcp.on(|_, _| None);
    let got = process.call().await;
    assert_eq!(got.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(got.body.contains("configured bearer token") && got.body.contains("hint"), "{}", got.body);
    let error = process.log_in().await.unwrap_err();
    assert!(matches!(*error, LoginError::BearerConfigured), "{error:?}");
    assert!(world.user.opened().is_empty() && world.mcp.looked_for().is_empty());
}

#[tokio::test]
async fn every_method_and_the_servers_own_path_and_query_are_used() {
    let world = World::start().await;
    let (server, mut arrivals, answers) = streaming().await;
    let mut config = world.config().await;
    config.server_url = server.url("/v1/mcp?key=a%2Fb");
    let session = world.process_of(config).await.session;
    let forward: Forward<AnyBody> = Forward::new(session, &roots()).unwrap();
    for method in [Method::GET, Method::DELETE, Method::OPTIONS] {
        answers.send(Response::new(full("ok"))).await.unwrap();
        let request = Request::builder().method(method.clone()).uri("/mcp?x=1").body(full("")).unwrap();
        within(forward.forward(request)).await;
        let arrived = within(arrivals.recv()).await.unwrap();
        assert_eq!(
            (arrived.method(), arrived.uri().to_string().as_str()),
            (&method, "/v1/mcp?key=a%2Fb&x=1")
        );
    }
}
