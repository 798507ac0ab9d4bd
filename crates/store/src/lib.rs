//! What the authorization server remembers: one type per noun, over any backend.
//!
//! A noun's file holds its rules; [`table`] holds what they are built on: rows that expire, and one conditional write, which
//! makes everything that must happen once atomic. Rows live in this process ([`memory`]), or [`sealed`] in a durable backend
//! ([`rows`], [`sqlite`]). All pass the same `contract` tests (feature of that name). Time is an argument, so that no
//! backend reads a clock.

mod clients;
mod codec;
mod codes;
mod consents;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
mod documents;
mod error;
mod events;
mod grants;
mod ids;
pub mod memory;
mod once;
mod pending;
pub mod records;
pub mod redis;
mod registrations;
pub mod rows;
pub mod sealed;
mod sessions;
pub mod sqlite;
pub mod table;
mod upstream_tokens;

pub use clients::ClientStore;
pub use codes::{CodeStore, Redemption};
pub use consents::ConsentStore;
pub use documents::DocumentStore;
pub use error::StoreError;
pub use events::{Event, Events};
pub use grants::{GrantStore, Rotation, RotationPolicy};
pub use once::{Lease, LeaseStore, ReplayStore};
pub use pending::{PendingStore, Take};
pub use registrations::RegistrationStore;
pub use sessions::SessionStore;
pub use table::Versioned;
pub use upstream_tokens::UpstreamTokenStore;

use table::Backend;

/// One backend, as the nouns it stores.
#[derive(Clone)]
pub struct Stores {
    /// Authorization requests whose user is logging in.
    pub pending: PendingStore,
    /// Authorization codes.
    pub codes: CodeStore,
    /// Grants and their refresh token families.
    pub grants: GrantStore,
    /// Login sessions.
    pub sessions: SessionStore,
    /// The token vault's rows.
    pub upstream_tokens: UpstreamTokenStore,
    /// Registrations too large or too confidential to live in their own `client_id`.
    pub clients: ClientStore,
    /// Remembered approvals.
    pub consents: ConsentStore,
    /// Identifiers that may be used once (`jti` of client assertions).
    pub replays: ReplayStore,
    /// Our registrations at upstreams.
    pub registrations: RegistrationStore,
    /// Turns that one replica holds.
    pub leases: LeaseStore,
    /// Client ID metadata documents.
    pub documents: DocumentStore,
    /// What replicas tell each other.
    pub events: Events,
}

impl Stores {
    pub(crate) fn over(backend: &impl Backend, events: Events) -> Self {
        Self {
            pending: PendingStore::over(backend),
            codes: CodeStore::over(backend),
            grants: GrantStore::over(backend),
            sessions: SessionStore::over(backend),
            upstream_tokens: UpstreamTokenStore::over(backend),
            clients: ClientStore::over(backend),
            consents: ConsentStore::over(backend),
            replays: ReplayStore::over(backend),
            registrations: RegistrationStore::over(backend),
            leases: LeaseStore::over(backend),
            documents: DocumentStore::over(backend),
            events,
        }
    }
}
