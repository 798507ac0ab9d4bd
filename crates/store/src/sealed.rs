//! Stores over rows that are sealed: whoever reads the backend sees kinds, sizes, times and nothing else.
//!
//! A record is encoded, then sealed with the first key of the ring, bound to its place and its end. Its key is hashed with a
//! secret that the store keeps in a row of its own, sealed too. A record that another key of the ring sealed is sealed anew
//! when it is read, so that an old key can be taken away once none uses it.

mod envelope;
mod events;
mod lookup;

use std::marker::PhantomData;
use std::sync::Arc;

use async_trait::async_trait;
use thv_clock::Timestamp;
use thv_jose::random;
use thv_jose::reload::AtRestHandle;

pub(crate) use self::envelope::Envelope;
use self::events::SealedEvents;
use self::lookup::Lookup;
use crate::codec::{decode, encode};
use crate::events::Events;
use crate::rows::{Row, Rows};
use crate::table::{Backend, Kind, Record, Table, Version, Versioned, When};
use crate::{StoreError, Stores};

/// Stores whose rows are kept in `rows`, sealed with the first of `keys`.
///
/// Asks `rows` for nothing yet: a backend that is down now may be up when the first record is wanted.
pub fn stores(rows: Arc<dyn Rows>, keys: AtRestHandle) -> Stores {
    let events = rows.announcements().map_or_else(Events::default, |announcements| {
        Events::over(Arc::new(SealedEvents::new(Arc::clone(&rows), keys.clone(), announcements)))
    });
    let lookup = Lookup::new(Arc::clone(&rows), keys.clone());
    Stores::over(&Sealed(Arc::new(Shared { rows, keys, lookup })), events)
}

struct Sealed(Arc<Shared>);

/// What the tables of a store share.
struct Shared {
    rows: Arc<dyn Rows>,
    keys: AtRestHandle,
    lookup: Lookup,
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

#[async_trait]
impl<T: Record> Table<T> for SealedTable<T> {
    async fn load(&self, key: &[u8], now: Timestamp) -> Result<Option<Versioned<T>>, StoreError> {
        let Shared { rows, keys, lookup } = &*self.shared;
        let key = lookup.row_key(T::KIND, key, now).await?;
        let Some(row) = rows.load(&key, now).await? else { return Ok(None) };
        let ring = keys.load();
        let envelope = Envelope { key, until: row.until };
        let opened = envelope.open(&ring, &row.value)?;
        let value = decode(&opened.plaintext).map_err(|error| unreadable(T::KIND, error))?;
        let (version, until) = (row.version, row.until);
        if !opened.current {
            seal_anew(&**rows, &envelope, row, envelope.seal(&ring, &opened.plaintext), now).await;
        }
        Ok(Some(Versioned { value: Arc::new(value), version, until }))
    }

    async fn write(
        &self,
        key: &[u8],
        value: T,
        until: Timestamp,
        when: When,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let Shared { rows, keys, lookup } = &*self.shared;
        let key = lookup.row_key(T::KIND, key, now).await?;
        let envelope = Envelope { key, until: until.min(FAR_FUTURE) };
        let plaintext = encode(&value).map_err(|error| unreadable(T::KIND, error))?;
        let value = envelope.seal(&keys.load(), &plaintext)?;
        let row = Row { version: Version(random::bytes()), until: envelope.until, value };
        rows.write(&key, row, when, now).await
    }

    async fn remove(&self, key: &[u8], when: When, now: Timestamp) -> Result<bool, StoreError> {
        let key = self.shared.lookup.row_key(T::KIND, key, now).await?;
        self.shared.rows.remove(&key, when, now).await
    }
}

/// The end of the year 9999: the latest end of a row, which every backend can keep.
const FAR_FUTURE: Timestamp = Timestamp::from_secs(253_402_300_799);

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
