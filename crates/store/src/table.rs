//! What every backend offers: rows that expire, and one conditional write.
//!
//! All that must happen once is built on that write (in the noun's own file), so that the rules are the same whatever the
//! rows are kept in.

use std::sync::Arc;

use async_trait::async_trait;
use thv_clock::Timestamp;

use crate::StoreError;
use crate::codec::Coded;

/// Which state of a row it is: 128 bits that no other state of any row has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Version(pub [u8; 16]);

/// A row as it was read.
#[derive(Debug)]
pub struct Versioned<T> {
    /// The record.
    pub value: Arc<T>,
    /// Which state of the row this is.
    pub version: Version,
    /// Until when the row is kept.
    pub until: Timestamp,
}

impl<T> Clone for Versioned<T> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), version: self.version, until: self.until }
    }
}

/// What must hold for a write to happen. An expired row counts as absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Nothing.
    Always,
    /// There is no row.
    Absent,
    /// The row is in this state.
    Is(Version),
}

/// The kinds of records, each a table of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Kind {
    /// Logins in flight.
    Pending,
    /// Authorization codes and their tombstones.
    Code,
    /// Grants.
    Grant,
    /// Login sessions.
    Session,
    /// Upstream tokens.
    UpstreamTokens,
    /// Registered clients.
    Client,
    /// Remembered approvals.
    Consent,
    /// Identifiers that were used.
    Replay,
    /// Our registrations at upstreams.
    Registration,
    /// Where those are.
    RegistrationIndex,
    /// Turns that one replica holds.
    Lease,
    /// Client ID metadata documents.
    Document,
    /// The store's own secrets.
    Store,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 13] = [
        Self::Pending,
        Self::Code,
        Self::Grant,
        Self::Session,
        Self::UpstreamTokens,
        Self::Client,
        Self::Consent,
        Self::Replay,
        Self::Registration,
        Self::RegistrationIndex,
        Self::Lease,
        Self::Document,
        Self::Store,
    ];

    /// Its name in keys, messages and exports. It is part of stored keys: never change one.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Code => "code",
            Self::Grant => "grant",
            Self::Session => "session",
            Self::UpstreamTokens => "upstream",
            Self::Client => "client",
            Self::Consent => "consent",
            Self::Replay => "replay",
            Self::Registration => "registration",
            Self::RegistrationIndex => "registration_index",
            Self::Lease => "lease",
            Self::Document => "document",
            Self::Store => "store",
        }
    }

    /// The kind of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// The rows of one kind.
#[async_trait]
pub(crate) trait Table<T>: Send + Sync {
    /// The row under `key`, unless it has expired.
    async fn load(&self, key: &[u8], now: Timestamp) -> Result<Option<Versioned<T>>, StoreError>;
    /// Writes a row if `when` holds, atomically, to be kept until `until`; `false` when it does not hold.
    async fn write(
        &self,
        key: &[u8],
        value: T,
        until: Timestamp,
        when: When,
        now: Timestamp,
    ) -> Result<bool, StoreError>;
    /// Removes a row if it is there and `when` holds, atomically; whether it did.
    async fn remove(&self, key: &[u8], when: When, now: Timestamp) -> Result<bool, StoreError>;
}

/// Where tables come from.
pub(crate) trait Backend {
    /// The table of `T`.
    fn table<T: Record>(&self) -> Arc<dyn Table<T>>;
}

/// What can be kept in a table.
pub(crate) trait Record: Coded + Clone + Send + Sync + 'static {
    /// Its kind.
    const KIND: Kind;

    /// Whether a bounded store that is full may drop it before its time.
    fn may_be_dropped(&self) -> bool {
        true
    }
}

/// A key of two parts that no other two parts give.
pub(crate) fn pair(first: &[u8], second: &[u8]) -> Vec<u8> {
    let length = u32::try_from(first.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), first, second].concat()
}
