//! The record of the provider that keeps this user's secrets.

use crate::directory::{Directory, PROVIDER};
use crate::{Provider, SecretsError};

/// The provider that was written down, if one was.
pub(crate) fn read(directory: &Directory) -> Result<Option<Provider>, SecretsError> {
    let Some(content) = directory.read(PROVIDER)? else { return Ok(None) };
    let word = String::from_utf8_lossy(&content);
    let provider = word
        .trim()
        .parse()
        .map_err(|source| SecretsError::Record { path: directory.file(PROVIDER), source })?;
    Ok(Some(provider))
}

/// Writes `provider` down unless one was before, and returns the one that stands there now.
pub(crate) fn keep_first(directory: &Directory, provider: Provider) -> Result<Provider, SecretsError> {
    if let Some(recorded) = read(directory)? {
        return Ok(recorded);
    }
    let locked = directory.lock()?;
    if let Some(recorded) = read(directory)? {
        return Ok(recorded);
    }
    locked.replace(PROVIDER, format!("{provider}\n").as_bytes())?;
    tracing::debug!(secrets.provider = %provider, "recorded the provider of secrets");
    Ok(provider)
}
