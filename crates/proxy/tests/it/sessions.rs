use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use http::{Method, Request, Response, StatusCode};

use crate::support::*;

fn request(method: Method, subject: &str, session: Option<&str>) -> Request<TestBody> {
    let builder =
        Request::builder().method(method).uri("/mcp").header("authorization", format!("Bearer {subject}"));
    let builder = match session {
        Some(session) => builder.header("mcp-session-id", session),
        None => builder,
    };
    builder.body(full("")).unwrap()
}

#[tokio::test]
async fn rs_16_a_session_belongs_to_the_subject_that_opened_it() {
    let reached = Arc::new(AtomicU32::new(0));
    let counted = reached.clone();
    let backend = serve(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        async { Response::builder().header("mcp-session-id", "s1").body(full("")).unwrap() }
    })
    .await;
    let gateway = plain_gateway(backend).await;
    assert_eq!(send(gateway, request(Method::POST, "alice", None)).await.status(), StatusCode::OK);
    assert_eq!(send(gateway, request(Method::POST, "alice", Some("s1"))).await.status(), StatusCode::OK);
    for method in [Method::POST, Method::GET, Method::DELETE] {
        let refused = send(gateway, request(method, "mallory", Some("s1"))).await;
        assert_eq!(refused.status(), StatusCode::NOT_FOUND);
        assert_eq!(json(refused).await["error"], "session_not_found");
    }
    assert_eq!(reached.load(Ordering::SeqCst), 2, "refused requests do not reach the backend");
    let unknown = send(gateway, request(Method::POST, "mallory", Some("s2"))).await;
    assert_eq!(unknown.status(), StatusCode::OK, "ids that we have not seen are the backend's to judge");
}

#[tokio::test]
async fn rs_16_a_closed_session_is_nobodys() {
    let backend = serve(|request: Request<_>| async move {
        let opens = request.method() == Method::POST && !request.headers().contains_key("mcp-session-id");
        let builder = Response::builder();
        let builder = if opens { builder.header("mcp-session-id", "s1") } else { builder };
        builder.body(full("")).unwrap()
    })
    .await;
    let gateway = plain_gateway(backend).await;
    send(gateway, request(Method::POST, "alice", None)).await;
    assert_eq!(send(gateway, request(Method::POST, "bob", Some("s1"))).await.status(), StatusCode::NOT_FOUND);
    send(gateway, request(Method::DELETE, "alice", Some("s1"))).await;
    assert_eq!(send(gateway, request(Method::POST, "bob", Some("s1"))).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn rs_16_a_request_names_one_session() {
    let backend = serve(|_| async { Response::new(full("")) }).await;
    let gateway = plain_gateway(backend).await;
    let mut twice = request(Method::POST, "mallory", Some("own"));
    twice.headers_mut().append("mcp-session-id", "s1".parse().unwrap());
    let refused = send(gateway, twice).await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    assert_eq!(json(refused).await["error"], "session_id_repeated");
}
