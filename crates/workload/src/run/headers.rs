//! The header fields of requests to a remote server, from a definition and the secrets that it names.

use std::collections::BTreeMap;

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
    let mut values: BTreeMap<&String, HeaderValue> = BTreeMap::new();
    for (name, value) in &definition.forward_headers {
        let value = HeaderValue::from_str(value).map_err(|_| RunError::Header(name.clone()))?;
        values.insert(name, value);
    }
    for (name, secret) in &definition.forward_headers_secret {
        let value = secrets.of_user(secret).await?.ok_or_else(|| RunError::SecretMissing(secret.clone()))?;
        let mut value =
            HeaderValue::from_str(value.expose_secret()).map_err(|_| RunError::Header(name.clone()))?;
        value.set_sensitive(true);
        values.insert(name, value);
    }
    for (name, value) in values {
        let name: HeaderName = name.parse().map_err(|_| RunError::Header(name.clone()))?;
        headers.insert(name, value);
    }
    Ok(headers)
}
