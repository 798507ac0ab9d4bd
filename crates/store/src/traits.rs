//! One trait per noun.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use thv_clock::Timestamp;

use crate::records::{
    Approval, AuthorizationCode, Grant, GrantId, PendingAuthorization, StoredClient, UpstreamTokens,
};

/// Why a store did not answer. Absence is never an error: it is `None`.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The backend cannot be reached; the caller answers `temporarily_unavailable` and invalidates nothing.
    #[error("the store is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A bound on what may be kept was reached and nothing could be dropped.
    #[error("the store is full ({limit} {noun})")]
    Full {
        /// What there is too much of.
        noun: &'static str,
        /// The bound.
        limit: usize,
    },
}

/// The outcome of asking for a pending authorization.
#[derive(Debug)]
pub enum Take {
    /// It was there and belonged to the browser; it is gone now.
    Taken(Box<PendingAuthorization>),
    /// It is there and stays: it belongs to another browser.
    WrongBrowser,
    /// Unknown, expired or already taken.
    Absent,
}

/// Authorization requests on their way through an upstream login, keyed by the SHA-256 of our upstream `state`.
#[async_trait]
pub trait PendingStore: Send + Sync {
    /// Keeps a request until it is taken or expires.
    async fn insert(
        &self,
        key: [u8; 32],
        pending: PendingAuthorization,
        now: Timestamp,
    ) -> Result<(), StoreError>;
    /// Reads without taking, for a page that may be submitted several times; `None` unless it belongs to `browser`.
    async fn load(
        &self,
        key: &[u8; 32],
        browser: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<PendingAuthorization>, StoreError>;
    /// Takes it, once: of two concurrent calls one gets it. Another browser's call changes nothing.
    async fn take(&self, key: &[u8; 32], browser: &[u8; 32], now: Timestamp) -> Result<Take, StoreError>;
}

/// The outcome of redeeming an authorization code.
#[derive(Debug)]
pub enum Redemption {
    /// The first time.
    First(Box<AuthorizationCode>),
    /// It was redeemed before: tokens of this grant are to be revoked (AS-37).
    Again(GrantId),
    /// Unknown or expired.
    Absent,
}

/// Authorization codes, keyed by the random id inside the code.
#[async_trait]
pub trait CodeStore: Send + Sync {
    /// Keeps a code until it expires.
    async fn insert(&self, id: [u8; 16], code: AuthorizationCode, now: Timestamp) -> Result<(), StoreError>;
    /// Reads without redeeming, so that a wrong verifier or client does not burn somebody's code.
    async fn load(&self, id: &[u8; 16], now: Timestamp) -> Result<Option<AuthorizationCode>, StoreError>;
    /// Redeems, once: of two concurrent calls one is the first. A tombstone remembers the grant until the code's expiry.
    async fn redeem(&self, id: &[u8; 16], now: Timestamp) -> Result<Redemption, StoreError>;
}

/// How refresh tokens rotate.
#[derive(Clone, Copy, Debug)]
pub struct RotationPolicy {
    /// A token just rotated may be presented again for so long, and gets the same successor (lost responses, parallel
    /// refreshes).
    pub grace: Duration,
    /// A family unused for so long ends.
    pub idle: Duration,
}

/// The outcome of presenting a refresh token.
#[derive(Debug)]
pub enum Rotation {
    /// It was current; `grant.refresh` now shows its successor's generation.
    Rotated(Arc<Grant>),
    /// It was the predecessor, within the grace: the successor is the one that exists already.
    Replayed(Arc<Grant>),
    /// It was rotated long ago: somebody has a copy. The grant is revoked by this very call (AS-125).
    Reused(Arc<Grant>),
    /// Unknown, expired or revoked.
    Absent,
}

/// Grants and their refresh token families.
#[async_trait]
pub trait GrantStore: Send + Sync {
    /// Keeps a grant until its `expires_at`.
    async fn insert(&self, grant: Grant, now: Timestamp) -> Result<(), StoreError>;
    /// A living grant.
    async fn load(&self, id: &GrantId, now: Timestamp) -> Result<Option<Arc<Grant>>, StoreError>;
    /// Presents generation `presented` of the family, atomically.
    async fn rotate(
        &self,
        id: &GrantId,
        presented: u32,
        now: Timestamp,
        policy: RotationPolicy,
    ) -> Result<Rotation, StoreError>;
    /// Ends a grant; `true` when it was alive.
    async fn revoke(&self, id: &GrantId) -> Result<bool, StoreError>;
}

/// Registrations kept by the server.
#[async_trait]
pub trait ClientStore: Send + Sync {
    /// Keeps a registration. When there is no room, the oldest one that was never used gives way.
    async fn insert(&self, client: StoredClient) -> Result<(), StoreError>;
    /// Finds one by its exact `client_id`.
    async fn load(&self, client_id: &str) -> Result<Option<StoredClient>, StoreError>;
    /// Notes that a code was issued to it and that a grant may live until `grant_until`.
    async fn used(&self, client_id: &str, now: Timestamp, grant_until: Timestamp) -> Result<(), StoreError>;
    /// Forgets those never used since `unused_before`, and those whose last grant ended before `ended_before`; never one
    /// with a living grant. Returns how many.
    async fn reap(&self, unused_before: Timestamp, ended_before: Timestamp) -> Result<usize, StoreError>;
}

/// Remembered approvals per (user, client).
#[async_trait]
pub trait ConsentStore: Send + Sync {
    /// Remembers, replacing an earlier approval of the same pair.
    async fn save(
        &self,
        sub: &str,
        client_id: &str,
        approval: Approval,
        now: Timestamp,
    ) -> Result<(), StoreError>;
    /// What was approved, if it has not expired.
    async fn load(&self, sub: &str, client_id: &str, now: Timestamp) -> Result<Option<Approval>, StoreError>;
}

/// The token vault's rows, per grant.
#[async_trait]
pub trait UpstreamTokenStore: Send + Sync {
    /// Keeps or replaces the tokens of `grant` until `until`.
    async fn put(
        &self,
        grant: GrantId,
        tokens: UpstreamTokens,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError>;
    /// The tokens of `grant`.
    async fn load(&self, grant: &GrantId, now: Timestamp) -> Result<Option<Arc<UpstreamTokens>>, StoreError>;
    /// Forgets them.
    async fn delete(&self, grant: &GrantId) -> Result<(), StoreError>;
}

/// Things that may happen once.
#[async_trait]
pub trait ReplayStore: Send + Sync {
    /// `true` for the first caller with this key before `until`, `false` for every other.
    async fn claim(&self, key: [u8; 32], until: Timestamp, now: Timestamp) -> Result<bool, StoreError>;
}
