//! What the authorization server remembers: one trait per noun, and the memory backend.
//!
//! Every operation that must happen once is one atomic call ([`PendingStore::take`], [`CodeStore::redeem`],
//! [`GrantStore::rotate`], [`ReplayStore::claim`]): a backend never needs a read followed by a delete. All backends pass
//! the same `contract` tests (feature of that name). Time is an argument, so that no backend reads a clock.

use std::sync::Arc;

#[cfg(any(test, feature = "contract"))]
pub mod contract;
pub mod memory;
pub mod records;
mod traits;

pub use traits::{
    ClientStore, CodeStore, ConsentStore, GrantStore, PendingStore, Redemption, ReplayStore, Rotation,
    RotationPolicy, StoreError, Take, UpstreamTokenStore,
};

/// One backend, as the nouns it stores.
#[derive(Clone)]
pub struct Stores {
    /// Authorization requests on their way through an upstream login.
    pub pending: Arc<dyn PendingStore>,
    /// Authorization codes.
    pub codes: Arc<dyn CodeStore>,
    /// Grants and their refresh token families.
    pub grants: Arc<dyn GrantStore>,
    /// Registrations too large or too confidential to live in their own `client_id`.
    pub clients: Arc<dyn ClientStore>,
    /// Remembered approvals.
    pub consents: Arc<dyn ConsentStore>,
    /// The token vault's rows.
    pub upstream_tokens: Arc<dyn UpstreamTokenStore>,
    /// Identifiers that may be used once (`jti` of client assertions).
    pub replays: Arc<dyn ReplayStore>,
}
