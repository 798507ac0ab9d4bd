//! A bare token endpoint: parses nothing, signs one access token per request, remembers nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;

use crate::error::{BenchError, During as _};
use crate::serve;

/// Answers every request with a token response of about `body_bytes` bytes.
pub(super) async fn run(body_bytes: usize) -> Result<(), BenchError> {
    let signer = Arc::new(Signer::new(body_bytes).during("making the signing key")?);
    serve::serve(move |request| {
        let signer = Arc::clone(&signer);
        async move {
            serve::drain(request).await;
            signer.token_response().map(|body| serve::json(Bytes::from(body)))
        }
    })
    .await
}

/// One P-256 key, parsed once, and the constant parts of what it signs.
pub(crate) struct Signer {
    key: EcdsaKeyPair,
    random: SystemRandom,
    header: String,
    issued: AtomicU64,
    padding: String,
}

impl Signer {
    /// A fresh key whose responses are padded to `body_bytes`.
    ///
    /// # Errors
    /// When the crypto library cannot make the key or sign with it.
    pub(crate) fn new(body_bytes: usize) -> Result<Self, Unspecified> {
        let mut signer = Self {
            key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?,
            random: SystemRandom::new(),
            header: URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256","typ":"at+jwt","kid":"baseline"}"#),
            issued: AtomicU64::new(1 << 40),
            padding: String::new(),
        };
        let bare = signer.token_response()?.len();
        signer.padding = "x".repeat(body_bytes.saturating_sub(bare));
        Ok(signer)
    }

    /// A JWT with its own `jti`, signed with ES256 (RFC 7518 §3.4).
    ///
    /// # Errors
    /// When the crypto library cannot sign.
    pub(crate) fn access_token(&self) -> Result<String, Unspecified> {
        let jti = self.issued.fetch_add(1, Ordering::Relaxed);
        let claims = format!(
            r#"{{"iss":"http://127.0.0.1:8080","sub":"dev","aud":"http://127.0.0.1:8080/mcp","client_id":"baseline","exp":1900003600,"iat":1900000000,"jti":"{jti}","scope":"openid offline_access"}}"#
        );
        let mut token = format!("{}.{}", self.header, URL_SAFE_NO_PAD.encode(claims));
        let signature = self.key.sign(&self.random, token.as_bytes())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }

    /// The JSON of a token response (RFC 6749 §5.1); its refresh token is the same every time.
    fn token_response(&self) -> Result<String, Unspecified> {
        Ok(format!(
            r#"{{"access_token":"{}","token_type":"Bearer","expires_in":3600,"refresh_token":"baseline","scope":"openid offline_access","padding":"{}"}}"#,
            self.access_token()?,
            self.padding
        ))
    }

    /// The key, for verifying what was signed.
    pub(crate) fn key(&self) -> &EcdsaKeyPair {
        &self.key
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, KeyPair as _, UnparsedPublicKey};

    use super::*;

    #[test]
    fn the_token_response_has_the_length_asked_for_and_a_valid_signature() {
        let signer = Signer::new(1500).unwrap();
        let body = signer.token_response().unwrap();
        assert_eq!(body.len(), 1500);
        let response: serde_json::Value = serde_json::from_str(&body).unwrap();
        let token = response["access_token"].as_str().unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, signer.key().public_key().as_ref());
        key.verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
    }
}
