//! The secrets of one workload, under names of the system's own.

use secrecy::SecretString;
use thv_secrets::{SecretStore, SecretsError, system_name};

use crate::name::WorkloadName;

/// The scope of the names.
const SCOPE: &str = "workloads";

/// What a workload keeps secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Tokens and registrations.
    Login,
    /// A token of the user's own.
    BearerToken,
    /// The secret of a client that was registered by hand.
    ClientSecret,
    /// The secret of the client that exchanges tokens.
    TokenExchangeSecret,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Login, Self::BearerToken, Self::ClientSecret, Self::TokenExchangeSecret];

    const fn suffix(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::BearerToken => "bearer-token",
            Self::ClientSecret => "client-secret",
            Self::TokenExchangeSecret => "token-exchange-secret",
        }
    }
}

/// The secrets of one workload. Looking them up may take a moment, so that is done on a thread of its own.
#[derive(Clone, Debug)]
pub struct WorkloadSecrets {
    store: SecretStore,
    workload: WorkloadName,
}

impl WorkloadSecrets {
    /// Those of `workload` in `store`.
    pub fn new(store: SecretStore, workload: WorkloadName) -> Self {
        Self { store, workload }
    }

    pub(super) fn workload(&self) -> &WorkloadName {
        &self.workload
    }

    /// One of them, if it is there.
    ///
    /// # Errors
    /// [`SecretsError`].
    pub async fn get(&self, kind: Kind) -> Result<Option<SecretString>, SecretsError> {
        let (store, name) = (self.store.clone(), self.name(kind)?);
        blocking(move || store.get(&name)).await
    }

    /// Keeps one of them.
    ///
    /// # Errors
    /// [`SecretsError`].
    pub async fn set(&self, kind: Kind, secret: SecretString) -> Result<(), SecretsError> {
        let (store, name) = (self.store.clone(), self.name(kind)?);
        blocking(move || store.set(&name, &secret)).await
    }

    /// Forgets all of them.
    ///
    /// # Errors
    /// [`SecretsError`].
    pub async fn forget(&self) -> Result<(), SecretsError> {
        for kind in Kind::ALL {
            let (store, name) = (self.store.clone(), self.name(kind)?);
            match blocking(move || store.delete(&name)).await {
                // Where nothing can be written, there is nothing of ours.
                Ok(_) | Err(SecretsError::ReadOnly { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// A secret that the user has stored under a name of their own.
    ///
    /// # Errors
    /// [`SecretsError`].
    pub async fn of_user(&self, name: &str) -> Result<Option<SecretString>, SecretsError> {
        let (store, name) = (self.store.clone(), name.to_owned());
        blocking(move || store.get(&name)).await
    }

    pub(super) async fn login(&self) -> Result<Option<SecretString>, SecretsError> {
        self.get(Kind::Login).await
    }

    pub(super) async fn set_login(&self, login: SecretString) -> Result<(), SecretsError> {
        self.set(Kind::Login, login).await
    }

    fn name(&self, kind: Kind) -> Result<String, SecretsError> {
        system_name(SCOPE, &format!("{}.{}", self.workload, kind.suffix()))
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SecretsError> + Send + 'static,
) -> Result<T, SecretsError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        // It is never cancelled, so it panicked.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
