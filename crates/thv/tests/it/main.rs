//! The program as its users run it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cimd;
mod docs;
mod doctor;
mod run;
mod secret;
mod serve;
mod store;
mod workload;
