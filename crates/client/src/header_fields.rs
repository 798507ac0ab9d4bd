//! Header fields that several endpoints have in common.

use std::time::Duration;

use http::header::{HeaderMap, HeaderValue, InvalidHeaderValue, RETRY_AFTER};
use secrecy::{ExposeSecret, SecretString};

/// `Authorization: Bearer` (RFC 6750 §2.1).
pub(crate) fn bearer(token: &SecretString) -> Result<HeaderValue, InvalidHeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// `Retry-After` in seconds (RFC 9110 §10.2.3); its other form, a date, counts as absent.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}
