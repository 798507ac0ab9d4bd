//! Where the logins of workloads are kept: one secret for each workload, and locks that end with the process that has them.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use thv_remote::credentials::{Credentials, Keep, KeepError, Turn};
use thv_secrets::SecretsError;

use super::secrets::WorkloadSecrets;
use crate::files::{FileError, guarded_directory, is_at};
use crate::name::WorkloadName;
use crate::paths::Paths;

/// How often a lock that another process has is tried.
const TRY: Duration = Duration::from_millis(100);

/// Why a login was not kept.
#[derive(Debug, thiserror::Error)]
#[error("the workload {0} was removed meanwhile, so its login is not kept")]
pub(super) struct Removed(WorkloadName);

/// The login of one workload.
pub(super) struct KeptLogin {
    secrets: WorkloadSecrets,
    /// Against two processes of this workload.
    lock: PathBuf,
    /// Against two browsers at one server.
    browser_lock: PathBuf,
    /// Its definition: gone when the workload is.
    definition: PathBuf,
    /// Used where secrets can only be read: a login then lasts as long as the process.
    unkept: Mutex<Option<Credentials>>,
}

impl KeptLogin {
    pub(super) fn new(paths: &Paths, secrets: WorkloadSecrets, server_url: &str) -> Self {
        Self {
            lock: paths.login_lock(secrets.workload()),
            browser_lock: paths.browser_lock(server_url),
            definition: paths.definition(secrets.workload()),
            secrets,
            unkept: Mutex::default(),
        }
    }
}

#[async_trait]
impl Keep for KeptLogin {
    async fn load(&self) -> Result<Credentials, KeepError> {
        if let Some(unkept) = self.unkept.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            return Ok(unkept);
        }
        match self.secrets.login().await? {
            Some(secret) => Ok(Credentials::from_secret(&secret)?),
            None => Ok(Credentials::default()),
        }
    }

    async fn save(&self, credentials: &Credentials) -> Result<(), KeepError> {
        // Whoever removes the workload has had the turn before: a secret of no workload would never be removed.
        if !self.definition.try_exists().map_err(FileError::of("read", &self.definition))? {
            return Err(Removed(self.secrets.workload().clone()).into());
        }
        match self.secrets.set_login(credentials.to_secret()).await {
            Err(SecretsError::ReadOnly { .. }) => {
                tracing::warn!(
                    "secrets come from the environment and cannot be written: this login ends with the process"
                );
                *self.unkept.lock().unwrap_or_else(PoisonError::into_inner) = Some(credentials.clone());
                Ok(())
            }
            outcome => Ok(outcome?),
        }
    }

    async fn turn(&self) -> Result<Turn, KeepError> {
        Ok(Box::new(take(&self.lock).await?))
    }

    async fn browser_turn(&self) -> Result<Turn, KeepError> {
        Ok(Box::new(take(&self.browser_lock).await?))
    }
}

/// Waits for a lock. The kernel takes it from a process that ends, however it ends.
pub(super) async fn take(path: &Path) -> Result<File, FileError> {
    path.parent().map_or(Ok(()), guarded_directory)?;
    let mut options = OpenOptions::new();
    let options = options.create(true).truncate(false).write(true).mode(0o600);
    loop {
        let file = options.open(path).map_err(FileError::of("opened", path))?;
        match file.try_lock() {
            // Otherwise it was removed between open and lock, and the lock is worth nothing.
            Ok(()) if is_at(&file, path).map_err(FileError::of("read", path))? => return Ok(file),
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => tokio::time::sleep(TRY).await,
            Err(TryLockError::Error(error)) => return Err(FileError::of("locked", path)(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use thv_secrets::{Choice, Provider, SecretStore, Settings, Variables};

    use super::*;
    use crate::definition::Definition;
    use crate::run::remove;
    use crate::run_lock::RunLock;
    use crate::store::Store;

    fn at(home: &Path, provider: Provider) -> (Store, WorkloadSecrets, KeptLogin) {
        let paths = Paths::from_env(|name| (name == "HOME").then(|| OsString::from(home))).unwrap();
        let settings = Settings {
            choice: Choice::Named(provider),
            dir: paths.secrets().to_owned(),
            password: None,
            environment: Variables::of_process(),
        };
        let secrets = WorkloadSecrets::new(SecretStore::open(&settings).unwrap(), "w".parse().unwrap());
        let login = KeptLogin::new(&paths, secrets.clone(), "https://mcp.example.com");
        let store = Store::new(paths);
        store.save(&Definition::remote("w".parse().unwrap(), "https://mcp.example.com")).unwrap();
        (store, secrets, login)
    }

    #[tokio::test]
    async fn a_login_that_ends_after_its_workload_was_removed_is_not_kept() {
        let home = tempfile::tempdir().unwrap();
        let (store, secrets, login) = at(home.path(), Provider::File);
        login.save(&Credentials::default()).await.unwrap();
        let lock = RunLock::try_take(store.paths(), secrets.workload()).unwrap();
        remove(&store, &secrets, lock).await.unwrap();
        let error = login.save(&Credentials::default()).await.unwrap_err();
        assert!(error.downcast_ref::<Removed>().is_some(), "{error}");
        assert!(secrets.login().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_workload_whose_secrets_can_only_be_read_can_be_removed() {
        let home = tempfile::tempdir().unwrap();
        let (store, secrets, login) = at(home.path(), Provider::Environment);
        login.save(&Credentials::default()).await.unwrap();
        let lock = RunLock::try_take(store.paths(), secrets.workload()).unwrap();
        remove(&store, &secrets, lock).await.unwrap();
        assert!(store.names().unwrap().is_empty());
    }

    #[tokio::test]
    async fn removal_waits_for_a_login_that_is_being_written() {
        let home = tempfile::tempdir().unwrap();
        let (store, secrets, login) = at(home.path(), Provider::File);
        let turn = login.turn().await.unwrap();
        let lock = RunLock::try_take(store.paths(), secrets.workload()).unwrap();
        let new = Credentials::default();
        let mut removal = std::pin::pin!(remove(&store, &secrets, lock));
        tokio::select! {
            biased;
            _ = &mut removal => panic!("it did not wait"),
            saved = login.save(&new) => saved.unwrap(),
        }
        drop(turn);
        removal.await.unwrap();
        assert!(secrets.login().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_lock_whose_file_is_removed_while_it_is_waited_for_is_taken_anew() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("locks/x.lock");
        let first = take(&path).await.unwrap();
        let mut second = std::pin::pin!(take(&path));
        tokio::select! {
            biased;
            _ = &mut second => panic!("two have it at once"),
            () = std::future::ready(()) => {}
        }
        std::fs::remove_file(&path).unwrap();
        drop(first);
        assert!(is_at(&second.await.unwrap(), &path).unwrap());
    }
}
