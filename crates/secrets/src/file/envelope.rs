//! The format of `secrets_encrypted`: four lines of text.
//!
//! ```text
//! thv-secrets 1
//! {"password":{"salt":"…","memory_kib":19456,"passes":2,"lanes":1}}      or "key_file"
//! the sealed secrets (thv_jose::at_rest), base64url
//! SHA-256 of the lines above, base64url
//! ```
//!
//! The digest is no protection against an attacker, for which the seal is. It tells damage from a wrong password.

use std::path::Path;

use serde::{Deserialize, Serialize};
use thv_jose::digest::{base64url, base64url_decode, sha256};

use crate::FileError;

const MAGIC: &str = "thv-secrets ";
const VERSION: u32 = 1;

/// What the key of the sealed secrets is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Protection {
    /// The random key in the key file.
    KeyFile,
    /// A password.
    Password(Argon2id),
}

/// How a key is derived from the password (RFC 9106).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Argon2id {
    /// Random, base64url.
    pub(super) salt: String,
    pub(super) memory_kib: u32,
    pub(super) passes: u32,
    pub(super) lanes: u32,
}

/// The file's content.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Envelope {
    pub(super) protection: Protection,
    pub(super) sealed: Vec<u8>,
}

impl Envelope {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        // A struct of numbers and strings always serializes.
        let protection = serde_json::to_string(&self.protection).unwrap_or_default();
        let body = format!("{MAGIC}{VERSION}\n{protection}\n{}\n", base64url(&self.sealed));
        let digest = base64url(&sha256(body.as_bytes()));
        format!("{body}{digest}\n").into_bytes()
    }

    /// Understands the content of the file at `path`.
    pub(super) fn parse(content: &[u8], path: &Path) -> Result<Self, FileError> {
        let damaged = |detail| FileError::Damaged { path: path.to_owned(), detail };
        let text = str::from_utf8(content).map_err(|_| damaged("it is not text"))?;
        let version = text.split('\n').next().and_then(|line| line.strip_prefix(MAGIC)?.parse().ok());
        match version {
            Some(VERSION) => Self::parse_lines(text).map_err(damaged),
            Some(version) => Err(FileError::UnsupportedVersion { path: path.to_owned(), version }),
            None => Err(damaged("its first line is not `thv-secrets` and a version")),
        }
    }

    fn parse_lines(text: &str) -> Result<Self, &'static str> {
        let whole = text.strip_suffix('\n').and_then(|text| text.rsplit_once('\n'));
        let (body, digest) = whole.ok_or("it is cut off")?;
        let (body, _) = text.split_at(body.len() + 1);
        if base64url_decode(digest).is_none_or(|digest| digest != sha256(body.as_bytes())) {
            return Err("its digest does not match its content");
        }
        let mut lines = body.lines().skip(1);
        let (Some(protection), Some(sealed), None) = (lines.next(), lines.next(), lines.next()) else {
            return Err("it does not have four lines");
        };
        Ok(Self {
            protection: serde_json::from_str(protection).map_err(|_| "its second line names no known key")?,
            sealed: base64url_decode(sealed).ok_or("its third line is not base64url")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope() -> Envelope {
        let argon2id = Argon2id { salt: "c2FsdA".to_owned(), memory_kib: 19456, passes: 2, lanes: 1 };
        Envelope { protection: Protection::Password(argon2id), sealed: vec![7; 50] }
    }

    fn parse(content: &[u8]) -> Result<Envelope, FileError> {
        Envelope::parse(content, Path::new("/secrets"))
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(parse(&envelope().to_bytes()).unwrap(), envelope());
        let with_key_file = Envelope { protection: Protection::KeyFile, ..envelope() };
        assert_eq!(parse(&with_key_file.to_bytes()).unwrap(), with_key_file);
    }

    #[test]
    fn every_changed_bit_and_every_cut_is_noticed() {
        let bytes = envelope().to_bytes();
        for at in 0..bytes.len() {
            assert!(parse(&bytes[..at]).is_err(), "cut at {at}");
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                assert!(parse(&changed).is_err(), "bit {bit} of {at}");
            }
        }
    }

    #[test]
    fn a_later_version_is_told_from_damage() {
        let error = parse(b"thv-secrets 2\nanything").unwrap_err();
        assert!(matches!(error, FileError::UnsupportedVersion { version: 2, .. }), "{error}");
        for other in [&b""[..], b"thv-secrets", b"thv-secrets x\n", b"\xff\xfe", b"AGE-SECRET 1\n"] {
            assert!(matches!(parse(other), Err(FileError::Damaged { .. })), "{other:?}");
        }
    }
}
