//! The statements: each change is one, so that its condition and its effect cannot come apart.

use rusqlite::{Connection, OptionalExtension, Result, params};
use thv_clock::Timestamp;

use crate::rows::{Row, RowKey};
use crate::table::{Version, When};

/// Something to be changed.
pub(super) enum Change {
    Write {
        key: RowKey,
        row: Row,
        when: When,
    },
    Remove {
        key: RowKey,
        when: When,
    },
    /// Shows that changes can be committed.
    Nothing,
}

impl Change {
    /// Makes the change; whether its condition held.
    pub(super) fn apply(&self, connection: &Connection, now: Timestamp) -> Result<bool> {
        match self {
            Self::Write { key, row, when } => write(connection, key, row, *when, now),
            Self::Remove { key, when } => remove(connection, key, *when, now),
            Self::Nothing => Ok(true),
        }
    }
}

/// The row, unless it has expired.
pub(super) fn load(connection: &Connection, key: &RowKey, now: Timestamp) -> Result<Option<Row>> {
    const LOAD: &str = "SELECT version, until, value FROM rows WHERE kind = ?1 AND hash = ?2 AND until > ?3";
    connection
        .prepare_cached(LOAD)?
        .query_row(params![key.kind.as_str(), key.hash, millis(now)], |row| {
            let until = u64::try_from(row.get::<_, i64>(1)?).unwrap_or_default();
            Ok(Row {
                version: Version(row.get(0)?),
                until: Timestamp::from_millis(until),
                value: row.get(2)?,
            })
        })
        .optional()
}

fn write(connection: &Connection, key: &RowKey, row: &Row, when: When, now: Timestamp) -> Result<bool> {
    const ALWAYS: &str = "INSERT INTO rows (kind, hash, version, until, value) VALUES (?1, ?2, ?3, ?4, ?5)
        ON CONFLICT DO UPDATE SET version = excluded.version, until = excluded.until, value = excluded.value";
    const ABSENT: &str = "INSERT INTO rows (kind, hash, version, until, value) VALUES (?1, ?2, ?3, ?4, ?5)
        ON CONFLICT DO UPDATE SET version = excluded.version, until = excluded.until, value = excluded.value
        WHERE rows.until <= ?6";
    const IS: &str = "UPDATE rows SET version = ?3, until = ?4, value = ?5
        WHERE kind = ?1 AND hash = ?2 AND until > ?6 AND version = ?7";
    let (kind, until, now) = (key.kind.as_str(), millis(row.until), millis(now));
    let (version, value) = (row.version.0, &row.value);
    let changed = match when {
        When::Always => {
            connection.prepare_cached(ALWAYS)?.execute(params![kind, key.hash, version, until, value])?
        }
        When::Absent => {
            connection.prepare_cached(ABSENT)?.execute(params![kind, key.hash, version, until, value, now])?
        }
        When::Is(expected) => connection
            .prepare_cached(IS)?
            .execute(params![kind, key.hash, version, until, value, now, expected.0])?,
    };
    Ok(changed > 0)
}

fn remove(connection: &Connection, key: &RowKey, when: When, now: Timestamp) -> Result<bool> {
    const ALWAYS: &str = "DELETE FROM rows WHERE kind = ?1 AND hash = ?2 AND until > ?3";
    const IS: &str = "DELETE FROM rows WHERE kind = ?1 AND hash = ?2 AND until > ?3 AND version = ?4";
    let (kind, now) = (key.kind.as_str(), millis(now));
    let removed = match when {
        When::Always => connection.prepare_cached(ALWAYS)?.execute(params![kind, key.hash, now])?,
        When::Is(expected) => {
            connection.prepare_cached(IS)?.execute(params![kind, key.hash, now, expected.0])?
        }
        // What is not there cannot be removed.
        When::Absent => 0,
    };
    Ok(removed > 0)
}

/// Drops at most `limit` rows that have expired; how many it dropped.
pub(super) fn sweep(connection: &Connection, limit: usize, now: Timestamp) -> Result<usize> {
    const SWEEP: &str = "DELETE FROM rows WHERE id IN
        (SELECT id FROM rows WHERE until <= ?1 ORDER BY until LIMIT ?2)";
    connection.prepare_cached(SWEEP)?.execute(params![millis(now), i64::try_from(limit).unwrap_or(i64::MAX)])
}

/// Gives at most `pages` unused pages back to the file system.
pub(super) fn shrink(connection: &Connection, pages: u32) -> Result<()> {
    let mut statement = connection.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
    let mut freed = statement.query([])?;
    // Each step frees a page.
    while freed.next()?.is_some() {}
    Ok(())
}

/// As SQLite keeps it.
pub(super) fn millis(at: Timestamp) -> i64 {
    i64::try_from(at.as_millis()).unwrap_or(i64::MAX)
}
