//! Whatever arrives is answered with a 4xx or what it asks for, never with a 5xx, and the gateway lives on.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::BodyExt;
use thv_testkit::http_server::TestServer;
use thv_testkit::streaming::full;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::gate::{Gate, Session, clock};

const ENDPOINTS: [&str; 16] = [
    "/mcp",
    "/oauth/authorize",
    "/oauth/consent",
    "/oauth/login",
    "/oauth/callback",
    "/oauth/token",
    "/oauth/register",
    "/oauth/client-metadata.json",
    "/oauth/assets/page.css",
    "/oauth/nothing",
    "/.well-known/oauth-protected-resource/mcp",
    "/.well-known/oauth-authorization-server",
    "/.well-known/jwks.json",
    "/health",
    "/readyz",
    "/nothing",
];

/// Sends these bytes and reads until the other side closes. What it did not want to read does not matter.
async fn exchange(address: SocketAddr, request: &[u8]) -> String {
    exchange_and(address, request, false).await
}

/// As [`exchange`]; our half of the connection is closed behind the request if `half_close`.
async fn exchange_and(address: SocketAddr, request: &[u8], half_close: bool) -> String {
    let (mut reader, mut writer) = TcpStream::connect(address).await.unwrap().into_split();
    let write = async {
        let _ = writer.write_all(request).await;
        if half_close {
            let _ = writer.shutdown().await;
        }
        writer
    };
    let mut answer = Vec::new();
    let (_open, _) = tokio::join!(write, reader.read_to_end(&mut answer));
    String::from_utf8_lossy(&answer).into_owned()
}

#[track_caller]
fn assert_sane(request: &[u8], answer: &str) {
    let request = String::from_utf8_lossy(request.get(..request.len().min(300)).unwrap());
    let status = answer.strip_prefix("HTTP/1.1 ").or_else(|| answer.strip_prefix("HTTP/1.0 "));
    let status = status.and_then(|rest| rest.get(..3)).and_then(|status| status.parse::<u16>().ok());
    let status = status.unwrap_or_else(|| panic!("no answer to {request:?}: {answer:?}"));
    assert!((200..500).contains(&status), "{status} to {request:?}: {answer}");
}

struct Scene {
    gate: Gate,
    session: Session,
    _backend: TestServer,
}

async fn scene() -> Scene {
    let backend = TestServer::http_streaming(async |request| {
        let _ = request.into_body().collect().await;
        http::Response::new(full("{}"))
    })
    .await;
    let gate = Gate::start(&clock(), &backend.url("/mcp"), |_| {}).await;
    let session = gate.log_in().await;
    Scene { gate, session, _backend: backend }
}

impl Scene {
    /// Sends to every endpoint, to the MCP endpoint also with a good token.
    async fn everywhere(&self, make: impl Fn(&str, &str) -> Vec<u8>) {
        // So that no limit of rate answers in the place of what is tested.
        self.gate.clock.advance(Duration::from_secs(6));
        let address = self.gate.running.address;
        let host = format!("Host: {address}\r\n");
        for endpoint in ENDPOINTS {
            let request = make(endpoint, &host);
            assert_sane(&request, &exchange(address, &request).await);
        }
        let authorized = format!("{host}Authorization: Bearer {}\r\n", self.session.token());
        let request = make("/mcp", &authorized);
        assert_sane(&request, &exchange(address, &request).await);
    }

    async fn is_alive(&self) {
        assert_eq!(self.gate.call(self.session.token()).await.status, 200);
        assert_eq!(self.gate.get("/health").await.status(), 200);
    }
}

fn request(method: &str, target: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "{method} {target} HTTP/1.1\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

#[tokio::test]
async fn odd_methods_are_answered() {
    let scene = scene().await;
    for method in ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get", "X-_.~"] {
        scene.everywhere(|endpoint, headers| request(method, endpoint, headers, b"")).await;
        let operator = scene.gate.running.metrics_address.unwrap();
        for endpoint in ["/metrics", "/health", "/readyz", "/oauth/token", "/mcp"] {
            let bytes = request(method, endpoint, &format!("Host: {operator}\r\n"), b"");
            assert_sane(&bytes, &exchange(operator, &bytes).await);
        }
    }
    scene.is_alive().await;
}

