//! The client against a small authorization server over real sockets.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing fixture is a failing test")]

mod id_token;
mod jwks;
mod metadata;
mod provider;
mod token_request;
mod userinfo;
