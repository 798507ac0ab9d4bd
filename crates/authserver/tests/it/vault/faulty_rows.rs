//! Rows in memory that several replicas share, each over a way that can fail on its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use thv_clock::Timestamp;
use thv_jose::at_rest::AtRestRing;
use thv_jose::reload::Reloadable;
use thv_store::rows::{Announcement, Row, RowKey, Rows};
use thv_store::table::{Kind, When};
use thv_store::{StoreError, Stores, sealed};
use tokio::sync::broadcast;

/// What is wrong with a replica's way to the rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Way {
    /// Nothing.
    #[default]
    Open,
    /// Upstream tokens cannot be written.
    NoWrites,
    /// Upstream tokens can neither be read nor written.
    Closed,
    /// The next write of upstream tokens is done, but not acknowledged; then the way is open.
    LosesOneAnswer,
}

/// One replica's way to the rows. Clones share it.
#[derive(Clone, Default)]
pub(super) struct FaultyRows {
    rows: Arc<Mutex<HashMap<RowKey, Row>>>,
    way: Arc<Mutex<Way>>,
}

impl FaultyRows {
    /// Another replica's way to the same rows.
    pub(super) fn another_way(&self) -> Self {
        Self { rows: Arc::clone(&self.rows), way: Arc::default() }
    }

    pub(super) fn set(&self, way: Way) {
        *self.way.lock().unwrap() = way;
    }

    pub(super) fn stores(&self) -> Stores {
        let ring = AtRestRing::new(vec![vec![9; 32].into()]).unwrap();
        sealed::stores(Arc::new(self.clone()), Reloadable::new(ring))
    }

    fn fails(&self, key: &RowKey, failing: &[Way]) -> Result<(), StoreError> {
        let broken = key.kind == Kind::UpstreamTokens && failing.contains(&self.way.lock().unwrap());
        if broken { Err(unavailable()) } else { Ok(()) }
    }
}

fn unavailable() -> StoreError {
    StoreError::Unavailable(Box::new(std::io::Error::other("as the test wants it")))
}

#[async_trait]
impl Rows for FaultyRows {
    async fn load(&self, key: &RowKey, now: Timestamp) -> Result<Option<Row>, StoreError> {
        self.fails(key, &[Way::Closed])?;
        Ok(self.rows.lock().unwrap().get(key).filter(|row| row.until > now).cloned())
    }

    async fn write(&self, key: &RowKey, row: Row, when: When, now: Timestamp) -> Result<bool, StoreError> {
        self.fails(key, &[Way::NoWrites, Way::Closed])?;
        let mut rows = self.rows.lock().unwrap();
        let present = rows.get(key).filter(|row| row.until > now).map(|row| row.version);
        let holds = match when {
            When::Always => true,
            When::Absent => present.is_none(),
            When::Is(version) => present == Some(version),
        };
        if holds {
            rows.insert(*key, row);
        }
        if self.fails(key, &[Way::LosesOneAnswer]).is_err() {
            self.set(Way::Open);
            return Err(unavailable());
        }
        Ok(holds)
    }

    async fn remove(&self, key: &RowKey, when: When, now: Timestamp) -> Result<bool, StoreError> {
        self.fails(key, &[Way::NoWrites, Way::Closed])?;
        let mut rows = self.rows.lock().unwrap();
        let present = rows.get(key).filter(|row| row.until > now).map(|row| row.version);
        let holds = match when {
            When::Always | When::Absent => present.is_some() && when == When::Always,
            When::Is(version) => present == Some(version),
        };
        Ok(holds && rows.remove(key).is_some())
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn announce(&self, _message: Vec<u8>) {}

    fn announcements(&self) -> Option<broadcast::Receiver<Announcement>> {
        None
    }
}
