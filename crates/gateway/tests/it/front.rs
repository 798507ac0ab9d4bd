use std::net::SocketAddr;
use std::time::Duration;

use thv_clock::SystemClock;
use thv_config::{Config, Profile};
use thv_gateway::{Options, Running, bind, run};

use crate::support::Wire;

const APP: &str = "https://app.example";

pub(crate) async fn gateway(change: impl FnOnce(&mut Config)) -> Running {
    gateway_with(thv_gateway::watch::INTERVAL, change).await
}

pub(crate) async fn gateway_with(watch_interval: Duration, change: impl FnOnce(&mut Config)) -> Running {
    let socket = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let mut config = Config::development(socket.local_addr().unwrap(), None);
    config.metrics_listen = Some("127.0.0.1:0".parse().unwrap());
    config.allowed_origins = vec![APP.to_owned()];
    change(&mut config);
    let mut options = Options::new(Profile::Development, SystemClock::shared(), "0");
    options.socket = Some(socket);
    options.watch_interval = watch_interval;
    run(config, options).await.unwrap()
}

/// One request with these header lines; head in lower case, and body.
pub(crate) async fn exchange(address: SocketAddr, line: &str, headers: &str, body: &str) -> (String, String) {
    let host = if headers.to_ascii_lowercase().contains("host:") {
        String::new()
    } else {
        format!("Host: {address}\r\n")
    };
    let mut wire = Wire::open(address).await;
    let length = body.len();
    wire.send(&format!(
        "{line} HTTP/1.1\r\n{host}{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    ))
    .await;
    let answer = wire.read_to_end().await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head in {answer:?}"));
    (head.to_ascii_lowercase(), body.to_owned())
}

pub(crate) fn has(head: &str, lines: &[&str]) {
    for line in lines {
        assert!(head.lines().any(|own| own.starts_with(line)), "`{line}` is missing from\n{head}");
    }
}

#[tokio::test]
async fn an_unknown_path_is_a_json_404() {
    let gateway = gateway(|_| {}).await;
    for path in ["/", "/mcp/x", "/oauth", "/.well-known/other", "/metrics"] {
        let (head, body) = exchange(gateway.address, &format!("GET {path}"), "", "").await;
        has(&head, &["http/1.1 404", "content-type: application/json"]);
        assert!(body.contains(r#""error":"not_found""#), "{body}");
    }
}

#[tokio::test]
async fn other_methods_are_refused_with_the_allowed_ones() {
    let gateway = gateway(|_| {}).await;
    for (line, allow) in [
        ("PUT /mcp", "allow: get, post, delete, options"),
        ("POST /.well-known/oauth-protected-resource/mcp", "allow: get, head, options"),
        ("DELETE /health", "allow: get, head"),
        ("POST /readyz", "allow: get, head"),
    ] {
        let (head, _) = exchange(gateway.address, line, "", "").await;
        has(&head, &["http/1.1 405", allow]);
    }
}

#[tokio::test]
async fn rs_4_a_request_without_a_token_gets_the_way_to_one() {
    let gateway = gateway(|_| {}).await;
    let (head, _) = exchange(gateway.address, "POST /mcp", "", "{}").await;
    let metadata =
        format!("resource_metadata=\"http://{}/.well-known/oauth-protected-resource/mcp\"", gateway.address);
    has(&head, &["http/1.1 401", "www-authenticate: bearer"]);
    assert!(head.contains(&metadata), "{head}");
    assert!(!head.contains("error="), "{head}");
}

#[tokio::test]
async fn rs_2_resource_metadata_is_at_the_root_and_below_the_path() {
    let gateway = gateway(|_| {}).await;
    for path in ["/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp"] {
        let (head, body) = exchange(gateway.address, &format!("GET {path}"), "", "").await;
        has(
            &head,
            &["http/1.1 200", "content-type: application/json", "access-control-allow-origin: *", "etag: "],
        );
        assert!(body.contains(&format!(r#""resource":"http://{}/mcp""#, gateway.address)), "{body}");
        let etag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().len();
        assert!(etag > 10);
        let (only_head, nothing) = exchange(gateway.address, &format!("HEAD {path}"), "", "").await;
        has(&only_head, &["http/1.1 200", &format!("content-length: {}", body.len())]);
        assert_eq!(nothing, "");
    }
}

#[tokio::test]
async fn k2_documents_answer_under_any_host() {
    let gateway = gateway(|_| {}).await;
    let line = "GET /.well-known/oauth-protected-resource";
    has(&exchange(gateway.address, line, "Host: localhost:9999\r\n", "").await.0, &["http/1.1 200"]);
}

#[tokio::test]
async fn px_2_foreign_hosts_and_origins_get_nothing_from_the_mcp_endpoint() {
    let gateway = gateway(|_| {}).await;
    let (head, body) = exchange(gateway.address, "POST /mcp", "Host: evil.example\r\n", "{}").await;
    has(&head, &["http/1.1 421", "x-correlation-id: "]);
    assert!(body.contains(r#""error":"host_foreign""#), "{body}");
    let (head, body) = exchange(gateway.address, "POST /mcp", "Origin: https://evil.example\r\n", "{}").await;
    has(&head, &["http/1.1 403"]);
    assert!(body.contains(r#""error":"origin_foreign""#) && !head.contains("access-control"), "{head}{body}");
    let page = exchange(gateway.metrics_address.unwrap(), "GET /metrics", "", "").await.1;
    assert!(page.contains(r#"thv_refusals_total{reason="host_foreign"} 1"#), "{page}");
}

#[tokio::test]
async fn an_allowed_page_may_ask_and_read() {
    let gateway = gateway(|_| {}).await;
    let preflight = format!(
        "Origin: {APP}\r\nAccess-Control-Request-Method: POST\r\n\
         Access-Control-Request-Headers: authorization, mcp-param-city\r\n"
    );
    let (head, _) = exchange(gateway.address, "OPTIONS /mcp", &preflight, "").await;
    has(
        &head,
        &[
            "http/1.1 204",
            &format!("access-control-allow-origin: {APP}"),
            "access-control-allow-headers: authorization, mcp-param-city",
            "access-control-allow-methods: get, post, delete",
        ],
    );
    let (head, _) = exchange(gateway.address, "POST /mcp", &format!("Origin: {APP}\r\n"), "{}").await;
    has(
        &head,
        &["http/1.1 401", &format!("access-control-allow-origin: {APP}"), "access-control-expose-headers: "],
    );
    let foreign = preflight.replace(APP, "https://evil.example");
    has(&exchange(gateway.address, "OPTIONS /mcp", &foreign, "").await.0, &["http/1.1 403"]);
}

#[tokio::test]
async fn g6_health_is_answered_and_metrics_are_on_their_own_listener() {
    let gateway = gateway(|_| {}).await;
    for address in [gateway.address, gateway.metrics_address.unwrap()] {
        for path in ["/health", "/readyz"] {
            let (head, body) = exchange(address, &format!("GET {path}"), "", "").await;
            has(&head, &["http/1.1 200", "cache-control: no-store"]);
            assert!(body.contains(r#""status":"ok""#), "{body}");
        }
    }
    let (head, page) = exchange(gateway.metrics_address.unwrap(), "GET /metrics", "", "").await;
    has(&head, &["content-type: application/openmetrics-text"]);
    assert!(page.contains(r#"thv_http_requests_total{route="health",status="2xx"} 2"#), "{page}");
}

#[tokio::test]
async fn a_gateway_stops_with_everything_in_it() {
    let gateway = gateway(|_| {}).await;
    let (public, operator) = (gateway.address, gateway.metrics_address.unwrap());
    gateway.stop_token().cancel();
    gateway.stopped().await;
    for address in [public, operator] {
        assert!(tokio::net::TcpStream::connect(address).await.is_err(), "{address}");
    }
}

#[tokio::test]
async fn everything_wrong_with_a_configuration_is_said_at_start() {
    let mut config = Config::development("127.0.0.1:0".parse().unwrap(), None);
    config.egress.ca_bundle = Some("/nonexistent/ca.pem".into());
    config.tls = Some(thv_config::config::Tls {
        cert_file: "/nonexistent/crt".into(),
        key_file: "/nonexistent/key".into(),
    });
    let options = Options::new(Profile::Development, SystemClock::shared(), "0");
    let Err(thv_gateway::StartError::Configuration(problems)) = run(config, options).await else {
        panic!("neither file exists");
    };
    let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
    assert!(paths.contains(&"tls.certFile") && paths.contains(&"egress.caBundle"), "{paths:?}");
}
