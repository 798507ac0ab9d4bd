//! Peers for tests: certificates, servers, a host of client ID metadata documents, a browser and an OAuth client.
//!
//! Only for tests: everything panics where a test could not go on anyway, and binds to 127.0.0.1 on a port of the system's
//! choice. Peers stop when they are dropped.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test support: a peer that cannot do its part fails the test"
)]

pub mod browser;
pub mod certs;
pub mod connector;
pub mod document_host;
pub mod http_server;
pub mod oauth_client;
pub mod pkce;
pub mod redis;
pub mod sink;
pub mod stalling_proxy;
pub mod streaming;
