//! Keys, parsed once.

mod jwk;
mod public;
mod signing;

pub use public::PublicKey;
pub use signing::{SignError, SigningKey};

/// Why a key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// No PEM block with a private key was found.
    #[error(
        "no private key in PEM found (expected PRIVATE KEY, EC PRIVATE KEY or RSA PRIVATE KEY, unencrypted)"
    )]
    NoPem,
    /// The text holds more than one private key.
    #[error("more than one private key found where one is expected; put each key into its own file")]
    SeveralKeys,
    /// The key is not of a supported kind, or damaged.
    #[error("the private key must be P-256, P-384, Ed25519 or RSA of 2048 to 8192 bits")]
    Unsupported,
    /// The machine could not make a key.
    #[error("the key could not be generated")]
    Generate,
    /// The key could not be written.
    #[error("the key could not be encoded")]
    Encode,
    /// The JWK is not a JSON object, or a member has the wrong type or encoding.
    #[error("the JWK is malformed: member {0} is missing or not as RFC 7518 §6 requires")]
    Malformed(&'static str),
    /// The JWK holds private key material.
    #[error("the JWK holds private key material (member {0}), which must never be published")]
    Private(&'static str),
    /// The JWK is a symmetric key (`kty` is `oct`).
    #[error("the JWK is a symmetric key, which must never be published")]
    Symmetric,
    /// `kty` or `crv` is not supported.
    #[error(
        "the JWK's kty or crv is not supported (supported: EC with P-256 or P-384, OKP with Ed25519, RSA)"
    )]
    UnsupportedType,
    /// `alg` is unknown or does not belong to the key's type.
    #[error("the JWK's alg is not supported or does not fit its key type")]
    WrongAlgorithm,
    /// `use` or `key_ops` say that the key does not verify signatures.
    #[error("the JWK is not meant for signatures (use must be sig, key_ops must contain verify)")]
    WrongUse,
    /// The RSA modulus is shorter than 2048 or longer than 8192 bits.
    #[error("an RSA key must have 2048 to 8192 bits")]
    RsaSize,
    /// The numbers are no valid public key, such as a point that is not on the curve.
    #[error("the JWK is not a valid public key")]
    Invalid,
}

impl KeyError {
    /// Whether the whole key set must be refused because it publishes a secret.
    pub const fn is_secret_material(self) -> bool {
        matches!(self, Self::Private(_) | Self::Symmetric)
    }
}
