//! Connections and the file behind them.

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{SqliteError, Synchronous, schema};

/// How long one process waits for another that writes.
const BUSY: Duration = Duration::from_secs(5);
/// How often the log is tried to be switched on, and the pause between: as long as [`BUSY`] together.
const LOG_ATTEMPTS: u32 = 250;
const LOG_PAUSE: Duration = Duration::from_millis(20);
/// Pages of 4 KiB in the log before it is moved into the database.
const CHECKPOINT_PAGES: u32 = 4000;
/// Of each connection; negative means KiB.
const CACHE: i32 = -8192;
/// The log is cut to this size in bytes after it has grown beyond.
const LOG_LIMIT: u32 = 64 << 20;

/// Makes the file and its directories when missing; nobody else may read it.
pub(super) fn prepare_file(path: &Path) -> Result<(), SqliteError> {
    let failed = |path: &Path, source| SqliteError::File { path: path.to_owned(), source };
    if let Some(directory) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|source| failed(directory, source))?;
    }
    match create_private(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            std::fs::set_permissions(path, Permissions::from_mode(0o600))
                .map_err(|source| failed(path, source))
        }
        Err(source) => Err(failed(path, source)),
    }
}

/// An empty file that only we may read. SQLite gives its companions the same mode.
pub(super) fn create_private(path: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map(drop)
}

/// The connection that writes; the schema is up to date afterwards.
pub(super) fn open_serving(path: &Path, synchronous: Synchronous) -> Result<Connection, SqliteError> {
    let mut connection = open_existing(path)?;
    schema::recognize(&connection, path)?;
    let failed = |source| SqliteError::Database { path: path.to_owned(), source };
    // Both must come before the first table: free pages are given back piece by piece.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL").map_err(failed)?;
    start_log(&connection, path)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES).map_err(failed)?;
    connection.pragma_update(None, "journal_size_limit", LOG_LIMIT).map_err(failed)?;
    let synchronous = match synchronous {
        Synchronous::Normal => "NORMAL",
        Synchronous::Full => "FULL",
    };
    connection.pragma_update(None, "synchronous", synchronous).map_err(failed)?;
    schema::migrate(&mut connection, path)?;
    Ok(connection)
}

/// A connection that reads a database which is there and is ours.
pub(super) fn open_reading(path: &Path) -> Result<Connection, SqliteError> {
    if !path.exists() {
        return Err(SqliteError::Missing { path: path.to_owned() });
    }
    let connection = open_existing(path)?;
    let failed = |source| SqliteError::Database { path: path.to_owned(), source };
    connection.pragma_update(None, "query_only", true).map_err(failed)?;
    schema::require(&connection, path)?;
    Ok(connection)
}

/// A connection without any expectation.
pub(super) fn open_existing(path: &Path) -> Result<Connection, SqliteError> {
    let failed = |source| SqliteError::Database { path: path.to_owned(), source };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(BUSY).map_err(failed)?;
    connection.pragma_update(None, "trusted_schema", false).map_err(failed)?;
    connection.pragma_update(None, "cache_size", CACHE).map_err(failed)?;
    Ok(connection)
}

/// Switches the write-ahead log on. Of several processes that do so at once on a new file, SQLite turns all but one away
/// without letting them wait.
fn start_log(connection: &Connection, path: &Path) -> Result<(), SqliteError> {
    let switch =
        || connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0));
    let mut mode = switch();
    for _ in 0..LOG_ATTEMPTS {
        if !matches!(&mode, Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)) {
            break;
        }
        std::thread::sleep(LOG_PAUSE);
        mode = switch();
    }
    let mode = mode.map_err(|source| SqliteError::Database { path: path.to_owned(), source })?;
    if mode == "wal" { Ok(()) } else { Err(SqliteError::NoLog { path: path.to_owned(), mode }) }
}
