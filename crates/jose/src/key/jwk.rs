//! The members of a JSON Web Key (RFC 7517 §4, RFC 7518 §6) on their way in and out.

use serde_json::{Map, Value};

use super::KeyError;
use crate::algorithm::Algorithm;
use crate::digest::{base64url, base64url_decode, sha256};

/// Members that only private or symmetric keys have (RFC 7518 §6.2.2, §6.3.2, §6.4.1).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// Public key material, decoded and of the right size.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Material {
    /// A point on P-256 or P-384, uncompressed (SEC 1 §2.3.3).
    Ec { curve: &'static str, point: Vec<u8> },
    /// An Ed25519 public key (RFC 8037 §2).
    Ed25519 { x: Vec<u8> },
    /// Modulus and exponent, big endian without leading zeros.
    Rsa { n: Vec<u8>, e: Vec<u8> },
}

impl Material {
    /// The material in `jwk`, which must not hold any secret.
    pub(super) fn parse(jwk: &Map<String, Value>) -> Result<Self, KeyError> {
        let kty = text(jwk, "kty")?;
        if kty == "oct" {
            return Err(KeyError::Symmetric);
        }
        if let Some(member) = PRIVATE_MEMBERS.into_iter().find(|member| jwk.contains_key(*member)) {
            return Err(KeyError::Private(member));
        }
        match kty {
            "EC" => match text(jwk, "crv")? {
                "P-256" => ec(jwk, "P-256", 32),
                "P-384" => ec(jwk, "P-384", 48),
                _ => Err(KeyError::UnsupportedType),
            },
            "OKP" if text(jwk, "crv")? == "Ed25519" => Ok(Self::Ed25519 { x: sized(jwk, "x", 32)? }),
            "RSA" => rsa(jwk),
            _ => Err(KeyError::UnsupportedType),
        }
    }

    /// The algorithms that keys of this type can have; the first is meant when a JWK names none.
    pub(super) const fn algorithms(&self) -> &'static [Algorithm] {
        match self {
            Self::Ec { curve, .. } if matches!(curve.as_bytes(), b"P-384") => &[Algorithm::ES384],
            Self::Ec { .. } => &[Algorithm::ES256],
            Self::Ed25519 { .. } => &[Algorithm::EdDSA],
            Self::Rsa { .. } => &[Algorithm::RS256, Algorithm::PS256],
        }
    }

    /// The members that define the key, in the lexicographic order that the thumbprint needs (RFC 7638 §3.2).
    pub(super) fn required_members(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Ec { curve, point } => {
                let coordinates = point.get(1..).unwrap_or_default();
                let (x, y) = coordinates.split_at(coordinates.len() / 2);
                vec![
                    ("crv", (*curve).to_owned()),
                    ("kty", "EC".to_owned()),
                    ("x", base64url(x)),
                    ("y", base64url(y)),
                ]
            }
            Self::Ed25519 { x } => {
                vec![("crv", "Ed25519".to_owned()), ("kty", "OKP".to_owned()), ("x", base64url(x))]
            }
            Self::Rsa { n, e } => vec![("e", base64url(e)), ("kty", "RSA".to_owned()), ("n", base64url(n))],
        }
    }

    /// The SHA-256 thumbprint (RFC 7638).
    pub(super) fn thumbprint(&self) -> String {
        // None of the values can hold a character that JSON escapes.
        let members: Vec<String> =
            self.required_members().iter().map(|(name, value)| format!("\"{name}\":\"{value}\"")).collect();
        base64url(&sha256(format!("{{{}}}", members.join(",")).as_bytes()))
    }
}

/// The algorithm that `jwk` names, if it names one.
pub(super) fn declared_algorithm(jwk: &Map<String, Value>) -> Result<Option<Algorithm>, KeyError> {
    match jwk.get("alg") {
        None => Ok(None),
        Some(Value::String(alg)) => alg.parse().map(Some).map_err(|_| KeyError::WrongAlgorithm),
        Some(_) => Err(KeyError::Malformed("alg")),
    }
}

/// Refuses keys that are published for something else than verifying signatures (RFC 7517 §4.2, §4.3).
pub(super) fn check_use(jwk: &Map<String, Value>) -> Result<(), KeyError> {
    if jwk.get("use").is_some_and(|usage| usage != "sig") {
        return Err(KeyError::WrongUse);
    }
    match jwk.get("key_ops") {
        None => Ok(()),
        Some(Value::Array(ops)) if ops.iter().any(|op| op == "verify") => Ok(()),
        Some(Value::Array(_)) => Err(KeyError::WrongUse),
        Some(_) => Err(KeyError::Malformed("key_ops")),
    }
}

/// The `kid`, if there is one.
pub(super) fn declared_kid(jwk: &Map<String, Value>) -> Result<Option<String>, KeyError> {
    match jwk.get("kid") {
        None => Ok(None),
        Some(Value::String(kid)) => Ok(Some(kid.clone())),
        Some(_) => Err(KeyError::Malformed("kid")),
    }
}

fn ec(jwk: &Map<String, Value>, curve: &'static str, size: usize) -> Result<Material, KeyError> {
    let mut point = vec![4];
    point.extend(sized(jwk, "x", size)?);
    point.extend(sized(jwk, "y", size)?);
    Ok(Material::Ec { curve, point })
}

fn rsa(jwk: &Map<String, Value>) -> Result<Material, KeyError> {
    let n = unsigned(jwk, "n")?;
    let e = unsigned(jwk, "e")?;
    let leading_zero_bits = n.first().map_or(0, |byte| byte.leading_zeros() as usize);
    if !(2048..=8192).contains(&(n.len() * 8 - leading_zero_bits)) {
        return Err(KeyError::RsaSize);
    }
    // An even or tiny exponent, or an even modulus, is no RSA key; a huge exponent makes verifying slow.
    let is_odd = |number: &[u8]| number.last().is_some_and(|byte| byte % 2 == 1);
    if !is_odd(&n) || !is_odd(&e) || e == [1] || e.len() > 4 {
        return Err(KeyError::Invalid);
    }
    Ok(Material::Rsa { n, e })
}

fn text<'a>(jwk: &'a Map<String, Value>, member: &'static str) -> Result<&'a str, KeyError> {
    jwk.get(member).and_then(Value::as_str).ok_or(KeyError::Malformed(member))
}

fn sized(jwk: &Map<String, Value>, member: &'static str, size: usize) -> Result<Vec<u8>, KeyError> {
    base64url_decode(text(jwk, member)?)
        .filter(|bytes| bytes.len() == size)
        .ok_or(KeyError::Malformed(member))
}

/// A `Base64urlUInt`. Looser than RFC 7518 §2: leading zero bytes are dropped, some publishers write one.
fn unsigned(jwk: &Map<String, Value>, member: &'static str) -> Result<Vec<u8>, KeyError> {
    let bytes = base64url_decode(text(jwk, member)?).ok_or(KeyError::Malformed(member))?;
    Ok(bytes.into_iter().skip_while(|byte| *byte == 0).collect())
}
