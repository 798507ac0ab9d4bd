//! Client authentication by a signed JWT, from the client's side (RFC 7523 §2.2, `private_key_jwt`).

use std::time::Duration;

use serde::Serialize;
use thv_clock::Timestamp;

use crate::key::{SignError, SigningKey};
use crate::random;

/// The `client_assertion_type` that goes with the assertion (RFC 7523 §2.2).
pub const CLIENT_ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    jti: String,
    iat: u64,
    exp: u64,
}

/// A client assertion for `client_id`, to be shown once to the authorization server `audience` (its issuer identifier,
/// AS-133) within `lifetime` from `now`.
///
/// # Errors
/// When the signature cannot be made.
pub fn sign_client_assertion(
    key: &SigningKey,
    client_id: &str,
    audience: &str,
    now: Timestamp,
    lifetime: Duration,
) -> Result<String, SignError> {
    let claims = Claims {
        iss: client_id,
        sub: client_id,
        aud: audience,
        jti: random::token(),
        iat: now.as_secs(),
        exp: (now + lifetime).as_secs(),
    };
    key.sign("JWT", &claims)
}
