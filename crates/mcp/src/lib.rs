//! The Model Context Protocol's words as far as a gateway needs them: header names and protocol versions.
//!
//! The gateway is transparent: it neither parses nor buffers MCP messages, so this crate holds no message types. It
//! does no I/O. Start with [`headers`].

pub mod headers;
pub mod version;
