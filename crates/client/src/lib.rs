//! The client's side of OAuth 2.0 and OpenID Connect: what is asked of an authorization server, and what of its answers is
//! believed.
//!
//! The authorization server speaks through this crate to its upstreams. Everything that is fetched goes through
//! [`thv_egress`], so no redirect is followed and every body is capped; what is kept (metadata, key sets) is bounded, fetched
//! by one caller for all, and served on while its host is down. Time comes from a [`thv_clock::Clock`].
//!
//! A login goes: [`metadata`], the browser, [`authorization_response`], [`token_request`], [`id_token`] with [`jwks`], and
//! where needed [`userinfo`]. Before the first one, this client gets to be known: [`discovery`] finds the server,
//! [`identification`] decides who the client is there, and [`registration`] makes it known where that is the way.

pub mod authorization_request;
pub mod authorization_response;
pub mod client_assertion;
pub mod client_authentication;
pub mod discovery;
mod document;
mod error_response;
mod form_endpoint;
mod header_fields;
pub mod id_token;
pub mod identification;
pub mod jwks;
mod jws_header;
pub mod member_path;
pub mod metadata;
pub mod preflight;
pub mod protected_resource;
pub mod registration;
pub mod revocation;
mod server_text;
pub mod token_request;
pub mod token_response;
pub mod userinfo;
