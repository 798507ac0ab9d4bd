//! Encryption of records at rest: AES-256-GCM-SIV (RFC 8452) under a ring of keys.
//!
//! A sealed record is a version byte, the id of its key, a random nonce, the ciphertext and the tag. The id tells at once
//! whether the key is there and whether it is the current one, so that records move to a new key as they are read. The mode
//! tolerates a nonce that repeats, so the number of records under one key needs no bound that an operator had to watch.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf;
use secrecy::{ExposeSecret, SecretSlice};
use zeroize::Zeroizing;

use crate::random;

/// The shortest secret, in bytes: as long as the key that is derived from it.
pub const MIN_SECRET_LEN: usize = 32;

const VERSION: u8 = 1;
const KEY_ID_LEN: usize = 8;
const KEY_LEN: usize = 32;
const TAG_LEN: usize = 16;
const HEADER_LEN: usize = 1 + KEY_ID_LEN;

/// Why secrets do not make a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AtRestRingError {
    /// No secret was given.
    #[error("at least one encryption key is needed")]
    Empty,
    /// A secret is too short.
    #[error("encryption key number {position} has {length} bytes, at least {MIN_SECRET_LEN} are needed")]
    TooShort {
        /// Which one, counted from 1.
        position: usize,
        /// Its length in bytes.
        length: usize,
    },
    /// The cryptographic library refused to derive a key.
    #[error("encryption key number {position} cannot be used")]
    Unusable {
        /// Which one, counted from 1.
        position: usize,
    },
}

/// Why a record was not sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AtRestError {
    /// It was sealed with a key that is not in the ring.
    #[error("it was sealed with key {0}, which is not among the configured keys")]
    UnknownKey(KeyId),
    /// It was cut off, altered, or belongs to another place.
    #[error("it is damaged, or was moved from another place")]
    Damaged,
    /// Its envelope is of a later version than this one knows.
    #[error("its envelope has version {0}, which this version does not know")]
    UnsupportedVersion(u8),
    /// It is too large to be sealed.
    #[error("it is too large to be sealed")]
    TooLarge,
}

/// Names a key without telling anything about it; written as 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; KEY_ID_LEN]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Encryption keys in order: the first seals, all open.
pub struct AtRestRing {
    current: Key,
    others: Vec<Key>,
}

struct Key {
    id: KeyId,
    key: LessSafeKey,
}

/// What was in a sealed record.
pub struct Opened {
    /// The record; wiped when dropped.
    pub plaintext: Zeroizing<Vec<u8>>,
    /// Whether the ring's first key sealed it; if not, it should be sealed again.
    pub current: bool,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("current", &self.current).finish_non_exhaustive()
    }
}

impl AtRestRing {
    /// A ring of keys that are derived from `secrets` (HKDF-SHA-256, RFC 5869).
    ///
    /// # Errors
    /// When there is none, or one is shorter than 32 bytes.
    pub fn new(secrets: Vec<SecretSlice<u8>>) -> Result<Self, AtRestRingError> {
        let mut keys = Vec::with_capacity(secrets.len());
        for (index, secret) in secrets.iter().enumerate() {
            let (position, secret) = (index + 1, secret.expose_secret());
            if secret.len() < MIN_SECRET_LEN {
                return Err(AtRestRingError::TooShort { position, length: secret.len() });
            }
            keys.push(Key::derive(secret).ok_or(AtRestRingError::Unusable { position })?);
        }
        let mut keys = keys.into_iter();
        let current = keys.next().ok_or(AtRestRingError::Empty)?;
        Ok(Self { current, others: keys.collect() })
    }

    /// The ids of the keys; the first one is current.
    pub fn key_ids(&self) -> impl Iterator<Item = KeyId> {
        self.keys().map(|key| key.id)
    }

