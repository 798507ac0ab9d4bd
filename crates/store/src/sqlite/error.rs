//! Why the database cannot be opened, or did not do what was asked.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Why the database cannot be opened or administered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SqliteError {
    /// A directory or file cannot be made, or its permissions cannot be set.
    #[error("{} cannot be made", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is no database.
    #[error("there is no store at {}", path.display())]
    Missing {
        /// Where.
        path: PathBuf,
    },
    /// A backup is never written over something.
    #[error("{} exists already; name a file that does not", path.display())]
    Exists {
        /// What is there.
        path: PathBuf,
    },
    /// The database cannot be opened or read.
    #[error("the database {} cannot be used", path.display())]
    Database {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// The file system cannot hold a write-ahead log.
    #[error(
        "the database {} cannot have a write-ahead log (its journal mode is {mode}); put it on a local file system",
        path.display()
    )]
    NoLog {
        /// Which one.
        path: PathBuf,
        /// The mode that SQLite chose.
        mode: String,
    },
    /// The database belongs to another program.
    #[error("{} is a database of another program; configure another path", path.display())]
    Foreign {
        /// Which one.
        path: PathBuf,
    },
    /// A later version made the database.
    #[error(
        "the database {} has schema {found}, this version knows up to {known}; use the version that wrote it, or a later one",
        path.display()
    )]
    Newer {
        /// Which one.
        path: PathBuf,
        /// Its schema.
        found: u32,
        /// The latest known schema.
        known: u32,
    },
    /// A thread cannot be started.
    #[error("a thread for the database cannot be started")]
    Thread(#[source] io::Error),
    /// An export cannot be written.
    #[error("the export cannot be written")]
    Export(#[source] io::Error),
}

/// Why something was not read or written.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("the database is closed")]
    Closed,
    #[error("the database refused")]
    Database(#[source] Arc<rusqlite::Error>),
}

impl From<rusqlite::Error> for Refused {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(Arc::new(error))
    }
}
