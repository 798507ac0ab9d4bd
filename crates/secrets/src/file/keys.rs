//! The key of the encrypted file: derived from the password, or read from the key file.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex, Once, PoisonError};

use argon2::{Algorithm, Argon2, Params, Version};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use thv_jose::at_rest::{AtRestRing, MIN_SECRET_LEN};
use thv_jose::digest::{base64url, base64url_decode};
use thv_jose::random;
use zeroize::Zeroizing;

use super::envelope::{Argon2id, Protection};
use crate::FileError;
use crate::directory::{Directory, KEY, Locked, SECRETS};

/// What a new file's key derivation costs: the least that OWASP recommends for Argon2id.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SALT_LEN: usize = 16;
/// The most that a file may ask for, so that a forged one does not take all memory.
const MAX_MEMORY_KIB: u32 = 1 << 20;
const MAX_PASSES: u32 = 100;
const MAX_LANES: u32 = 64;

pub(super) struct Keys {
    directory: Directory,
    password: Option<SecretString>,
    /// The last key that was derived, since Argon2id is slow by intent. The key file is read each time: it is quick, and a
    /// remembered key could be one that is on no disk any more.
    derived: Mutex<Option<(Argon2id, Arc<AtRestRing>)>>,
    warned: Once,
}

impl Keys {
    pub(super) fn new(directory: Directory, password: Option<SecretString>) -> Self {
        let password = password.filter(|password| !password.expose_secret().is_empty());
        Self { directory, password, derived: Mutex::new(None), warned: Once::new() }
    }

    /// How a file that does not exist yet is to be protected; makes the key file if that is needed.
    pub(super) fn protection_for_new(&self, locked: &Locked<'_>) -> Result<Protection, FileError> {
        if self.password.is_some() {
            let salt = base64url(&random::bytes::<SALT_LEN>());
            let argon2id = Argon2id { salt, memory_kib: MEMORY_KIB, passes: PASSES, lanes: LANES };
            return Ok(Protection::Password(argon2id));
        }
        if !self.directory.has(KEY)? {
            let key = Zeroizing::new(random::bytes::<MIN_SECRET_LEN>());
            let line = Zeroizing::new(format!("{}\n", *Zeroizing::new(base64url(&*key))));
            locked.replace(KEY, line.as_bytes())?;
            tracing::info!(key.file = %self.directory.file(KEY).display(), "created the key of the secrets file");
        }
        Ok(Protection::KeyFile)
    }

    /// The key of a file that is protected so.
    pub(super) fn opening(&self, protection: &Protection) -> Result<Arc<AtRestRing>, FileError> {
        match (protection, &self.password) {
            (Protection::KeyFile, password) => {
                if password.is_some() {
                    self.warned.call_once(|| self.warn_of_idle_password());
                }
                self.read_key_file().map(Arc::new)
            }
            (Protection::Password(_), None) => {
                Err(FileError::PasswordNeeded { path: self.directory.file(SECRETS) })
            }
            (Protection::Password(argon2id), Some(password)) => self.remembered(argon2id, password),
        }
    }

    fn warn_of_idle_password(&self) {
        tracing::warn!(
            secrets.file = %self.directory.file(SECRETS).display(),
            "the file was made without a password, so TOOLHIVE_SECRETS_PASSWORD does not protect it; delete all secrets and \
             set them again to change that"
        );
    }

    /// The error for a key that is not the one that sealed the file.
    pub(super) fn wrong(&self, protection: &Protection) -> FileError {
        let path = self.directory.file(SECRETS);
        match protection {
            Protection::KeyFile => FileError::WrongKey { path, key: self.directory.file(KEY) },
            Protection::Password(_) => FileError::WrongPassword { path },
        }
    }

    fn remembered(&self, argon2id: &Argon2id, password: &SecretString) -> Result<Arc<AtRestRing>, FileError> {
        // Held while deriving: a second caller would only do the same work.
        let mut derived = self.derived.lock().unwrap_or_else(PoisonError::into_inner);
        match &*derived {
            Some((of, ring)) if of == argon2id => Ok(Arc::clone(ring)),
            _ => {
                let ring = Arc::new(self.derive(argon2id, password)?);
                *derived = Some((argon2id.clone(), Arc::clone(&ring)));
                Ok(ring)
            }
        }
    }

    fn derive(&self, argon2id: &Argon2id, password: &SecretString) -> Result<AtRestRing, FileError> {
        let path = || self.directory.file(SECRETS);
        let Argon2id { ref salt, memory_kib, passes, lanes } = *argon2id;
        if memory_kib > MAX_MEMORY_KIB || passes > MAX_PASSES || lanes > MAX_LANES {
            return Err(FileError::Damaged { path: path(), detail: "its key derivation costs too much" });
        }
        let salt = base64url_decode(salt)
            .ok_or(FileError::Damaged { path: path(), detail: "its salt is not base64url" })?;
        let mut key = Zeroizing::new(vec![0; MIN_SECRET_LEN]);
        Params::new(memory_kib, passes, lanes, Some(MIN_SECRET_LEN))
            .and_then(|params| {
                Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into(
                    password.expose_secret().as_bytes(),
                    &salt,
                    &mut key,
                )
            })
            .map_err(|error| FileError::Derivation { path: path(), detail: error.to_string() })?;
        self.ring(&key)
    }

    fn read_key_file(&self) -> Result<AtRestRing, FileError> {
        let path = self.directory.file(KEY);
        let failed = |source| FileError::Io { action: "read", path: path.clone(), source };
        let file = match fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(FileError::KeyMissing { path: self.directory.file(SECRETS), key: path });
            }
            Err(error) => return Err(failed(error)),
        };
        let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(FileError::KeyExposed { path, mode });
        }
        // A key and a line feed; what is longer is none.
        let mut line = Zeroizing::new(String::with_capacity(64));
        let key =
            file.take(64).read_to_string(&mut line).ok().and_then(|_| base64url_decode(line.trim_end()));
        match key.map(Zeroizing::new) {
            Some(key) if key.len() == MIN_SECRET_LEN => self.ring(&key),
            _ => Err(FileError::KeyDamaged { path }),
        }
    }

    fn ring(&self, key: &[u8]) -> Result<AtRestRing, FileError> {
        AtRestRing::new(vec![SecretSlice::from(key.to_vec())]).map_err(|error| FileError::Derivation {
            path: self.directory.file(SECRETS),
            detail: error.to_string(),
        })
    }
}
