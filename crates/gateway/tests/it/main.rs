//! The gateway over real sockets.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod authorization_server;
mod dev_server;
mod drain;
mod flow;
mod foreign_issuer;
mod front;
mod limits;
mod support;
mod tls;
