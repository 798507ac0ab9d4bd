//! Black-box tests of the authorization server, driven through its endpoints. Test names carry the row of the requirement.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that panics fails")]

mod authorize;
mod cimd;
mod client_keys;
mod consent;
mod fixture;
mod register;
mod token;
