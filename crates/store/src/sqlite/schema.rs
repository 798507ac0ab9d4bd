//! The schema and its versions.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::SqliteError;

/// `thvs`: tells our databases from those of others.
const APPLICATION_ID: i32 = 0x7468_7673;

/// What each version changed.
///
/// Rows lie in the order in which they were made and are found through an index. Were they ordered by their hash, each
/// write of a usual record would touch a page and an overflow page (measured: more than twice the time).
///
/// Version 0 is an empty database. Never change an entry: add one.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE rows (
        id INTEGER PRIMARY KEY,
        kind TEXT NOT NULL,
        hash BLOB NOT NULL CHECK (length(hash) = 32),
        version BLOB NOT NULL CHECK (length(version) = 16),
        until INTEGER NOT NULL,
        value BLOB NOT NULL,
        UNIQUE (kind, hash)
    ) STRICT;
    CREATE INDEX rows_until ON rows (until);
"];

/// The latest version.
pub(super) const LATEST: u32 = MIGRATIONS.len() as u32;

/// What a database says of itself, in one statement: another process may be migrating it just now.
const FACTS: &str = "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)
    FROM pragma_application_id, pragma_user_version";

/// Refuses a database of another program or a later version, before anything is changed in it.
pub(super) fn recognize(connection: &Connection, path: &Path) -> Result<u32, SqliteError> {
    let failed = |source| SqliteError::Database { path: path.to_owned(), source };
    let (application, version, tables): (i32, i32, u32) =
        connection.query_row(FACTS, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).map_err(failed)?;
    let untouched = application == 0 && version == 0 && tables == 0;
    if application != APPLICATION_ID && !untouched {
        return Err(SqliteError::Foreign { path: path.to_owned() });
    }
    let found = version.unsigned_abs();
    if found > LATEST {
        return Err(SqliteError::Newer { path: path.to_owned(), found, known: LATEST });
    }
    Ok(found)
}

/// Refuses what is not a database of exactly this version.
pub(super) fn require(connection: &Connection, path: &Path) -> Result<(), SqliteError> {
    match recognize(connection, path)? {
        LATEST => Ok(()),
        // It has never been used: there is no row in it.
        _ => Err(SqliteError::Missing { path: path.to_owned() }),
    }
}

/// Brings the database to the latest version, all or nothing. Of two processes that start at once, one does it.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), SqliteError> {
    let failed = |source| SqliteError::Database { path: path.to_owned(), source };
    if recognize(connection, path)? == LATEST {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    let found = recognize(&transaction, path)?;
    for migration in MIGRATIONS.iter().skip(found as usize) {
        transaction.execute_batch(migration).map_err(failed)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(failed)?;
    transaction.pragma_update(None, "user_version", LATEST).map_err(failed)?;
    transaction.commit().map_err(failed)
}
