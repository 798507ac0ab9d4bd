//! The smallest MCP server that real clients accept: it has one tool, and answers each call of it with the same text.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// The result of `tools/call`.
pub(crate) const RESULT: &str = r#"{"content":[{"type":"text","text":"hello"}],"isError":false}"#;
/// The call that the load makes; `id` is for who sends it.
pub(crate) const CALL: &str =
    r#""method":"tools/call","params":{"name":"echo","arguments":{"text":"hello"}}"#;
/// What opens a session, but for its `id`.
pub(crate) const INITIALIZE: &str = r#""method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"thv-bench","version":"1"}}"#;
/// What ends the opening.
pub(crate) const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
/// The revision that [`INITIALIZE`] names.
pub(crate) const VERSION: &str = "2025-11-25";

const TOOLS: &str = r#"{"tools":[{"name":"echo","inputSchema":{"type":"object"}}]}"#;

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Initialize<'a> {
    #[serde(rename = "protocolVersion", borrow)]
    protocol_version: Cow<'a, str>,
}

/// The request `call` under this number.
pub(crate) fn request(id: u64, call: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},{call}}}"#)
}

/// The response to a message, if it is a request.
pub(crate) fn answer(message: &[u8]) -> Option<String> {
    let message: Message<'_> = serde_json::from_slice(message).ok()?;
    let id = message.id?;
    let result = match message.method?.as_ref() {
        "tools/call" => RESULT.into(),
        "tools/list" => TOOLS.into(),
        "ping" => "{}".into(),
        "initialize" => initialized(message.params?)?,
        _ => {
            let error = r#"{"code":-32601,"message":"there is no such method"}"#;
            return Some(format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#));
        }
    };
    Some(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#))
}

/// The client's revision is ours, too.
fn initialized(params: &RawValue) -> Option<Cow<'static, str>> {
    let params: Initialize<'_> = serde_json::from_str(params.get()).ok()?;
    let version = params.protocol_version;
    let result = serde_json::json!({
        "protocolVersion": version,
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "thv-bench", "version": "1"},
    });
    Some(result.to_string().into())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn answered(message: &str) -> Value {
        serde_json::from_str(&answer(message.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn requests_are_answered_under_their_own_ids() {
        let call = answered(&request(7, CALL));
        assert_eq!((&call["id"], &call["result"]["content"][0]["text"]), (&json!(7), &json!("hello")));
        let text_id = answered(r#"{"jsonrpc":"2.0","id":"a\"b","method":"ping"}"#);
        assert_eq!(text_id["id"], "a\"b");
        assert_eq!(answered(&request(1, INITIALIZE))["result"]["protocolVersion"], VERSION);
        assert_eq!(answered(&request(1, r#""method":"resources/list""#))["error"]["code"], -32601);
    }

    #[test]
    fn notifications_and_responses_are_not_answered() {
        assert!(answer(INITIALIZED.as_bytes()).is_none());
        assert!(answer(br#"{"jsonrpc":"2.0","id":1,"result":{}}"#).is_none());
        assert!(answer(b"no message").is_none());
    }
}
