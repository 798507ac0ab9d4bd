//! The memory backend: everything bounded, nothing survives the process.

mod expiring;

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use thv_clock::Timestamp;

use self::expiring::ExpiringMap;
use crate::records::{
    Approval, AuthorizationCode, Grant, GrantId, PendingAuthorization, StoredClient, UpstreamTokens,
};
use crate::{
    ClientStore, CodeStore, ConsentStore, GrantStore, PendingStore, Redemption, ReplayStore, Rotation,
    RotationPolicy, StoreError, Stores, Take, UpstreamTokenStore,
};

/// How many of each noun are kept. Beyond it the row that would expire first makes room.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// Logins in flight.
    pub pending: usize,
    /// Unredeemed codes and tombstones.
    pub codes: usize,
    /// Living grants (and their vault rows).
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
    Stores {
        pending: Arc::new(Pending(Rows::new(capacity.pending))),
        codes: Arc::new(Codes(Rows::new(capacity.codes))),
        grants: Arc::new(Grants(Rows::new(capacity.grants))),
        clients: Arc::new(Clients { rows: Mutex::default(), capacity: capacity.clients }),
        consents: Arc::new(Consents(Rows::new(capacity.consents))),
        upstream_tokens: Arc::new(UpstreamTokenRows(Rows::new(capacity.grants))),
        replays: Arc::new(Replays(Rows::new(capacity.replays))),
    }
}

struct Rows<K, V>(Mutex<ExpiringMap<K, V>>);

impl<K: Clone + Eq + Hash + Ord, V> Rows<K, V> {
    fn new(capacity: usize) -> Self {
        Self(Mutex::new(ExpiringMap::new(capacity)))
    }

    fn lock(&self) -> MutexGuard<'_, ExpiringMap<K, V>> {
        lock(&self.0)
    }
}

/// A panic while the lock was held cannot leave a map half-written (each operation is one call on it), so a poisoned lock
/// is used on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Pending(Rows<[u8; 32], PendingAuthorization>);

#[async_trait]
impl PendingStore for Pending {
    async fn insert(
        &self,
        key: [u8; 32],
        pending: PendingAuthorization,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let expires_at = pending.expires_at;
        self.0.lock().insert(key, pending, expires_at, now);
        Ok(())
    }

    async fn load(
        &self,
        key: &[u8; 32],
        browser: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<PendingAuthorization>, StoreError> {
        Ok(self.0.lock().live(key, now).filter(|pending| pending.browser == *browser).cloned())
    }

    async fn take(&self, key: &[u8; 32], browser: &[u8; 32], now: Timestamp) -> Result<Take, StoreError> {
        let mut rows = self.0.lock();
        match rows.live(key, now) {
            None => Ok(Take::Absent),
            Some(pending) if pending.browser != *browser => Ok(Take::WrongBrowser),
            Some(_) => Ok(rows.remove(key).map_or(Take::Absent, |pending| Take::Taken(Box::new(pending)))),
        }
    }
}

enum CodeRow {
    Fresh(Box<AuthorizationCode>),
    Redeemed(GrantId),
}

struct Codes(Rows<[u8; 16], CodeRow>);

#[async_trait]
impl CodeStore for Codes {
    async fn insert(&self, id: [u8; 16], code: AuthorizationCode, now: Timestamp) -> Result<(), StoreError> {
        let expires_at = code.expires_at;
        self.0.lock().insert(id, CodeRow::Fresh(Box::new(code)), expires_at, now);
        Ok(())
    }

    async fn load(&self, id: &[u8; 16], now: Timestamp) -> Result<Option<AuthorizationCode>, StoreError> {
        Ok(match self.0.lock().live(id, now) {
            Some(CodeRow::Fresh(code)) => Some((**code).clone()),
            Some(CodeRow::Redeemed(_)) | None => None,
        })
    }

    async fn redeem(&self, id: &[u8; 16], now: Timestamp) -> Result<Redemption, StoreError> {
        let mut rows = self.0.lock();
        let Some(row) = rows.live_mut(id, now) else { return Ok(Redemption::Absent) };
        let grant = match row {
            CodeRow::Fresh(code) => code.grant.id,
            CodeRow::Redeemed(grant) => return Ok(Redemption::Again(*grant)),
        };
        Ok(match std::mem::replace(row, CodeRow::Redeemed(grant)) {
            CodeRow::Fresh(code) => Redemption::First(code),
            CodeRow::Redeemed(grant) => Redemption::Again(grant),
        })
    }
}

struct Grants(Rows<GrantId, Arc<Grant>>);

#[async_trait]
impl GrantStore for Grants {
    async fn insert(&self, grant: Grant, now: Timestamp) -> Result<(), StoreError> {
        let (id, expires_at) = (grant.id, grant.expires_at);
        self.0.lock().insert(id, Arc::new(grant), expires_at, now);
        Ok(())
    }

    async fn load(&self, id: &GrantId, now: Timestamp) -> Result<Option<Arc<Grant>>, StoreError> {
        Ok(self.0.lock().live(id, now).cloned())
    }

