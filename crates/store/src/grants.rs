//! Grants and their refresh token families.

use std::sync::Arc;
use std::time::Duration;

use thv_clock::Timestamp;

use crate::StoreError;
use crate::records::{Grant, GrantId};
use crate::table::{Backend, Kind, Record, Table, Versioned, When};

impl Record for Grant {
    const KIND: Kind = Kind::Grant;
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

/// What presenting a generation of a family means.
enum Presented {
    Current(Box<Grant>),
    Predecessor,
    Stale,
    Void,
}

/// Grants and their refresh token families.
#[derive(Clone)]
pub struct GrantStore(Arc<dyn Table<Grant>>);

impl GrantStore {
    pub(crate) fn over(backend: &impl Backend) -> Self {
        Self(backend.table())
    }

    /// Keeps a grant until its `expires_at`.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn insert(&self, grant: Grant, now: Timestamp) -> Result<(), StoreError> {
        let (id, until) = (grant.id, grant.expires_at);
        self.0.write(&id.0, grant, until, When::Always, now).await.map(drop)
    }

    /// A living grant.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn load(&self, id: &GrantId, now: Timestamp) -> Result<Option<Versioned<Grant>>, StoreError> {
        self.0.load(&id.0, now).await
    }

    /// Presents generation `presented` of the family of a grant that was just loaded, atomically: whoever changed the grant
    /// in between is seen.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn rotate(
        &self,
        loaded: Versioned<Grant>,
        presented: u32,
        now: Timestamp,
        policy: RotationPolicy,
    ) -> Result<Rotation, StoreError> {
        let id = loaded.value.id;
        let mut present = Some(loaded);
        while let Some(row) = present {
            match judge(&row.value, presented, now, policy) {
                Presented::Void => return Ok(Rotation::Absent),
                Presented::Predecessor => return Ok(Rotation::Replayed(row.value)),
                Presented::Stale => {
                    if self.0.remove(&id.0, When::Is(row.version), now).await? {
                        return Ok(Rotation::Reused(row.value));
                    }
                }
                Presented::Current(next) => {
                    let written = (*next).clone();
                    if self.0.write(&id.0, written, row.until, When::Is(row.version), now).await? {
                        return Ok(Rotation::Rotated(Arc::from(next)));
                    }
                }
            }
            present = self.0.load(&id.0, now).await?;
        }
        Ok(Rotation::Absent)
    }

    /// Ends a grant; `true` when it was alive.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn revoke(&self, id: &GrantId, now: Timestamp) -> Result<bool, StoreError> {
        self.0.remove(&id.0, When::Always, now).await
    }
}

fn judge(grant: &Grant, presented: u32, now: Timestamp, policy: RotationPolicy) -> Presented {
    let Some(mut family) = grant.refresh else { return Presented::Void };
    if now >= family.idle_expires_at || now >= family.absolute_expires_at || presented > family.generation {
        return Presented::Void;
    }
    if presented == family.generation {
        family.generation += 1;
        family.rotated_at = now;
        family.idle_expires_at = (now + policy.idle).min(family.absolute_expires_at);
        return Presented::Current(Box::new(Grant { refresh: Some(family), ..grant.clone() }));
    }
    if presented + 1 == family.generation && now.since(family.rotated_at) <= policy.grace {
        return Presented::Predecessor;
    }
    Presented::Stale
}
