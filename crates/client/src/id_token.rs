//! ID token validation (OpenID Connect Core §3.1.3.7).

use std::time::Duration;

use aws_lc_rs::digest;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use thv_clock::Timestamp;
use thv_jose::digest::base64url;
use thv_jose::verify::{Expected, KeySource, Typ, VerifyError, verify as verify_jws};

use crate::jws_header::JwsHeader;

/// By how much the server's clock may differ.
const LEEWAY: Duration = Duration::from_secs(60);

/// What an ID token must be to be accepted.
#[derive(Clone, Copy, Debug)]
pub struct Expectations<'a> {
    /// The issuer, compared as a raw string.
    pub issuer: &'a str,
    /// This client, which must be among the audiences.
    pub client_id: &'a str,
    /// What the authorization request carried; `None` after a refresh, whose ID token belongs to no such request.
    pub nonce: Option<&'a str>,
    /// The access token that came with it, for `at_hash`.
    pub access_token: Option<&'a SecretString>,
    /// The current time.
    pub now: Timestamp,
}

/// Why an ID token is refused.
#[derive(Debug, thiserror::Error)]
pub enum IdTokenError {
    /// Its signature, or a claim of any JWT.
    #[error("the ID token does not verify")]
    Verify(#[source] VerifyError),
    /// `iat` is required.
    #[error("the ID token has no iat")]
    NoIssuedAt,
    /// It has several audiences and does not say which of them it was issued to, or it was issued to another.
    #[error("the ID token was issued to another party (azp)")]
    AuthorizedParty,
    /// It belongs to another authorization request, or to none.
    #[error("the ID token's nonce is not the one of the request")]
    Nonce,
    /// It does not belong to the access token that came with it.
    #[error("the ID token's at_hash does not fit the access token")]
    AccessTokenHash,
}

/// The claims of an ID token that is signed by one of `keys` and as expected.
///
/// # Errors
/// The first rule that it breaks.
pub fn verify(
    id_token: &SecretString,
    keys: &dyn KeySource,
    expected: &Expectations<'_>,
) -> Result<Map<String, Value>, IdTokenError> {
    let token = id_token.expose_secret();
    let audiences = [expected.client_id];
    let rules = Expected {
        issuer: Some(expected.issuer),
        leeway: LEEWAY,
        ..Expected::new(Typ::IdToken, &audiences, expected.now)
    };
    let claims: Map<String, Value> = verify_jws(token, keys, &rules).map_err(IdTokenError::Verify)?;
    if !claims.get("iat").is_some_and(Value::is_number) {
        return Err(IdTokenError::NoIssuedAt);
    }
    check_authorized_party(&claims, expected.client_id)?;
    let nonce = claims.get("nonce").and_then(Value::as_str);
    if expected.nonce.is_some() && nonce != expected.nonce {
        return Err(IdTokenError::Nonce);
    }
    if let (Some(access_token), Some(at_hash)) = (expected.access_token, claims.get("at_hash")) {
        let hash = JwsHeader::peek(token).and_then(|header| left_half(&header.alg?, access_token));
        if hash.is_none() || at_hash.as_str() != hash.as_deref() {
            return Err(IdTokenError::AccessTokenHash);
        }
    }
    Ok(claims)
}

fn check_authorized_party(claims: &Map<String, Value>, client_id: &str) -> Result<(), IdTokenError> {
    let several = claims.get("aud").and_then(Value::as_array).is_some_and(|audiences| audiences.len() > 1);
    match claims.get("azp") {
        Some(azp) if azp.as_str() == Some(client_id) => Ok(()),
        None if !several => Ok(()),
        _ => Err(IdTokenError::AuthorizedParty),
    }
}

/// `at_hash` (OpenID Connect Core §3.1.3.6): the left half of the access token's hash, by the hash that the signature
/// algorithm uses; SHA-512 for Ed25519.
fn left_half(alg: &str, access_token: &SecretString) -> Option<String> {
    let algorithm = match alg {
        "ES256" | "RS256" | "PS256" => &digest::SHA256,
        "ES384" => &digest::SHA384,
        "EdDSA" => &digest::SHA512,
        _ => return None,
    };
    let hash = digest::digest(algorithm, access_token.expose_secret().as_bytes());
    hash.as_ref().get(..algorithm.output_len() / 2).map(base64url)
}
