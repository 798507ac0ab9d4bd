//! The server's own signing keys.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde_json::json;

use crate::algorithm::Algorithm;
use crate::key::{PublicKey, SignError, SigningKey};
use crate::verify::KeySource;

/// Why keys do not make a ring.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyRingError {
    /// No key was given.
    #[error("at least one signing key is needed")]
    Empty,
    /// The same key was given twice.
    #[error("the signing key with kid {0} is listed more than once")]
    Duplicate(String),
}

/// Signing keys in order: the first signs, all of them verify and are published.
///
/// Rotation: add the new key behind the old one (it is published but does not sign yet), later swap the two, and remove the
/// old one when its last token has expired (AS-129). A ring never changes; [`KeyHandle`](crate::reload::KeyHandle) swaps
/// rings under running requests.
pub struct KeyRing {
    active: Arc<SigningKey>,
    others: Vec<Arc<SigningKey>>,
    jwks: Bytes,
}

impl KeyRing {
    /// A ring of `keys`.
    ///
    /// # Errors
    /// When there is none, or two are the same.
    pub fn new<K: Into<Arc<SigningKey>>>(keys: Vec<K>) -> Result<Self, KeyRingError> {
        let keys: Vec<Arc<SigningKey>> = keys.into_iter().map(Into::into).collect();
        let mut seen = HashSet::new();
        if let Some(twice) = keys.iter().find(|key| !seen.insert(key.kid())) {
            return Err(KeyRingError::Duplicate(twice.kid().to_owned()));
        }
        let jwks = json!({ "keys": keys.iter().map(|key| key.public().to_jwk()).collect::<Vec<_>>() });
        let jwks = Bytes::from(jwks.to_string());
        let mut keys = keys.into_iter();
        let active = keys.next().ok_or(KeyRingError::Empty)?;
        Ok(Self { active, others: keys.collect(), jwks })
    }

    /// The key that signs.
    pub fn active(&self) -> &SigningKey {
        &self.active
    }

    /// Signs with the first key; see [`SigningKey::sign`].
    ///
    /// # Errors
    /// When the claims cannot be written as JSON or the signature cannot be made.
    pub fn sign(&self, typ: &str, claims: &impl Serialize) -> Result<String, SignError> {
        self.active.sign(typ, claims)
    }

    /// The JWK Set document (RFC 7517 §5), encoded once.
    pub fn jwks_json(&self) -> Bytes {
        self.jwks.clone()
    }

    fn keys(&self) -> impl Iterator<Item = &PublicKey> {
        std::iter::once(&self.active).chain(&self.others).map(|key| key.public())
    }
}

impl KeySource for KeyRing {
    fn candidates(&self, kid: Option<&str>, algorithm: Algorithm) -> Vec<&PublicKey> {
        let named = |key: &&PublicKey| kid.is_none_or(|kid| key.kid() == Some(kid));
        self.keys().filter(named).filter(|key| key.algorithm() == algorithm).collect()
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing")
            .field("active", &self.active)
            .field("others", &self.others)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(algorithm: Algorithm) -> SigningKey {
        SigningKey::generate(algorithm).unwrap()
    }

    #[test]
    fn as_129_the_first_key_signs_and_all_are_published() {
        let (old, new) = (key(Algorithm::ES256), key(Algorithm::EdDSA));
        let (old_kid, new_kid) = (old.kid().to_owned(), new.kid().to_owned());
        let ring = KeyRing::new(vec![old, new]).unwrap();
        assert_eq!(ring.active().kid(), old_kid);
        let published: serde_json::Value = serde_json::from_slice(&ring.jwks_json()).unwrap();
        for (at, (kid, alg)) in [(old_kid, "ES256"), (new_kid, "EdDSA")].into_iter().enumerate() {
            let jwk = &published["keys"][at];
            assert_eq!((&jwk["kid"], &jwk["alg"], &jwk["use"]), (&json!(kid), &json!(alg), &json!("sig")));
            assert!(jwk.get("d").is_none());
        }
        assert!(published["keys"].get(2).is_none());
    }

    #[test]
    fn a_ring_needs_a_key_and_no_key_twice() {
        assert_eq!(KeyRing::new(Vec::<SigningKey>::new()).unwrap_err(), KeyRingError::Empty);
        let one = key(Algorithm::ES256);
        let pem = one.to_pem().unwrap();
        let same = SigningKey::from_pem(&pem).unwrap();
        let kid = one.kid().to_owned();
        assert_eq!(KeyRing::new(vec![one, same]).unwrap_err(), KeyRingError::Duplicate(kid));
    }

    #[test]
    fn debug_shows_no_private_key() {
        let ring = KeyRing::new(vec![key(Algorithm::EdDSA)]).unwrap();
        let shown = format!("{ring:?}");
        assert!(shown.contains(ring.active().kid()));
        let pem = ring.active().to_pem().unwrap();
        let body = secrecy::ExposeSecret::expose_secret(&pem).lines().nth(1).unwrap().to_owned();
        assert!(!shown.contains(&body));
    }
}
