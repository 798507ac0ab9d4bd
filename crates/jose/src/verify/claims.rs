//! The registered claims (RFC 7519 §4.1).

use std::time::Duration;

use serde::{Deserialize, Deserializer};
use thv_clock::Timestamp;

use super::{Expected, VerifyError};

/// Checks what `expected` demands of a payload whose signature has been verified.
pub(super) fn check(payload: &[u8], expected: &Expected<'_>) -> Result<(), VerifyError> {
    let claims: Registered = serde_json::from_slice(payload).map_err(VerifyError::Claims)?;
    if expected.issuer.is_some_and(|issuer| claims.iss.as_deref() != Some(issuer)) {
        return Err(VerifyError::Issuer);
    }
    if !claims.aud.is_some_and(|aud| aud.contains_any(expected.audiences)) {
        return Err(VerifyError::Audience);
    }
    let exp = claims.exp.ok_or(VerifyError::NoExpiry)?.0;
    check_times(exp, claims.nbf.map(|date| date.0), claims.iat.map(|date| date.0), expected)
}

fn check_times(
    exp: Timestamp,
    nbf: Option<Timestamp>,
    iat: Option<Timestamp>,
    expected: &Expected<'_>,
) -> Result<(), VerifyError> {
    let Expected { now, leeway, .. } = *expected;
    // "on or after which the JWT MUST NOT be accepted" (RFC 7519 §4.1.4)
    if now >= exp + leeway {
        return Err(VerifyError::Expired);
    }
    if expected.max_lifetime.is_some_and(|limit| exp > now + limit + leeway) {
        return Err(VerifyError::LivesTooLong);
    }
    if nbf.is_some_and(|nbf| now + leeway < nbf) {
        return Err(VerifyError::NotYetValid);
    }
    if iat.is_some_and(|iat| now + leeway < iat) {
        return Err(VerifyError::IssuedInFuture);
    }
    match (expected.max_age, iat) {
        (Some(limit), Some(iat)) if now.since(iat) > limit + leeway => Err(VerifyError::TooOld),
        (Some(_), None) => Err(VerifyError::TooOld),
        _ => Ok(()),
    }
}

#[derive(Deserialize)]
struct Registered {
    iss: Option<String>,
    aud: Option<Audience>,
    exp: Option<NumericDate>,
    nbf: Option<NumericDate>,
    iat: Option<NumericDate>,
}

/// One audience, or a list (RFC 7519 §4.1.3).
#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    fn contains_any(&self, wanted: &[&str]) -> bool {
        match self {
            Self::One(one) => wanted.contains(&one.as_str()),
            Self::Many(many) => many.iter().any(|one| wanted.contains(&one.as_str())),
        }
    }
}

/// Seconds since the epoch, possibly with a fraction (RFC 7519 §2).
struct NumericDate(Timestamp);

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = serde_json::Number::deserialize(deserializer)?;
        if let Some(secs) = number.as_u64() {
            return Ok(Self(Timestamp::from_secs(secs)));
        }
        let span = number.as_f64().and_then(|secs| Duration::try_from_secs_f64(secs).ok());
        span.map(|span| Self(Timestamp::EPOCH + span))
            .ok_or_else(|| serde::de::Error::custom("a date must be a number of seconds since the epoch"))
    }
}
