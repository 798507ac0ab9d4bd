//! Keys that verify.

use std::fmt;

use aws_lc_rs::signature::{self, ParsedPublicKey, RsaPublicKeyComponents};
use serde_json::{Map, Value};

use super::KeyError;
use super::jwk::{self, Material};
use crate::algorithm::Algorithm;

/// A public key with the one algorithm that it verifies (RFC 8725 §3.1).
#[derive(Clone)]
pub struct PublicKey {
    algorithm: Algorithm,
    material: Material,
    parsed: ParsedPublicKey,
    kid: Option<String>,
    thumbprint: String,
}

impl PublicKey {
    /// One key per algorithm that the JWK allows, never empty: an RSA key without `alg` is good for RS256 and PS256.
    ///
    /// # Errors
    /// When the JWK is private or symmetric, of an unsupported type or size, not for signatures, or no valid key.
    pub fn all_from_jwk(jwk: &Value) -> Result<Vec<Self>, KeyError> {
        let members = jwk.as_object().ok_or(KeyError::Malformed("kty"))?;
        let material = Material::parse(members)?;
        jwk::check_use(members)?;
        let kid = jwk::declared_kid(members)?;
        let algorithms = material.algorithms();
        match jwk::declared_algorithm(members)? {
            Some(algorithm) if !algorithms.contains(&algorithm) => Err(KeyError::WrongAlgorithm),
            Some(algorithm) => Ok(vec![Self::new(algorithm, material, kid)?]),
            None => algorithms.iter().map(|alg| Self::new(*alg, material.clone(), kid.clone())).collect(),
        }
    }

    pub(super) fn new(
        algorithm: Algorithm,
        material: Material,
        kid: Option<String>,
    ) -> Result<Self, KeyError> {
        let parsed = parse(algorithm, &material)?;
        let thumbprint = material.thumbprint();
        Ok(Self { algorithm, material, parsed, kid, thumbprint })
    }

    /// This key under the name `kid`.
    pub(super) fn with_kid(self, kid: String) -> Self {
        Self { kid: Some(kid), ..self }
    }

    /// The algorithm.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The `kid` under which the key is published, if any.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The SHA-256 thumbprint (RFC 7638).
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// The JWK with `alg`, `use` and `kid` (RFC 7517 §4); `kid` is the thumbprint when the key has no name of its own.
    pub fn to_jwk(&self) -> Value {
        let mut jwk: Map<String, Value> = self
            .material
            .required_members()
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
        jwk.insert("alg".to_owned(), self.algorithm.as_str().into());
        jwk.insert("use".to_owned(), "sig".into());
        jwk.insert("kid".to_owned(), self.kid().unwrap_or(self.thumbprint()).into());
        Value::Object(jwk)
    }

    /// Whether `signature` (RFC 7518 §3 encoding: fixed size for ECDSA, not DER) is this key's over `message`.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.parsed.verify_sig(message, signature).is_ok()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicKey")
            .field("algorithm", &self.algorithm)
            .field("kid", &self.kid)
            .field("thumbprint", &self.thumbprint)
            .finish_non_exhaustive()
    }
}

fn parse(algorithm: Algorithm, material: &Material) -> Result<ParsedPublicKey, KeyError> {
    let parsed = match (algorithm, material) {
        (Algorithm::ES256, Material::Ec { point, .. }) => {
            ParsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point)
        }
        (Algorithm::ES384, Material::Ec { point, .. }) => {
            ParsedPublicKey::new(&signature::ECDSA_P384_SHA384_FIXED, point)
        }
        (Algorithm::EdDSA, Material::Ed25519 { x }) => ParsedPublicKey::new(&signature::ED25519, x),
        (Algorithm::RS256, Material::Rsa { n, e }) => {
            RsaPublicKeyComponents { n, e }.to_parsed_public_key(&signature::RSA_PKCS1_2048_8192_SHA256)
        }
        (Algorithm::PS256, Material::Rsa { n, e }) => {
            RsaPublicKeyComponents { n, e }.to_parsed_public_key(&signature::RSA_PSS_2048_8192_SHA256)
        }
        _ => return Err(KeyError::WrongAlgorithm),
    };
    parsed.map_err(|_| KeyError::Invalid)
}
