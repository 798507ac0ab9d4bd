//! What is done with the database as a whole, also from another process and while it is served. All of it blocks.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use rusqlite::backup::Backup;
use rusqlite::{Connection, ErrorCode};
use serde::Serialize;
use thv_clock::Timestamp;
use thv_jose::at_rest::{self, AtRestRing, KeyId};

use super::{SqliteError, connection};
use crate::codec;
use crate::rows::RowKey;
use crate::sealed::Envelope;
use crate::table::Kind;

/// Copies the database at `path` into a new file `to`, as it is at one moment, with mode 0600. What is sealed stays sealed.
///
/// # Errors
/// When there is no store at `path`, when `to` exists, or when it cannot be written; nothing is left behind then.
pub fn backup(path: &Path, to: &Path) -> Result<(), SqliteError> {
    let from = connection::open_reading(path)?;
    connection::create_private(to).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => SqliteError::Exists { path: to.to_owned() },
        _ => SqliteError::File { path: to.to_owned(), source },
    })?;
    copy(&from, to).inspect_err(|_| {
        std::fs::remove_file(to).ok();
    })
}

fn copy(from: &Connection, to: &Path) -> Result<(), SqliteError> {
    let failed = |source| SqliteError::Database { path: to.to_owned(), source };
    let mut copy = connection::open_existing(to)?;
    // In one step, hence in one snapshot: in several, every commit meanwhile would start it over.
    Backup::new(from, &mut copy).and_then(|backup| backup.step(-1)).map_err(failed)?;
    // One file, without a log beside it.
    copy.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(())).map_err(failed)
}

/// How a store fares.
#[derive(Debug, Default)]
pub struct Check {
    /// What SQLite finds wrong with its file.
    pub problems: Vec<String>,
    /// Rows of each kind; kinds of a later version by their names.
    pub kinds: BTreeMap<String, Count>,
    /// How many rows each key seals. A key that seals none can be taken out of the configuration.
    pub keys: BTreeMap<KeyId, u64>,
    /// Rows that cannot be read, by kind and reason.
    pub unreadable: BTreeMap<(String, String), u64>,
}

/// Rows of a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Those that count.
    pub live: u64,
    /// Those that have expired and wait to be dropped.
    pub expired: u64,
}

impl Check {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty() && self.unreadable.is_empty()
    }
}

/// Checks the file, and whether every record in it can be read with the keys in `ring`.
///
/// # Errors
/// When there is no store at `path`, or it cannot be read at all. What is wrong inside is in the [`Check`].
pub fn check(path: &Path, ring: &AtRestRing, now: Timestamp) -> Result<Check, SqliteError> {
    let failed = |source| SqliteError::Database { path: path.to_owned(), source };
    let connection = connection::open_reading(path)?;
    let snapshot = connection.unchecked_transaction().map_err(failed)?;
    let mut check = Check { problems: integrity(&snapshot).map_err(failed)?, ..Check::default() };
    let scanned = each_row(&snapshot, |row| {
        let count = check.kinds.entry(row.kind.clone()).or_default();
        *(if row.until > now { &mut count.live } else { &mut count.expired }) += 1;
        if let Ok(id) = at_rest::key_id(&row.value) {
            *check.keys.entry(id).or_default() += 1;
        }
        if let Err(reason) = row.open(ring).and_then(|(kind, record)| verify(kind, &record)) {
            *check.unreadable.entry((row.kind, reason)).or_default() += 1;
        }
        Ok(())
    });
    match scanned {
        Err(Interrupted::Database(error)) if is_damage(&error) => {
            check.problems.push(error.to_string());
            Ok(check)
        }
        other => other.map(|()| check).map_err(|interrupted| interrupted.at(path)),
    }
}