    async fn rotate(
        &self,
        id: &GrantId,
        presented: u32,
        now: Timestamp,
        policy: RotationPolicy,
    ) -> Result<Rotation, StoreError> {
        let mut rows = self.0.lock();
        let Some(row) = rows.live_mut(id, now) else { return Ok(Rotation::Absent) };
        let Some(mut family) = row.refresh else { return Ok(Rotation::Absent) };
        if now >= family.idle_expires_at || now >= family.absolute_expires_at || presented > family.generation
        {
            return Ok(Rotation::Absent);
        }
        if presented == family.generation {
            family.generation += 1;
            family.rotated_at = now;
            family.idle_expires_at = (now + policy.idle).min(family.absolute_expires_at);
            let grant = Arc::make_mut(row);
            grant.refresh = Some(family);
            return Ok(Rotation::Rotated(Arc::clone(row)));
        }
        if presented + 1 == family.generation && now.since(family.rotated_at) <= policy.grace {
            return Ok(Rotation::Replayed(Arc::clone(row)));
        }
        Ok(rows.remove(id).map_or(Rotation::Absent, Rotation::Reused))
    }

    async fn revoke(&self, id: &GrantId) -> Result<bool, StoreError> {
        Ok(self.0.lock().remove(id).is_some())
    }
}

struct ClientRow {
    client: StoredClient,
    grant_until: Option<Timestamp>,
}

struct Clients {
    rows: Mutex<HashMap<String, ClientRow>>,
    capacity: usize,
}

#[async_trait]
impl ClientStore for Clients {
    async fn insert(&self, client: StoredClient) -> Result<(), StoreError> {
        let mut rows = lock(&self.rows);
        if rows.len() >= self.capacity {
            let unused = rows.iter().filter(|(_, row)| row.grant_until.is_none());
            let oldest =
                unused.min_by_key(|(_, row)| row.client.issued_at).map(|(client_id, _)| client_id.clone());
            let oldest = oldest.ok_or(StoreError::Full { noun: "registrations", limit: self.capacity })?;
            rows.remove(&oldest);
        }
        rows.insert(client.client_id.clone(), ClientRow { client, grant_until: None });
        Ok(())
    }

    async fn load(&self, client_id: &str) -> Result<Option<StoredClient>, StoreError> {
        Ok(lock(&self.rows).get(client_id).map(|row| row.client.clone()))
    }

    async fn used(&self, client_id: &str, now: Timestamp, grant_until: Timestamp) -> Result<(), StoreError> {
        if let Some(row) = lock(&self.rows).get_mut(client_id) {
            row.client.used_at = Some(now);
            row.grant_until = row.grant_until.max(Some(grant_until));
        }
        Ok(())
    }

    async fn reap(&self, unused_before: Timestamp, ended_before: Timestamp) -> Result<usize, StoreError> {
        let mut rows = lock(&self.rows);
        let before = rows.len();
        rows.retain(|_, row| match row.grant_until {
            None => row.client.issued_at >= unused_before,
            Some(until) => until >= ended_before,
        });
        Ok(before - rows.len())
    }
}

struct Consents(Rows<(String, String), Approval>);

#[async_trait]
impl ConsentStore for Consents {
    async fn save(
        &self,
        sub: &str,
        client_id: &str,
        approval: Approval,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let expires_at = approval.expires_at;
        self.0.lock().insert((sub.to_owned(), client_id.to_owned()), approval, expires_at, now);
        Ok(())
    }

    async fn load(&self, sub: &str, client_id: &str, now: Timestamp) -> Result<Option<Approval>, StoreError> {
        Ok(self.0.lock().live(&(sub.to_owned(), client_id.to_owned()), now).cloned())
    }
}

struct UpstreamTokenRows(Rows<GrantId, Arc<UpstreamTokens>>);

#[async_trait]
impl UpstreamTokenStore for UpstreamTokenRows {
    async fn put(
        &self,
        grant: GrantId,
        tokens: UpstreamTokens,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.0.lock().insert(grant, Arc::new(tokens), until, now);
        Ok(())
    }

    async fn load(&self, grant: &GrantId, now: Timestamp) -> Result<Option<Arc<UpstreamTokens>>, StoreError> {
        Ok(self.0.lock().live(grant, now).cloned())
    }

    async fn delete(&self, grant: &GrantId) -> Result<(), StoreError> {
        self.0.lock().remove(grant);
        Ok(())
    }
}

struct Replays(Rows<[u8; 32], ()>);

#[async_trait]
impl ReplayStore for Replays {
    async fn claim(&self, key: [u8; 32], until: Timestamp, now: Timestamp) -> Result<bool, StoreError> {
        let mut rows = self.0.lock();
        if rows.live(&key, now).is_some() {
            return Ok(false);
        }
        rows.insert(key, (), until, now);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_memory_backend_fulfils_the_contract() {
        crate::contract::fulfil(&|| stores(Capacity::default())).await;
    }

    #[tokio::test]
    async fn beyond_the_bound_unused_registrations_give_way_and_used_ones_stay() {
        let stores = stores(Capacity { clients: 1, ..Capacity::default() });
        let client = |id| crate::contract::sample_client(id, Timestamp::from_secs(10));
        let now = Timestamp::from_secs(20);
        stores.clients.insert(client("unused")).await.unwrap();
        stores.clients.insert(client("used")).await.unwrap();
        assert!(stores.clients.load("unused").await.unwrap().is_none());
        stores.clients.used("used", now, now).await.unwrap();
        assert!(matches!(
            stores.clients.insert(client("next")).await,
            Err(StoreError::Full { limit: 1, .. })
        ));
        assert_eq!(stores.clients.reap(now, Timestamp::from_secs(21)).await.unwrap(), 1);
        stores.clients.insert(client("next")).await.unwrap();
    }
}
