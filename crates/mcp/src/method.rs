//! Names of methods and notifications.

/// Opens a session (revisions up to 2025-11-25).
pub const INITIALIZE: &str = "initialize";

/// The client is ready for requests (revisions up to 2025-11-25).
pub const INITIALIZED: &str = "notifications/initialized";

/// Asks the other side whether it is there (revisions up to 2025-11-25).
pub const PING: &str = "ping";

/// Asks a server for its revisions, capabilities and identity (since 2026-07-28).
pub const DISCOVER: &str = "server/discover";

/// Opens a stream of change notifications (since 2026-07-28).
pub const SUBSCRIPTIONS_LISTEN: &str = "subscriptions/listen";

/// The first message of such a stream: which notifications the server will send.
pub const SUBSCRIPTIONS_ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";

/// Calls a tool.
pub const TOOLS_CALL: &str = "tools/call";

/// Lists the tools.
pub const TOOLS_LIST: &str = "tools/list";

/// Gets a prompt.
pub const PROMPTS_GET: &str = "prompts/get";

/// Lists the prompts.
pub const PROMPTS_LIST: &str = "prompts/list";

/// Reads a resource.
pub const RESOURCES_READ: &str = "resources/read";

/// Lists the resources.
pub const RESOURCES_LIST: &str = "resources/list";

/// Lists the templates of resources.
pub const RESOURCES_TEMPLATES_LIST: &str = "resources/templates/list";

/// Asks for updates of a resource (revisions up to 2025-11-25).
pub const RESOURCES_SUBSCRIBE: &str = "resources/subscribe";

/// Ends that (revisions up to 2025-11-25).
pub const RESOURCES_UNSUBSCRIBE: &str = "resources/unsubscribe";

/// Sets the least level of log messages (revisions up to 2025-11-25).
pub const LOGGING_SET_LEVEL: &str = "logging/setLevel";

/// A request is no longer wanted.
pub const CANCELLED: &str = "notifications/cancelled";

/// How far a request has come.
pub const PROGRESS: &str = "notifications/progress";

/// The list of tools has changed.
pub const TOOLS_LIST_CHANGED: &str = "notifications/tools/list_changed";

/// The list of prompts has changed.
pub const PROMPTS_LIST_CHANGED: &str = "notifications/prompts/list_changed";

/// The list of resources has changed.
pub const RESOURCES_LIST_CHANGED: &str = "notifications/resources/list_changed";

/// A resource has changed.
pub const RESOURCES_UPDATED: &str = "notifications/resources/updated";
