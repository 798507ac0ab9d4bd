//! Where the logins of workloads are kept: one secret for each workload, and locks that end with the process that has them.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use thv_jose::digest::{base64url, sha256};
use thv_remote::credentials::{Credentials, Keep, KeepError, Turn};
use thv_secrets::SecretsError;

use super::secrets::WorkloadSecrets;
use crate::paths::Paths;

/// How often a lock that another process has is tried.
const TRY: Duration = Duration::from_millis(100);

/// The login of one workload.
pub(super) struct KeptLogin {
    secrets: WorkloadSecrets,
    /// Against two processes of this workload.
    lock: PathBuf,
    /// Against two browsers at one server.
    browser_lock: PathBuf,
    /// Used where secrets can only be read: a login then lasts as long as the process.
    unkept: Mutex<Option<Credentials>>,
}

impl KeptLogin {
    pub(super) fn new(paths: &Paths, secrets: WorkloadSecrets, server_url: &str) -> Self {
        let server = sha256(server_url.as_bytes());
        let server = base64url(server.get(..12).unwrap_or_default());
        Self {
            lock: paths.login_lock(secrets.workload()),
            browser_lock: paths.callbacks().join(format!("browser-{server}.lock")),
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
async fn take(path: &Path) -> io::Result<File> {
    if let Some(directory) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => tokio::time::sleep(TRY).await,
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}
