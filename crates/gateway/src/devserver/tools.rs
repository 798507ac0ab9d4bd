use std::time::Duration;

use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderName};
use rmcp::model::{
    CallToolResult, ContentBlock, JsonObject, ProgressNotificationParam, ProgressToken, Tool, ToolAnnotations,
};
use rmcp::service::{RequestContext, RoleServer};
use serde_json::{Value, json};
use thv_jose::digest::sha256;

/// Longest countdown, in steps.
const MOST_STEPS: u64 = 1000;
/// Longest pause between two steps, in milliseconds.
const LONGEST_PAUSE: u64 = 10_000;
/// Pause between two steps unless told otherwise, in milliseconds.
const DEFAULT_PAUSE: u64 = 200;

/// The tools as `tools/list` shows them.
pub(super) fn all() -> Vec<Tool> {
    let read_only = || ToolAnnotations::new().read_only(true).open_world(false);
    let tool = |name, description, schema: Value| {
        let schema = schema.as_object().cloned().unwrap_or_default();
        Tool::new(name, description, schema).annotate(read_only())
    };
    vec![
        tool(
            "whoami",
            "Shows who the gateway says is calling, and which upstream credential arrived (never the credential).",
            json!({"type": "object", "properties": {}}),
        ),
        tool(
            "echo",
            "Answers with the text it is given.",
            json!({
                "type": "object",
                "properties": {"text": {"type": "string", "description": "What to say"}},
                "required": ["text"],
            }),
        ),
        tool(
            "countdown",
            "Counts down to zero and reports progress at each step.",
            json!({
                "type": "object",
                "properties": {
                    "from": {
                        "type": "integer", "minimum": 0, "maximum": MOST_STEPS, "default": 5,
                        "description": "Where to start",
                    },
                    "intervalMs": {
                        "type": "integer", "minimum": 0, "maximum": LONGEST_PAUSE, "default": DEFAULT_PAUSE,
                        "description": "Milliseconds between two steps",
                    },
                },
            }),
        ),
    ]
}

/// What the gateway says about the caller, and which credential it put into the request.
pub(super) fn whoami(
    context: &RequestContext<RoleServer>,
    credential_header: Option<&HeaderName>,
) -> CallToolResult {
    let empty = HeaderMap::new();
    let headers = context.extensions.get::<http::request::Parts>().map_or(&empty, |parts| &parts.headers);
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let credential = [Some(&AUTHORIZATION), credential_header]
        .into_iter()
        .flatten()
        .find_map(|name| headers.get(name).map(|value| fingerprint(name, value.as_bytes())));
    result(json!({
        "subject": text("x-thv-subject"),
        "clientId": text("x-thv-client-id"),
        "scopes": text("x-thv-scope").map(|scope| scope.split(' ').collect::<Vec<_>>()),
        "upstreamCredential": credential,
    }))
}

/// Enough to tell credentials apart, too little to use one.
fn fingerprint(header: &HeaderName, value: &[u8]) -> Value {
    let (scheme, secret) = match value.iter().position(|byte| *byte == b' ') {
        Some(space) => {
            let (scheme, rest) = value.split_at(space);
            (Some(String::from_utf8_lossy(scheme).into_owned()), rest.trim_ascii())
        }
        None => (None, value),
    };
    let hash: String = sha256(secret).iter().map(|byte| format!("{byte:02x}")).collect();
    json!({"header": header.as_str(), "scheme": scheme, "length": secret.len(), "sha256": hash})
}

pub(super) fn echo(arguments: &JsonObject) -> CallToolResult {
    match arguments.get("text").and_then(Value::as_str) {
        Some(text) => CallToolResult::success(vec![ContentBlock::text(text)]),
        None => CallToolResult::error(vec![ContentBlock::text("`text` must be a string")]),
    }
}

/// Counts down, with a progress notification at each step when the caller asked for them. Stops when the caller leaves.
pub(super) async fn countdown(
    arguments: &JsonObject,
    context: &RequestContext<RoleServer>,
) -> CallToolResult {
    let number = |name, default, most| match arguments.get(name) {
        None | Some(Value::Null) => Some(default),
        Some(value) => value.as_u64().filter(|number| *number <= most),
    };
    let (Some(from), Some(pause)) =
        (number("from", 5, MOST_STEPS), number("intervalMs", DEFAULT_PAUSE, LONGEST_PAUSE))
    else {
        let bounds = format!("`from` must be 0 to {MOST_STEPS}, `intervalMs` 0 to {LONGEST_PAUSE}");
        return CallToolResult::error(vec![ContentBlock::text(bounds)]);
    };
    let token = context.meta.get_progress_token();
    for left in (0..=from).rev() {
        if let Some(token) = token.clone()
            && context.peer.notify_progress(progress(token, from, left)).await.is_err()
        {
            break;
        }
        let pause = tokio::time::sleep(Duration::from_millis(if left == 0 { 0 } else { pause }));
        if context.ct.run_until_cancelled(pause).await.is_none() {
            return CallToolResult::error(vec![ContentBlock::text(format!("cancelled at {left}"))]);
        }
    }
    CallToolResult::success(vec![ContentBlock::text(format!("counted down from {from}"))])
}

#[expect(clippy::cast_precision_loss, reason = "at most a thousand steps")]
fn progress(token: ProgressToken, from: u64, left: u64) -> ProgressNotificationParam {
    ProgressNotificationParam::new(token, (from - left) as f64)
        .with_total(from as f64)
        .with_message(left.to_string())
}

fn result(value: Value) -> CallToolResult {
    CallToolResult::structured(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o6_a_credential_is_shown_only_as_scheme_length_and_digest() {
        let shown = fingerprint(&AUTHORIZATION, b"Bearer s3cret-value");
        assert_eq!(shown["scheme"], "Bearer");
        assert_eq!(shown["length"], 12);
        assert_eq!(shown["sha256"].as_str().unwrap().len(), 64);
        assert!(!shown.to_string().contains("s3cret"));
    }

    #[test]
    fn a_bare_credential_has_no_scheme() {
        let header = HeaderName::from_static("x-api-key");
        let shown = fingerprint(&header, b"s3cret");
        assert_eq!(shown["scheme"], Value::Null);
        assert_eq!(shown["header"], "x-api-key");
        assert_eq!(shown["length"], 6);
    }

    #[test]
    fn every_tool_takes_an_object() {
        for tool in all() {
            assert_eq!(tool.input_schema["type"], "object", "{}", tool.name);
        }
    }
}
