//! The secret that row keys are hashed with.
//!
//! It is made once per store and outlives the encryption keys: were rows found by a hash under those, every change of key
//! would lose them all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use thv_clock::Timestamp;
use thv_jose::at_rest::{AtRestError, AtRestRing};
use thv_jose::hmac::HmacRing;
use thv_jose::random;
use thv_jose::reload::AtRestHandle;
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use super::{Envelope, FAR_FUTURE, seal_anew, unreadable};
use crate::StoreError;
use crate::rows::{Row, RowKey, Rows};
use crate::table::{Kind, Version, When};

/// Where the secret is kept: the one row whose key is the same in every store.
const PLACE: RowKey = RowKey { kind: Kind::Store, hash: [0; 32] };

const LEN: usize = 32;

/// Why the secret cannot be read; without it no row can be found.
#[derive(Debug, thiserror::Error)]
enum LookupError {
    #[error(
        "the store was sealed with other keys; configure them in authServer.storage.encryptionKeySecretRefs, \
         or in hmacSecretRefs where the keys are derived from those"
    )]
    OtherKeys(#[source] AtRestError),
    #[error("the secret that rows are found by has {0} bytes instead of {LEN}")]
    Length(usize),
    #[error("the secret that rows are found by vanished while it was being made")]
    Vanished,
}

/// Hashes keys, with a secret that is read or made when it is first needed.
pub(super) struct Lookup {
    rows: Arc<dyn Rows>,
    keys: AtRestHandle,
    secret: OnceCell<Secret>,
    /// The generation of the encryption keys under which the secret's row was last seen to.
    generation: AtomicU64,
}

struct Secret {
    hmac: HmacRing,
    bytes: Zeroizing<Vec<u8>>,
    version: Version,
    until: Timestamp,
}

impl Lookup {
    pub(super) fn new(rows: Arc<dyn Rows>, keys: AtRestHandle) -> Self {
        let generation = AtomicU64::new(keys.generation());
        Self { rows, keys, secret: OnceCell::new(), generation }
    }

    /// What a record is kept under.
    pub(super) async fn row_key(&self, kind: Kind, key: &[u8], now: Timestamp) -> Result<RowKey, StoreError> {
        let generation = self.keys.generation();
        let secret = self.secret.get_or_try_init(|| self.read_or_make(now)).await?;
        if self.generation.swap(generation, Ordering::AcqRel) != generation {
            self.follow(secret, generation, now).await;
        }
        Ok(RowKey { kind, hash: secret.hmac.tag(kind.as_str(), key) })
    }

    async fn read_or_make(&self, now: Timestamp) -> Result<Secret, StoreError> {
        let ring = self.keys.load();
        if let Some(row) = self.rows.load(&PLACE, now).await? {
            return self.read(&ring, row, now).await;
        }
        let envelope = Envelope { key: PLACE, until: FAR_FUTURE };
        let bytes: Zeroizing<[u8; LEN]> = Zeroizing::new(random::bytes());
        let value = envelope.seal(&ring, &*bytes)?;
        let made = Row { version: Version(random::bytes()), until: FAR_FUTURE, value };
        self.rows.write(&PLACE, made, When::Absent, now).await?;
        // Another replica may have been first: what counts is what is there now.
        match self.rows.load(&PLACE, now).await? {
            Some(row) => self.read(&ring, row, now).await,
            None => Err(unreadable(Kind::Store, LookupError::Vanished)),
        }
    }

    async fn read(&self, ring: &AtRestRing, row: Row, now: Timestamp) -> Result<Secret, StoreError> {
        let envelope = Envelope { key: PLACE, until: row.until };
        let opened = envelope.try_open(ring, &row.value).map_err(|error| match error {
            AtRestError::UnknownKey(_) => unreadable(Kind::Store, LookupError::OtherKeys(error)),
            _ => unreadable(Kind::Store, error),
        })?;
        let (length, version, until) = (opened.plaintext.len(), row.version, row.until);
        let wrong = |error| unreadable(Kind::Store, error);
        if length != LEN {
            return Err(wrong(LookupError::Length(length)));
        }
        let hmac = HmacRing::new(vec![opened.plaintext.to_vec().into()])
            .map_err(|_| wrong(LookupError::Length(length)))?;
        if !opened.current {
            seal_anew(&*self.rows, &envelope, row, envelope.seal(ring, &opened.plaintext), now).await;
        }
        Ok(Secret { hmac, bytes: opened.plaintext, version, until })
    }

    /// Seals the secret's row with keys that came into force after it was read: it is not read again until a restart, when
    /// the older key may be gone.
    async fn follow(&self, secret: &Secret, generation: u64, now: Timestamp) {
        let envelope = Envelope { key: PLACE, until: secret.until };
        let resealed = envelope.seal(&self.keys.load(), &secret.bytes);
        let row = Row { version: secret.version, until: secret.until, value: Vec::new() };
        if !seal_anew(&*self.rows, &envelope, row, resealed, now).await {
            // Not done: the next one tries again.
            self.generation.store(generation.wrapping_sub(1), Ordering::Release);
        }
    }
}
