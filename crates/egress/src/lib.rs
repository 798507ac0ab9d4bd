//! The only way out: every outbound HTTP request of the product passes through this crate.
//!
//! URLs arrive from strangers (a `client_id` is a URL), so the address that is about to be dialled is judged, not the
//! URL's text: [`policy::Policy`] decides over [`address::special_use`], the connector applies it to every answer of the
//! resolver and to every spelling of an IP literal, and dials exactly the addresses that it judged. Redirects are never
//! followed, proxies of the environment are never consulted, bodies are capped while they stream and one deadline covers
//! the whole exchange.
//!
//! Start reading at [`client::Client`]. [`target::TargetClient`] is the exception to the address rules alone: it
//! reaches the one MCP backend that the operator named.

pub mod address;
pub mod client;
mod connector;
mod error;
pub mod freshness;
pub mod json;
mod judgement;
mod literal;
pub mod policy;
pub mod resolve;
pub mod roots;
pub mod target;

pub use client::{Client, Limits, Request, Response};
pub use error::EgressError;
pub use policy::Policy;
pub use roots::{Roots, RootsError};