    /// Seals `plaintext` with the first key. It opens only together with the same `aad`, which says where it belongs.
    ///
    /// # Errors
    /// [`AtRestError::TooLarge`] beyond 64 GiB.
    pub fn seal(&self, aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, AtRestError> {
        let nonce: [u8; NONCE_LEN] = random::bytes();
        let mut sealed = Vec::with_capacity(HEADER_LEN + NONCE_LEN + plaintext.len() + TAG_LEN);
        sealed.push(VERSION);
        sealed.extend(self.current.id.0);
        let bound = bound_data(&sealed, aad);
        sealed.extend(nonce);
        let mut text = Zeroizing::new(Vec::with_capacity(plaintext.len() + TAG_LEN));
        text.extend(plaintext);
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.current
            .key
            .seal_in_place_append_tag(nonce, Aad::from(bound), &mut *text)
            .map_err(|_| AtRestError::TooLarge)?;
        sealed.extend_from_slice(&text);
        Ok(sealed)
    }

    /// Opens what [`seal`](Self::seal) made with any key of the ring, for the same `aad`.
    ///
    /// # Errors
    /// When the key is not in the ring, or anything was altered.
    pub fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Opened, AtRestError> {
        let id = key_id(sealed)?;
        let key = self.keys().find(|key| key.id == id).ok_or(AtRestError::UnknownKey(id))?;
        let (header, rest) = sealed.split_at_checked(HEADER_LEN).ok_or(AtRestError::Damaged)?;
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_LEN>().ok_or(AtRestError::Damaged)?;
        let mut plaintext = Zeroizing::new(ciphertext.to_vec());
        let length = key
            .key
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(bound_data(header, aad)),
                plaintext.as_mut_slice(),
            )
            .map_err(|_| AtRestError::Damaged)?
            .len();
        plaintext.truncate(length);
        Ok(Opened { plaintext, current: id == self.current.id })
    }

    /// Whether a key of the ring sealed this, as its envelope says; nothing is opened.
    pub fn has_sealed(&self, sealed: &[u8]) -> bool {
        key_id(sealed).is_ok_and(|id| self.key_ids().any(|known| known == id))
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.current).chain(&self.others)
    }
}

impl fmt::Debug for AtRestRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AtRestRing").field("keys", &self.key_ids().collect::<Vec<_>>()).finish()
    }
}

/// Which key sealed a record, read from its envelope without opening it.
///
/// # Errors
/// When it is too short to say so, or of a later version.
pub fn key_id(sealed: &[u8]) -> Result<KeyId, AtRestError> {
    match sealed.split_first() {
        Some((&VERSION, rest)) => {
            rest.first_chunk::<KEY_ID_LEN>().map(|id| KeyId(*id)).ok_or(AtRestError::Damaged)
        }
        Some((&version, _)) => Err(AtRestError::UnsupportedVersion(version)),
        None => Err(AtRestError::Damaged),
    }
}

impl Key {
    fn derive(secret: &[u8]) -> Option<Self> {
        let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, b"thv at rest").extract(secret);
        let mut key = Zeroizing::new([0; KEY_LEN]);
        expand(&extracted, b"AES-256-GCM-SIV key", &mut *key)?;
        let mut id = [0; KEY_ID_LEN];
        expand(&extracted, b"key id", &mut id)?;
        let unbound = UnboundKey::new(&AES_256_GCM_SIV, &*key).ok()?;
        Some(Self { id: KeyId(id), key: LessSafeKey::new(unbound) })
    }
}

fn expand(secret: &hkdf::Prk, purpose: &[u8], out: &mut [u8]) -> Option<()> {
    struct Length(usize);
    impl hkdf::KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    secret.expand(&[purpose], Length(out.len())).and_then(|okm| okm.fill(out)).ok()
}

