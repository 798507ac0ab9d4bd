//! Whole logins and tool calls through a whole gateway, with an identity provider and an MCP server of the test's own.

mod backend;
mod gate;
mod provider;

mod external_issuer;
mod hostile_input;
mod key_rotation;
mod logs;
mod oauth2_upstream;
mod oidc_upstream;
mod production;
mod redis_store;
mod refusals;
mod streaming;
mod upstream_token;
