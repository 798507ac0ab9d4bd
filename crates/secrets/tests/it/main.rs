//! The store over real files, processes, keyrings and a real Secret Service.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod environment;
mod file;
mod kernel_keyring;
mod password;
mod processes;
mod secret_service;
mod selection;
mod support;