/// What SQLite finds wrong. Some damage it lists, some keeps it from looking any further.
fn integrity(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut problems = Vec::new();
    let looked = connection.pragma_query(None, "integrity_check", |row| {
        problems.push(row.get::<_, String>(0)?);
        Ok(())
    });
    match looked {
        Err(error) if is_damage(&error) => problems.push(error.to_string()),
        other => other?,
    }
    problems.retain(|problem| problem != "ok");
    Ok(problems)
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// A line of an export.
#[derive(Serialize)]
struct Line<'a> {
    kind: &'a str,
    /// Milliseconds since the Unix epoch.
    until: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<serde_json::Value>,
    /// Why the record cannot be shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    unreadable: Option<String>,
}

/// Writes what the store holds as JSON lines, without what has expired and without any secret: each is shown as `"sealed"`.
/// Names and addresses of users are in it. Returns the number of lines.
///
/// # Errors
/// When there is no store at `path`, or when it cannot be read or `out` not be written.
pub fn export(
    path: &Path,
    ring: &AtRestRing,
    now: Timestamp,
    out: &mut dyn io::Write,
) -> Result<u64, SqliteError> {
    let connection = connection::open_reading(path)?;
    let mut lines = 0;
    let scanned = each_row(&connection, |row| {
        if row.until <= now {
            return Ok(());
        }
        let shown = row.open(ring).and_then(|(kind, record)| describe(kind, &record));
        let (record, unreadable) = match shown {
            Ok(record) => (Some(record), None),
            Err(reason) => (None, Some(reason)),
        };
        let line = Line { kind: &row.kind, until: row.until, record, unreadable };
        serde_json::to_writer(&mut *out, &line).map_err(io::Error::from)?;
        lines += 1;
        out.write_all(b"\n")
    });
    scanned.map_err(|interrupted| interrupted.at(path))?;
    out.flush().map_err(SqliteError::Export)?;
    Ok(lines)
}

/// A row as it lies in the file.
struct StoredRow {
    kind: String,
    hash: [u8; 32],
    until: Timestamp,
    value: Vec<u8>,
}

impl StoredRow {
    /// Its kind and its record, or why it cannot be read.
    fn open(&self, ring: &AtRestRing) -> Result<(Kind, at_rest::Opened), String> {
        let kind = Kind::parse(&self.kind).ok_or("its kind is not known to this version")?;
        let envelope = Envelope { key: RowKey { kind, hash: self.hash }, until: self.until };
        let opened = envelope.try_open(ring, &self.value).map_err(|error| error.to_string())?;
        Ok((kind, opened))
    }
}

fn verify(kind: Kind, record: &at_rest::Opened) -> Result<(), String> {
    codec::verify(kind, &record.plaintext).map_err(|error| error.to_string())
}

fn describe(kind: Kind, record: &at_rest::Opened) -> Result<serde_json::Value, String> {
    codec::describe(kind, &record.plaintext).map_err(|error| error.to_string())
}

/// Why not every row was visited.
enum Interrupted {
    Database(rusqlite::Error),
    Visitor(io::Error),
}

impl Interrupted {
    fn at(self, path: &Path) -> SqliteError {
        match self {
            Self::Database(source) => SqliteError::Database { path: path.to_owned(), source },
            Self::Visitor(source) => SqliteError::Export(source),
        }
    }
}

fn each_row(
    connection: &Connection,
    mut visit: impl FnMut(StoredRow) -> io::Result<()>,
) -> Result<(), Interrupted> {
    const ALL: &str = "SELECT kind, hash, until, value FROM rows";
    let mut statement = connection.prepare(ALL).map_err(Interrupted::Database)?;
    let mut rows = statement.query([]).map_err(Interrupted::Database)?;
    while let Some(row) = rows.next().map_err(Interrupted::Database)? {
        visit(stored_row(row).map_err(Interrupted::Database)?).map_err(Interrupted::Visitor)?;
    }
    Ok(())
}

fn stored_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<StoredRow> {
    let until = u64::try_from(row.get::<_, i64>(2)?).unwrap_or_default();
    let until = Timestamp::from_millis(until);
    Ok(StoredRow { kind: row.get(0)?, hash: row.get(1)?, until, value: row.get(3)? })
}
