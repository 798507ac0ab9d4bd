//! Removing a workload with its secrets.

use super::error::RunError;
use super::keep::take;
use super::secrets::WorkloadSecrets;
use crate::run_lock::RunLock;
use crate::store::Store;

/// Removes everything that is kept here of the workload whose lock is held: secrets first, so that none is left without its
/// workload. A login that is under way meanwhile is not kept.
///
/// # Errors
/// As [`WorkloadSecrets::forget`] and [`Store::remove`]. Then it can be repeated.
pub async fn remove(store: &Store, secrets: &WorkloadSecrets, lock: RunLock) -> Result<(), RunError> {
    let _turn = take(&store.paths().login_lock(lock.name())).await?;
    secrets.forget().await?;
    Ok(store.remove(lock)?)
}
