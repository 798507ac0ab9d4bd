//! Opaque tokens: authorization codes and refresh tokens.
//!
//! A handle names a record and a position in its history, and carries a tag so that guesses are refused without asking the
//! store. The text is a function of the handle, hence the same successor can be handed out twice.

use secrecy::SecretString;

use crate::digest::{base64url_decode, base64url_into};
use crate::hmac::HmacRing;

const ID_LEN: usize = 16;
const COUNTER_LEN: usize = 4;
const TAG_LEN: usize = 32;
const ENCODED_LEN: usize = ((ID_LEN + COUNTER_LEN + TAG_LEN) * 4).div_ceil(3);

/// What a handle is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HandleKind {
    /// An authorization code (RFC 6749 §1.3.1).
    AuthorizationCode,
    /// A refresh token (RFC 6749 §1.5).
    RefreshToken,
}

impl HandleKind {
    /// What the text starts with; secret scanners can recognise it.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "thvc_",
            Self::RefreshToken => "thvr_",
        }
    }

    const fn domain(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::RefreshToken => "refresh_token",
        }
    }
}

/// A name for a stored grant and a position in its history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle {
    /// What the handle is for.
    pub kind: HandleKind,
    /// The record's name: 128 random bits.
    pub id: [u8; ID_LEN],
    /// How often the token was rotated before.
    pub counter: u32,
}

/// Why text is no handle of this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandleError {
    /// The prefix, length or alphabet is wrong.
    #[error("the token is malformed or of another kind")]
    Malformed,
    /// No secret of the ring made it.
    #[error("the token was not issued here, or with a secret that is no longer known")]
    Tag,
}

impl Handle {
    /// The handle as text: prefix, then base64url of id, counter and tag. The same handle gives the same text as long as
    /// the ring's first secret stays.
    pub fn encode(&self, ring: &HmacRing) -> SecretString {
        let message = self.message();
        let mut bytes = message.to_vec();
        bytes.extend(ring.tag(self.kind.domain(), &message));
        let mut text = self.kind.prefix().to_owned();
        base64url_into(&bytes, &mut text);
        SecretString::from(text)
    }

    /// The handle in `text`, which must be of `kind`.
    ///
    /// # Errors
    /// When the text is of another form or kind, or was not made with a secret of the ring.
    pub fn decode(text: &str, kind: HandleKind, ring: &HmacRing) -> Result<Self, HandleError> {
        let encoded = text.strip_prefix(kind.prefix()).ok_or(HandleError::Malformed)?;
        // Anything longer need not be decoded to be refused.
        if encoded.len() != ENCODED_LEN {
            return Err(HandleError::Malformed);
        }
        let bytes = base64url_decode(encoded).ok_or(HandleError::Malformed)?;
        let (id, rest) = bytes.split_first_chunk::<ID_LEN>().ok_or(HandleError::Malformed)?;
        let (counter, tag) = rest.split_first_chunk::<COUNTER_LEN>().ok_or(HandleError::Malformed)?;
        let handle = Self { kind, id: *id, counter: u32::from_be_bytes(*counter) };
        if ring.verify(kind.domain(), &handle.message(), tag) { Ok(handle) } else { Err(HandleError::Tag) }
    }

    fn message(&self) -> [u8; ID_LEN + COUNTER_LEN] {
        let mut message = [0; ID_LEN + COUNTER_LEN];
        let (id, counter) = message.split_at_mut(ID_LEN);
        id.copy_from_slice(&self.id);
        counter.copy_from_slice(&self.counter.to_be_bytes());
        message
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    use super::*;

    fn ring(byte: u8) -> HmacRing {
        HmacRing::new(vec![vec![byte; 32].into()]).unwrap()
    }

    const REFRESH: Handle = Handle { kind: HandleKind::RefreshToken, id: [7; 16], counter: 3 };

    #[test]
    fn a_handle_comes_back_and_its_text_is_always_the_same() {
        let text = REFRESH.encode(&ring(1));
        let text = text.expose_secret();
        assert!(text.starts_with("thvr_"));
        assert_eq!(text, REFRESH.encode(&ring(1)).expose_secret());
        assert_eq!(Handle::decode(text, HandleKind::RefreshToken, &ring(1)), Ok(REFRESH));
        assert_eq!(Handle::decode(text, HandleKind::RefreshToken, &ring(2)), Err(HandleError::Tag));
    }

    #[test]
    fn a_refresh_token_is_no_code_even_under_the_other_prefix() {
        let text = REFRESH.encode(&ring(1));
        let text = text.expose_secret();
        assert_eq!(
            Handle::decode(text, HandleKind::AuthorizationCode, &ring(1)),
            Err(HandleError::Malformed)
        );
        let renamed = text.replace("thvr_", "thvc_");
        assert_eq!(Handle::decode(&renamed, HandleKind::AuthorizationCode, &ring(1)), Err(HandleError::Tag));
    }

    proptest! {
        #[test]
        fn every_single_byte_change_is_refused(id: [u8; 16], counter: u32, at in any::<prop::sample::Index>(), byte in 33_u8..127) {
            let handle = Handle { kind: HandleKind::AuthorizationCode, id, counter };
            let mut changed = handle.encode(&ring(1)).expose_secret().as_bytes().to_vec();
            let at = at.index(changed.len());
            prop_assume!(changed[at] != byte);
            changed[at] = byte;
            let changed = String::from_utf8(changed).unwrap();
            prop_assert!(Handle::decode(&changed, HandleKind::AuthorizationCode, &ring(1)).is_err());
        }
    }
}
