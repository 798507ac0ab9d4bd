//! Clients of revision 2026-07-28.

use http::{Method, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::support::{Client, Endpoint, PATIENCE, Reply, quick, said, server};

const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

/// A request with its envelope, and the headers that go with it.
async fn send(client: &Client, id: Value, method: &str, mut params: Value, capabilities: Value) -> Reply {
    if params["_meta"].is_null() {
        params["_meta"] = json!({});
    }
    params["_meta"][VERSION] = json!("2026-07-28");
    params["_meta"][CAPABILITIES] = capabilities;
    let mut request = client.request(Method::POST).header("content-type", "application/json");
    request = request.header("accept", "application/json, text/event-stream");
    request = request.header("mcp-protocol-version", "2026-07-28").header("mcp-method", method);
    if let Some(name) = params["name"].as_str().or(params["uri"].as_str()) {
        request = request.header("mcp-name", name);
    }
    let body = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
    client.send(request.body(Full::from(body.to_string())).unwrap()).await
}

async fn call(client: &Client, tool: &str, arguments: Value) -> Reply {
    send(
        client,
        json!(1),
        "tools/call",
        json!({"name": tool, "arguments": arguments}),
        json!({"elicitation": {}}),
    )
    .await
}

#[tokio::test]
async fn the_server_is_initialized_in_the_name_of_the_first_client() {
    let endpoint = Endpoint::start().await;
    let client = endpoint.client();
    let mut params = json!({"name": "echo", "arguments": {"a": 1}});
    params["_meta"] = json!({
        "io.modelcontextprotocol/clientInfo": {"name": "modern", "version": "3"},
        "io.modelcontextprotocol/logLevel": "info",
        "progressToken": "p",
        "traceparent": "00-x",
    });
    let reply = send(&client, json!("one"), "tools/call", params, json!({"elicitation": {}})).await;
    assert_eq!((reply.status, reply.headers.get("mcp-session-id")), (StatusCode::OK, None));
    let message = reply.message().await;
    assert_eq!((&message["id"], &message["result"]["resultType"]), (&json!("one"), &json!("complete")));
    assert_eq!(message["result"]["_meta"][SERVER_INFO]["name"], "test-server");
    // What belongs to this revision does not reach a server of another.
    let echo = said(&message);
    assert_eq!(echo["meta"], json!({"progressToken": echo["id"], "traceparent": "00-x"}));

    let seen = said(&call(&client, "seen", json!({})).await.message().await);
    assert_eq!(seen[0]["method"], "initialize");
    assert_eq!(
        seen[0]["params"],
        json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {"elicitation": {}, "roots": {}, "sampling": {}},
            "clientInfo": {"name": "modern", "version": "3"},
        })
    );
    assert_eq!(seen[1]["method"], "notifications/initialized");
}

#[tokio::test]
async fn discovery_tells_what_the_server_said_of_itself() {
    let endpoint = Endpoint::start().await;
    let message =
        send(&endpoint.client(), json!(1), "server/discover", json!({}), json!({})).await.message().await;
    let result = &message["result"];
    assert_eq!(result["supportedVersions"], json!(["2026-07-28"]));
    assert_eq!(result["instructions"], "Be \"nice\".");
    assert_eq!(result["capabilities"]["resources"], json!({"listChanged": true, "subscribe": true}));
    assert_eq!(result["capabilities"].get("tasks"), None, "they are others in this revision");
    assert_eq!((&result["ttlMs"], &result["cacheScope"]), (&json!(0), &json!("private")));
    assert_eq!(result["_meta"][SERVER_INFO]["version"], "1");
}

