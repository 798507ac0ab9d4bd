//! The client against a small authorization server over real sockets.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing fixture is a failing test")]

mod client_assertion;
mod discovery;
mod id_token;
mod jwks;
mod metadata;
mod provider;
mod registration;
mod registration_management;
mod revocation;
mod token_request;
mod userinfo;
