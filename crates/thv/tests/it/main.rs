//! The program as its users run it.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod cimd;
mod docs;
mod doctor;
mod run;
mod secret;
mod serve;
mod store;
