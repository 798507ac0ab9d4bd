//! JSON-RPC 2.0 messages, read no deeper than the bridge needs and written around what is passed on untouched.

use std::fmt;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use thv_mcp::error_code;

/// The id of a request, in the very spelling of its sender: a number or a string.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Id(Box<str>);

impl Id {
    fn from_raw(raw: &RawValue) -> Option<Self> {
        let first = raw.get().bytes().next()?;
        matches!(first, b'"' | b'-' | b'0'..=b'9').then(|| Self(raw.get().into()))
    }

    /// As JSON.
    pub(crate) fn as_json(&self) -> &str {
        &self.0
    }

    /// The number that the bridge gave to a request.
    pub(crate) fn as_u64(&self) -> Option<u64> {
        self.0.parse().ok()
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One message.
#[derive(Debug)]
pub(crate) enum Message<'a> {
    Request { id: Id, method: String, params: Option<&'a str> },
    Notification { method: String, params: Option<&'a str> },
    Response { id: Id, outcome: Result<&'a str, &'a str> },
}

/// Why text is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("the text is not JSON")]
    NotJson,
    #[error("a batch of messages is not accepted: send each message by itself")]
    Batch,
    #[error("the JSON is no JSON-RPC 2.0 message: {0}")]
    NotJsonRpc(&'static str),
}

#[derive(Deserialize)]
struct Members<'a> {
    jsonrpc: Option<String>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    method: Option<String>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

/// A member that is there, be it `null`.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl<'a> Message<'a> {
    /// Reads one message.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub(crate) fn parse(text: &'a [u8]) -> Result<Self, Malformed> {
        if text.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
            return Err(Malformed::Batch);
        }
        let members: Members<'a> = serde_json::from_slice(text).map_err(|error| {
            if error.is_data() {
                Malformed::NotJsonRpc("a member is repeated or of the wrong type")
            } else {
                Malformed::NotJson
            }
        })?;
        Self::from_members(members).map_err(Malformed::NotJsonRpc)
    }

    fn from_members(members: Members<'a>) -> Result<Self, &'static str> {
        if members.jsonrpc.as_deref() != Some("2.0") {
            return Err("\"jsonrpc\" is not \"2.0\"");
        }
        let params = members.params.map(RawValue::get);
        if params.is_some_and(|params| !params.starts_with('{')) {
            return Err("\"params\" is not an object");
        }
        let id = members
            .id
            .map(|id| Id::from_raw(id).ok_or("\"id\" is neither a number nor a string"))
            .transpose()?;
        match (members.method, id, members.result, members.error) {
            (Some(method), Some(id), None, None) => Ok(Self::Request { id, method, params }),
            (Some(method), None, None, None) => Ok(Self::Notification { method, params }),
            (None, Some(id), Some(result), None) => Ok(Self::Response { id, outcome: Ok(result.get()) }),
            (None, Some(id), None, Some(error)) => Ok(Self::Response { id, outcome: Err(error.get()) }),
            (None, None, _, _) => Err("it has neither a method nor an id"),
            _ => Err("it is neither a request, nor a notification, nor a response"),
        }
    }
}

/// The messages of a batch, which servers of revision 2025-03-26 may send.
pub(crate) fn batch(text: &[u8]) -> Option<Vec<&RawValue>> {
    serde_json::from_slice(text).ok()
}

/// A request. `id` and `params` are JSON.
pub(crate) fn request(id: u64, method: &str, params: Option<&str>) -> Vec<u8> {
    call(Some(&id.to_string()), method, params)
}

/// A notification. `params` is JSON.
pub(crate) fn notification(method: &str, params: Option<&str>) -> Vec<u8> {
    call(None, method, params)
}

fn call(id: Option<&str>, method: &str, params: Option<&str>) -> Vec<u8> {
    let mut text = Vec::with_capacity(64 + method.len() + params.map_or(0, str::len));
    text.extend_from_slice(b"{\"jsonrpc\":\"2.0\"");
    if let Some(id) = id {
        member(&mut text, "id", id.as_bytes());
    }
    member(&mut text, "method", string(method).as_bytes());
    if let Some(params) = params {
        member(&mut text, "params", params.as_bytes());
    }
    text.push(b'}');
    text
}

