//! The header fields of requests to a remote server, from a definition and the secrets that it names.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::ExposeSecret;

use super::error::RunError;
use super::secrets::WorkloadSecrets;
use crate::definition::Definition;

/// The header fields that the definition adds to every request.
pub(super) async fn headers(
    definition: &Definition,
    secrets: &WorkloadSecrets,
) -> Result<HeaderMap, RunError> {
    let mut headers = HeaderMap::new();
    for (name, value) in &definition.forward_headers {
        insert(&mut headers, name, value, false)?;
    }
    for (name, secret) in &definition.forward_headers_secret {
        let value = secrets.of_user(secret).await?.ok_or_else(|| RunError::SecretMissing(secret.clone()))?;
        insert(&mut headers, name, value.expose_secret(), true)?;
    }
    Ok(headers)
}

fn insert(headers: &mut HeaderMap, name: &str, value: &str, is_secret: bool) -> Result<(), RunError> {
    let unusable = || RunError::Header(name.to_owned());
    let mut value = HeaderValue::from_str(value).map_err(|_| unusable())?;
    value.set_sensitive(is_secret);
    headers.insert(HeaderName::from_bytes(name.as_bytes()).map_err(|_| unusable())?, value);
    Ok(())
}
