//! Records as bytes: a format version, then JSON. Only what is sealed at once is ever encoded.
//!
//! Records that hold secrets have no public serialization: private mirrors of them live in [`mirrors`]. Members that a later
//! version added are ignored and optional ones may be missing, so that two versions can share a store while one replaces the
//! other.

mod mirrors;
mod secret;

use std::io;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use self::mirrors::{PendingAuthorizationMirror, UpstreamRegistrationsMirror, VaultEntryMirror};
use crate::codes::CodeRow;
use crate::once::{Holder, Used};
use crate::records::{
    Approval, Grant, PendingAuthorization, RegistrationIndex, Session, StoredClient, StoredDocument,
    UpstreamRegistrations, VaultEntry,
};
use crate::table::Kind;

const FORMAT: u8 = 1;
/// Most records fit into it, so that their buffer is allocated once.
const USUAL_LEN: usize = 2048;

/// Why a record cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CodecError {
    #[error("it has format {0:?}, which this version does not know")]
    Format(Option<u8>),
    #[error("it does not have the members of its kind")]
    Shape(#[source] serde_json::Error),
}

/// What can be written as bytes and read back.
pub(crate) trait Coded: Sized {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;
}

macro_rules! coded {
    ($($record:ty as $mirror:ty),+ $(,)?) => {$(
        impl Coded for $record {
            fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                <$mirror>::serialize(self, serializer)
            }

            fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                <$mirror>::deserialize(deserializer)
            }
        }
    )+};
}

coded! {
    PendingAuthorization as PendingAuthorizationMirror,
    CodeRow as CodeRow,
    Grant as Grant,
    Session as Session,
    VaultEntry as VaultEntryMirror,
    StoredClient as StoredClient,
    Approval as Approval,
    Used as Used,
    UpstreamRegistrations as UpstreamRegistrationsMirror,
    RegistrationIndex as RegistrationIndex,
    Holder as Holder,
    StoredDocument as StoredDocument,
}

/// The record as bytes, wiped when dropped.
pub(crate) fn encode<T: Coded>(record: &T) -> Result<Zeroizing<Vec<u8>>, CodecError> {
    let mut buffer = WipedBuffer(Zeroizing::new(Vec::with_capacity(USUAL_LEN)));
    buffer.append(&[FORMAT]);
    record.write(&mut serde_json::Serializer::new(&mut buffer)).map_err(CodecError::Shape)?;
    Ok(buffer.0)
}

/// The record that [`encode`] wrote.
pub(crate) fn decode<T: Coded>(bytes: &[u8]) -> Result<T, CodecError> {
    let mut deserializer = serde_json::Deserializer::from_slice(json(bytes)?);
    let record = T::read(&mut deserializer).map_err(CodecError::Shape)?;
    deserializer.end().map_err(CodecError::Shape)?;
    Ok(record)
}

/// The members of a record of `kind` for people to read, without its secrets.
pub(crate) fn describe(kind: Kind, bytes: &[u8]) -> Result<serde_json::Value, CodecError> {
    if kind == Kind::Store {
        return Ok(secret::REDACTED.into());
    }
    let mut members = serde_json::from_slice(json(bytes)?).map_err(CodecError::Shape)?;
    secret::redact(&mut members);
    Ok(members)
}

/// Whether the bytes are a record of `kind`.
pub(crate) fn verify(kind: Kind, bytes: &[u8]) -> Result<(), CodecError> {
    match kind {
        Kind::Pending => decode::<PendingAuthorization>(bytes).map(drop),
        Kind::Code => decode::<CodeRow>(bytes).map(drop),
        Kind::Grant => decode::<Grant>(bytes).map(drop),
        Kind::Session => decode::<Session>(bytes).map(drop),
        Kind::UpstreamTokens => decode::<VaultEntry>(bytes).map(drop),
        Kind::Client => decode::<StoredClient>(bytes).map(drop),
        Kind::Consent => decode::<Approval>(bytes).map(drop),
        Kind::Replay => decode::<Used>(bytes).map(drop),
        Kind::Registration => decode::<UpstreamRegistrations>(bytes).map(drop),
        Kind::RegistrationIndex => decode::<RegistrationIndex>(bytes).map(drop),
        Kind::Lease => decode::<Holder>(bytes).map(drop),
        Kind::Document => decode::<StoredDocument>(bytes).map(drop),
        // The store's own secrets are bytes as they are.
        Kind::Store => Ok(()),
    }
}

fn json(bytes: &[u8]) -> Result<&[u8], CodecError> {
    match bytes.split_first() {
        Some((&FORMAT, json)) => Ok(json),
        other => Err(CodecError::Format(other.map(|(format, _)| *format))),
    }
}

/// A buffer that leaves no copy behind when it grows.
struct WipedBuffer(Zeroizing<Vec<u8>>);

impl WipedBuffer {
    fn append(&mut self, bytes: &[u8]) {
        let needed = self.0.len() + bytes.len();
        if needed > self.0.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(needed.max(2 * self.0.capacity())));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
    }
}

impl io::Write for WipedBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_formats_and_shapes_are_refused_not_guessed() {
        let encoded = encode(&Used).unwrap();
        assert!(decode::<Used>(&encoded).is_ok());
        let mut later = encoded.to_vec();
        later[0] = 2;
        assert!(matches!(decode::<Used>(&later), Err(CodecError::Format(Some(2)))));
        assert!(matches!(decode::<Used>(&[]), Err(CodecError::Format(None))));
        assert!(matches!(decode::<Session>(&encoded), Err(CodecError::Shape(_))));
        let mut longer = encoded.to_vec();
        longer.extend(b"x");
        assert!(matches!(decode::<Used>(&longer), Err(CodecError::Shape(_))));
    }

    #[test]
    fn a_buffer_grows_without_losing_what_was_written() {
        let mut buffer = WipedBuffer(Zeroizing::new(Vec::with_capacity(4)));
        for byte in 0..100 {
            buffer.append(&[byte; 3]);
        }
        assert!(buffer.0.chunks(3).zip(0..).all(|(chunk, byte)| chunk == [byte; 3]));
        assert_eq!(buffer.0.len(), 300);
    }
}
