//! Stores to test, and records to keep in them.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tempfile::TempDir;
use thv_clock::Timestamp;
use thv_jose::at_rest::AtRestRing;
use thv_jose::reload::AtRestHandle;
use thv_store::records::{Session, SessionId, Subject, UpstreamTokens, VaultEntry};
use thv_store::rows::{Announcement, Row, RowKey, Rows};
use thv_store::sqlite::{self, SqliteRows, SqliteSettings, Synchronous};
use thv_store::table::When;
use thv_store::{StoreError, Stores};
use tokio::sync::broadcast;

pub(crate) const T0: Timestamp = Timestamp::from_secs(1_000_000);

pub(crate) fn later(seconds: u64) -> Timestamp {
    T0 + Duration::from_secs(seconds)
}

/// A ring of keys, each named by a byte.
pub(crate) fn ring(keys: &[u8]) -> AtRestRing {
    AtRestRing::new(keys.iter().map(|key| vec![*key; 32].into()).collect()).unwrap()
}

pub(crate) fn keys(keys: &[u8]) -> AtRestHandle {
    AtRestHandle::new(ring(keys))
}

/// A place for a database.
pub(crate) struct Database {
    _directory: TempDir,
    pub(crate) path: PathBuf,
}

impl Database {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state/store.db");
        Self { _directory: directory, path }
    }

    pub(crate) fn open(&self) -> Arc<SqliteRows> {
        open(&self.path, Synchronous::Normal)
    }

    pub(crate) fn stores(&self, keys: &[u8]) -> Stores {
        thv_store::sealed::stores(self.open(), self::keys(keys))
    }

    /// A connection past everything, for what somebody else does to the file.
    pub(crate) fn raw(&self) -> rusqlite::Connection {
        let connection = rusqlite::Connection::open(&self.path).unwrap();
        connection.busy_timeout(Duration::from_secs(5)).unwrap();
        connection
    }

    pub(crate) fn count(&self, sql: &str) -> u32 {
        self.raw().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    pub(crate) fn beside(&self, suffix: &str) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(suffix);
        path.into()
    }
}

pub(crate) fn open(path: &Path, synchronous: Synchronous) -> Arc<SqliteRows> {
    Arc::new(sqlite::open(&SqliteSettings { path: path.to_owned(), synchronous }).unwrap())
}

/// Rows in a map, shared by replicas that hear each other, and out of reach when told so.
pub(crate) struct SharedRows {
    pub(crate) rows: Mutex<HashMap<RowKey, Row>>,
    pub(crate) down: AtomicBool,
    announcements: broadcast::Sender<Announcement>,
}

impl SharedRows {
    pub(crate) fn new() -> Arc<Self> {
        let announcements = broadcast::channel(16).0;
        Arc::new(Self { rows: Mutex::default(), down: AtomicBool::new(false), announcements })
    }

    /// Those who listen were cut off, and are not any more.
    pub(crate) fn interrupt(&self) {
        self.announcements.send(Announcement::Listening).ok();
    }

    fn reach(&self) -> Result<std::sync::MutexGuard<'_, HashMap<RowKey, Row>>, StoreError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("out of reach".into()));
        }
        Ok(self.rows.lock().unwrap())
    }
}

#[async_trait]
impl Rows for SharedRows {
    async fn load(&self, key: &RowKey, now: Timestamp) -> Result<Option<Row>, StoreError> {
        Ok(self.reach()?.get(key).filter(|row| row.until > now).cloned())
    }

    async fn write(&self, key: &RowKey, row: Row, when: When, now: Timestamp) -> Result<bool, StoreError> {
        let mut rows = self.reach()?;
        let present = rows.get(key).filter(|row| row.until > now).map(|row| row.version);
        let holds = match when {
            When::Always => true,
            When::Absent => present.is_none(),
            When::Is(version) => present == Some(version),
        };
        if holds {
            rows.insert(*key, row);
        }
        Ok(holds)
    }

    async fn remove(&self, key: &RowKey, when: When, now: Timestamp) -> Result<bool, StoreError> {
        let mut rows = self.reach()?;
        let present = rows.get(key).filter(|row| row.until > now).map(|row| row.version);
        let holds = match when {
            When::Always => present.is_some(),
            When::Absent => false,
            When::Is(version) => present == Some(version),
        };
        Ok(holds && rows.remove(key).is_some())
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.reach().map(drop)
    }

    async fn announce(&self, message: Vec<u8>) {
        self.announcements.send(Announcement::Message(message)).ok();
    }

    fn announcements(&self) -> Option<broadcast::Receiver<Announcement>> {
        Some(self.announcements.subscribe())
    }
}

/// An upstream's tokens.
pub(crate) fn entry(access_token: &str) -> VaultEntry {
    let tokens = UpstreamTokens {
        provider: "corp".to_owned(),
        subject: "upstream-subject".to_owned(),
        access_token: access_token.into(),
        refresh_token: Some("upstream-refresh-token".into()),
        obtained_at: T0,
        expires_at: Some(later(60)),
        scopes: Some("upstream-scope".to_owned()),
        client_id: Some("upstream-client".to_owned()),
    };
    VaultEntry { tokens, rotates: None, intent: None, login: 1, forced_at: None, refused_at: None }
}

pub(crate) fn session() -> Session {
    Session { id: SessionId::random(), subject: subject(), grants: vec![], expires_at: later(3600) }
}

pub(crate) fn subject() -> Subject {
    Subject {
        sub: "corp:somebody-special".to_owned(),
        upstream: "corp".to_owned(),
        name: Some("Special Somebody".to_owned()),
        email: Some("somebody@example.com".to_owned()),
    }
}

/// A set of one, for records that hold sets.
pub(crate) fn one(text: &str) -> BTreeSet<String> {
    BTreeSet::from([text.to_owned()])
}
