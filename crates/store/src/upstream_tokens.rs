//! The token vault's rows.

use std::sync::Arc;

use thv_clock::Timestamp;

use crate::StoreError;
use crate::records::{SessionId, VaultEntry};
use crate::table::{Backend, Kind, Record, Table, Versioned, When, pair};

impl Record for VaultEntry {
    const KIND: Kind = Kind::UpstreamTokens;
}

/// The token vault's rows, one for each session and upstream.
#[derive(Clone)]
pub struct UpstreamTokenStore(Arc<dyn Table<VaultEntry>>);

impl UpstreamTokenStore {
    pub(crate) fn over(backend: &impl Backend) -> Self {
        Self(backend.table())
    }

    /// Keeps the tokens of an upstream until `until`, in the place of `before` if there were some; `false` when somebody
    /// changed the row meanwhile. Conditional, so that a write that arrives late does not undo a later one.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn put(
        &self,
        session: &SessionId,
        before: Option<&Versioned<VaultEntry>>,
        entry: VaultEntry,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let key = pair(&session.0, entry.tokens.provider.as_bytes());
        let when = before.map_or(When::Absent, |row| When::Is(row.version));
        self.0.write(&key, entry, until, when, now).await
    }

    /// The tokens of an upstream.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn load(
        &self,
        session: &SessionId,
        provider: &str,
        now: Timestamp,
    ) -> Result<Option<Versioned<VaultEntry>>, StoreError> {
        self.0.load(&pair(&session.0, provider.as_bytes()), now).await
    }

    /// Puts `entry` in the place of `loaded`, kept for as long; `false` when somebody changed the row meanwhile.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn replace(
        &self,
        session: &SessionId,
        loaded: &Versioned<VaultEntry>,
        entry: VaultEntry,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let key = pair(&session.0, entry.tokens.provider.as_bytes());
        self.0.write(&key, entry, loaded.until, When::Is(loaded.version), now).await
    }

    /// Keeps the tokens of an upstream, where there are any, at least until `until`.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn keep_until(
        &self,
        session: &SessionId,
        provider: &str,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let key = pair(&session.0, provider.as_bytes());
        while let Some(row) = self.0.load(&key, now).await? {
            let kept = row.until >= until
                || self.0.write(&key, (*row.value).clone(), until, When::Is(row.version), now).await?;
            if kept {
                break;
            }
        }
        Ok(())
    }

    /// Forgets the tokens of an upstream and returns them, to be revoked there.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn take(
        &self,
        session: &SessionId,
        provider: &str,
        now: Timestamp,
    ) -> Result<Option<Arc<VaultEntry>>, StoreError> {
        let key = pair(&session.0, provider.as_bytes());
        while let Some(row) = self.0.load(&key, now).await? {
            if self.0.remove(&key, When::Is(row.version), now).await? {
                return Ok(Some(row.value));
            }
        }
        Ok(None)
    }
}
