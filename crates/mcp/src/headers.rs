//! Header fields of the Streamable HTTP transport.

use http::HeaderName;

/// Names the session that an `initialize` opened (revisions up to 2025-11-25).
pub const MCP_SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");

/// The protocol revision that a request speaks (since 2025-06-18).
pub const MCP_PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");

/// The JSON-RPC method of the body, repeated for intermediaries (since 2026-07-28, PX-3).
pub const MCP_METHOD: HeaderName = HeaderName::from_static("mcp-method");

/// The tool, prompt or resource that the body names, repeated for intermediaries (since 2026-07-28, PX-3).
pub const MCP_NAME: HeaderName = HeaderName::from_static("mcp-name");

/// Where a broken event stream is to be resumed (Server-Sent Events).
pub const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// What a browser-based client may send cross-origin: the value of `Access-Control-Allow-Headers`.
pub const CORS_REQUEST_HEADERS: &str = "authorization, content-type, accept, last-event-id, mcp-session-id, \
     mcp-protocol-version, mcp-method, mcp-name";

/// What a browser-based client may read cross-origin: the value of `Access-Control-Expose-Headers`.
pub const CORS_RESPONSE_HEADERS: &str = "mcp-session-id, mcp-protocol-version, www-authenticate";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_header_a_client_sends_is_allowed_cross_origin() {
        let allowed: Vec<&str> = CORS_REQUEST_HEADERS.split(", ").collect();
        for name in [MCP_SESSION_ID, MCP_PROTOCOL_VERSION, MCP_METHOD, MCP_NAME, LAST_EVENT_ID] {
            assert!(allowed.contains(&name.as_str()), "{name} is missing");
        }
        assert!(CORS_RESPONSE_HEADERS.contains(MCP_SESSION_ID.as_str()));
    }
}
