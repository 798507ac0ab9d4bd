//! Stores over rows that are sealed: whoever reads the backend sees kinds, sizes, times and nothing else.
//!
//! A record is encoded, then sealed with the first key of the ring, bound to its place and its end. Its key is hashed with a
//! secret that the store keeps in a row of its own, sealed too. A record that another key of the ring sealed is sealed anew
//! when it is read, so that an old key can be taken away once none uses it.

mod envelope;
mod events;
mod lookup;
mod lost_keys;

use std::marker::PhantomData;
use std::sync::Arc;

use async_trait::async_trait;
use thv_clock::Timestamp;
use thv_jose::at_rest::{AtRestError, Opened};
use thv_jose::random;
use thv_jose::reload::AtRestHandle;

pub(crate) use self::envelope::Envelope;
pub(crate) use self::events::SealedEvents;
use self::lookup::Lookup;
use self::lost_keys::LostKeys;
use crate::codec::{decode, encode};
use crate::events::Events;
use crate::rows::{FOREVER, Row, RowKey, Rows};
use crate::table::{Backend, Kind, Record, Table, Version, Versioned, When};
use crate::{StoreError, Stores};

/// Stores whose rows are kept in `rows`, sealed with the first of `keys`.
///
/// Asks `rows` for nothing yet: a backend that is down now may be up when the first record is wanted.
pub fn stores(rows: Arc<dyn Rows>, keys: AtRestHandle) -> Stores {
    let lookup = Arc::new(Lookup::new(Arc::clone(&rows), keys.clone()));
    let events = rows.announcements().map_or_else(Events::default, |announcements| {
        let (rows, lookup) = (Arc::clone(&rows), Arc::clone(&lookup));
        Events::over(SealedEvents::new(rows, keys.clone(), announcements, lookup))
    });
    Stores::over(&Sealed(Arc::new(Shared { rows, keys, lookup, lost_keys: LostKeys::default() })), events)
}

struct Sealed(Arc<Shared>);

/// What the tables of a store share.
struct Shared {
    rows: Arc<dyn Rows>,
    keys: AtRestHandle,
    lookup: Arc<Lookup>,
    lost_keys: LostKeys,
}

impl Shared {
    /// The row, and what its envelope holds; `None` in its place when the key is gone that sealed it and the record is of a
    /// kind that counts as absent then.
    async fn open(&self, key: RowKey, now: Timestamp) -> Result<Option<(Row, Option<Opened>)>, StoreError> {
        let Some(row) = self.rows.load(&key, now).await? else { return Ok(None) };
        let envelope = Envelope { key, until: row.until };
        match envelope.try_open(&self.keys.load(), &row.value) {
            Ok(opened) => Ok(Some((row, Some(opened)))),
            Err(AtRestError::UnknownKey(id))
                if lost_keys::may_be_lost(key.kind) && self.lookup.keys_are_current(now).await? =>
            {
                self.lost_keys.warn(id, key.kind);
                Ok(Some((row, None)))
            }
            Err(error) => Err(unreadable(key.kind, error)),
        }
    }

    /// After a failure the backend may have lost what it kept, also the secret that rows are found by.
    fn doubt_after<T>(&self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        if matches!(outcome, Err(StoreError::Unavailable(_))) {
            self.lookup.doubt();
        }
        outcome
    }
}

impl Backend for Sealed {
    fn table<T: Record>(&self) -> Arc<dyn Table<T>> {
        Arc::new(SealedTable { shared: Arc::clone(&self.0), record: PhantomData })
    }
}

struct SealedTable<T> {
    shared: Arc<Shared>,
    record: PhantomData<fn() -> T>,
}

impl<T: Record> SealedTable<T> {
    async fn read(&self, key: &[u8], now: Timestamp) -> Result<Option<Versioned<T>>, StoreError> {
        let Shared { rows, keys, lookup, .. } = &*self.shared;
        let key = lookup.row_key(T::KIND, key, now).await?;
        let Some((row, Some(opened))) = self.shared.open(key, now).await? else { return Ok(None) };
        let value = decode(&opened.plaintext).map_err(|error| unreadable(T::KIND, error))?;
        let (version, until) = (row.version, row.until);
        if !opened.current {
            let envelope = Envelope { key, until };
            let resealed = envelope.seal(&keys.load(), &opened.plaintext);
            seal_anew(&**rows, &envelope, row, resealed, now).await;
        }
        Ok(Some(Versioned { value: Arc::new(value), version, until }))
    }

    async fn change(
        &self,
        key: &[u8],
        value: T,
        until: Timestamp,
        when: When,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let Shared { rows, keys, lookup, .. } = &*self.shared;
        let key = lookup.row_key(T::KIND, key, now).await?;
        let envelope = Envelope { key, until: until.min(FOREVER) };
        let plaintext = encode(&value).map_err(|error| unreadable(T::KIND, error))?;
        let row = || -> Result<Row, StoreError> {
            let value = envelope.seal(&keys.load(), &plaintext)?;
            Ok(Row { version: Version(random::bytes()), until: envelope.until, value })
        };
        let written = rows.write(&key, row()?, when, now).await?;
        if written || when != When::Absent || !lost_keys::may_be_lost(T::KIND) {
            return Ok(written);
        }
        // What reads as absent must not be in the way.
        match self.shared.open(key, now).await {
            Ok(Some((lost, None))) => rows.write(&key, row()?, When::Is(lost.version), now).await,
            // The row that is there can be read, or is damaged: either way it is there.
            _ => Ok(false),
        }
    }
}

#[async_trait]
impl<T: Record> Table<T> for SealedTable<T> {
    async fn load(&self, key: &[u8], now: Timestamp) -> Result<Option<Versioned<T>>, StoreError> {
        let outcome = self.read(key, now).await;
        self.shared.doubt_after(outcome)
    }

    async fn write(
        &self,
        key: &[u8],
        value: T,
        until: Timestamp,
        when: When,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let outcome = self.change(key, value, until, when, now).await;
        self.shared.doubt_after(outcome)
    }

    async fn remove(&self, key: &[u8], when: When, now: Timestamp) -> Result<bool, StoreError> {
        let key = self.shared.lookup.row_key(T::KIND, key, now).await?;
        let outcome = self.shared.rows.remove(&key, when, now).await;
        self.shared.doubt_after(outcome)
    }
}

/// Puts `resealed` in the place of a row that an older key sealed. It stays the same record in the same state, and keeps
/// its version: whoever is about to change it must not find it changed. Whoever changed it meanwhile sealed it anew.
/// Whether the backend answered; a read does not depend on it.
async fn seal_anew(
    rows: &dyn Rows,
    envelope: &Envelope,
    row: Row,
    resealed: Result<Vec<u8>, StoreError>,
    now: Timestamp,
) -> bool {
    let when = When::Is(row.version);
    let outcome = match resealed {
        Ok(value) => rows.write(&envelope.key, Row { value, ..row }, when, now).await,
        Err(error) => Err(error),
    };
    outcome
        .inspect_err(|error| {
            let kind = envelope.key.kind.as_str();
            tracing::debug!(kind, %error, "a row keeps its older encryption key for now");
        })
        .is_ok()
}

fn unreadable(kind: Kind, source: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Unreadable { noun: kind.as_str(), source: Box::new(source) }
}
