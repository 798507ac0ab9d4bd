//! Authorization codes.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thv_clock::Timestamp;

use crate::StoreError;
use crate::records::{AuthorizationCode, GrantId};
use crate::table::{Backend, Kind, Record, Table, When};

/// A code, or what is left of it.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum CodeRow {
    Fresh(Box<AuthorizationCode>),
    /// The tombstone: which grant it gave.
    Redeemed(GrantId),
}

impl Record for CodeRow {
    const KIND: Kind = Kind::Code;
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
#[derive(Clone)]
pub struct CodeStore(Arc<dyn Table<CodeRow>>);

impl CodeStore {
    pub(crate) fn over(backend: &impl Backend) -> Self {
        Self(backend.table())
    }

    /// Keeps a code until it expires.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn insert(
        &self,
        id: [u8; 16],
        code: AuthorizationCode,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let until = code.expires_at;
        self.0.write(&id, CodeRow::Fresh(Box::new(code)), until, When::Always, now).await.map(drop)
    }

    /// Reads without redeeming, so that a wrong verifier or client does not burn somebody's code.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn load(&self, id: &[u8; 16], now: Timestamp) -> Result<Option<AuthorizationCode>, StoreError> {
        Ok(self.0.load(id, now).await?.and_then(|row| match &*row.value {
            CodeRow::Fresh(code) => Some((**code).clone()),
            CodeRow::Redeemed(_) => None,
        }))
    }

    /// Redeems, once: of two concurrent calls one is the first. A tombstone remembers the grant until the code's expiry.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn redeem(&self, id: &[u8; 16], now: Timestamp) -> Result<Redemption, StoreError> {
        let Some(row) = self.0.load(id, now).await? else { return Ok(Redemption::Absent) };
        let code = match &*row.value {
            CodeRow::Fresh(code) => code,
            CodeRow::Redeemed(grant) => return Ok(Redemption::Again(*grant)),
        };
        let grant = code.grant.id;
        let tombstone = CodeRow::Redeemed(grant);
        // A fresh code changes in one way only: who cannot change it came second.
        if self.0.write(id, tombstone, row.until, When::Is(row.version), now).await? {
            Ok(Redemption::First(code.clone()))
        } else {
            Ok(Redemption::Again(grant))
        }
    }
}
