//! Several clients on one server.

use serde_json::json;

use crate::support::{Endpoint, call, hold, quick, said, server};

#[tokio::test]
async fn equal_ids_and_progress_tokens_of_two_clients_do_not_collide() {
    let endpoint = Endpoint::start().await;
    let (ann, bob) = (endpoint.session(json!({})).await, endpoint.session(json!({})).await);
    for id in [
        json!(1),
        json!("1"),
        json!(-5),
        json!("with \"quotes\" and \u{e9}"),
        json!(9_007_199_254_740_993_u64),
    ] {
        let anns = hold(&ann, "ann", &id, &json!("token")).await;
        let bobs = hold(&bob, "bob", &id, &json!("token")).await;
        assert_eq!(bob.call("release", json!({"key": "ann"})).await, "released");
        assert_eq!(ann.call("release", json!({"key": "bob"})).await, "released");
        for (reply, name) in [(anns, "ann"), (bobs, "bob")] {
            let response = reply.response().await;
            assert_eq!((&response["id"], said(&response)), (&id, json!(name)));
        }
    }
}

#[tokio::test]
async fn progress_comes_before_the_response_and_in_order() {
    let endpoint = Endpoint::start().await;
    let client = endpoint.session(json!({})).await;
    for token in [json!(7), json!("seven")] {
        let request =
            call(&json!(1), "progress", json!({"steps": 100, "text": "hello"}), Some(token.clone()));
        let mut reply = client.post(&request).await;
        for step in 0..100 {
            let event = reply.next().await.unwrap();
            assert_eq!(event["method"], "notifications/progress");
            assert_eq!(
                event["params"],
                json!({"progressToken": token, "progress": step, "message": "hello"})
            );
        }
        assert_eq!(said(&reply.next().await.unwrap()), "hello");
        assert_eq!(reply.next().await, None);
    }
}

#[tokio::test]
async fn what_a_request_carries_passes_unchanged() {
    let endpoint = Endpoint::start().await;
    let client = endpoint.session(json!({})).await;
    // Line ends between tokens would end the message on its way to the server.
    let request = "{\"jsonrpc\":\"2.0\",\r\n\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"echo\",\n\
        \"arguments\":{\"a\\n\":1.50,\r\"b\":[null,\"\u{2028}\"]},\n\"_meta\":{\"progressToken\":5,\"x/y\":{}}}}";
    let echo = said(&client.post_bytes(request).await.message().await);
    assert_eq!(echo["arguments"], json!({"a\n": 1.5, "b": [null, "\u{2028}"]}));
    assert_eq!(echo["meta"], json!({"progressToken": echo["id"], "x/y": {}}));
}

#[tokio::test]
async fn the_server_is_initialized_once_and_everybody_gets_its_answer() {
    let endpoint = Endpoint::start().await;
    let mut ann = endpoint.client();
    let first = ann.initialize(json!({"sampling": {}})).await;
    assert_eq!(first["id"], "init");
    assert_eq!(first["result"]["protocolVersion"], "2025-11-25");
    let mut bob = endpoint.client();
    assert_eq!(bob.initialize(json!({"roots": {}})).await["result"], first["result"]);
    assert_ne!(ann.session, bob.session);
    let older = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"protocolVersion": "2025-03-26", "capabilities": {}, "clientInfo": {"name": "old", "version": "0"}}});
    assert_eq!(bob.post(&older).await.message().await["result"], first["result"]);

    let seen = ann.call("seen", json!({})).await;
    let methods: Vec<&str> =
        seen.as_array().unwrap().iter().filter_map(|message| message["method"].as_str()).collect();
    assert_eq!(methods, ["initialize", "notifications/initialized", "tools/call"]);
    assert_eq!(seen[0]["params"]["capabilities"], json!({"sampling": {}}));
    assert_eq!(seen[0]["params"]["clientInfo"]["name"], "test");
}

#[tokio::test]
async fn a_refused_initialization_opens_no_session_and_the_next_client_tries_again() {
    let endpoint = Endpoint::of(server(["--refuse"]), quick()).await;
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {"first": {}}});
    let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params});
    let reply = endpoint.client().post(&initialize).await;
    assert_eq!(reply.headers.get("mcp-session-id"), None);
    let error = reply.message().await["error"].clone();
    assert_eq!(error, json!({"code": -32000, "message": "not today", "data": [1]}));
    let client = endpoint.session(json!({"second": {}})).await;
    let asked = client.awaited("initialize", 2).await;
    assert_eq!(asked[1]["params"]["capabilities"], json!({"second": {}}));
}

#[tokio::test]
async fn many_clients_may_initialize_at_once() {
    let endpoint = Endpoint::start().await;
    let sessions: Vec<_> = (0..20)
        .map(|_| {
            let mut client = endpoint.client();
            tokio::spawn(async move {
                client.initialize(json!({})).await;
                client
            })
        })
        .collect();
    let mut clients = Vec::new();
    for session in sessions {
        clients.push(session.await.unwrap());
    }
    assert_eq!(clients[0].awaited("initialize", 1).await.len(), 1);
}

