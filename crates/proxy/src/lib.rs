//! The transparent proxy in front of one MCP server.
//!
//! Requests and responses pass as streams: bodies are neither buffered nor parsed, the first byte of an answer reaches the
//! client before the backend has finished, and a client that goes away takes its backend request along. What changes on
//! the way is the header: the client's credentials stay here and the upstream provider's take their place.
//!
//! Start reading at [`Proxy::forward`]. [`HostOriginGuard`] stands before it and before the authorization server.

mod body;
mod config;
mod exchange;
mod forward;
mod guard;
mod headers;
mod identity;
mod respond;
mod session_binding;

pub use body::{Passage, Passing, RequestBody, ResponseBody};
pub use config::{Inject, Peer, ProxyConfig, UnusablePublicUrl, backend_path};
pub use forward::Proxy;
pub use guard::{GuardRefusal, HostOriginGuard};
pub use headers::{strip_request, strip_response};
