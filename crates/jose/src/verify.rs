//! Verifying compact JWS tokens (RFC 7515 §5.2, RFC 7519 §7.2, RFC 8725).

mod claims;
mod header;

use std::time::Duration;

use serde::de::DeserializeOwned;
use thv_clock::Timestamp;

use crate::algorithm::Algorithm;
use crate::digest::base64url_decode;
use crate::key::PublicKey;
use header::Header;

/// The longest token that is looked at, in bytes.
pub const MAX_TOKEN_LEN: usize = 16 * 1024;

/// Where the keys come from that may have signed a token.
pub trait KeySource {
    /// The keys for `algorithm` that could be meant by `kid`; all of them when the header names none.
    fn candidates(&self, kid: Option<&str>, algorithm: Algorithm) -> Vec<&PublicKey>;
}

impl KeySource for PublicKey {
    /// The caller has chosen the key already, so the header's `kid` does not matter.
    fn candidates(&self, _kid: Option<&str>, algorithm: Algorithm) -> Vec<&PublicKey> {
        if self.algorithm() == algorithm { vec![self] } else { Vec::new() }
    }
}

/// The kind of token that is expected, told by the header's `typ` (RFC 8725 §3.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typ {
    /// `at+jwt` or `application/at+jwt` (RFC 9068 §4, RS-11).
    AccessToken,
    /// No `typ`, or `JWT` (OpenID Connect Core §2).
    IdToken,
    /// No `typ`, `JWT`, `oauth-client-auth+jwt` or `client-authentication+jwt` (AS-133).
    ClientAssertion,
    /// Whatever the header says.
    Any,
}

impl Typ {
    /// Media types are compared without regard to case, and may leave out `application/` (RFC 7515 §4.1.9).
    fn accepts(self, typ: Option<&str>) -> bool {
        let allowed: &[&str] = match self {
            Self::AccessToken => &["at+jwt"],
            Self::IdToken => &["JWT"],
            Self::ClientAssertion => &["JWT", "oauth-client-auth+jwt", "client-authentication+jwt"],
            Self::Any => return true,
        };
        match typ {
            None => self != Self::AccessToken,
            Some(typ) => {
                let short = typ.strip_prefix("application/").unwrap_or(typ);
                allowed.iter().any(|name| name.eq_ignore_ascii_case(short))
            }
        }
    }
}

/// What a token must be to be accepted.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The kind of token.
    pub typ: Typ,
    /// `iss`, compared as a raw string; `None` leaves it unchecked.
    pub issuer: Option<&'a str>,
    /// `aud` must contain one of these, compared as raw strings. An empty list accepts no token.
    pub audiences: &'a [&'a str],
    /// The current time.
    pub now: Timestamp,
    /// By how much clocks may differ, for `exp`, `nbf` and `iat`.
    pub leeway: Duration,
    /// `iat` must be present and at most so long ago; `None` leaves the age unchecked.
    pub max_age: Option<Duration>,
    /// `exp` must lie at most so far ahead, which bounds how long a `jti` must be remembered; `None` leaves it unchecked.
    pub max_lifetime: Option<Duration>,
}

impl<'a> Expected<'a> {
    /// A token of kind `typ` for one of `audiences`, at the time `now`: any issuer, no leeway, any age and lifetime.
    pub const fn new(typ: Typ, audiences: &'a [&'a str], now: Timestamp) -> Self {
        Self { typ, issuer: None, audiences, now, leeway: Duration::ZERO, max_age: None, max_lifetime: None }
    }
}

