//! SHA-256 and the base64url alphabet.

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A SHA-256 digest.
pub type Digest = [u8; 32];

/// The SHA-256 digest of `message`.
pub fn sha256(message: &[u8]) -> Digest {
    let mut sum = [0; 32];
    sum.copy_from_slice(digest::digest(&digest::SHA256, message).as_ref());
    sum
}

/// `bytes` in base64url without padding (RFC 7515 §2).
pub fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The bytes that `text` encodes in base64url without padding.
///
/// Strict: padding, white space, the other alphabet and stray trailing bits are refused, so every byte string has exactly
/// one spelling.
pub fn base64url_decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Appends `bytes` in base64url without padding to `out`.
pub(crate) fn base64url_into(bytes: &[u8], out: &mut String) {
    URL_SAFE_NO_PAD.encode_string(bytes, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_7636_appendix_b_challenge() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(base64url(&sha256(verifier.as_bytes())), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn every_byte_string_has_one_spelling() {
        assert_eq!(base64url_decode("AQ").unwrap(), [1]);
        for text in ["AQ==", "AR", "A", "AQ\n", "+/+/", " AQ"] {
            assert_eq!(base64url_decode(text), None, "{text:?}");
        }
    }
}
