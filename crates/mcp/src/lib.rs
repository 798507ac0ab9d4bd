//! The Model Context Protocol's words as far as others need them: protocol versions, and the names of headers, methods and
//! `_meta` keys.
//!
//! The gateway is transparent: it neither parses nor buffers MCP messages, so this crate holds no message types. It
//! does no I/O. Start with [`headers`].

pub mod error_code;
pub mod headers;
pub mod meta;
pub mod method;
pub mod version;
