//! The store.

use std::fmt;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use crate::directory::{Directory, PROVIDER};
use crate::provider::Backend;
use crate::provider::environment::Environment;
use crate::selection::select;
use crate::{Choice, Provider, SecretsError, Settings, is_system_name, name, record};

/// The secrets of this machine's user, by name. Clones share one store, and with it the key that was derived from a password.
///
/// Everything blocks; see the crate's documentation.
#[derive(Clone)]
pub struct SecretStore(Arc<Inner>);

struct Inner {
    provider: Provider,
    backend: Box<dyn Backend>,
    /// Where a secret is looked for that the provider does not have.
    fallback: Option<Environment>,
    directory: Directory,
    choice: Choice,
}

impl SecretStore {
    /// Opens the store of the provider that the settings name or that was used before. Nothing is created or unlocked.
    ///
    /// # Errors
    /// When the provider cannot be reached; for [`Choice::Auto`] only if it is the one that was used before.
    pub fn open(settings: &Settings) -> Result<Self, SecretsError> {
        let directory = Directory::new(settings.dir.clone());
        let (provider, backend) = select(settings, &directory)?;
        let environment = Environment(settings.environment.clone());
        let fallback =
            (provider != Provider::Environment && environment.is_fallback()).then_some(environment);
        tracing::debug!(secrets.provider = %provider, secrets.place = backend.place(), "opened the secrets");
        Ok(Self(Arc::new(Inner { provider, backend, fallback, directory, choice: settings.choice })))
    }

    /// The secret of this name, if there is one: from the provider, or else from the variable `TOOLHIVE_SECRET_<NAME>`, unless
    /// `TOOLHIVE_DISABLE_ENV_FALLBACK` is `true` or the name is one of the [program's own](crate::system_name).
    ///
    /// # Errors
    /// When it is not a name, or the provider fails; the environment does not stand in for a provider that fails.
    pub fn get(&self, name: &str) -> Result<Option<SecretString>, SecretsError> {
        name::check(name)?;
        match (self.0.backend.get(name)?, &self.0.fallback) {
            (None, Some(environment)) => environment.get(name),
            (secret, _) => Ok(secret),
        }
    }

    /// Stores a secret, in place of one of the same name. The first one that is stored also records the provider.
    ///
    /// # Errors
    /// When it is not a name, the value is empty, the provider is read only or fails, or meanwhile another process stored the
    /// first secret with another provider.
    pub fn set(&self, name: &str, value: &SecretString) -> Result<(), SecretsError> {
        name::check(name)?;
        if value.expose_secret().is_empty() {
            return Err(SecretsError::Empty { name: name.to_owned() });
        }
        if let Some(recorded) = record::read(&self.0.directory)? {
            self.expect_provider(recorded)?;
        }
        self.0.backend.set(name, value)?;
        if matches!(self.0.provider, Provider::SecretService | Provider::File) {
            self.expect_provider(record::keep_first(&self.0.directory, self.0.provider)?)?;
        }
        Ok(())
    }

    /// Removes a secret; false when there was none.
    ///
    /// # Errors
    /// When it is not a name, or the provider is read only or fails.
    pub fn delete(&self, name: &str) -> Result<bool, SecretsError> {
        name::check(name)?;
        self.0.backend.delete(name)
    }

    /// The names of all secrets that this program stored, in order; those of the environment are not among them.
    ///
    /// # Errors
    /// When the provider fails.
    pub fn list(&self) -> Result<Vec<String>, SecretsError> {
        self.0.backend.list()
    }

    /// [`list`](Self::list) without the [program's own](crate::system_name) secrets.
    ///
    /// # Errors
    /// When the provider fails.
    pub fn list_user(&self) -> Result<Vec<String>, SecretsError> {
        let mut names = self.list()?;
        names.retain(|name| !is_system_name(name));
        Ok(names)
    }

    /// Where secrets are kept.
    pub fn provider(&self) -> Provider {
        self.0.provider
    }

    /// Where that is, for people: the file's path, or a few words.
    pub fn place(&self) -> String {
        self.0.backend.place()
    }

    /// Only a provider that nobody named must be the recorded one.
    fn expect_provider(&self, recorded: Provider) -> Result<(), SecretsError> {
        let provider = self.0.provider;
        if self.0.choice != Choice::Auto || recorded == provider {
            return Ok(());
        }
        Err(SecretsError::ChosenMeanwhile { recorded, provider, record: self.0.directory.file(PROVIDER) })
    }
}

impl fmt::Debug for SecretStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretStore")
            .field("provider", &self.0.provider)
            .field("place", &self.place())
            .finish()
    }
}
