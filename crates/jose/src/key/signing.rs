//! Keys that sign.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use zeroize::Zeroizing;

use super::jwk::Material;
use super::{KeyError, PublicKey};
use crate::algorithm::Algorithm;
use crate::digest::{base64url, base64url_into};

/// The `typ` of access tokens, whose header is encoded once per key (RFC 9068 §2.1).
const ACCESS_TOKEN_TYP: &str = "at+jwt";

/// Why a token could not be signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The claims cannot be written as JSON.
    #[error("the claims cannot be written as JSON")]
    Claims(#[source] serde_json::Error),
    /// The cryptographic library refused to sign.
    #[error("the signature could not be made")]
    Signature,
}

/// A private key with the one algorithm that it signs with.
pub struct SigningKey {
    pair: Pair,
    public: PublicKey,
    access_token_header: String,
}

enum Pair {
    Ec(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    typ: &'a str,
    kid: &'a str,
}

impl SigningKey {
    /// A fresh key; RSA keys get 2048 bits.
    ///
    /// # Errors
    /// When the machine cannot make one.
    pub fn generate(algorithm: Algorithm) -> Result<Self, KeyError> {
        let pair = match algorithm {
            Algorithm::ES256 => {
                EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).map(Pair::Ec)
            }
            Algorithm::ES384 => {
                EcdsaKeyPair::generate(&signature::ECDSA_P384_SHA384_FIXED_SIGNING).map(Pair::Ec)
            }
            Algorithm::EdDSA => Ed25519KeyPair::generate().map(Pair::Ed25519),
            Algorithm::RS256 | Algorithm::PS256 => RsaKeyPair::generate(KeySize::Rsa2048).map(Pair::Rsa),
        };
        Self::new(algorithm, pair.map_err(|_| KeyError::Generate)?)
    }

    /// The one unencrypted private key in `pem`: PKCS#8, SEC 1 (`EC PRIVATE KEY`) or PKCS#1 (`RSA PRIVATE KEY`).
    ///
    /// P-256 keys sign ES256, P-384 keys ES384, Ed25519 keys EdDSA and RSA keys RS256.
    ///
    /// # Errors
    /// When there is none or more than one, or its kind or size is not supported.
    pub fn from_pem(pem: &SecretString) -> Result<Self, KeyError> {
        let mut keys = PrivateKeyDer::pem_slice_iter(pem.expose_secret().as_bytes());
        let Some(Ok(der)) = keys.next() else {
            return Err(KeyError::NoPem);
        };
        if keys.next().is_some() {
            return Err(KeyError::SeveralKeys);
        }
        let (algorithm, pair) = match &der {
            PrivateKeyDer::Pkcs1(der) => rsa(RsaKeyPair::from_der(der.secret_pkcs1_der())),
            PrivateKeyDer::Sec1(der) => ec(der.secret_sec1_der()),
            PrivateKeyDer::Pkcs8(der) => {
                let der = der.secret_pkcs8_der();
                ec(der)
                    .or_else(|| {
                        Some((Algorithm::EdDSA, Pair::Ed25519(Ed25519KeyPair::from_pkcs8(der).ok()?)))
                    })
                    .or_else(|| rsa(RsaKeyPair::from_pkcs8(der)))
            }
            _ => None,
        }
        .ok_or(KeyError::Unsupported)?;
        Self::new(algorithm, pair)
    }

    fn new(algorithm: Algorithm, pair: Pair) -> Result<Self, KeyError> {
        let public = PublicKey::new(algorithm, pair.public_material(algorithm), None)?;
        let kid = public.thumbprint().to_owned();
        let public = public.with_kid(kid);
        let access_token_header = encode_header(&public, ACCESS_TOKEN_TYP).map_err(|_| KeyError::Encode)?;
        Ok(Self { pair, public, access_token_header })
    }

