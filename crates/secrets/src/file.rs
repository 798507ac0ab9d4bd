//! The provider that is a file: all secrets as one JSON map, sealed as one blob.
//!
//! Readers take no lock, since the file is only ever replaced as a whole. A writer reads, changes and writes under the lock, so
//! that no process undoes what another one stored. A store without secrets is no file, which makes the next first secret
//! choose anew between password and key file.

mod envelope;
mod keys;

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use thv_jose::at_rest::AtRestError;
use zeroize::Zeroizing;

use crate::directory::{Directory, Locked, SECRETS};
use crate::provider::Backend;
use crate::{FileError, SecretsError};
use envelope::{Envelope, Protection};
use keys::Keys;

/// Binds the blob to its use and its format.
const CONTEXT: &[u8] = b"thv secrets_encrypted 1";

type Secrets = BTreeMap<String, SecretString>;

pub(crate) struct EncryptedFile {
    directory: Directory,
    keys: Keys,
}

impl EncryptedFile {
    pub(crate) fn new(directory: Directory, password: Option<SecretString>) -> Self {
        Self { keys: Keys::new(directory.clone(), password), directory }
    }

    fn load(&self) -> Result<Option<(Protection, Secrets)>, FileError> {
        let Some(content) = self.directory.read(SECRETS)? else { return Ok(None) };
        let damaged = |detail| FileError::Damaged { path: self.directory.file(SECRETS), detail };
        let Envelope { protection, sealed } = Envelope::parse(&content, &self.directory.file(SECRETS))?;
        let ring = self.keys.opening(&protection)?;
        let opened = ring.open(CONTEXT, &sealed).map_err(|error| match error {
            AtRestError::UnknownKey(_) => self.keys.wrong(&protection),
            _ => damaged("its content does not open"),
        })?;
        let secrets = serde_json::from_slice(&opened.plaintext)
            .map_err(|_| damaged("its content is not a map of secrets"))?;
        Ok(Some((protection, secrets)))
    }

    fn store(&self, locked: &Locked<'_>, protection: Protection, secrets: &Secrets) -> Result<(), FileError> {
        if secrets.is_empty() {
            return locked.remove(SECRETS);
        }
        let sealed = self
            .keys
            .opening(&protection)?
            .seal(CONTEXT, &plaintext(secrets))
            .map_err(|source| FileError::Seal { path: self.directory.file(SECRETS), source })?;
        locked.replace(SECRETS, &Envelope { protection, sealed }.to_bytes())
    }
}

impl Backend for EncryptedFile {
    fn get(&self, name: &str) -> Result<Option<SecretString>, SecretsError> {
        Ok(self.load()?.and_then(|(_, mut secrets)| secrets.remove(name)))
    }

    fn set(&self, name: &str, value: &SecretString) -> Result<(), SecretsError> {
        let locked = self.directory.lock()?;
        let (protection, mut secrets) = match self.load()? {
            Some(loaded) => loaded,
            None => (self.keys.protection_for_new(&locked)?, Secrets::new()),
        };
        secrets.insert(name.to_owned(), value.clone());
        Ok(self.store(&locked, protection, &secrets)?)
    }

    fn delete(&self, name: &str) -> Result<bool, SecretsError> {
        if !self.directory.has(SECRETS)? {
            return Ok(false);
        }
        let locked = self.directory.lock()?;
        let Some((protection, mut secrets)) = self.load()? else { return Ok(false) };
        let was_there = secrets.remove(name).is_some();
        if was_there {
            self.store(&locked, protection, &secrets)?;
        }
        Ok(was_there)
    }

    fn list(&self) -> Result<Vec<String>, SecretsError> {
        Ok(self.load()?.map(|(_, secrets)| secrets.into_keys().collect()).unwrap_or_default())
    }

    fn place(&self) -> String {
        self.directory.file(SECRETS).display().to_string()
    }
}

/// The map as JSON, in one buffer that is large enough from the start: one that grows leaves copies behind that nobody wipes.
fn plaintext(secrets: &Secrets) -> Zeroizing<Vec<u8>> {
    // The longest escape of a byte is `\u0000`; a name needs none.
    let room: usize =
        secrets.iter().map(|(name, value)| name.len() + 6 * value.expose_secret().len() + 8).sum();
    let mut out = Zeroizing::new(Vec::with_capacity(room + 2));
    let exposed: BTreeMap<&str, &str> =
        secrets.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
    // A map of strings always serializes, and writing to memory does not fail.
    let _ = serde_json::to_writer(&mut *out, &exposed);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buffer_of_the_plaintext_never_grows() {
        let worst = "\u{1}".repeat(1000);
        let secrets: Secrets =
            (0..10).map(|n| (format!("name{n}"), SecretString::from(worst.clone()))).collect();
        let room: usize = secrets.keys().map(|name| name.len() + 6000 + 8).sum::<usize>() + 2;
        let out = plaintext(&secrets);
        assert!(out.len() <= room && out.capacity() == room, "{} of {}", out.len(), out.capacity());
        assert_eq!(serde_json::from_slice::<BTreeMap<String, String>>(&out).unwrap()["name3"], worst);
    }
}
