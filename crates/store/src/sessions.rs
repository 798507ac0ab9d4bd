//! Login sessions.

use std::sync::Arc;

use thv_clock::Timestamp;

use crate::StoreError;
use crate::records::{GrantId, Session, SessionId};
use crate::table::{Backend, Kind, Record, Table, Versioned, When};

/// Grants that rest on one session at most: a client that keeps asking for more must not make the row grow.
const MAX_GRANTS: usize = 100;

impl Record for Session {
    const KIND: Kind = Kind::Session;
}

/// Login sessions, and which grants rest on them.
#[derive(Clone)]
pub struct SessionStore(Arc<dyn Table<Session>>);

impl SessionStore {
    pub(crate) fn over(backend: &impl Backend) -> Self {
        Self(backend.table())
    }

    /// Keeps a new session until its `expires_at`.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn insert(&self, session: Session, now: Timestamp) -> Result<(), StoreError> {
        let (id, until) = (session.id, session.expires_at);
        self.0.write(&id.0, session, until, When::Always, now).await.map(drop)
    }

    /// A living session.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn load(
        &self,
        id: &SessionId,
        now: Timestamp,
    ) -> Result<Option<Versioned<Session>>, StoreError> {
        self.0.load(&id.0, now).await
    }

    /// Lets a grant rest on a session, which is then kept for at least as long as the grant. Returns the grants that had to
    /// give way because there are too many, for the caller to end; `None` when the session is gone.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn attach(
        &self,
        id: &SessionId,
        grant: GrantId,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Option<Vec<GrantId>>, StoreError> {
        while let Some(row) = self.0.load(&id.0, now).await? {
            let mut session = (*row.value).clone();
            session.grants.retain(|(other, end)| *end > now && *other != grant);
            session.grants.sort_by_key(|(_, end)| *end);
            let too_many = (session.grants.len() + 1).saturating_sub(MAX_GRANTS);
            let displaced = session.grants.drain(..too_many).map(|(displaced, _)| displaced).collect();
            session.grants.push((grant, until));
            session.expires_at = session.expires_at.max(until);
            let kept_until = session.expires_at;
            if self.0.write(&id.0, session, kept_until, When::Is(row.version), now).await? {
                return Ok(Some(displaced));
            }
        }
        Ok(None)
    }

    /// Takes a grant off a session. `true` when no other living grant rests on it, so that the session is gone.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn detach(&self, id: &SessionId, grant: &GrantId, now: Timestamp) -> Result<bool, StoreError> {
        while let Some(row) = self.0.load(&id.0, now).await? {
            let mut session = (*row.value).clone();
            session.grants.retain(|(other, end)| *end > now && other != grant);
            let when = When::Is(row.version);
            if session.grants.is_empty() {
                if self.0.remove(&id.0, when, now).await? {
                    return Ok(true);
                }
            } else if self.0.write(&id.0, session, row.until, when, now).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Ends a session whose grants and tokens were ended; `false` when it changed since it was loaded.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn end(&self, loaded: &Versioned<Session>, now: Timestamp) -> Result<bool, StoreError> {
        self.0.remove(&loaded.value.id.0, When::Is(loaded.version), now).await
    }
}
