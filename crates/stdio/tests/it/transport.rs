//! The rules of streamable HTTP, and what clients and servers may not do to each other.

use std::time::Duration;

use http::{Method, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::support::{Client, Endpoint, Reply, call, hold, quick, said, server};

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

/// A POST with these headers in place of the usual ones.
async fn post(client: &Client, headers: &[(&str, &str)], body: impl Into<bytes::Bytes>) -> Reply {
    let mut request = client.request(Method::POST);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    client.send(request.body(Full::new(body.into())).unwrap()).await
}

async fn refused(reply: Reply, status: u16) -> Value {
    assert_eq!(reply.status.as_u16(), status);
    let message = reply.message().await;
    assert_eq!(message["jsonrpc"], "2.0");
    assert!(message["error"]["message"].is_string());
    message["error"]["code"].clone()
}

#[tokio::test]
async fn headers_and_bodies_that_are_wrong_are_refused() {
    let endpoint = Endpoint::start().await;
    let client = endpoint.session(json!({})).await;
    let json = ("content-type", "application/json");
    refused(post(&client, &[("accept", "text/html"), json], PING).await, 406).await;
    refused(post(&client, &[("content-type", "text/plain")], PING).await, 415).await;
    refused(post(&client, &[], PING).await, 415).await;
    let mut long = PING.as_bytes().to_vec();
    long.resize(4 * 1024 * 1024, b' ');
    assert_eq!(post(&client, &[json], long.clone()).await.status, StatusCode::OK);
    long.push(b' ');
    refused(post(&client, &[json], long).await, 413).await;
    for (body, code) in [
        ("{", -32700),
        ("", -32700),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, -32600),
        ("[]", -32600),
        ("{}", -32600),
        (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[1]}"#, -32600),
    ] {
        assert_eq!(refused(post(&client, &[json], body).await, 400).await, code, "{body}");
    }
    let get = client.request(Method::GET).header("accept", "application/json").body(Full::default()).unwrap();
    refused(client.send(get).await, 406).await;
    let put = client.send(client.request(Method::PUT).body(Full::default()).unwrap()).await;
    assert_eq!(put.headers["allow"], "POST, GET, DELETE");
    refused(put, 405).await;
}

#[tokio::test]
async fn a_session_is_needed_and_ends_when_deleted() {
    let endpoint = Endpoint::start().await;
    let mut client = endpoint.session(json!({})).await;
    let mut stream = client.get().await;
    let running = hold(&client, "k", &json!(1), &json!(1)).await;
    let delete = || client.request(Method::DELETE).body(Full::default()).unwrap();
    assert_eq!(client.send(delete()).await.status, StatusCode::NO_CONTENT);
    assert_eq!(stream.next().await, None);
    assert_eq!(running.response().await["error"]["message"], "the client ended its session");
    refused(client.send(delete()).await, 404).await;
    refused(client.get().await, 404).await;
    for message in
        [json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}), json!({"jsonrpc": "2.0", "method": "x"})]
    {
        refused(client.post(&message).await, 404).await;
    }
    client.session = None;
    refused(client.post_bytes(PING).await, 400).await;
    refused(client.get().await, 400).await;
    let twice = [("content-type", "application/json"), ("mcp-session-id", "a"), ("mcp-session-id", "b")];
    refused(post(&client, &twice, PING).await, 400).await;
}

#[tokio::test]
async fn unknown_protocol_versions_are_refused_and_a_missing_one_is_not() {
    let endpoint = Endpoint::start().await;
    let mut client = endpoint.session(json!({})).await;
    for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        client.headers.insert("mcp-protocol-version", version.parse().unwrap());
        assert_eq!(client.post_bytes(PING).await.status, StatusCode::OK, "{version}");
    }
    client.headers.remove("mcp-protocol-version");
    assert_eq!(client.post_bytes(PING).await.status, StatusCode::OK);
    for version in ["1.0", "2025-11-26", ""] {
        client.headers.insert("mcp-protocol-version", version.parse().unwrap());
        let code = refused(client.post_bytes(PING).await, 400).await;
        assert_eq!(code, -32022, "{version}");
        refused(client.get().await, 400).await;
    }
}

#[tokio::test]
async fn a_response_is_json_unless_something_comes_before_it() {
    let endpoint = Endpoint::start().await;
    let client = endpoint.session(json!({})).await;
    let progress =
        |steps: u32| call(&json!(1), "progress", json!({"steps": steps, "text": "x"}), Some(json!(1)));
    assert_eq!(client.post(&progress(0)).await.content_type(), "application/json");
    let reply = client.post(&progress(1)).await;
    assert!(reply.is_stream());
    assert_eq!(reply.headers["cache-control"], "no-cache, no-transform");
    assert_eq!(said(&reply.response().await), "x");
    // Who does not accept streams does not get one.
    let json = [("content-type", "application/json"), ("accept", "application/json")];
    let reply = post(&client, &json, progress(3).to_string()).await;
    assert_eq!(said(&reply.message().await), "x");
    // Who accepts nothing else gets one.
    let events = [("content-type", "application/json"), ("accept", "text/event-stream")];
    let mut reply = post(&client, &events, PING).await;
    assert_eq!(reply.next().await.unwrap(), json!({"jsonrpc": "2.0", "id": 1, "result": {}}));
    assert_eq!(reply.next().await, None);
}