#[tokio::test]
async fn odd_queries_are_answered() {
    let scene = scene().await;
    let queries = [
        "?".to_owned(),
        "?&&==&=".to_owned(),
        "?%".to_owned(),
        "?client_id=%zz&state=%f".to_owned(),
        "?client_id=%ff%fe&redirect_uri=%c0%ae".to_owned(),
        "?state=%00&code=%0d%0a&iss=%0d%0aSet-Cookie:a=b".to_owned(),
        "?client_id=a&client_id=b&state=1&state=2&code=1&code=2&response_type=code&response_type=code"
            .to_owned(),
        "?client_id=https://127.0.0.1:1/client.json&redirect_uri=https://a.example".to_owned(),
        "?client_id=https://[::1]:1/..%2f&redirect_uri=javascript:alert(1)&response_type=code".to_owned(),
        "?client_id=http://&redirect_uri=//&response_type=token&resource=::".to_owned(),
        "?request=eyJhbGciOiJub25lIn0.e30.&request_uri=urn:x".to_owned(),
        "?error=%E2%80%AE&error_description=%3Cscript%3E&state=x".to_owned(),
        format!("?state={}", "a".repeat(20_000)),
        format!("?a=b{}", "&a=b".repeat(8_000)),
        format!("?{}", "%41".repeat(10_000)),
    ];
    for query in queries {
        for method in ["GET", "POST"] {
            scene
                .everywhere(|endpoint, headers| request(method, &format!("{endpoint}{query}"), headers, b""))
                .await;
        }
    }
    scene.is_alive().await;
}

#[tokio::test]
async fn odd_bodies_are_answered() {
    let scene = scene().await;
    let deep = [vec![b'['; 30_000], vec![b']'; 30_000]].concat();
    let repeated =
        b"grant_type=refresh_token&grant_type=refresh_token&refresh_token=a&refresh_token=b".to_vec();
    let bodies: [Vec<u8>; 12] = [
        vec![],
        vec![0xff, 0xfe, 0x00, 0xc0, 0xaf],
        b"grant_type=%ff&code=%".to_vec(),
        b"grant_type=authorization_code&code=%00&client_id=\r\n\r\n".to_vec(),
        repeated,
        format!("grant_type=refresh_token&client_id=x&refresh_token={}", "A".repeat(40_000)).into_bytes(),
        b"grant_type=authorization_code&client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer&client_assertion=a.b.c&code=x".to_vec(),
        b"{".to_vec(),
        br#"{"redirect_uris":[null,1,{}],"client_name":9,"jwks":{"keys":"x"},"grant_types":{}}"#.to_vec(),
        br#"{"redirect_uris":["https://a.example"],"redirect_uris":["https://b.example"],"client_name":"\ud800"}"#.to_vec(),
        br#"{"redirect_uris":["https://a.example/\u0000"],"a":1e999}"#.to_vec(),
        deep,
    ];
    let types = [
        "application/x-www-form-urlencoded",
        "application/json",
        "application/x-www-form-urlencoded; charset=utf-16",
        "multipart/form-data; boundary=",
        "\u{1F600}",
    ];
    for body in &bodies {
        for content_type in types {
            scene
                .everywhere(|endpoint, headers| {
                    let headers = format!("{headers}Content-Type: {content_type}\r\n");
                    request("POST", endpoint, &headers, body)
                })
                .await;
        }
    }
    scene.is_alive().await;
}

#[tokio::test]
async fn odd_header_fields_are_answered() {
    let scene = scene().await;
    let long = |name: &str, length: usize| format!("{name}: {}\r\n", "a".repeat(length));
    let fields = [
        long("X-Long", 40_000),
        long("X-Too-Long", 200_000),
        long("Cookie", 30_000),
        "Cookie: thv_dev_flow=; thv_dev_flow=%ff; =; ;;; thv_dev_csrf=\"\r\n".to_owned(),
        "X-Many: a\r\n".repeat(300),
        "X-Bytes: \u{ff}\u{fe}\r\n".to_owned(),
        "Bad Name: a\r\n".to_owned(),
        ": a\r\n".to_owned(),
        "No-Colon\r\n".to_owned(),
        "X-Folded: a\r\n b\r\n".to_owned(),
        "Host: other.example\r\n".to_owned(),
        "Origin: \u{ff}\r\n".to_owned(),
        "Origin: null\r\n".to_owned(),
        "Authorization: Basic ====\r\n".to_owned(),
        "Authorization: Basic /w==\r\n".to_owned(),
        "Authorization: Bearer\r\n".to_owned(),
        format!("Authorization: Bearer {}\r\n", "e30.".repeat(8_000)),
        "Authorization: Bearer e30.e30.e30\r\n".to_owned(),
        "Content-Length: 7\r\n".to_owned(),
        "Content-Length: -1\r\n".to_owned(),
        "Content-Length: 99999999999999999999\r\n".to_owned(),
        "Transfer-Encoding: gzip\r\n".to_owned(),
        "Transfer-Encoding: identity, chunked\r\n".to_owned(),
        "Expect: the-impossible\r\n".to_owned(),
        "Connection: upgrade, host, authorization\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ\r\n"
            .to_owned(),
        "If-None-Match: \"\r\nRange: bytes=-1,5-2\r\nAccept: \u{1}\r\n".to_owned(),
        "X-Forwarded-For: ,,,unknown,[::1\r\nForwarded: for=\"\r\n".to_owned(),
        "Access-Control-Request-Method: \u{ff}\r\nAccess-Control-Request-Headers: ,\r\nOrigin: https://a\r\n"
            .to_owned(),
        "Mcp-Session-Id: \u{ff}\r\nMCP-Protocol-Version: \r\nMcp-Param-X: =?base64?%%%?=\r\n".to_owned(),
    ];
    for field in &fields {
        for method in ["GET", "POST", "OPTIONS"] {
            scene
                .everywhere(|endpoint, headers| {
                    request(method, endpoint, &format!("{headers}{field}"), b"a=b")
                })
                .await;
        }
    }
    scene.is_alive().await;
}

