//! The OAuth RFCs' words as types: parsing is validation, and every rule works on the raw text.
//!
//! Nothing here does I/O, reads a clock, draws randomness or logs; callers bring bytes and get types or errors that
//! name the rule. Identifiers (`client_id`, `redirect_uri`, `iss`, `resource`) stay the strings that were sent: they
//! are never run through a URL parser that folds dot segments, default ports or letter case before they are judged.
//!

mod client_keys;
mod descriptive_text;
mod json_object;
mod newtype;
mod raw_uri;

pub mod auth_method;
pub mod challenge;
pub mod client_id;
pub mod client_metadata;
pub mod error;
pub mod grant_type;
pub mod issuer;
pub mod metadata_document;
pub mod params;
pub mod pkce;
pub mod prompt;
pub mod received_challenge;
pub mod redirect_uri;
pub mod registration;
pub mod resource;
pub mod resource_metadata;
pub mod scope;
pub mod server_metadata;
pub mod token_profile;

pub use raw_uri::UriError;
