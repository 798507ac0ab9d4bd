//! Requests of the server to clients.

use http::{Method, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::support::{Endpoint, PATIENCE, hold, quick, said, server};

const SAMPLING: &str = "sampling/createMessage";

/// Arguments of the tool that asks the client for something.
fn asking(method: &str) -> Value {
    json!({"method": method, "params": {"messages": [], "maxTokens": 5}})
}

#[tokio::test]
async fn sampling_goes_to_the_client_whose_request_is_the_latest_and_back() {
    let endpoint = Endpoint::start().await;
    let ann = endpoint.session(json!({"sampling": {}})).await;
    let bob = endpoint.session(json!({"sampling": {}})).await;
    let cid = endpoint.session(json!({})).await;
    let _older = hold(&bob, "bob", &json!(1), &json!(1)).await;
    let mut reply = ann.begin("ask", asking(SAMPLING)).await;
    let _newer_but_unable = hold(&cid, "cid", &json!(1), &json!(1)).await;
    assert!(reply.is_stream());
    let asked = reply.next().await.unwrap();
    assert_eq!((&asked["method"], &asked["params"]), (&json!(SAMPLING), &asking(SAMPLING)["params"]));
    // Nobody else can answer it.
    bob.answer(&asked["id"], json!({"role": "intruder"})).await;
    ann.answer(&asked["id"], json!({"role": "assistant", "content": [1.50]})).await;
    let answer = json!({"result": {"role": "assistant", "content": [1.5]}});
    assert_eq!(said(&reply.response().await), answer);
    // An answer that comes twice is taken once.
    ann.answer(&asked["id"], json!({})).await;
    let seen = ann.call("seen", json!({})).await;
    let answers: Vec<_> =
        seen.as_array().unwrap().iter().filter(|message| message["method"].is_null()).collect();
    assert_eq!(answers, [&json!({"jsonrpc": "2.0", "id": 1, "result": answer["result"]})]);
}

#[tokio::test]
async fn a_client_may_refuse() {
    let endpoint = Endpoint::start().await;
    let ann = endpoint.session(json!({"elicitation": {}})).await;
    let mut reply = ann.begin("ask", asking("elicitation/create")).await;
    let asked = reply.next().await.unwrap();
    let error = json!({"code": -1, "message": "User rejected"});
    ann.post(&json!({"jsonrpc": "2.0", "id": asked["id"], "error": error})).await;
    assert_eq!(said(&reply.response().await), json!({"error": error}));
}

#[tokio::test]
async fn a_client_that_does_not_accept_streams_is_asked_on_the_one_that_it_opened() {
    let endpoint = Endpoint::start().await;
    let ann = endpoint.session(json!({"sampling": {}})).await;
    let mut stream = ann.get().await;
    let call = crate::support::call(&json!(1), "ask", asking(SAMPLING), None);
    let request = ann.request(Method::POST).header("content-type", "application/json");
    let request = request.header("accept", "application/json").body(Full::from(call.to_string())).unwrap();
    let (reply, ()) = tokio::join!(ann.send(request), async {
        let asked = stream.next().await.unwrap();
        assert_eq!(asked["method"], SAMPLING);
        ann.answer(&asked["id"], json!({"role": "assistant"})).await;
    });
    assert_eq!(said(&reply.message().await), json!({"result": {"role": "assistant"}}));
}

#[tokio::test]
async fn what_nobody_can_answer_fails() {
    let endpoint = Endpoint::start().await;
    let ann = endpoint.session(json!({"sampling": {}})).await;
    for method in ["elicitation/create", "roots/list", "unheard/of", "nonsense"] {
        let said = ann.call("ask", asking(method)).await;
        assert_eq!(said["error"]["code"], -32601, "{method}");
    }
}

#[tokio::test]
async fn a_ping_of_the_server_is_answered_by_the_bridge() {
    let endpoint = Endpoint::start().await;
    let ann = endpoint.session(json!({})).await;
    assert_eq!(ann.call("ask", json!({"method": "ping"})).await, json!({"result": {}}));
}

#[tokio::test]
async fn a_request_right_after_initialization_waits_for_the_clients_stream() {
    let endpoint = Endpoint::of(server(["--roots"]), {
        let mut options = quick();
        options.stream_grace = PATIENCE;
        options
    })
    .await;
    let ann = endpoint.session(json!({"roots": {}})).await;
    // Another client sees to it that the server has asked.
    endpoint.session(json!({})).await.call("echo", json!({})).await;
    let mut stream = ann.get().await;
    let asked = stream.next().await.unwrap();
    assert_eq!(asked["method"], "roots/list");
    ann.answer(&asked["id"], json!({"roots": []})).await;
}

#[tokio::test]
async fn a_request_to_a_client_that_never_opens_a_stream_fails() {
    let endpoint = Endpoint::of(server(["--roots"]), quick()).await;
    let _ann = endpoint.session(json!({"roots": {}})).await;
    let bob = endpoint.session(json!({})).await;
    let answer = async {
        loop {
            let seen = bob.call("seen", json!({})).await;
            let answer = seen.as_array().unwrap().iter().find(|message| message["method"].is_null()).cloned();
            if let Some(answer) = answer {
                return answer;
            }
        }
    };
    let answer = tokio::time::timeout(PATIENCE, answer).await.unwrap();
    assert_eq!(answer["error"]["code"], -32601);
}

#[tokio::test]
async fn a_client_that_goes_away_cannot_answer_any_more() {
    let endpoint = Endpoint::start().await;
    let ann = endpoint.session(json!({"sampling": {}})).await;
    let bob = endpoint.session(json!({})).await;
    // With its request.
    let mut reply = ann.begin("ask", asking(SAMPLING)).await;
    reply.next().await.unwrap();
    drop(reply);
    let failed = |seen: &Value, count| {
        let failed = seen.as_array().unwrap().iter().filter(|message| message["error"].is_object());
        let messages: Vec<_> = failed.map(|message| message["error"]["message"].clone()).collect();
        assert_eq!(messages, vec![json!("the client went away before it answered"); count]);
    };
    bob.awaited("notifications/cancelled", 1).await;
    // The answer to the server's request is sent by another task than the cancellation.
    let count_failed = async |expected: usize| loop {
        let seen = bob.call("seen", json!({})).await;
        if seen.to_string().matches("went away before").count() >= expected {
            return seen;
        }
    };
    failed(&tokio::time::timeout(PATIENCE, count_failed(1)).await.unwrap(), 1);
    // With its session.
    let mut stream = ann.get().await;
    let call = crate::support::call(&json!(1), "ask", asking(SAMPLING), None);
    let request = ann.request(Method::POST).header("content-type", "application/json");
    let request = request.header("accept", "application/json").body(Full::from(call.to_string())).unwrap();
    let (_, ()) = tokio::join!(ann.send(request), async {
        stream.next().await.unwrap();
        let delete = ann.request(Method::DELETE).body(Full::default()).unwrap();
        assert_eq!(ann.send(delete).await.status, StatusCode::NO_CONTENT);
    });
    failed(&tokio::time::timeout(PATIENCE, count_failed(2)).await.unwrap(), 2);
}

#[tokio::test]
async fn a_request_that_the_server_withdraws_is_withdrawn_at_the_client() {
    let endpoint = Endpoint::start().await;
    let ann = endpoint.session(json!({"sampling": {}})).await;
    let mut arguments = asking(SAMPLING);
    arguments["withdraw"] = json!(true);
    let mut reply = ann.begin("ask", arguments).await;
    let asked = reply.next().await.unwrap();
    let withdrawn = reply.next().await.unwrap();
    assert_eq!(withdrawn["method"], "notifications/cancelled");
    assert_eq!(withdrawn["params"], json!({"requestId": asked["id"], "reason": "changed its mind"}));
    ann.answer(&asked["id"], json!({})).await;
    let seen = ann.call("seen", json!({})).await;
    assert!(
        seen.as_array().unwrap().iter().all(|message| !message["method"].is_null()),
        "it hears no answer"
    );
}
