//! Proof Key for Code Exchange (RFC 7636), S256 only.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};

use crate::newtype::validated_string;

/// The one `code_challenge_method` that is accepted.
pub const METHOD_S256: &str = "S256";

/// Why a challenge or verifier was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum PkceError {
    /// No `code_challenge_method`, which means `plain` (RFC 7636 §4.3).
    #[error("code_challenge_method is missing, it must be S256")]
    MethodMissing,
    /// A method other than S256.
    #[error("code_challenge_method must be S256")]
    MethodNotSupported,
    /// Not 43 base64url characters.
    #[error("code_challenge must be 43 base64url characters")]
    MalformedChallenge,
    /// Not 43 to 128 unreserved characters.
    #[error("code_verifier must be 43 to 128 unreserved characters")]
    MalformedVerifier,
}

/// A `code_challenge` made with S256.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CodeChallenge(String);

validated_string!(CodeChallenge, |text| CodeChallenge::parse(text, Some(METHOD_S256)));

impl CodeChallenge {
    /// Checks the `code_challenge` and `code_challenge_method` of an authorization request (AS-25).
    ///
    /// # Errors
    /// [`PkceError`].
    pub fn parse(challenge: &str, method: Option<&str>) -> Result<Self, PkceError> {
        match method {
            Some(METHOD_S256) => {}
            Some(_) => return Err(PkceError::MethodNotSupported),
            None => return Err(PkceError::MethodMissing),
        }
        let base64url = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if challenge.len() != 43 || !challenge.bytes().all(base64url) {
            return Err(PkceError::MalformedChallenge);
        }
        Ok(Self(challenge.to_owned()))
    }

    /// Whether a `code_verifier` is well formed and fits (RFC 7636 §4.6), compared in constant time.
    pub fn verify(&self, verifier: &str) -> bool {
        is_verifier(verifier)
            && verify_slices_are_equal(challenge_of(verifier).as_bytes(), self.0.as_bytes()).is_ok()
    }
}

/// A `code_verifier`, to be kept until the token request. `Debug` does not show it, and it is wiped when dropped.
#[derive(Clone, Debug)]
pub struct CodeVerifier(SecretString);

impl CodeVerifier {
    /// The verifier that RFC 7636 §4.1 recommends: 32 random octets, base64url.
    pub fn from_random(octets: [u8; 32]) -> Self {
        Self(URL_SAFE_NO_PAD.encode(octets).into())
    }

    /// Takes back a verifier that was stored.
    ///
    /// # Errors
    /// [`PkceError::MalformedVerifier`].
    pub fn parse(verifier: &str) -> Result<Self, PkceError> {
        if is_verifier(verifier) { Ok(Self(verifier.into())) } else { Err(PkceError::MalformedVerifier) }
    }

    /// The challenge for the authorization request.
    pub fn challenge(&self) -> CodeChallenge {
        CodeChallenge(challenge_of(self.expose()))
    }

    /// The verifier itself, for the token request.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

fn is_verifier(text: &str) -> bool {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    (43..=128).contains(&text.len()) && text.bytes().all(unreserved)
}

fn challenge_of(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 7636 appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    #[test]
    fn as_123_the_example_of_rfc_7636_verifies() {
        let challenge = CodeChallenge::parse(CHALLENGE, Some("S256")).unwrap();
        assert!(challenge.verify(VERIFIER));
        assert_eq!(CodeVerifier::parse(VERIFIER).unwrap().challenge(), challenge);
        assert!(!challenge.verify(&VERIFIER.replace('d', "e")));
        assert!(!challenge.verify(CHALLENGE));
    }

    #[test]
    fn as_25_only_s256_is_accepted() {
        for (challenge, method, error) in [
            (CHALLENGE, None, PkceError::MethodMissing),
            (CHALLENGE, Some("plain"), PkceError::MethodNotSupported),
            (CHALLENGE, Some("s256"), PkceError::MethodNotSupported),
            (CHALLENGE, Some(""), PkceError::MethodNotSupported),
            ("", Some("S256"), PkceError::MalformedChallenge),
            ("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-c", Some("S256"), PkceError::MalformedChallenge),
            ("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cMM", Some("S256"), PkceError::MalformedChallenge),
            ("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw+cM", Some("S256"), PkceError::MalformedChallenge),
            ("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-c=", Some("S256"), PkceError::MalformedChallenge),
        ] {
            assert_eq!(CodeChallenge::parse(challenge, method), Err(error), "{challenge} {method:?}");
        }
    }

    #[test]
    fn as_123_verifiers_have_43_to_128_unreserved_characters() {
        for (verifier, ok) in [
            ("a".repeat(42), false),
            ("a".repeat(43), true),
            ("~".repeat(128), true),
            ("a".repeat(129), false),
            (format!("{}+", "a".repeat(42)), false),
            (format!("{} ", "a".repeat(43)), false),
            ("é".repeat(22), false),
        ] {
            assert_eq!(CodeVerifier::parse(&verifier).is_ok(), ok, "{verifier}");
            let challenge = CodeChallenge(challenge_of(&verifier));
            assert_eq!(challenge.verify(&verifier), ok, "{verifier}");
        }
    }

    #[test]
    fn debug_does_not_show_the_verifier() {
        let verifier = CodeVerifier::from_random([7; 32]);
        assert!(!format!("{verifier:?}").contains(verifier.expose()));
    }

    proptest! {
        #[test]
        fn random_verifiers_fit_their_challenge_and_no_other(a in any::<[u8; 32]>(), b in any::<[u8; 32]>()) {
            let (first, second) = (CodeVerifier::from_random(a), CodeVerifier::from_random(b));
            prop_assert_eq!(first.expose().len(), 43);
            prop_assert!(first.challenge().verify(first.expose()));
            prop_assert_eq!(first.challenge().verify(second.expose()), a == b);
        }
    }
}
