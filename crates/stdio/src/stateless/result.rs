//! Results and errors of an older server, as revision 2026-07-28 has them.

use bytes::Bytes;
use http::StatusCode;
use thv_mcp::{error_code, meta, method};

use crate::edit;
use crate::handshake::Initialized;
use crate::jsonrpc;
use crate::stateless::REVISION;

/// Methods whose results say how long they may be cached.
const CACHEABLE: [&str; 6] = [
    method::DISCOVER,
    method::TOOLS_LIST,
    method::PROMPTS_LIST,
    method::RESOURCES_LIST,
    method::RESOURCES_TEMPLATES_LIST,
    method::RESOURCES_READ,
];

/// A result, with all that the revision asks of it. One that has a `resultType` comes from somebody who knows the revision,
/// and gets no more than the server's name.
pub(crate) fn complete(method: &str, result: &str, server_info: Option<&str>) -> String {
    let own = edit::members(result);
    let mut added = Vec::new();
    if !own.contains_key("resultType") {
        added.push(("resultType", "\"complete\""));
        if CACHEABLE.contains(&method) {
            // Nothing is known of how long it holds, or whom it may be shown to.
            let hints = [("ttlMs", "0"), ("cacheScope", "\"private\"")];
            added.extend(hints.into_iter().filter(|(name, _)| !own.contains_key(*name)));
        }
    }
    let Some(server_info) = server_info else { return edit::insert(result, added) };
    let info = [(meta::SERVER_INFO, server_info)];
    match own.get("_meta").map(|meta| meta.get()) {
        Some(meta) if edit::members(meta).contains_key(meta::SERVER_INFO) => edit::insert(result, added),
        Some(meta) => edit::insert(&edit::replace(result, meta, &edit::insert(meta, info)), added),
        None => {
            let meta = edit::object(info);
            added.push(("_meta", &meta));
            edit::insert(result, added)
        }
    }
}

/// An error object and the HTTP status that goes with it.
pub(crate) fn error(error: Bytes) -> (StatusCode, Bytes) {
    let text = std::str::from_utf8(&error).unwrap_or_default();
    match jsonrpc::code(text) {
        Some(error_code::METHOD_NOT_FOUND) => (StatusCode::NOT_FOUND, error),
        Some(
            error_code::HEADER_MISMATCH
            | error_code::MISSING_CLIENT_CAPABILITY
            | error_code::UNSUPPORTED_PROTOCOL_VERSION,
        ) => (StatusCode::BAD_REQUEST, error),
        // The revision has given this code up.
        Some(error_code::RESOURCE_NOT_FOUND) => {
            let code = edit::members(text).get("code").map(|code| code.get());
            let invalid_params = error_code::INVALID_PARAMS.to_string();
            let replaced = code.map(|code| edit::replace(text, code, &invalid_params));
            (StatusCode::OK, replaced.map_or_else(|| error.clone(), Bytes::from))
        }
        _ => (StatusCode::OK, error),
    }
}

/// The result of `server/discover`, out of what the server answered to `initialize`.
pub(crate) fn discover(initialized: &Initialized) -> String {
    let mut capabilities = edit::members(&initialized.capabilities);
    // Tasks are an extension in this revision, and another one than those of revision 2025-11-25. Log messages would have to
    // go to the request that they belong to, which the server does not tell.
    capabilities.retain(|name, _| name != "tasks" && name != "logging");
    let capabilities = edit::object(capabilities.iter().map(|(name, value)| (name.as_str(), value.get())));
    let versions = format!("[{}]", jsonrpc::string(REVISION.as_str()));
    let always = [("supportedVersions", versions.as_str()), ("capabilities", capabilities.as_str())];
    let instructions = initialized.instructions.as_deref().map(|instructions| ("instructions", instructions));
    edit::object(always.into_iter().chain(instructions))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_get_what_they_lack() {
        let info = Some(r#"{"name":"s"}"#);
        let table = [
            ("tools/call", r#"{"content":[]}"#, None, r#"{"resultType":"complete","content":[]}"#),
            (
                "tools/call",
                "{}",
                info,
                r#"{"resultType":"complete","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s"}}}"#,
            ),
            (
                "tools/list",
                r#"{"tools":[],"_meta":{"a":1}}"#,
                info,
                r#"{"resultType":"complete","ttlMs":0,"cacheScope":"private","tools":[],"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s"},"a":1}}"#,
            ),
            (
                "resources/read",
                r#"{"ttlMs":5,"_meta":{"io.modelcontextprotocol/serverInfo":{}}}"#,
                info,
                r#"{"resultType":"complete","cacheScope":"private","ttlMs":5,"_meta":{"io.modelcontextprotocol/serverInfo":{}}}"#,
            ),
            (
                "resources/read",
                r#"{"resultType":"input_required"}"#,
                None,
                r#"{"resultType":"input_required"}"#,
            ),
        ];
        for (method, result, info, expected) in table {
            assert_eq!(complete(method, result, info), expected);
        }
    }

    #[test]
    fn errors_have_the_revisions_codes_and_statuses() {
        let table = [
            (r#"{"code":-32601,"message":"x"}"#, 404, r#"{"code":-32601,"message":"x"}"#),
            (r#"{"code":-32021,"message":"x"}"#, 400, r#"{"code":-32021,"message":"x"}"#),
            (r#"{"message":"-32002","code": -32002}"#, 200, r#"{"message":"-32002","code": -32602}"#),
            (r#"{"code":-32603,"message":"x"}"#, 200, r#"{"code":-32603,"message":"x"}"#),
            ("[]", 200, "[]"),
        ];
        for (given, status, expected) in table {
            let (got, text) = error(Bytes::from_static(given.as_bytes()));
            assert_eq!((got.as_u16(), text.as_ref()), (status, expected.as_bytes()));
        }
    }
}
