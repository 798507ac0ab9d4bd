//! The backends and what is sealed in them.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod admin;
mod events;
mod kill;
mod lost_keys;
mod lost_store;
mod redis;
mod sealed;
mod secrecy;
mod sqlite;
mod support;
