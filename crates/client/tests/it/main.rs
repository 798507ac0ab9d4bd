//! The client against a small authorization server over real sockets.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing fixture is a failing test")]

mod authorization_request;
mod client_assertion;
mod discovery;
mod id_token;
mod jwks;
mod metadata;
mod preflight;
mod protected_resource;
mod provider;
mod registration;
mod registration_management;
mod revocation;
mod token_exchange;
mod token_request;
mod userinfo;
