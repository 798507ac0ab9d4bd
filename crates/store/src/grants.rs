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
    /// It was current, or newer than the store knew; `grant.refresh` now shows its successor's generation.
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

    /// Keeps a new grant until its `expires_at`; `false` when it is there already, which is then left as it is: a second
    /// redemption of its code must not take a family back to its beginning.
    ///
    /// A grant that was revoked meanwhile is not there any more and comes back. The code's tombstone bounds that: whoever
    /// inserts a grant then redeems its code, and who is not the first to do so revokes the grant.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn insert(&self, grant: Grant, now: Timestamp) -> Result<bool, StoreError> {
        let (id, until) = (grant.id, grant.expires_at);
        self.0.write(&id.0, grant, until, When::Absent, now).await
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
    /// A generation beyond the family's is the current one. The caller has verified the token's tag, so we issued it: the
    /// store has lost rotations that it had acknowledged (a failover, a restored backup). Were it refused, its owner would have
    /// to log in again for our loss. Its predecessors then count as rotated, so a copy among them still ends the family.
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

    /// Notes that the login at an upstream has ended that a living grant's tokens need.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn note_ended_login(
        &self,
        id: &GrantId,
        upstream: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        while let Some(row) = self.0.load(&id.0, now).await? {
            if row.value.ended_login.as_deref() == Some(upstream) {
                break;
            }
            let noted = Grant { ended_login: Some(upstream.to_owned()), ..(*row.value).clone() };
            if self.0.write(&id.0, noted, row.until, When::Is(row.version), now).await? {
                break;
            }
        }
        Ok(())
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
    if now >= family.idle_expires_at || now >= family.absolute_expires_at {
        return Presented::Void;
    }
    match family.generation.checked_sub(presented) {
        None | Some(0) => {
            // Nobody rotates so often; the last generation that can be counted ends with the family.
            let Some(next) = presented.checked_add(1) else { return Presented::Void };
            family.generation = next;
            family.rotated_at = now;
            family.idle_expires_at = (now + policy.idle).min(family.absolute_expires_at);
            Presented::Current(Box::new(Grant { refresh: Some(family), ..grant.clone() }))
        }
        Some(1) if now.since(family.rotated_at) <= policy.grace => Presented::Predecessor,
        Some(_) => Presented::Stale,
    }
}