#[tokio::test]
async fn odd_targets_and_versions_are_answered() {
    let scene = scene().await;
    let address = scene.gate.running.address;
    let host = format!("Host: {address}\r\n");
    let targets = [
        format!("/{}", "a".repeat(30_000)),
        "/%".to_owned(),
        "/%zz/%00/%ff".to_owned(),
        "//".to_owned(),
        "//mcp".to_owned(),
        "/mcp/".to_owned(),
        "/mcp%2f..%2foauth/token".to_owned(),
        "/oauth/../mcp".to_owned(),
        "/./oauth/token".to_owned(),
        "/OAUTH/TOKEN".to_owned(),
        "/oauth/".to_owned(),
        "/.well-known/".to_owned(),
        "/mcp;a=b".to_owned(),
        "/mcp#fragment".to_owned(),
        "*".to_owned(),
        "mcp".to_owned(),
        "".to_owned(),
        "http://other.example/mcp".to_owned(),
        format!("http://{address}/oauth/token"),
        "https://[::1/".to_owned(),
        "/a b".to_owned(),
        "/\u{1F600}".to_owned(),
    ];
    for target in targets {
        for method in ["GET", "POST", "OPTIONS", "CONNECT"] {
            let bytes = request(method, &target, &host, b"");
            assert_sane(&bytes, &exchange(address, &bytes).await);
        }
    }
    let lines = [
        "GET /health HTTP/1.0\r\n\r\n".to_owned(),
        format!("GET /health HTTP/9.9\r\n{host}\r\n"),
        "GET /health\r\n\r\n".to_owned(),
        "GET /oauth/authorize HTTP/1.1\r\nConnection: close\r\n\r\n".to_owned(),
        "POST /mcp HTTP/1.1\r\nConnection: close\r\n\r\n".to_owned(),
        "POST /mcp HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n".to_owned(),
        "\u{0}\u{1}\u{2}\r\n\r\n".to_owned(),
        "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\r\n\r\n".to_owned(),
    ];
    for line in lines {
        assert_sane(line.as_bytes(), &exchange(address, line.as_bytes()).await);
    }
    scene.is_alive().await;
}

#[tokio::test]
async fn bad_chunks_are_answered() {
    let scene = scene().await;
    let chunks = [
        "zz\r\nabc\r\n0\r\n\r\n",
        "-1\r\na\r\n0\r\n\r\n",
        "ffffffffffffffffff\r\na\r\n0\r\n\r\n",
        "3\r\nabcdef\r\n0\r\n\r\n",
        "3;ext=\"\r\nabc\r\n0\r\n\r\n",
        "0\r\nTrailer: \u{ff}\r\n\r\n",
        "0\r\nno colon\r\n\r\n",
        "\r\n",
    ];
    for chunk in chunks {
        scene
            .everywhere(|endpoint, headers| {
                format!(
                    "POST {endpoint} HTTP/1.1\r\n{headers}Content-Type: application/x-www-form-urlencoded\r\n\
                     Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n{chunk}"
                )
                .into_bytes()
            })
            .await;
    }
    scene.is_alive().await;
}

#[tokio::test]
async fn bodies_that_break_off_are_answered() {
    let scene = scene().await;
    let address = scene.gate.running.address;
    let authorized = format!("Authorization: Bearer {}\r\n", scene.session.token());
    for (target, headers) in
        [("/oauth/token", ""), ("/oauth/register", ""), ("/mcp", ""), ("/mcp", authorized.as_str())]
    {
        for body in ["Content-Length: 10\r\n\r\na=b", "Transfer-Encoding: chunked\r\n\r\n5\r\nabc"] {
            let bytes = format!("POST {target} HTTP/1.1\r\nHost: {address}\r\n{headers}{body}").into_bytes();
            assert_sane(&bytes, &exchange_and(address, &bytes, true).await);
        }
    }
    scene.is_alive().await;
}

#[tokio::test]
async fn broken_http_2_is_hung_up_on() {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
    let scene = scene().await;
    let frames: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\n\r\n",
        // DATA on a stream that is not open.
        &[0, 0, 1, 0, 0, 0, 0, 0, 1, 65],
        // HEADERS that no decoder understands.
        &[0, 0, 4, 1, 5, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff],
        // A frame longer than allowed.
        &[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1],
        // WINDOW_UPDATE by nothing, and SETTINGS of an odd length.
        &[0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[0, 0, 5, 4, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5],
    ];
    for frame in frames {
        let bytes = [PREFACE, SETTINGS, frame].concat();
        // It ends, and not by a timeout: those are longer than a test may take.
        exchange(scene.gate.running.address, &bytes).await;
    }
    scene.is_alive().await;
}
