//! Key sets that others publish (RFC 7517 §5).

use serde_json::Value;

use crate::algorithm::Algorithm;
use crate::key::{KeyError, PublicKey};
use crate::verify::KeySource;

/// How many keys a foreign set may hold.
pub const MAX_KEYS: usize = 64;

/// Why a key set is refused as a whole.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JwksError {
    /// The document is not JSON.
    #[error("the key set is not JSON")]
    Json(#[source] serde_json::Error),
    /// There is no `keys` array.
    #[error("the key set has no array named keys")]
    NoKeys,
    /// The set is too large.
    #[error("the key set holds more than {MAX_KEYS} keys")]
    TooMany,
    /// The set publishes a private or symmetric key.
    #[error("the key set publishes a secret")]
    Secret(#[source] KeyError),
}

/// Foreign public keys.
#[derive(Clone, Debug)]
pub struct Jwks(Vec<PublicKey>);

impl Jwks {
    /// Parses a key set.
    ///
    /// Keys of unknown types, for other uses or with damaged members are skipped (RFC 7517 §5). A set that holds a private
    /// or symmetric key is refused wholly: whoever reads it could sign. Two keys may share a `kid`.
    ///
    /// # Errors
    /// When it is no key set, too large, or publishes a secret.
    pub fn parse(document: &[u8]) -> Result<Self, JwksError> {
        Self::from_value(&serde_json::from_slice(document).map_err(JwksError::Json)?)
    }

    /// Like [`parse`](Self::parse), for a set that is part of another document (`jwks`, RFC 7591 §2).
    ///
    /// # Errors
    /// When it is no key set, too large, or publishes a secret.
    pub fn from_value(document: &Value) -> Result<Self, JwksError> {
        let entries = document.get("keys").and_then(Value::as_array).ok_or(JwksError::NoKeys)?;
        if entries.len() > MAX_KEYS {
            return Err(JwksError::TooMany);
        }
        let mut keys = Vec::with_capacity(entries.len());
        for entry in entries {
            match PublicKey::all_from_jwk(entry) {
                Ok(usable) => keys.extend(usable),
                Err(error) if error.is_secret_material() => return Err(JwksError::Secret(error)),
                Err(_) => {}
            }
        }
        Ok(Self(keys))
    }

    /// The usable keys; an RSA key that names no algorithm appears once per algorithm.
    pub fn keys(&self) -> &[PublicKey] {
        &self.0
    }

    /// Whether no key is usable.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl KeySource for Jwks {
    /// A key that is published without a `kid` is a candidate for every token.
    fn candidates(&self, kid: Option<&str>, algorithm: Algorithm) -> Vec<&PublicKey> {
        let named = |key: &&PublicKey| match (kid, key.kid()) {
            (Some(wanted), Some(own)) => wanted == own,
            _ => true,
        };
        self.0.iter().filter(|key| key.algorithm() == algorithm).filter(named).collect()
    }
}
