//! JSON Web Signatures for tokens, the keyed digests behind opaque handles, and encryption of records at rest.
//!
//! Compact JWS (RFC 7515) over AWS-LC, with the key parsed once and never per signature. The rules that libraries leave to
//! their callers hold here without an option to switch them off: a key has exactly one algorithm and the header must name
//! it, `none` and symmetric algorithms do not exist, `crit` is refused, `typ` and `exp` are checked (RFC 8725).
//!
//! Nothing here fetches or reads a clock; the current time is a parameter of [`verify::verify`].
//!
//! Start reading at [`key`], then [`mod@verify`].

pub mod algorithm;
pub mod at_rest;
pub mod client_assertion;
pub mod digest;
pub mod handle;
pub mod hmac;
pub mod jwks;
pub mod key;
pub mod keyring;
pub mod random;
pub mod reload;
pub mod sealed;
pub mod verify;