#[tokio::test]
async fn both_families_of_revisions_are_served_at_once() {
    let endpoint = Endpoint::start().await;
    let older = endpoint.session(json!({"sampling": {}})).await;
    let newer = endpoint.client();
    let held = crate::support::hold(&older, "k", &json!(1), &json!("t")).await;
    let mut params = json!({"name": "progress", "arguments": {"steps": 2, "text": "new"}});
    params["_meta"] = json!({"progressToken": "t"});
    let mut reply = send(&newer, json!(1), "tools/call", params, json!({})).await;
    for step in 0..2 {
        let progress = reply.next().await.unwrap();
        assert_eq!(progress["params"], json!({"progressToken": "t", "progress": step, "message": "new"}));
    }
    assert_eq!(said(&reply.next().await.unwrap()), "new");
    assert_eq!(said(&call(&newer, "release", json!({"key": "k"})).await.message().await), "released");
    assert_eq!(said(&held.response().await), "k");
    let seen = older.call("seen", json!({})).await;
    assert_eq!(seen.to_string().matches("\"initialize\"").count(), 1);
}

#[tokio::test]
async fn errors_have_the_revisions_statuses() {
    let endpoint = Endpoint::start().await;
    let client = endpoint.client();
    let error = async |method: &str, params: Value| {
        let reply = send(&client, json!(1), method, params, json!({})).await;
        let status = reply.status.as_u16();
        let message = reply.message().await;
        (status, message["error"]["code"].as_i64().unwrap())
    };
    assert_eq!(error("no/such", json!({})).await, (404, -32601));
    assert_eq!(error("resources/read", json!({"uri": "file:///x"})).await, (200, -32602));
    for removed in ["initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"]
    {
        assert_eq!(error(removed, json!({"uri": "x"})).await, (404, -32601), "{removed}");
    }
    let refuse = |code: i64| json!({"name": "refuse", "arguments": {"code": code}});
    assert_eq!(error("tools/call", refuse(-32021)).await, (400, -32021));
    assert_eq!(error("tools/call", refuse(5)).await, (200, 5));
}

#[tokio::test]
async fn headers_and_bodies_that_disagree_are_refused() {
    let endpoint = Endpoint::start().await;
    let client = endpoint.client();
    let envelope = json!({VERSION: "2026-07-28", CAPABILITIES: {}});
    let unknown = json!({VERSION: "2099-01-01", CAPABILITIES: {}});
    let version = ("mcp-protocol-version", "2026-07-28");
    let method = ("mcp-method", "tools/list");
    type Headers<'a> = &'a [(&'static str, &'static str)];
    let table: [(Headers<'_>, &str, &Value, i64); 9] = [
        (&[method], "tools/list", &envelope, -32020),
        (&[version], "tools/list", &envelope, -32020),
        (&[version, method], "tools/call", &envelope, -32020),
        (&[("mcp-protocol-version", "2025-11-25"), method], "tools/list", &envelope, -32020),
        (&[version, method], "tools/list", &unknown, -32020),
        (&[("mcp-protocol-version", "2099-01-01"), method], "tools/list", &unknown, -32022),
        (&[version, method], "tools/list", &json!({}), -32602),
        (&[version, method], "tools/list", &json!({VERSION: "2026-07-28"}), -32602),
        (&[version], "initialize", &json!({}), -32020),
    ];
    for (headers, method, meta, code) in table {
        let body = json!({"jsonrpc": "2.0", "id": "q", "method": method, "params": {"_meta": meta}});
        let mut request = client.request(Method::POST).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let reply = client.send(request.body(Full::from(body.to_string())).unwrap()).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{headers:?} {meta}");
        let message = reply.message().await;
        assert_eq!(
            (&message["id"], &message["error"]["code"]),
            (&json!("q"), &json!(code)),
            "{headers:?} {meta}"
        );
        if code == -32022 {
            assert_eq!(
                message["error"]["data"],
                json!({"supported": ["2026-07-28"], "requested": "2099-01-01"})
            );
        }
    }
    // The revision has neither streams of a session's own nor sessions.
    for http_method in [Method::GET, Method::DELETE] {
        let request = client.request(http_method).header("mcp-protocol-version", "2026-07-28");
        let reply = client.send(request.body(Full::default()).unwrap()).await;
        assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED);
    }
}

