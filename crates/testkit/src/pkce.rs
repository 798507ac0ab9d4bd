//! Proof keys for code exchange (RFC 7636).

use thv_jose::{digest, random};

/// A verifier and its S256 challenge.
#[derive(Clone, Debug)]
pub struct Pkce {
    /// The `code_verifier`.
    pub verifier: String,
    /// The `code_challenge`, method S256.
    pub challenge: String,
}

impl Pkce {
    /// A fresh pair.
    pub fn generate() -> Self {
        let verifier = random::token();
        let challenge = digest::base64url(&digest::sha256(verifier.as_bytes()));
        Self { verifier, challenge }
    }
}
