//! Codes of JSON-RPC errors.

/// The text is not JSON (JSON-RPC 2.0 §5.1).
pub const PARSE_ERROR: i64 = -32_700;

/// The JSON is no message (JSON-RPC 2.0 §5.1).
pub const INVALID_REQUEST: i64 = -32_600;

/// There is no such method (JSON-RPC 2.0 §5.1).
pub const METHOD_NOT_FOUND: i64 = -32_601;

/// The parameters are not what the method takes (JSON-RPC 2.0 §5.1).
pub const INVALID_PARAMS: i64 = -32_602;

/// Something failed that is not the caller's fault (JSON-RPC 2.0 §5.1).
pub const INTERNAL_ERROR: i64 = -32_603;

/// There is no such resource (revisions up to 2025-11-25; later ones use [`INVALID_PARAMS`]).
pub const RESOURCE_NOT_FOUND: i64 = -32_002;

/// A header is missing, or says something else than the body (since 2026-07-28).
pub const HEADER_MISMATCH: i64 = -32_020;

/// The request needs a capability that the client did not declare (since 2026-07-28).
pub const MISSING_CLIENT_CAPABILITY: i64 = -32_021;

/// The server does not speak the request's revision (since 2026-07-28).
pub const UNSUPPORTED_PROTOCOL_VERSION: i64 = -32_022;