#[tokio::test]
async fn a_request_of_the_server_becomes_a_result_that_asks_for_input() {
    let endpoint = Endpoint::start().await;
    let client = endpoint.client();
    // The server asks twice within one call.
    let second = json!({"name": "ask", "arguments": {"method": "elicitation/create", "params": {"message": "again?"}}});
    let arguments = json!({"method": "elicitation/create", "params": {"message": "who?"}, "then": second});
    let mut params = json!({"name": "ask", "arguments": arguments});
    let retry = async |id: i64, params: &Value| {
        let reply = send(&client, json!(id), "tools/call", params.clone(), json!({"elicitation": {}})).await;
        let message = reply.message().await;
        assert_eq!(message["id"], id);
        message["result"].clone()
    };
    let mut answered = |result: &Value, content: Value| {
        let (name, question) = result["inputRequests"].as_object().unwrap().iter().next().unwrap();
        params["requestState"] = result["requestState"].clone();
        params["inputResponses"] = json!({name: {"action": "accept", "content": content}});
        (question.clone(), params.clone())
    };
    let first = retry(1, &json!({"name": "ask", "arguments": arguments})).await;
    assert_eq!(first["resultType"], "input_required");
    let (question, params) = answered(&first, json!({"name": "x"}));
    assert_eq!(question, json!({"method": "elicitation/create", "params": {"message": "who?"}}));

    // Without the answer it is asked again.
    let mut empty = params.clone();
    empty["inputResponses"] = json!({});
    let again = retry(2, &empty).await;
    assert_eq!(again["inputRequests"], first["inputRequests"]);
    assert_ne!(again["requestState"], first["requestState"]);
    let (_, params) = answered(&again, json!({"name": "x"}));

    let next = retry(3, &params).await;
    let (question, params) = answered(&next, json!({"sure": true}));
    assert_eq!(question["params"]["message"], "again?");
    let last = retry(4, &params).await;
    assert_eq!(last["resultType"], "complete");
    let said: Value = serde_json::from_str(last["content"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(said, json!({"result": {"action": "accept", "content": {"sure": true}}}));

    // A state is good for once.
    let reply = send(&client, json!(5), "tools/call", params, json!({})).await;
    assert_eq!(reply.message().await["error"]["code"], -32602);
}

#[tokio::test]
async fn what_the_server_asks_at_once_is_asked_at_once() {
    let endpoint = Endpoint::start().await;
    let client = endpoint.client();
    let requests =
        json!([{"method": "elicitation/create", "params": {"message": "a"}}, {"method": "roots/list"}]);
    let mut params = json!({"name": "ask_all", "arguments": {"requests": requests}});
    let able = json!({"elicitation": {}, "roots": {}});
    let result = send(&client, json!(1), "tools/call", params.clone(), able.clone()).await.message().await;
    let questions = result["result"]["inputRequests"].as_object().unwrap().clone();
    let asked: Vec<&Value> = questions.values().collect();
    assert_eq!(json!(asked), requests);
    // A part of the answers is not enough.
    let mut ids = questions.keys();
    params["requestState"] = result["result"]["requestState"].clone();
    params["inputResponses"] = json!({ids.next().unwrap(): {"action": "decline"}});
    let result = send(&client, json!(2), "tools/call", params.clone(), able.clone()).await.message().await;
    let missing = ids.next().unwrap();
    assert_eq!(result["result"]["inputRequests"], json!({missing: {"method": "roots/list"}}));
    params["requestState"] = result["result"]["requestState"].clone();
    params["inputResponses"] = json!({missing: {"roots": []}});
    let result = send(&client, json!(3), "tools/call", params, able).await.message().await;
    assert_eq!(said(&result), json!([{"action": "decline"}, {"roots": []}]));
}

#[tokio::test]
async fn a_request_whose_client_does_not_come_back_is_cancelled() {
    let mut options = quick();
    options.input_timeout = std::time::Duration::from_millis(50);
    let endpoint = Endpoint::of(server([]), options).await;
    let client = endpoint.client();
    let reply = call(&client, "ask", json!({"method": "elicitation/create"})).await;
    assert_eq!(reply.message().await["result"]["resultType"], "input_required");
    let cancelled = call(&client, "await", json!({"method": "notifications/cancelled"})).await;
    assert_eq!(said(&cancelled.response().await)[0]["params"]["reason"], "the client went away");
}

#[tokio::test]
async fn a_client_is_not_asked_for_what_it_did_not_declare() {
    let endpoint = Endpoint::start().await;
    let reply = call(&endpoint.client(), "ask", json!({"method": "sampling/createMessage"})).await;
    assert_eq!(said(&reply.message().await)["error"]["code"], -32601);
}

#[tokio::test]
async fn hanging_up_cancels_the_request() {
    let endpoint = Endpoint::start().await;
    let client = endpoint.client();
    let mut params = json!({"name": "hold", "arguments": {"key": "k"}});
    params["_meta"] = json!({"progressToken": 1});
    let mut reply = send(&client, json!(1), "tools/call", params, json!({})).await;
    reply.next().await.unwrap();
    drop(reply);
    let cancelled = call(&client, "await", json!({"method": "notifications/cancelled"})).await;
    assert_eq!(said(&cancelled.response().await).as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_listening_client_gets_what_it_asked_for_and_nothing_else() {
    let endpoint = Endpoint::start().await;
    let client = endpoint.client();
    let filter = json!({"toolsListChanged": true, "resourceSubscriptions": ["file:///a"]});
    let params = json!({"notifications": filter});
    let mut stream = send(&client, json!("sub"), "subscriptions/listen", params, json!({})).await;
    let acknowledged = stream.next().await.unwrap();
    assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged");
    assert_eq!(acknowledged["params"], json!({"_meta": {SUBSCRIPTION: "sub"}, "notifications": filter}));

    let update = |uri: &str| json!({"method": "notifications/resources/updated", "params": {"uri": uri}});
    let notifications = json!([
        {"method": "notifications/prompts/list_changed"},
        {"method": "notifications/message", "params": {"level": "info", "data": "x"}},
        update("file:///b"),
        update("file:///a"),
        {"method": "notifications/tools/list_changed"},
    ]);
    call(&client, "notify", json!({"notifications": notifications})).await;
    let updated = stream.next().await.unwrap();
    assert_eq!(updated["params"], json!({"_meta": {SUBSCRIPTION: "sub"}, "uri": "file:///a"}));
    let changed = stream.next().await.unwrap();
    assert_eq!(changed["method"], "notifications/tools/list_changed");

    // It outlives the server, which is subscribed to again.
    call(&client, "die", json!({})).await;
    assert_eq!(stream.next().await.unwrap()["method"], "notifications/resources/updated");
    assert_eq!(stream.next().await.unwrap()["method"], "notifications/tools/list_changed");
    let seen = said(&call(&client, "seen", json!({})).await.message().await);
    assert!(seen.to_string().contains("resources/subscribe"));

    // Hanging up ends the subscription.
    drop(stream);
    let gone = call(&client, "await", json!({"method": "resources/unsubscribe"})).await;
    assert_eq!(said(&gone.response().await)[0]["params"]["uri"], "file:///a");
}

#[tokio::test]
async fn a_stream_that_the_bridge_ends_says_so() {
    let endpoint = Endpoint::start().await;
    let client = endpoint.client();
    let listen = async |filter: Value| {
        send(&client, json!(7), "subscriptions/listen", json!({"notifications": filter}), json!({})).await
    };
    let complete = json!({"resultType": "complete", "_meta": {SUBSCRIPTION: 7}});
    // There is nothing to wait for.
    let mut empty = listen(json!({})).await;
    assert_eq!(empty.next().await.unwrap()["params"]["notifications"], json!({}));
    assert_eq!(empty.next().await.unwrap()["result"], complete);
    assert_eq!(empty.next().await, None);
    let mut stream = listen(json!({"toolsListChanged": true})).await;
    stream.next().await.unwrap();
    tokio::time::timeout(PATIENCE, endpoint.bridge.stop()).await.unwrap();
    assert_eq!(stream.next().await.unwrap()["result"], complete);
    assert_eq!(stream.next().await, None);
    let reply = send(&client, json!(1), "subscriptions/listen", json!({}), json!({})).await;
    assert_eq!(reply.message().await["error"]["message"], "the MCP server was stopped");
}
