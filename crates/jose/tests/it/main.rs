//! What the crate promises over the wire: RFC vectors, keys of other programs, and tokens that must be refused.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod attacks;
mod foreign_keys;
mod interoperability;
mod times;
mod vectors;

use serde_json::{Value, json};
use thv_clock::Timestamp;
use thv_jose::algorithm::Algorithm;
use thv_jose::digest::{base64url, base64url_decode};
use thv_jose::key::SigningKey;
use thv_jose::verify::{Expected, KeySource, Typ, VerifyError, verify};

/// The time at which the tests' tokens are verified.
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn key(algorithm: Algorithm) -> SigningKey {
    SigningKey::generate(algorithm).unwrap()
}

fn claims() -> Value {
    json!({ "iss": "https://as.example", "aud": "https://rs.example", "exp": NOW.as_secs() + 60, "iat": NOW.as_secs() })
}

fn expected() -> Expected<'static> {
    Expected {
        issuer: Some("https://as.example"),
        ..Expected::new(Typ::AccessToken, &["https://rs.example"], NOW)
    }
}

/// The reason for refusal, or "accepted".
fn verdict(token: &str, keys: &dyn KeySource, expected: &Expected<'_>) -> &'static str {
    verify::<Value>(token, keys, expected).as_ref().map_or_else(VerifyError::reason, |_| "accepted")
}

/// `token` with its header replaced by the JSON text `header`; the signature stays.
fn with_header(token: &str, header: &str) -> String {
    let (_, rest) = token.split_once('.').unwrap();
    format!("{}.{rest}", base64url(header.as_bytes()))
}

/// A token with the JSON text `header`, honestly signed with `key`, by way of a signature over the wanted input.
fn signed_with_header(key: &aws_key::Ed25519, header: &str, claims: &Value) -> String {
    let input = format!("{}.{}", base64url(header.as_bytes()), base64url(claims.to_string().as_bytes()));
    format!("{input}.{}", base64url(&key.sign(input.as_bytes())))
}

/// The parts of `token`, decoded.
fn parts(token: &str) -> (Value, Value, Vec<u8>) {
    let parts: Vec<Vec<u8>> = token.split('.').map(|part| base64url_decode(part).unwrap()).collect();
    (serde_json::from_slice(&parts[0]).unwrap(), serde_json::from_slice(&parts[1]).unwrap(), parts[2].clone())
}

/// A signer without our header, for headers that [`SigningKey::sign`] would never write.
mod aws_key {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
    use serde_json::json;
    use thv_jose::digest::base64url;
    use thv_jose::key::PublicKey;

    pub(crate) struct Ed25519 {
        pair: Ed25519KeyPair,
        public: PublicKey,
    }

    impl Ed25519 {
        pub(crate) fn generate() -> Self {
            let pair = Ed25519KeyPair::generate().unwrap();
            let x = base64url(pair.public_key().as_ref());
            let public = PublicKey::all_from_jwk(&json!({ "kty": "OKP", "crv": "Ed25519", "x": x }))
                .unwrap()
                .remove(0);
            Self { pair, public }
        }

        pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
            self.pair.sign(message).as_ref().to_vec()
        }

        pub(crate) const fn public(&self) -> &PublicKey {
            &self.public
        }
    }
}
