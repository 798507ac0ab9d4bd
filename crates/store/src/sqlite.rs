//! The SQLite backend: one file, for one server.
//!
//! One thread writes and commits whatever waits together; others read meanwhile, each with a connection of its own. Two
//! processes may share the file while one replaces the other. [`admin`] is for the file as a whole.

pub mod admin;
mod connection;
mod error;
mod reader;
mod schema;
mod statements;
mod writer;

use std::path::PathBuf;

use async_trait::async_trait;
use thv_clock::Timestamp;
use tokio::sync::broadcast;

pub use self::error::SqliteError;
use self::reader::Readers;
use self::statements::Change;
use self::writer::Writer;
use crate::StoreError;
use crate::rows::{Announcement, Row, RowKey, Rows};
use crate::table::When;

/// Where the database is and how it is kept.
#[derive(Clone, Debug)]
pub struct SqliteSettings {
    /// The file; made with mode 0600, missing directories with mode 0700.
    pub path: PathBuf,
    /// When a write waits for the disk.
    pub synchronous: Synchronous,
}

/// When a write waits for the disk (`PRAGMA synchronous`, with a write-ahead log).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Synchronous {
    /// At checkpoints: a killed process loses nothing, a power failure may lose the latest writes.
    #[default]
    Normal,
    /// Before every acknowledgement: a power failure loses nothing either.
    Full,
}

/// Rows in a SQLite database.
pub struct SqliteRows {
    writer: Writer,
    readers: Readers,
}

/// Opens the database, which is made or brought up to date if need be. Blocks for as long as that takes.
///
/// # Errors
/// When the file cannot be made or opened, belongs to another program or a later version, or is damaged.
pub fn open(settings: &SqliteSettings) -> Result<SqliteRows, SqliteError> {
    connection::prepare_file(&settings.path)?;
    let writing = connection::open_serving(&settings.path, settings.synchronous)?;
    let readers = Readers::start(&settings.path)?;
    Ok(SqliteRows { writer: Writer::start(writing)?, readers })
}

impl SqliteRows {
    /// Waits for the writes that were asked for, then moves the log into the database. Later writes fail.
    pub async fn close(&self) {
        self.writer.close().await;
    }
}

#[async_trait]
impl Rows for SqliteRows {
    async fn load(&self, key: &RowKey, now: Timestamp) -> Result<Option<Row>, StoreError> {
        self.readers.load(*key, now).await.map_err(unavailable)
    }

    async fn write(&self, key: &RowKey, row: Row, when: When, now: Timestamp) -> Result<bool, StoreError> {
        self.writer.apply(Change::Write { key: *key, row, when }, now).await.map_err(unavailable)
    }

    async fn remove(&self, key: &RowKey, when: When, now: Timestamp) -> Result<bool, StoreError> {
        self.writer.apply(Change::Remove { key: *key, when }, now).await.map_err(unavailable)
    }

    /// Whether a transaction can be committed.
    async fn ping(&self) -> Result<(), StoreError> {
        self.writer.apply(Change::Nothing, Timestamp::EPOCH).await.map(drop).map_err(unavailable)
    }

    async fn announce(&self, _message: Vec<u8>) {}

    fn announcements(&self) -> Option<broadcast::Receiver<Announcement>> {
        None
    }
}

fn unavailable(refused: error::Refused) -> StoreError {
    StoreError::Unavailable(Box::new(refused))
}
