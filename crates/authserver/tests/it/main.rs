//! Black-box tests of the authorization server, driven through its endpoints. Test names carry the row of the requirement.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that panics fails")]

mod authorize;
mod chain;
mod cimd;
mod client_keys;
mod confidential;
mod consent;
mod fixture;
mod introspection;
mod logout;
mod manage_client;
mod provider;
mod provider_world;
mod register;
mod revocation;
mod token;
mod upstream_registration;
mod vault;
