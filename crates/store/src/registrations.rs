//! Our registrations at upstreams.

use std::sync::Arc;
use std::time::Duration;

use thv_clock::Timestamp;

use crate::StoreError;
use crate::records::{RegistrationIndex, RegistrationKey, UpstreamRegistrations};
use crate::table::{Backend, Kind, Record, Table, Versioned, When, pair};

/// A registration that no process has read for so long belongs to a deployment that is gone.
const KEPT: Duration = Duration::from_secs(400 * 24 * 3600);

impl Record for UpstreamRegistrations {
    const KIND: Kind = Kind::Registration;
}

impl Record for RegistrationIndex {
    const KIND: Kind = Kind::RegistrationIndex;
}

impl RegistrationKey {
    /// The key as bytes that no other key gives; also the name of the turn to register.
    pub fn to_bytes(&self) -> Vec<u8> {
        let ours = pair(self.issuer.as_bytes(), self.redirect_uri.as_bytes());
        let theirs = pair(self.upstream.as_bytes(), &self.scopes_hash);
        pair(&ours, &theirs)
    }
}

/// Our registrations at upstreams (RFC 7591).
#[derive(Clone)]
pub struct RegistrationStore {
    rows: Arc<dyn Table<UpstreamRegistrations>>,
    index: Arc<dyn Table<RegistrationIndex>>,
}

impl RegistrationStore {
    pub(crate) fn over(backend: &impl Backend) -> Self {
        Self { rows: backend.table(), index: backend.table() }
    }

    /// The registrations under `key`.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn load(
        &self,
        key: &RegistrationKey,
        now: Timestamp,
    ) -> Result<Option<Versioned<UpstreamRegistrations>>, StoreError> {
        self.rows.load(&key.to_bytes(), now).await
    }

    /// Keeps registrations, in the place of `loaded` if there were some; `false` when somebody changed them meanwhile.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn save(
        &self,
        loaded: Option<&Versioned<UpstreamRegistrations>>,
        registrations: UpstreamRegistrations,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let when = loaded.map_or(When::Absent, |row| When::Is(row.version));
        let key = registrations.key.to_bytes();
        self.rows.write(&key, registrations, now + KEPT, when, now).await
    }

    /// Forgets the registrations under `key`.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn delete(&self, key: &RegistrationKey, now: Timestamp) -> Result<bool, StoreError> {
        self.rows.remove(&key.to_bytes(), When::Always, now).await
    }

    /// The keys that were noted for the deployment with this issuer identifier.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn index(&self, issuer: &str, now: Timestamp) -> Result<Vec<RegistrationKey>, StoreError> {
        let row = self.index.load(issuer.as_bytes(), now).await?;
        Ok(row.map(|row| row.value.keys.clone()).unwrap_or_default())
    }

    /// Notes a key, so that its registrations are found when nothing else says any more that they exist.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn note(&self, key: &RegistrationKey, now: Timestamp) -> Result<(), StoreError> {
        self.change_index(&key.issuer, now, |keys| {
            if !keys.contains(key) {
                keys.push(key.clone());
            }
        })
        .await
    }

    /// Takes a key out of the index.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn unnote(&self, key: &RegistrationKey, now: Timestamp) -> Result<(), StoreError> {
        self.change_index(&key.issuer, now, |keys| keys.retain(|known| known != key)).await
    }

    async fn change_index(
        &self,
        issuer: &str,
        now: Timestamp,
        change: impl Fn(&mut Vec<RegistrationKey>) + Send + Sync,
    ) -> Result<(), StoreError> {
        loop {
            let row = self.index.load(issuer.as_bytes(), now).await?;
            let mut index = row.as_ref().map(|row| (*row.value).clone()).unwrap_or_default();
            change(&mut index.keys);
            let when = row.as_ref().map_or(When::Absent, |row| When::Is(row.version));
            if self.index.write(issuer.as_bytes(), index, now + KEPT, when, now).await? {
                return Ok(());
            }
        }
    }
}