    /// The key as PKCS#8 in PEM.
    ///
    /// # Errors
    /// When the cryptographic library cannot encode it.
    pub fn to_pem(&self) -> Result<SecretString, KeyError> {
        let encoded = match &self.pair {
            Pair::Ec(pair) => pair.to_pkcs8v1().map(|der| base64_of(der.as_ref())),
            Pair::Ed25519(pair) => pair.to_pkcs8v1().map(|der| base64_of(der.as_ref())),
            Pair::Rsa(pair) => pair.as_der().map(|der: Pkcs8V1Der<'_>| base64_of(der.as_ref())),
        }
        .map_err(|_| KeyError::Encode)?;
        // Enough capacity from the start, so that no half-written copy stays behind in freed memory.
        let mut pem = String::with_capacity(encoded.len() + encoded.len() / 64 + 64);
        pem.push_str("-----BEGIN PRIVATE KEY-----\n");
        for (at, character) in encoded.chars().enumerate() {
            if at > 0 && at % 64 == 0 {
                pem.push('\n');
            }
            pem.push(character);
        }
        pem.push_str("\n-----END PRIVATE KEY-----\n");
        Ok(SecretString::from(pem))
    }

    /// The key's name: the SHA-256 thumbprint of its public part (RFC 7638).
    pub fn kid(&self) -> &str {
        self.public.thumbprint()
    }

    /// The algorithm.
    pub const fn algorithm(&self) -> Algorithm {
        self.public.algorithm()
    }

    /// The public part, named by [`kid`](Self::kid).
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// A compact JWS (RFC 7515 §3.1) with `claims` as payload and `alg`, `typ` and `kid` in the header.
    ///
    /// # Errors
    /// When the claims cannot be written as JSON or the signature cannot be made.
    pub fn sign(&self, typ: &str, claims: &impl Serialize) -> Result<String, SignError> {
        let payload = serde_json::to_vec(claims).map_err(SignError::Claims)?;
        let mut token = String::with_capacity(self.access_token_header.len() + payload.len() * 4 / 3 + 400);
        if typ == ACCESS_TOKEN_TYP {
            token.push_str(&self.access_token_header);
        } else {
            token.push_str(&encode_header(&self.public, typ).map_err(SignError::Claims)?);
        }
        token.push('.');
        base64url_into(&payload, &mut token);
        let signature = self.pair.sign(self.algorithm(), token.as_bytes())?;
        token.push('.');
        base64url_into(&signature, &mut token);
        Ok(token)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("algorithm", &self.algorithm())
            .field("kid", &self.kid())
            .finish_non_exhaustive()
    }
}

impl Pair {
    fn public_material(&self, algorithm: Algorithm) -> Material {
        match self {
            Self::Ec(pair) => Material::Ec {
                curve: if algorithm == Algorithm::ES384 { "P-384" } else { "P-256" },
                point: pair.public_key().as_ref().to_vec(),
            },
            Self::Ed25519(pair) => Material::Ed25519 { x: pair.public_key().as_ref().to_vec() },
            Self::Rsa(pair) => Material::Rsa {
                n: pair.public_key().modulus().big_endian_without_leading_zero().to_vec(),
                e: pair.public_key().exponent().big_endian_without_leading_zero().to_vec(),
            },
        }
    }

    fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let random = SystemRandom::new();
        let signature = match self {
            Self::Ec(pair) => pair.sign(&random, message).map(|signature| signature.as_ref().to_vec()),
            Self::Ed25519(pair) => pair.try_sign(message).map(|signature| signature.as_ref().to_vec()),
            Self::Rsa(pair) => {
                let padding: &'static dyn signature::RsaEncoding = if algorithm == Algorithm::PS256 {
                    &signature::RSA_PSS_SHA256
                } else {
                    &signature::RSA_PKCS1_SHA256
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, message, &mut signature).map(|()| signature)
            }
        };
        signature.map_err(|_| SignError::Signature)
    }
}

fn encode_header(key: &PublicKey, typ: &str) -> Result<String, serde_json::Error> {
    let header = Header { alg: key.algorithm().as_str(), typ, kid: key.thumbprint() };
    Ok(base64url(&serde_json::to_vec(&header)?))
}

/// An EC key on one of the supported curves, from PKCS#8 or SEC 1.
fn ec(der: &[u8]) -> Option<(Algorithm, Pair)> {
    [
        (Algorithm::ES256, &signature::ECDSA_P256_SHA256_FIXED_SIGNING),
        (Algorithm::ES384, &signature::ECDSA_P384_SHA384_FIXED_SIGNING),
    ]
    .into_iter()
    .find_map(|(algorithm, curve)| {
        Some((algorithm, Pair::Ec(EcdsaKeyPair::from_private_key_der(curve, der).ok()?)))
    })
}

fn rsa<E>(pair: Result<RsaKeyPair, E>) -> Option<(Algorithm, Pair)> {
    Some((Algorithm::RS256, Pair::Rsa(pair.ok()?)))
}

fn base64_of(der: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(STANDARD.encode(der))
}