/// The envelope's header is authenticated with the caller's data; its length is fixed, so no two pairs give the same bytes.
fn bound_data(header: &[u8], aad: &[u8]) -> Vec<u8> {
    [header, aad].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::reload::AtRestHandle;

    fn ring(bytes: &[u8]) -> AtRestRing {
        AtRestRing::new(bytes.iter().map(|byte| vec![*byte; 32].into()).collect()).unwrap()
    }

    #[test]
    fn the_first_key_seals_and_all_open() {
        let sealed = ring(&[1]).seal(b"here", b"record").unwrap();
        let rotated = ring(&[2, 1]);
        let opened = rotated.open(b"here", &sealed).unwrap();
        assert_eq!((opened.plaintext.as_slice(), opened.current), (b"record".as_slice(), false));
        let again = rotated.seal(b"here", b"record").unwrap();
        assert!(rotated.open(b"here", &again).unwrap().current);
        assert!(ring(&[2]).open(b"here", &again).unwrap().current);
    }

    #[test]
    fn an_unknown_key_is_named() {
        let (old, new) = (ring(&[1]), ring(&[2]));
        let id = old.key_ids().next().unwrap();
        let sealed = old.seal(b"", b"record").unwrap();
        let error = new.open(b"", &sealed).unwrap_err();
        assert_eq!(error, AtRestError::UnknownKey(id));
        assert!(error.to_string().contains(&format!("{id}")));
        assert_eq!(key_id(&sealed), Ok(id));
        assert!(old.has_sealed(&sealed) && !new.has_sealed(&sealed) && !old.has_sealed(b""));
        assert_ne!(new.key_ids().next().unwrap(), id);
    }

    #[test]
    fn other_versions_and_torn_envelopes_are_told_apart() {
        let sealed = ring(&[1]).seal(b"", b"record").unwrap();
        let mut later = sealed.clone();
        later[0] = 2;
        assert_eq!(ring(&[1]).open(b"", &later).unwrap_err(), AtRestError::UnsupportedVersion(2));
        for length in 0..sealed.len() {
            assert_eq!(
                ring(&[1]).open(b"", &sealed[..length]).unwrap_err(),
                AtRestError::Damaged,
                "{length}"
            );
        }
    }

    #[test]
    fn sealing_twice_gives_different_bytes_without_the_plaintext() {
        let (one, two) = (ring(&[1]).seal(b"", &[7; 64]).unwrap(), ring(&[1]).seal(b"", &[7; 64]).unwrap());
        assert_ne!(one, two);
        assert!(!one.windows(8).any(|window| window == [7; 8]));
    }

    #[test]
    fn short_secrets_are_refused_by_position() {
        assert_eq!(AtRestRing::new(vec![]).unwrap_err(), AtRestRingError::Empty);
        let error = AtRestRing::new(vec![vec![1; 32].into(), vec![7; 31].into()]).unwrap_err();
        assert_eq!(error, AtRestRingError::TooShort { position: 2, length: 31 });
    }

    #[test]
    fn keys_are_exchanged_while_a_handle_is_in_use() {
        let handle = AtRestHandle::new(ring(&[1]));
        let sealed = handle.clone().load().seal(b"", b"record").unwrap();
        handle.replace(ring(&[2, 1]));
        assert!(!handle.load().open(b"", &sealed).unwrap().current);
    }

    #[test]
    fn debug_shows_key_ids_only() {
        let ring = ring(&[9]);
        let id = ring.key_ids().next().unwrap();
        assert_eq!(format!("{ring:?}"), format!("AtRestRing {{ keys: [{id}] }}"));
        let opened = ring.open(b"", &ring.seal(b"", b"secret").unwrap()).unwrap();
        assert_eq!(format!("{opened:?}"), "Opened { current: true, .. }");
    }

    proptest! {
        #[test]
        fn every_changed_byte_is_refused(plaintext: Vec<u8>, at in any::<prop::sample::Index>(), flip in 1_u8..) {
            let mut sealed = ring(&[1]).seal(b"here", &plaintext).unwrap();
            let at = at.index(sealed.len());
            sealed[at] ^= flip;
            prop_assert!(ring(&[1, 2]).open(b"here", &sealed).is_err());
        }

        #[test]
        fn a_record_opens_only_where_it_belongs(plaintext: Vec<u8>, here: Vec<u8>, there: Vec<u8>) {
            let sealed = ring(&[1]).seal(&here, &plaintext).unwrap();
            prop_assert_eq!(&*ring(&[1]).open(&here, &sealed).unwrap().plaintext, &plaintext);
            prop_assume!(here != there);
            prop_assert_eq!(ring(&[1]).open(&there, &sealed).unwrap_err(), AtRestError::Damaged);
        }

        #[test]
        fn opening_arbitrary_bytes_never_panics(bytes: Vec<u8>) {
            prop_assert!(ring(&[1]).open(b"", &bytes).is_err());
        }
    }
}
