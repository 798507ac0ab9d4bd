//! Secrets in the kernel's user keyring (`user-keyring(7)`): in memory, shared by all sessions of the user, gone at a restart.

use linux_keyutils::{Key, KeyError, KeyRing, KeyRingIdentifier, LinkNode};
use secrecy::{ExposeSecret, SecretString};

use super::{Backend, text};
use crate::{KernelKeyringError, SecretsError};

const PREFIX: &str = "toolhive:";
/// The most that a key of the type `user` holds (`keyrings(7)`).
const MAX_VALUE_LEN: usize = 32_767;
/// More keys than a user may have by default (root: a million); the buffer for their ids is not touched beyond what there is.
const MAX_KEYS: usize = 1 << 20;
/// `ENOSYS`: a kernel without keyrings, or a sandbox that implements none.
const NO_SUCH_CALL: KeyError = KeyError::Unknown(38);

pub(crate) struct KernelKeyring;

impl KernelKeyring {
    /// Finds out whether the system calls are allowed.
    pub(crate) fn open() -> Result<Self, KernelKeyringError> {
        user_keyring()?;
        Ok(Self)
    }
}

/// The user's keyring, linked to this thread so that its keys count as possessed. Without that their owner could list but not
/// read them, since a session that did not come from a login (a service, `sudo`) has no link to it.
fn user_keyring() -> Result<KeyRing, KernelKeyringError> {
    let open = || {
        let user = KeyRing::from_special_id(KeyRingIdentifier::User, false)?;
        KeyRing::from_special_id(KeyRingIdentifier::Thread, true)?.link_keyring(user)?;
        Ok(user)
    };
    open().map_err(failed("open the user's keyring"))
}

fn find(keyring: KeyRing, name: &str) -> Result<Option<Key>, KernelKeyringError> {
    match keyring.search(&format!("{PREFIX}{name}")) {
        Ok(key) => Ok(Some(key)),
        Err(KeyError::KeyDoesNotExist | KeyError::KeyExpired | KeyError::KeyRevoked) => Ok(None),
        Err(error) => Err(failed("search for a key")(error)),
    }
}

fn failed(action: &'static str) -> impl FnOnce(KeyError) -> KernelKeyringError {
    move |source| match source {
        KeyError::PermissionDenied | KeyError::OperationNotSupported | NO_SUCH_CALL => {
            KernelKeyringError::Forbidden(source)
        }
        KeyError::QuotaExceeded => KernelKeyringError::Full,
        _ => KernelKeyringError::Failed { action, source },
    }
}

impl Backend for KernelKeyring {
    fn get(&self, name: &str) -> Result<Option<SecretString>, SecretsError> {
        let Some(key) = find(user_keyring()?, name)? else { return Ok(None) };
        match key.read_to_vec() {
            Ok(value) => text(value, || format!("the kernel's key {PREFIX}{name}")).map(Some),
            // It was removed since we found it.
            Err(KeyError::KeyDoesNotExist | KeyError::KeyRevoked) => Ok(None),
            Err(error) => Err(failed("read a key")(error).into()),
        }
    }

    fn set(&self, name: &str, value: &SecretString) -> Result<(), SecretsError> {
        let value = value.expose_secret();
        if value.len() > MAX_VALUE_LEN {
            return Err(KernelKeyringError::TooLarge { length: value.len(), max: MAX_VALUE_LEN }.into());
        }
        user_keyring()?.add_key(&format!("{PREFIX}{name}"), value).map_err(failed("store a key"))?;
        Ok(())
    }

    fn delete(&self, name: &str) -> Result<bool, SecretsError> {
        let keyring = user_keyring()?;
        let Some(key) = find(keyring, name)? else { return Ok(false) };
        match keyring.unlink_key(key) {
            Ok(()) => Ok(true),
            // Somebody else was faster (`ENOENT`, or `ENOKEY` when it is gone altogether).
            Err(KeyError::MissingFileOrDirectory | KeyError::KeyDoesNotExist) => Ok(false),
            Err(error) => Err(failed("remove a key")(error).into()),
        }
    }

    fn list(&self) -> Result<Vec<String>, SecretsError> {
        let links = user_keyring()?.get_links(MAX_KEYS).map_err(failed("list the keys"))?;
        // A key whose description cannot be had is gone, or not ours.
        let mut names: Vec<String> = links
            .iter()
            .filter_map(LinkNode::as_key)
            .filter_map(|key| key.metadata().ok()?.get_description().strip_prefix(PREFIX).map(str::to_owned))
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    fn place(&self) -> String {
        format!("the kernel's user keyring, keys {PREFIX}<NAME>, until the machine restarts")
    }
}
