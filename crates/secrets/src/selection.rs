//! Which provider a store is opened on; the rule is in the crate's documentation.

use crate::directory::{Directory, PROVIDER, SECRETS};
use crate::file::EncryptedFile;
use crate::provider::Backend;
use crate::provider::environment::Environment;
use crate::provider::kernel_keyring::KernelKeyring;
use crate::provider::secret_service::SecretService;
use crate::{Choice, Provider, SecretServiceError, SecretsError, Settings, record};

/// The provider and what carries it out.
pub(crate) type Selected = (Provider, Box<dyn Backend>);

pub(crate) fn select(settings: &Settings, directory: &Directory) -> Result<Selected, SecretsError> {
    match settings.choice {
        Choice::Named(provider) => open(provider, settings, directory),
        Choice::Auto => match record::read(directory)? {
            Some(provider) => {
                open(provider, settings, directory).map_err(|source| SecretsError::Unreachable {
                    provider,
                    record: directory.file(PROVIDER),
                    source: Box::new(source),
                })
            }
            None => first(settings, directory),
        },
    }
}

fn open(provider: Provider, settings: &Settings, directory: &Directory) -> Result<Selected, SecretsError> {
    let backend: Box<dyn Backend> = match provider {
        Provider::SecretService => Box::new(SecretService::open(settings.environment.clone())?),
        Provider::KernelKeyring => Box::new(KernelKeyring::open()?),
        Provider::File => Box::new(EncryptedFile::new(directory.clone(), settings.password.clone())),
        Provider::Environment => Box::new(Environment(settings.environment.clone())),
    };
    Ok((provider, backend))
}

/// The choice while nothing is recorded.
fn first(settings: &Settings, directory: &Directory) -> Result<Selected, SecretsError> {
    let file_exists = directory.has(SECRETS)?;
    match usable_service(settings, file_exists) {
        Ok(Some(service)) => Ok((Provider::SecretService, Box::new(service))),
        Ok(None) => open(Provider::File, settings, directory),
        Err(error) => {
            tracing::debug!(%error, "the Secret Service is not used");
            open(Provider::File, settings, directory)
        }
    }
}

/// The Secret Service, if it answers, and rather than a file that exists only if it has secrets of ours as well.
fn usable_service(
    settings: &Settings,
    file_exists: bool,
) -> Result<Option<SecretService>, SecretServiceError> {
    let service = SecretService::open(settings.environment.clone())?;
    if !file_exists {
        return Ok(Some(service));
    }
    let both = service.holds_any()?;
    if both {
        tracing::warn!(
            "secrets are both in the Secret Service and in the encrypted file; the former is used. Name the provider \
             `encrypted` to see the others"
        );
    }
    Ok(both.then_some(service))
}
