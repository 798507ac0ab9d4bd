//! Keyed digests (HMAC-SHA256) that survive the rotation of their secret.

use std::fmt;

use aws_lc_rs::hmac;
use secrecy::{ExposeSecret, SecretSlice};

/// The shortest secret, in bytes: as long as the digest (RFC 2104 §3).
pub const MIN_SECRET_LEN: usize = 32;

/// Why secrets do not make a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HmacRingError {
    /// No secret was given.
    #[error("at least one HMAC secret is needed")]
    Empty,
    /// A secret is too short.
    #[error("HMAC secret number {position} has {length} bytes, at least {MIN_SECRET_LEN} are needed")]
    TooShort {
        /// Which one, counted from 1.
        position: usize,
        /// Its length in bytes.
        length: usize,
    },
}

/// HMAC secrets in order: the first signs, all verify.
pub struct HmacRing {
    active: hmac::Key,
    others: Vec<hmac::Key>,
}

impl HmacRing {
    /// A ring of `secrets`.
    ///
    /// # Errors
    /// When there is none, or one is shorter than 32 bytes.
    pub fn new(secrets: Vec<SecretSlice<u8>>) -> Result<Self, HmacRingError> {
        let mut keys = Vec::with_capacity(secrets.len());
        for (index, secret) in secrets.iter().enumerate() {
            let secret = secret.expose_secret();
            if secret.len() < MIN_SECRET_LEN {
                return Err(HmacRingError::TooShort { position: index + 1, length: secret.len() });
            }
            keys.push(hmac::Key::new(hmac::HMAC_SHA256, secret));
        }
        let mut keys = keys.into_iter();
        let active = keys.next().ok_or(HmacRingError::Empty)?;
        Ok(Self { active, others: keys.collect() })
    }

    /// The tag of `message` for the purpose `domain`, by the first secret.
    ///
    /// A tag made for one domain never verifies in another: the domain is part of what is tagged, preceded by its length.
    pub fn tag(&self, domain: &str, message: &[u8]) -> [u8; 32] {
        compute(&self.active, domain, message)
    }

    /// Whether `tag` was made by any secret of the ring for `domain` and `message`. Takes the same time for every wrong tag.
    pub fn verify(&self, domain: &str, message: &[u8], tag: &[u8]) -> bool {
        std::iter::once(&self.active).chain(&self.others).any(|key| {
            let expected = compute(key, domain, message);
            aws_lc_rs::constant_time::verify_slices_are_equal(&expected, tag).is_ok()
        })
    }
}

impl fmt::Debug for HmacRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HmacRing").field("secrets", &(1 + self.others.len())).finish_non_exhaustive()
    }
}

fn compute(key: &hmac::Key, domain: &str, message: &[u8]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(key);
    context.update(&(domain.len() as u64).to_be_bytes());
    context.update(domain.as_bytes());
    context.update(message);
    let mut tag = [0; 32];
    tag.copy_from_slice(context.sign().as_ref());
    tag
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(byte: u8) -> SecretSlice<u8> {
        vec![byte; 32].into()
    }

    #[test]
    fn the_first_secret_tags_and_all_verify() {
        let old = HmacRing::new(vec![secret(1)]).unwrap();
        let rotated = HmacRing::new(vec![secret(2), secret(1)]).unwrap();
        let tag = old.tag("code", b"message");
        assert!(rotated.verify("code", b"message", &tag));
        assert_ne!(rotated.tag("code", b"message"), tag);
        assert!(!HmacRing::new(vec![secret(2)]).unwrap().verify("code", b"message", &tag));
    }

    #[test]
    fn domains_are_separate_even_when_their_texts_run_together() {
        let ring = HmacRing::new(vec![secret(1)]).unwrap();
        let tag = ring.tag("ab", b"c");
        assert!(!ring.verify("a", b"bc", &tag));
        assert!(!ring.verify("ab", b"d", &tag));
        assert!(!ring.verify("ab", b"c", tag.get(..31).unwrap()));
    }

    #[test]
    fn short_secrets_are_refused_by_position() {
        assert_eq!(HmacRing::new(Vec::new()).unwrap_err(), HmacRingError::Empty);
        let error = HmacRing::new(vec![secret(1), vec![7; 31].into()]).unwrap_err();
        assert_eq!(error, HmacRingError::TooShort { position: 2, length: 31 });
    }

    #[test]
    fn debug_shows_no_secret() {
        assert_eq!(format!("{:?}", HmacRing::new(vec![secret(9)]).unwrap()), "HmacRing { secrets: 1, .. }");
    }
}
