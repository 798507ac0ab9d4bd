//! What is sent, what is read, and when it ends (AS-55, AS-56, AS-76).

use std::sync::Arc;
use std::time::Duration;

use http::header::{HeaderMap, HeaderValue, LOCATION};
use thv_egress::{Client, EgressError, Limits, Policy, Roots};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::fixtures::*;

const SHORT: Limits = Limits { total: Duration::from_millis(150), max_body: 5 * 1024 };

#[tokio::test]
async fn as_56_redirects_are_returned_not_followed() {
    let wire = Tripwire::bind("127.0.0.1:0").await;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("http://127.0.0.1:{}/", wire.port());
        let server = Server::answering(format!(
            "HTTP/1.1 {status} X\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n"
        ))
        .await;
        let response = loopback_client().get(&server.url("/"), HeaderMap::new(), GENEROUS).await.unwrap();
        assert_eq!(response.status, status);
        assert_eq!(response.headers.get(LOCATION).unwrap(), &location);
        assert_eq!(server.requests().len(), 1);
    }
    wire.assert_untouched().await;
}

#[tokio::test]
async fn as_55_any_status_is_returned_as_it_is() {
    for status in [201, 204, 206, 304, 404, 500] {
        let server = Server::answering(format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n")).await;
        let response = loopback_client().get(&server.url("/"), HeaderMap::new(), GENEROUS).await.unwrap();
        assert_eq!(response.status, status);
    }
}

#[tokio::test]
async fn as_52_the_url_is_sent_as_it_was_given() {
    let server = Server::answering(ok("")).await;
    let path = "/a/../b/./%2e%2E/%7Euser//c?x=1&x=%20#fragment";
    loopback_client().get(&server.url(path), HeaderMap::new(), GENEROUS).await.unwrap();
    let head = &server.requests()[0];
    assert!(head.starts_with("GET /a/../b/./%2e%2E/%7Euser//c?x=1&x=%20 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("host: {}\r\n", server.address)), "{head}");
    assert!(head.contains("accept-encoding: identity\r\n"), "{head}");
}

#[tokio::test]
async fn a_form_is_posted_with_the_callers_headers() {
    let (sender, mut bodies) = mpsc::unbounded_channel();
    let server = Server::plain(move |mut stream| {
        let sender = sender.clone();
        Box::pin(async move {
            let mut body = [0; 7];
            tokio::io::AsyncReadExt::read_exact(&mut stream, &mut body).await.unwrap();
            sender.send(body.to_vec()).unwrap();
            stream.write_all(ok("{}").as_bytes()).await.unwrap();
        })
    })
    .await;
    let mut headers = HeaderMap::new();
    headers.insert("authorization", HeaderValue::from_static("Basic eDp5"));
    headers.insert("host", HeaderValue::from_static("elsewhere.example"));
    let response =
        loopback_client().post_form(&server.url("/token"), headers, "a=b&c=d", GENEROUS).await.unwrap();
    assert_eq!(response.body, "{}");
    assert_eq!(bodies.recv().await.unwrap(), b"a=b&c=d");
    let head = &server.requests()[0];
    assert!(head.starts_with("POST /token HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("content-type: application/x-www-form-urlencoded\r\n"), "{head}");
    assert!(head.contains("authorization: Basic eDp5\r\n"), "{head}");
    assert!(!head.contains("elsewhere.example"), "{head}");
}

#[tokio::test]
async fn as_76_the_cap_is_exact() {
    let limits = Limits { max_body: 100, ..GENEROUS };
    for (length, fits) in [(0, true), (99, true), (100, true), (101, false)] {
        let body = "x".repeat(length);
        for response in [
            ok(&body),
            format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}0\r\n\r\n", chunks(&body)),
            format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{body}"),
        ] {
            let server = Server::answering(response.clone()).await;
            match loopback_client().get(&server.url("/"), HeaderMap::new(), limits).await {
                Ok(response) => assert!(fits && response.body == body, "{length}"),
                Err(EgressError::TooLarge { limit: 100 }) => assert!(!fits, "{length}"),
                Err(other) => panic!("{length}: {other:?}"),
            }
        }
    }
}

fn chunks(body: &str) -> String {
    body.as_bytes()
        .chunks(7)
        .map(|chunk| format!("{:x}\r\n{}\r\n", chunk.len(), String::from_utf8_lossy(chunk)))
        .collect()
}

#[tokio::test]
async fn as_76_a_length_over_the_cap_is_refused_before_the_body() {
    let server = Server::plain(|mut stream| {
        Box::pin(async move {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n").await.unwrap();
            read_head(&mut stream).await;
        })
    })
    .await;
    let failure = loopback_client().get(&server.url("/"), HeaderMap::new(), GENEROUS).await.unwrap_err();
    assert!(matches!(failure, EgressError::TooLarge { limit: 5120 }), "{failure:?}");
}

#[tokio::test]
async fn as_76_an_endless_body_is_cut_and_so_is_its_connection() {
    let (sender, mut ended) = mpsc::unbounded_channel();
    let server = Server::plain(move |mut stream| {
        let sender = sender.clone();
        Box::pin(async move {
            stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
            while stream.write_all(b"5\r\nxxxxx\r\n").await.is_ok() {}
            sender.send(()).unwrap();
        })
    })
    .await;
    let failure = loopback_client().get(&server.url("/"), HeaderMap::new(), GENEROUS).await.unwrap_err();
    assert!(matches!(failure, EgressError::TooLarge { .. }), "{failure:?}");
    tokio::time::timeout(GENEROUS.total, ended.recv()).await.unwrap().unwrap();
}

#[tokio::test]
async fn as_76_an_endless_head_is_cut() {
    let server = Server::plain(|mut stream| {
        Box::pin(async move {
            stream.write_all(b"HTTP/1.1 200 OK\r\nx: ").await.unwrap();
            while stream.write_all(&[b'x'; 1024]).await.is_ok() {}
        })
    })
    .await;
    let failure = loopback_client().get(&server.url("/"), HeaderMap::new(), GENEROUS).await.unwrap_err();
    assert!(matches!(failure, EgressError::Protocol { .. }), "{failure:?}");
}

#[tokio::test]
async fn as_76_the_deadline_covers_every_phase() {
    let authority = Authority::create();
    let within = |client: Client, url: String| async move {
        let failure = client.get(&url, HeaderMap::new(), SHORT).await.unwrap_err();
        assert!(matches!(failure, EgressError::Timeout { .. }), "{url}: {failure:?}");
    };

    let silent = Client::with_resolver(Policy::public(), &authority.roots(), Arc::new(Silent));
    within(silent, "https://client.example/look-up".to_owned()).await;

    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    within(loopback_client(), format!("https://{}/handshake", mute.local_addr().unwrap())).await;

    for partial in ["", "HTTP/1.1 200 OK\r\nx: ", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx"] {
        let server = Server::plain(move |mut stream| {
            Box::pin(async move {
                stream.write_all(partial.as_bytes()).await.unwrap();
                read_head(&mut stream).await;
            })
        })
        .await;
        within(loopback_client(), server.url("/response")).await;
    }
}

#[tokio::test]
async fn as_76_a_slow_body_does_not_extend_the_deadline() {
    let server = Server::plain(|mut stream| {
        Box::pin(async move {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n").await.unwrap();
            let mut drip = tokio::time::interval(Duration::from_millis(10));
            loop {
                drip.tick().await;
                if stream.write_all(b"x").await.is_err() {
                    return;
                }
            }
        })
    })
    .await;
    let failure = loopback_client().get(&server.url("/"), HeaderMap::new(), SHORT).await.unwrap_err();
    assert!(matches!(failure, EgressError::Timeout { .. }), "{failure:?}");
}

#[tokio::test]
async fn as_76_a_content_coding_is_refused() {
    for (coding, accepted) in [("gzip", false), ("identity, gzip", false), ("br", false), ("Identity", true)]
    {
        let server = Server::answering(format!(
            "HTTP/1.1 200 OK\r\ncontent-encoding: {coding}\r\ncontent-length: 1\r\n\r\nx"
        ))
        .await;
        match loopback_client().get(&server.url("/"), HeaderMap::new(), GENEROUS).await {
            Ok(response) => assert!(accepted && response.body == "x", "{coding}"),
            Err(failure) => {
                assert!(!accepted && matches!(failure, EgressError::Encoding), "{coding}: {failure:?}")
            }
        }
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_response() {
    for response in [
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n",
        "SSH-2.0-OpenSSH_10.0\r\n",
        "",
    ] {
        let server = Server::answering(response).await;
        let failure = loopback_client().get(&server.url("/"), HeaderMap::new(), GENEROUS).await.unwrap_err();
        assert!(matches!(failure, EgressError::Protocol { .. }), "{response:?}: {failure:?}");
    }
}

#[tokio::test]
async fn as_75_connections_are_kept_towards_configured_hosts_only() {
    let roots = Roots::load(None).unwrap();
    for (client, connections) in [
        (Client::new(Policy::with_loopback(), &roots), 3),
        (Client::pooled(Policy::with_loopback(), &roots), 1),
    ] {
        let server = Server::plain(|mut stream| {
            Box::pin(async move {
                while stream.write_all(ok("x").as_bytes()).await.is_ok() {
                    if read_head(&mut stream).await.is_empty() {
                        return;
                    }
                }
            })
        })
        .await;
        for _ in 0..3 {
            client.get(&server.url("/"), HeaderMap::new(), GENEROUS).await.unwrap();
        }
        assert_eq!(server.requests().len(), connections, "the fixture notes one head per connection");
    }
}

#[tokio::test]
async fn what_was_never_sent_cannot_have_been_processed() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let failure = posted(&loopback_client(), &format!("http://{closed}/"), GENEROUS).await;
    assert!(matches!(failure, EgressError::Connect { .. }), "{failure:?}");
    assert!(!failure.may_have_been_processed());

    // Accepts the connection, and then says nothing to the handshake.
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let failure =
        posted(&loopback_client(), &format!("https://{}/", mute.local_addr().unwrap()), SHORT).await;
    assert!(matches!(failure, EgressError::Timeout { connected: false, .. }), "{failure:?}");
    assert!(!failure.may_have_been_processed());

    let server = Server::tls(Authority::create().server, answer(ok(""))).await;
    let failure = posted(&loopback_client(), &format!("https://{}/", server.address), GENEROUS).await;
    assert!(matches!(failure, EgressError::Tls { .. }), "{failure:?}");
    assert!(!failure.may_have_been_processed());
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn what_was_sent_may_have_been_processed() {
    let authority = Authority::create();
    let client = Client::new(Policy::with_loopback(), &authority.roots());
    // The deadline has to let a handshake pass on a busy machine.
    let deadline = Limits { total: Duration::from_secs(2), ..SHORT };
    let silent = Server::tls(authority.server.clone(), |stream| {
        Box::pin(async move {
            let _stream = stream;
            std::future::pending::<()>().await;
        })
    })
    .await;
    let failure = posted(&client, &format!("https://{}/", silent.address), deadline).await;
    assert!(matches!(failure, EgressError::Timeout { connected: true, .. }), "{failure:?}");
    assert!(failure.may_have_been_processed());

    let hangs_up = Server::tls(authority.server, |stream| Box::pin(async move { drop(stream) })).await;
    let failure = posted(&client, &format!("https://{}/", hangs_up.address), GENEROUS).await;
    assert!(matches!(failure, EgressError::Protocol { .. }), "{failure:?}");
    assert!(failure.may_have_been_processed());
    assert_eq!(hangs_up.requests().len(), 1);
}

async fn posted(client: &Client, url: &str, limits: Limits) -> EgressError {
    client.post_form(url, HeaderMap::new(), "grant_type=refresh_token", limits).await.unwrap_err()
}
