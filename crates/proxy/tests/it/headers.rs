use http::header::HeaderName;
use http::{Request, Response, StatusCode};
use thv_proxy::{Inject, ProxyConfig};

use crate::support::*;

/// A backend that answers with what it was sent: request line, then the headers in order of their names.
async fn mirror() -> std::net::SocketAddr {
    serve(|request: Request<_>| async move {
        let mut lines: Vec<String> = request
            .headers()
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        lines.sort();
        let line = format!("{} {} {:?}", request.method(), request.uri(), request.version());
        Response::new(full(format!("{line}\n{}", lines.join("\n"))))
    })
    .await
}

fn request(headers: &[(&str, &str)]) -> Request<TestBody> {
    let mut request = Request::delete("/mcp?a=%2F&b").body(full("")).unwrap();
    for (name, value) in headers {
        request
            .headers_mut()
            .append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
    }
    request
}

#[tokio::test]
async fn px_3_px_4_the_backend_sees_what_concerns_it_and_nothing_else() {
    let backend = mirror().await;
    let gateway = plain_gateway(backend).await;
    let sent = [
        ("authorization", "Bearer alice"),
        ("cookie", "a=b"),
        ("connection", "x-hop"),
        ("x-hop", "1"),
        ("keep-alive", "timeout=5"),
        ("forwarded", "for=1.2.3.4"),
        ("x-forwarded-for", "1.2.3.4"),
        ("x-forwarded-host", "evil.example"),
        ("x-thv-subject", "root"),
        ("accept", "text/event-stream"),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "echo"),
        ("mcp-param-city", "Bern"),
        ("last-event-id", "7"),
        ("traceparent", "00-1-2-01"),
    ];
    let seen = text(send(gateway, request(&sent)).await).await;
    let expected = format!(
        "DELETE /base/mcp?a=%2F&b HTTP/1.1\naccept: text/event-stream\nhost: {backend}\nlast-event-id: 7\n\
         mcp-method: tools/call\nmcp-name: echo\nmcp-param-city: Bern\nmcp-protocol-version: 2026-07-28\n\
         traceparent: 00-1-2-01\nx-forwarded-for: 192.0.2.7\nx-forwarded-host: mcp.example.com\n\
         x-forwarded-proto: https"
    );
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn the_identity_is_told_only_when_asked_for_and_comes_from_the_token() {
    let backend = mirror().await;
    let config = ProxyConfig { forward_identity: true, ..config() };
    let gateway = Gateway::default().start(config, &format!("http://{backend}/")).await;
    let sent = [("authorization", "Bearer bob"), ("x-thv-subject", "root"), ("x-thv-admin", "1")];
    let seen = text(send(gateway, request(&sent)).await).await;
    let told: Vec<&str> = seen.lines().filter(|line| line.starts_with("x-thv-")).collect();
    let expected = [
        "x-thv-client-id: https://client.example/doc.json",
        "x-thv-issuer: https://as.example.com",
        "x-thv-name: %C3%85lice 100%25",
        "x-thv-scope: openid profile",
        "x-thv-subject: bob",
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn a_client_cannot_send_the_credentials_own_header() {
    let backend = mirror().await;
    let inject = Inject::Header(HeaderName::from_static("x-api-key"));
    let gateway =
        Gateway::default().start(ProxyConfig { inject, ..config() }, &format!("http://{backend}/")).await;
    let seen = text(send(gateway, request(&[("x-api-key", "forged")])).await).await;
    assert!(!seen.contains("x-api-key"), "{seen}");
}

#[tokio::test]
async fn the_client_sees_the_backends_status_and_headers_but_not_its_cookies() {
    let backend = serve(|_| async {
        Response::builder()
            .status(StatusCode::ACCEPTED)
            .header("mcp-session-id", "s1")
            .header("set-cookie", "a=b")
            .header("connection", "x-hop")
            .header("x-hop", "1")
            .header("x-other", "2")
            .body(full(""))
            .unwrap()
    })
    .await;
    let response = send(plain_gateway(backend).await, request(&[])).await;
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    let mut names: Vec<&str> = response.headers().keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["content-length", "date", "mcp-session-id", "x-other"]);
}