/// The response to a request with this id, which is JSON.
pub(crate) fn response<T: AsRef<[u8]>>(id: &str, outcome: Result<T, T>) -> Vec<u8> {
    let (name, value) = match &outcome {
        Ok(result) => ("result", result.as_ref()),
        Err(error) => ("error", error.as_ref()),
    };
    let mut text = Vec::with_capacity(48 + id.len() + value.len());
    text.extend_from_slice(b"{\"jsonrpc\":\"2.0\"");
    member(&mut text, "id", id.as_bytes());
    member(&mut text, name, value);
    text.push(b'}');
    text
}

fn member(text: &mut Vec<u8>, name: &str, json: &[u8]) {
    for piece in [b",\"", name.as_bytes(), b"\":", json] {
        text.extend_from_slice(piece);
    }
}

/// An error object. `data` is JSON.
pub(crate) fn error(code: i64, message: &str, data: Option<&str>) -> String {
    let data = data.map(|data| format!(",\"data\":{data}")).unwrap_or_default();
    format!("{{\"code\":{code},\"message\":{}{data}}}", string(message))
}

/// An error object with code -32603.
pub(crate) fn internal_error(message: &str) -> String {
    error(error_code::INTERNAL_ERROR, message, None)
}

/// A JSON string.
pub(crate) fn string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The code of an error object.
pub(crate) fn code(error: &str) -> Option<i64> {
    #[derive(Deserialize)]
    struct Code {
        code: i64,
    }
    serde_json::from_str::<Code>(error).ok().map(|error| error.code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_kinds_of_messages_are_told_apart() {
        let parse = |text: &'static str| format!("{:?}", Message::parse(text.as_bytes()).unwrap());
        let table = [
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{ "b":1 }}"#,
                r#"Request { id: 1, method: "a", params: Some("{ \"b\":1 }") }"#,
            ),
            (
                r#" {"id":"1","method":"a","jsonrpc":"2.0"} "#,
                r#"Request { id: "1", method: "a", params: None }"#,
            ),
            (r#"{"jsonrpc":"2.0","method":"a"}"#, r#"Notification { method: "a", params: None }"#),
            (r#"{"jsonrpc":"2.0","id":1,"result":null}"#, r#"Response { id: 1, outcome: Ok("null") }"#),
            (r#"{"jsonrpc":"2.0","id":1,"error":{}}"#, r#"Response { id: 1, outcome: Err("{}") }"#),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text), expected);
        }
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let table = [
            ("", Malformed::NotJson),
            ("{\"jsonrpc\":\"2.0\",\"method\":\"a\"", Malformed::NotJson),
            (" [ ]", Malformed::Batch),
            ("1", Malformed::NotJsonRpc("a member is repeated or of the wrong type")),
            (
                r#"{"jsonrpc":"2.0","method":"a","method":"b"}"#,
                Malformed::NotJsonRpc("a member is repeated or of the wrong type"),
            ),
            (r#"{"jsonrpc":"1.0","method":"a"}"#, Malformed::NotJsonRpc("\"jsonrpc\" is not \"2.0\"")),
            (
                r#"{"jsonrpc":"2.0","id":null,"method":"a"}"#,
                Malformed::NotJsonRpc("\"id\" is neither a number nor a string"),
            ),
            (
                r#"{"jsonrpc":"2.0","method":"a","params":[]}"#,
                Malformed::NotJsonRpc("\"params\" is not an object"),
            ),
            (r#"{"jsonrpc":"2.0"}"#, Malformed::NotJsonRpc("it has neither a method nor an id")),
            (
                r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#,
                Malformed::NotJsonRpc("it is neither a request, nor a notification, nor a response"),
            ),
        ];
        for (text, expected) in table {
            assert_eq!(Message::parse(text.as_bytes()).unwrap_err(), expected, "{text}");
        }
        assert_eq!(
            Message::parse(b"{\"jsonrpc\":\"2.0\",\"method\":\"\xff\"}").unwrap_err(),
            Malformed::NotJson
        );
    }

    #[test]
    fn messages_are_written_around_what_they_carry() {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        assert_eq!(
            text(request(7, "a\"b", Some(r#"{"x": 1}"#))),
            r#"{"jsonrpc":"2.0","id":7,"method":"a\"b","params":{"x": 1}}"#
        );
        assert_eq!(text(notification("a", None)), r#"{"jsonrpc":"2.0","method":"a"}"#);
        assert_eq!(text(response(r#""q""#, Ok("{}"))), r#"{"jsonrpc":"2.0","id":"q","result":{}}"#);
        let refused = error(-32_601, "no", Some("[1]"));
        assert_eq!(
            text(response("1", Err(refused.as_str()))),
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no","data":[1]}}"#
        );
        assert_eq!(code(&refused), Some(-32_601));
    }
}