/// Why a token is refused. For logs; the bearer learns only that the token is invalid.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The token is longer than [`MAX_TOKEN_LEN`].
    #[error("the token is longer than {MAX_TOKEN_LEN} bytes")]
    TooLong,
    /// The token is not three base64url parts with JSON objects in the first two.
    #[error("the token is not a compact JWS")]
    Malformed,
    /// The header is not an object, or names a member twice.
    #[error("the token's header is malformed or names a member twice")]
    Header(#[source] serde_json::Error),
    /// The header demands extensions (`crit`, `b64`) that are not understood (RFC 7515 §4.1.11).
    #[error("the token's header demands an extension that is not supported")]
    Critical,
    /// `alg` is `none`, symmetric or unknown.
    #[error("the token's signature algorithm is not allowed")]
    Algorithm,
    /// `typ` names another kind of token.
    #[error("the token is of another kind (header typ)")]
    WrongType,
    /// No key fits `kid` and `alg`.
    #[error("no known key fits the token's kid and alg")]
    UnknownKey,
    /// The signature does not verify.
    #[error("the token's signature does not verify")]
    Signature,
    /// The claims do not have the expected shape.
    #[error("the token's claims are malformed")]
    Claims(#[source] serde_json::Error),
    /// `iss` is absent or another.
    #[error("the token is from another issuer")]
    Issuer,
    /// `aud` is absent or names others only.
    #[error("the token is meant for another audience")]
    Audience,
    /// `exp` is absent.
    #[error("the token has no exp")]
    NoExpiry,
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `exp` lies further ahead than is accepted.
    #[error("the token lives longer than is accepted")]
    LivesTooLong,
    /// `nbf` lies ahead.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// `iat` lies ahead.
    #[error("the token was issued in the future")]
    IssuedInFuture,
    /// `iat` is absent or too long ago.
    #[error("the token is older than is accepted")]
    TooOld,
}

impl VerifyError {
    /// A stable code for logs and metrics.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::TooLong => "token_too_long",
            Self::Malformed => "token_malformed",
            Self::Header(_) => "token_header_malformed",
            Self::Critical => "token_critical_header",
            Self::Algorithm => "token_algorithm",
            Self::WrongType => "token_type",
            Self::UnknownKey => "token_unknown_key",
            Self::Signature => "token_signature",
            Self::Claims(_) => "token_claims_malformed",
            Self::Issuer => "token_issuer",
            Self::Audience => "token_audience",
            Self::NoExpiry => "token_no_expiry",
            Self::Expired => "token_expired",
            Self::LivesTooLong => "token_lives_too_long",
            Self::NotYetValid => "token_not_yet_valid",
            Self::IssuedInFuture => "token_issued_in_future",
            Self::TooOld => "token_too_old",
        }
    }
}

/// The claims of `token`, if a key of `keys` signed it and it is as `expected`.
///
/// # Errors
/// The first rule that the token breaks. Claims are read only after the signature has been verified.
pub fn verify<C: DeserializeOwned>(
    token: &str,
    keys: &dyn KeySource,
    expected: &Expected<'_>,
) -> Result<C, VerifyError> {
    let parts = Parts::split(token)?;
    let header = Header::parse(&decode(parts.header)?)?;
    if !expected.typ.accepts(header.typ.as_deref()) {
        return Err(VerifyError::WrongType);
    }
    let payload = decode(parts.payload)?;
    let signature = decode(parts.signature)?;
    let candidates = keys.candidates(header.kid.as_deref(), header.alg);
    if candidates.is_empty() {
        return Err(VerifyError::UnknownKey);
    }
    // A key source is trusted to filter by algorithm, but what binds the header to the key is checked here.
    let signed = candidates
        .into_iter()
        .any(|key| key.algorithm() == header.alg && key.verifies(parts.signing_input.as_bytes(), &signature));
    if !signed {
        return Err(VerifyError::Signature);
    }
    claims::check(&payload, expected)?;
    serde_json::from_slice(&payload).map_err(VerifyError::Claims)
}

/// The claims of `token` with **nothing** verified: for logs, and to learn whose keys to fetch.
pub fn peek_unverified<C: DeserializeOwned>(token: &str) -> Option<C> {
    let parts = Parts::split(token).ok()?;
    serde_json::from_slice(&decode(parts.payload).ok()?).ok()
}

struct Parts<'a> {
    header: &'a str,
    payload: &'a str,
    signature: &'a str,
    signing_input: &'a str,
}

impl<'a> Parts<'a> {
    fn split(token: &'a str) -> Result<Self, VerifyError> {
        if token.len() > MAX_TOKEN_LEN {
            return Err(VerifyError::TooLong);
        }
        let (signing_input, signature) = token.rsplit_once('.').ok_or(VerifyError::Malformed)?;
        let (header, payload) = signing_input.split_once('.').ok_or(VerifyError::Malformed)?;
        // A further dot in the payload is no base64url character and fails there.
        Ok(Self { header, payload, signature, signing_input })
    }
}

fn decode(part: &str) -> Result<Vec<u8>, VerifyError> {
    base64url_decode(part).ok_or(VerifyError::Malformed)
}
