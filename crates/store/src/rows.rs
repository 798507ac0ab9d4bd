//! Rows of bytes: what a durable backend keeps. It never sees a secret or a readable key.

use async_trait::async_trait;
use thv_clock::Timestamp;

use crate::StoreError;
use crate::table::{Kind, Version, When};

/// Names a row: its kind and a keyed hash of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RowKey {
    /// The kind of record.
    pub kind: Kind,
    /// HMAC-SHA-256 of the key, under a secret of the store.
    pub hash: [u8; 32],
}

/// A row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Changes whenever the record does. A record that is only sealed anew keeps it, so that nobody who has read it loses a
    /// conditional write.
    pub version: Version,
    /// The row counts as absent from then on, and may be dropped.
    pub until: Timestamp,
    /// The sealed record.
    pub value: Vec<u8>,
}

/// The end of the year 9999: the latest end of a row, which every backend can keep. Such a row has no end.
pub const FOREVER: Timestamp = Timestamp::from_secs(253_402_300_799);

/// What is heard from other replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Announcement {
    /// What another replica, or this one, announced.
    Message(Vec<u8>),
    /// Listening began, or began again after an interruption: what was announced before may have been missed.
    Listening,
}

/// Where rows are kept. Every operation is atomic, and acknowledged only when it will survive what the backend promises to
/// survive. Nothing is ever looked for but by its key.
#[async_trait]
pub trait Rows: Send + Sync + 'static {
    /// The row, unless it has expired.
    async fn load(&self, key: &RowKey, now: Timestamp) -> Result<Option<Row>, StoreError>;
    /// Writes `row` if `when` holds of the present one; `false` when it does not.
    async fn write(&self, key: &RowKey, row: Row, when: When, now: Timestamp) -> Result<bool, StoreError>;
    /// Removes the row if there is one and `when` holds of it; whether it did.
    async fn remove(&self, key: &RowKey, when: When, now: Timestamp) -> Result<bool, StoreError>;
    /// Whether the backend answers.
    async fn ping(&self) -> Result<(), StoreError>;
    /// Tells other replicas, as far as they can be reached now. Nobody may depend on it.
    async fn announce(&self, message: Vec<u8>);
    /// What other replicas announce; `None` where there are none.
    fn announcements(&self) -> Option<tokio::sync::broadcast::Receiver<Announcement>>;
}
