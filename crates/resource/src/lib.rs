//! What makes a resource protected: bearer tokens are verified, refusals carry a challenge, metadata says where to go.
//!
//! [`ProtectedResource`] speaks to clients (RFC 9728 document, RFC 6750 challenges), [`Verifier`] judges access tokens
//! and remembers its verdicts, [`credential`] keeps the upstream credentials that replace the client's token on the way
//! to the backend. This is the hot path: a known token costs one digest and one lookup. Nothing here does I/O of its
//! own; stores, key sets and providers come in through traits.
//!
//! Start reading at [`verifier`].

mod bearer;
pub mod credential;
mod protected_resource;
mod refusal;
mod verified;
pub mod verifier;

pub use bearer::bearer_token;
pub use protected_resource::{ProtectedResource, ProtectedResourceConfig, UnusableMetadata};
pub use refusal::{Reason, Refusal, RequestFault, TokenFault};
pub use verified::Verified;
pub use verifier::Verifier;
