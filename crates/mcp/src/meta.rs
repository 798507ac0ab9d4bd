//! Reserved keys of `_meta` objects.

/// Opts a request into progress notifications, and ties them to it.
pub const PROGRESS_TOKEN: &str = "progressToken";

/// The revision that a request speaks (since 2026-07-28).
pub const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";

/// Name and version of the client that makes a request (since 2026-07-28).
pub const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";

/// What the client that makes a request can do (since 2026-07-28).
pub const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

/// The least level of log messages that a request wants (since 2026-07-28).
pub const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";

/// The `subscriptions/listen` request that a notification belongs to (since 2026-07-28).
pub const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";

/// Name and version of the server that gives a result (since 2026-07-28).
pub const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
