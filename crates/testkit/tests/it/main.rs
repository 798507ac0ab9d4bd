//! The peers behave as the tests that use them assume.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod documents;
mod login;
mod servers;
