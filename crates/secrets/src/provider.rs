//! What a provider does, and those that are not a file.

pub(crate) mod environment;
pub(crate) mod kernel_keyring;
pub(crate) mod secret_service;

use secrecy::SecretString;

use crate::SecretsError;

/// Keeps secrets by name. Names were checked before.
pub(crate) trait Backend: Send + Sync {
    /// The secret of this name, if there is one.
    fn get(&self, name: &str) -> Result<Option<SecretString>, SecretsError>;
    /// Stores a secret, in place of one of the same name.
    fn set(&self, name: &str, value: &SecretString) -> Result<(), SecretsError>;
    /// Removes a secret; false when there was none.
    fn delete(&self, name: &str) -> Result<bool, SecretsError>;
    /// The names of all secrets that this program stored.
    fn list(&self) -> Result<Vec<String>, SecretsError>;
    /// Where they are, for people.
    fn place(&self) -> String;
}

/// The text that a provider holds as bytes.
fn text(bytes: Vec<u8>, place: impl FnOnce() -> String) -> Result<SecretString, SecretsError> {
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text.into()),
        Err(error) => {
            drop(zeroize::Zeroizing::new(error.into_bytes()));
            Err(SecretsError::NotText { place: place() })
        }
    }
}
