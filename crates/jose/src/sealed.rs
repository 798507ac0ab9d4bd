//! Values that leave the server and must come back unchanged.
//!
//! Sealed is authenticated, not encrypted: whoever holds the text can read it.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::digest::{base64url, base64url_decode, base64url_into};
use crate::hmac::HmacRing;

/// Why a sealed value does not open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The text is longer than the caller allows.
    #[error("the sealed value is too long")]
    TooLong,
    /// The text is not two base64url parts.
    #[error("the sealed value is malformed")]
    Malformed,
    /// No secret of the ring made the tag for this domain and payload.
    #[error("the sealed value was altered or sealed with a secret that is no longer known")]
    Tag,
    /// The payload cannot be written as JSON, or is not of the expected shape.
    #[error("the sealed value is not of the expected shape")]
    Payload(#[source] serde_json::Error),
}

/// `value` as `base64url(json) "." base64url(tag)`, for the purpose `domain`.
///
/// # Errors
/// When the value cannot be written as JSON.
pub fn seal_json(ring: &HmacRing, domain: &str, value: &impl Serialize) -> Result<String, SealError> {
    let payload = serde_json::to_vec(value).map_err(SealError::Payload)?;
    let mut sealed = base64url(&payload);
    sealed.push('.');
    base64url_into(&ring.tag(domain, &payload), &mut sealed);
    Ok(sealed)
}

/// The value in `sealed`, which must be at most `max_len` bytes of text and sealed for `domain`.
///
/// # Errors
/// When it is too long, malformed, altered or of another shape.
pub fn open_json<T: DeserializeOwned>(
    ring: &HmacRing,
    domain: &str,
    sealed: &str,
    max_len: usize,
) -> Result<T, SealError> {
    if sealed.len() > max_len {
        return Err(SealError::TooLong);
    }
    let (payload, tag) = sealed.split_once('.').ok_or(SealError::Malformed)?;
    let payload = base64url_decode(payload).ok_or(SealError::Malformed)?;
    let tag = base64url_decode(tag).ok_or(SealError::Malformed)?;
    if !ring.verify(domain, &payload, &tag) {
        return Err(SealError::Tag);
    }
    serde_json::from_slice(&payload).map_err(SealError::Payload)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ring() -> HmacRing {
        HmacRing::new(vec![vec![1; 32].into()]).unwrap()
    }

    #[test]
    fn a_sealed_value_opens_only_in_its_domain_and_length() {
        let sealed = seal_json(&ring(), "client", &("name", 7)).unwrap();
        assert_eq!(
            open_json::<(String, u8)>(&ring(), "client", &sealed, 1024).unwrap(),
            ("name".to_owned(), 7)
        );
        let refused =
            |domain, max_len| open_json::<(String, u8)>(&ring(), domain, &sealed, max_len).unwrap_err();
        assert!(matches!(refused("state", 1024), SealError::Tag));
        assert!(matches!(refused("client", sealed.len() - 1), SealError::TooLong));
        assert!(matches!(open_json::<bool>(&ring(), "client", &sealed, 1024), Err(SealError::Payload(_))));
        assert!(matches!(open_json::<bool>(&ring(), "client", "no-dot", 1024), Err(SealError::Malformed)));
    }

    proptest! {
        #[test]
        fn every_single_byte_change_is_refused(text in "\\PC{0,40}", at in any::<prop::sample::Index>(), byte in 0_u8..128) {
            let sealed = seal_json(&ring(), "client", &text).unwrap();
            let mut changed = sealed.clone().into_bytes();
            let at = at.index(changed.len());
            prop_assume!(changed[at] != byte);
            changed[at] = byte;
            let changed = String::from_utf8(changed).unwrap();
            prop_assert!(open_json::<String>(&ring(), "client", &changed, 4096).is_err());
        }

        #[test]
        fn opening_arbitrary_text_never_panics(text in "\\PC{0,200}") {
            prop_assert!(open_json::<String>(&ring(), "client", &text, 4096).is_err());
        }
    }
}