#[tokio::test]
async fn a_cancellation_reaches_the_server_with_the_id_that_it_knows() {
    let endpoint = Endpoint::start().await;
    let (ann, bob) = (endpoint.session(json!({})).await, endpoint.session(json!({})).await);
    let mut anns = hold(&ann, "ann", &json!("x"), &json!(1)).await;
    let bobs = hold(&bob, "bob", &json!("x"), &json!(1)).await;
    ann.notify("notifications/cancelled", json!({"requestId": "x", "reason": "enough"})).await;
    let cancelled = ann.awaited("notifications/cancelled", 1).await;
    assert_eq!(cancelled[0]["params"]["reason"], "enough");
    let seen = bob.call("seen", json!({})).await;
    let held = seen.as_array().unwrap().iter().find(|message| message["params"]["arguments"]["key"] == "ann");
    assert_eq!(cancelled[0]["params"]["requestId"], held.unwrap()["id"]);
    // The response does not stay open for ever.
    let end = anns.next().await.unwrap();
    assert_eq!((&end["id"], &end["error"]["message"]), (&json!("x"), &json!("enough")));
    assert_eq!(anns.next().await, None);
    // The other client's request with the same id goes on.
    assert_eq!(ann.call("release", json!({"key": "bob"})).await, "released");
    assert_eq!(said(&bobs.response().await), "bob");
}

#[tokio::test]
async fn a_client_cannot_cancel_anothers_request() {
    let endpoint = Endpoint::start().await;
    let (ann, bob) = (endpoint.session(json!({})).await, endpoint.session(json!({})).await);
    let anns = hold(&ann, "ann", &json!("x"), &json!(1)).await;
    bob.notify("notifications/cancelled", json!({"requestId": "x"})).await;
    assert_eq!(bob.call("release", json!({"key": "ann"})).await, "released");
    assert_eq!(said(&anns.response().await), "ann");
}

#[tokio::test]
async fn a_client_that_hangs_up_cancels_its_request() {
    let endpoint = Endpoint::start().await;
    let (ann, bob) = (endpoint.session(json!({})).await, endpoint.session(json!({})).await);
    drop(hold(&ann, "streamed", &json!(1), &json!(1)).await);
    assert_eq!(bob.awaited("notifications/cancelled", 1).await.len(), 1);
    // Before the response has begun, too.
    let request = call(&json!(2), "hold", json!({"key": "silent"}), None);
    let posted = tokio::spawn(async move { ann.post(&request).await });
    bob.awaited("tools/call", 4).await;
    posted.abort();
    let cancelled = bob.awaited("notifications/cancelled", 2).await;
    assert_eq!(cancelled[1]["params"]["reason"], "the client went away");
}

#[tokio::test]
async fn notifications_go_to_the_streams_of_all_clients() {
    let endpoint = Endpoint::start().await;
    let (ann, bob) = (endpoint.session(json!({})).await, endpoint.session(json!({})).await);
    let mut streams = [ann.get().await, bob.get().await];
    let message = json!({"method": "notifications/message", "params": {"level": "info", "data": "x"}});
    let changed = json!({"method": "notifications/tools/list_changed"});
    ann.call("notify", json!({"notifications": [message, changed]})).await;
    for stream in &mut streams {
        let first = stream.next().await.unwrap();
        assert_eq!((&first["method"], &first["params"]), (&message["method"], &message["params"]));
        assert_eq!(stream.next().await.unwrap()["method"], "notifications/tools/list_changed");
    }
}

#[tokio::test]
async fn updates_of_resources_go_to_subscribers_and_the_server_sees_one() {
    let endpoint = Endpoint::start().await;
    let (ann, bob) = (endpoint.session(json!({})).await, endpoint.session(json!({})).await);
    let mut streams = [ann.get().await, bob.get().await];
    let change = |method: &str, uri: &str| json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": {"uri": uri}});
    for (client, uri) in [(&ann, "file:///a"), (&bob, "file:///a"), (&bob, "file:///b")] {
        let message = client.post(&change("resources/subscribe", uri)).await.message().await;
        assert_eq!(message, json!({"jsonrpc": "2.0", "id": 1, "result": {}}));
    }
    let update = |uri: &str| json!({"method": "notifications/resources/updated", "params": {"uri": uri}});
    let updates = [update("file:///b"), update("file:///c"), update("file:///a")];
    ann.call("notify", json!({"notifications": updates})).await;
    assert_eq!(streams[0].next().await.unwrap()["params"]["uri"], "file:///a");
    for uri in ["file:///b", "file:///a"] {
        assert_eq!(streams[1].next().await.unwrap()["params"]["uri"], uri);
    }

    // While another client wants it, the server is not told.
    ann.post(&change("resources/unsubscribe", "file:///a")).await.message().await;
    ann.call("notify", json!({"notifications": [update("file:///a"), {"method": "notifications/x"}]})).await;
    assert_eq!(streams[0].next().await.unwrap()["method"], "notifications/x");
    assert!(!ann.call("seen", json!({})).await.to_string().contains("resources/unsubscribe"));
    // The last one takes its subscriptions along.
    let reply =
        bob.send(bob.request(http::Method::DELETE).body(http_body_util::Full::default()).unwrap()).await;
    assert_eq!(reply.status, http::StatusCode::NO_CONTENT);
    let mut gone: Vec<String> = ann
        .awaited("resources/unsubscribe", 2)
        .await
        .iter()
        .map(|message| message["params"]["uri"].to_string())
        .collect();
    gone.sort();
    assert_eq!(gone, ["\"file:///a\"", "\"file:///b\""]);
}
