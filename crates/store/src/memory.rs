//! The memory backend: everything bounded, nothing survives the process.

mod expiring;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use thv_clock::Timestamp;

use self::expiring::ExpiringMap;
use crate::events::Events;
use crate::table::{Backend, Kind, Record, Table, Version, Versioned, When};
use crate::{StoreError, Stores};

/// How many of each noun are kept. Beyond it the row that would expire first makes room.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// Logins in flight.
    pub pending: usize,
    /// Unredeemed codes and tombstones.
    pub codes: usize,
    /// Living grants, their sessions and vault rows.
    pub grants: usize,
    /// Stored registrations.
    pub clients: usize,
    /// Remembered approvals.
    pub consents: usize,
    /// Remembered `jti`s.
    pub replays: usize,
}

impl Default for Capacity {
    fn default() -> Self {
        Self {
            pending: 20_000,
            codes: 20_000,
            grants: 200_000,
            clients: 10_000,
            consents: 100_000,
            replays: 100_000,
        }
    }
}

/// A memory backend with the given bounds.
pub fn stores(capacity: Capacity) -> Stores {
    Stores::over(&Memory(capacity), Events::default())
}

struct Memory(Capacity);

impl Backend for Memory {
    fn table<T: Record>(&self) -> Arc<dyn Table<T>> {
        let capacity = match T::KIND {
            Kind::Pending => self.0.pending,
            Kind::Code => self.0.codes,
            Kind::Grant | Kind::Session | Kind::UpstreamTokens => self.0.grants,
            Kind::Client => self.0.clients,
            Kind::Consent => self.0.consents,
            Kind::Replay | Kind::Lease => self.0.replays,
            Kind::Registration | Kind::RegistrationIndex | Kind::Document | Kind::Store => OTHERS,
        };
        let rows = Mutex::new(ExpiringMap::new(capacity));
        Arc::new(MemoryTable { rows, capacity, versions: AtomicU64::new(0) })
    }
}

/// Rows whose number follows from the configuration.
const OTHERS: usize = 10_000;

/// Rows by key, each with its version.
type Rows<T> = ExpiringMap<Vec<u8>, (Arc<T>, Version)>;

struct MemoryTable<T> {
    rows: Mutex<Rows<T>>,
    capacity: usize,
    versions: AtomicU64,
}

impl<T> MemoryTable<T> {
    fn next_version(&self) -> Version {
        Version(u128::from(self.versions.fetch_add(1, Ordering::Relaxed)).to_be_bytes())
    }
}

#[async_trait]
impl<T: Record> Table<T> for MemoryTable<T> {
    async fn load(&self, key: &[u8], now: Timestamp) -> Result<Option<Versioned<T>>, StoreError> {
        let rows = lock(&self.rows);
        Ok(rows.live(key, now).map(|((value, version), until)| Versioned {
            value: Arc::clone(value),
            version: *version,
            until,
        }))
    }

    async fn write(
        &self,
        key: &[u8],
        value: T,
        until: Timestamp,
        when: When,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let row = (Arc::new(value), self.next_version());
        let mut rows = lock(&self.rows);
        let present = rows.live(key, now).map(|((_, version), _)| *version);
        if !holds(when, present) {
            return Ok(false);
        }
        let full = || StoreError::Full { noun: T::KIND.as_str(), limit: self.capacity };
        rows.insert(key.to_vec(), row, until, now, |(value, _)| value.may_be_dropped())
            .map(|()| true)
            .ok_or_else(full)
    }

    async fn remove(&self, key: &[u8], when: When, now: Timestamp) -> Result<bool, StoreError> {
        let mut rows = lock(&self.rows);
        let present = rows.live(key, now).map(|((_, version), _)| *version);
        Ok(present.is_some() && holds(when, present) && rows.remove(key).is_some())
    }
}

fn holds(when: When, present: Option<Version>) -> bool {
    match when {
        When::Always => true,
        When::Absent => present.is_none(),
        When::Is(version) => present == Some(version),
    }
}

/// A panic while the lock was held cannot leave a map half-written (each operation is one call on it), so a poisoned lock
/// is used on.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_memory_backend_fulfils_the_contract() {
        crate::contract::fulfil(async || stores(Capacity::default())).await;
    }

    #[tokio::test]
    async fn beyond_the_bound_unused_registrations_give_way_and_used_ones_stay() {
        let stores = stores(Capacity { clients: 1, ..Capacity::default() });
        let client = |id| crate::contract::sample_client(id, Timestamp::from_secs(10));
        let (now, until) = (Timestamp::from_secs(20), Timestamp::from_secs(100));
        stores.clients.insert(client("unused"), until, now).await.unwrap();
        stores.clients.insert(client("used"), until, now).await.unwrap();
        assert!(stores.clients.load("unused", now).await.unwrap().is_none());
        stores.clients.used("used", until, now).await.unwrap();
        let refused = stores.clients.insert(client("next"), until, now).await;
        assert!(matches!(refused, Err(StoreError::Full { limit: 1, .. })));
        stores
            .clients
            .insert(client("next"), until + std::time::Duration::from_secs(9), until)
            .await
            .unwrap();
    }
}