#[tokio::test]
async fn a_response_that_takes_long_begins_as_a_stream() {
    let mut options = quick();
    options.keep_alive = Duration::from_millis(20);
    let endpoint = Endpoint::of(server([]), options).await;
    let client = endpoint.session(json!({})).await;
    let mut silent = client.get().await;
    let reply = client.begin("hold", json!({"key": "k"})).await;
    assert!(reply.is_stream());
    assert_eq!(client.call("release", json!({"key": "k"})).await, "released");
    assert_eq!(said(&reply.response().await), "k");
    // A stream on which nothing happens stays open all the same.
    client.call("notify", json!({"notifications": [{"method": "notifications/x"}]})).await;
    assert_eq!(silent.next().await.unwrap()["method"], "notifications/x");
}

#[tokio::test]
async fn what_is_no_message_on_the_servers_output_is_skipped() {
    let endpoint = Endpoint::start().await;
    let client = endpoint.session(json!({})).await;
    assert_eq!(client.call("noise", json!({})).await, "still here");
    assert_eq!(client.begin("batch", json!({})).await.response().await["result"]["batch"], true);
    assert_eq!(client.call("echo", json!({})).await["arguments"], json!({}));
}

#[tokio::test]
async fn a_response_beyond_the_limit_fails_its_request_and_no_other() {
    let mut options = quick();
    options.limits.message = 1 << 20;
    let endpoint = Endpoint::of(server([]), options).await;
    let client = endpoint.session(json!({})).await;
    let other = hold(&client, "other", &json!(1), &json!(1)).await;
    for bytes in [(1 << 20) - 1000, 1 << 20, 5 << 20] {
        let response = client.begin("big", json!({"bytes": bytes})).await.response().await;
        if bytes < 1 << 20 {
            assert_eq!(said(&response).as_str().unwrap().len(), bytes);
        } else {
            assert_eq!(response["error"]["message"], "the MCP server's response is too long for this bridge");
        }
    }
    assert_eq!(client.call("release", json!({"key": "other"})).await, "released");
    assert_eq!(said(&other.response().await), "other");
}

#[tokio::test]
async fn a_client_that_does_not_read_its_stream_loses_it_and_blocks_nobody() {
    let endpoint = Endpoint::start().await;
    let (slow, quick) = (endpoint.session(json!({})).await, endpoint.session(json!({})).await);
    let unread = slow.get().await;
    let mut read = quick.get().await;
    let reading = tokio::spawn(async move {
        let mut messages = 0;
        while let Some(event) = read.next().await {
            if event["method"] == "notifications/end" {
                return messages;
            }
            messages += 1;
        }
        panic!("the stream of the client that reads was closed after {messages}");
    });
    // Far more than fits into sockets and queues.
    for _ in 0..40 {
        let flooded = quick.call("flood", json!({"messages": 10, "bytes": 100_000})).await;
        assert_eq!(flooded, "flooded");
    }
    quick.call("notify", json!({"notifications": [{"method": "notifications/end"}]})).await;
    assert_eq!(reading.await.unwrap(), 400);
    let mut unread = unread;
    let mut messages = 0;
    while unread.next().await.is_some() {
        messages += 1;
    }
    assert!(messages < 400, "{messages}");
    // The session goes on, with a new stream.
    let mut again = slow.get().await;
    slow.call("notify", json!({"notifications": [{"method": "notifications/x"}]})).await;
    assert_eq!(again.next().await.unwrap()["method"], "notifications/x");
}

#[tokio::test]
async fn a_new_stream_takes_the_place_of_the_one_before() {
    let endpoint = Endpoint::start().await;
    let client = endpoint.session(json!({})).await;
    let mut first = client.get().await;
    let mut second = client.get().await;
    assert_eq!(first.next().await, None);
    client.call("notify", json!({"notifications": [{"method": "notifications/x"}]})).await;
    assert_eq!(second.next().await.unwrap()["method"], "notifications/x");
}

#[tokio::test]
async fn too_many_requests_and_sessions_are_refused() {
    let mut options = quick();
    options.limits.requests = 2;
    options.limits.sessions = 2;
    let endpoint = Endpoint::of(server([]), options).await;
    let (ann, bob) = (endpoint.session(json!({})).await, endpoint.session(json!({})).await);
    let _running = [hold(&ann, "a", &json!(1), &json!(1)).await, hold(&bob, "b", &json!(1), &json!(1)).await];
    let refusal = ann.begin("echo", json!({})).await.response().await;
    assert_eq!(refusal["error"]["message"], "too many requests are in progress: try again later");
    let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}});
    refused(endpoint.client().post(&initialize).await, 503).await;
}
