//! The secret that row keys are hashed with.
//!
//! It is made once per store and outlives the encryption keys: were rows found by a hash under those, every change of key
//! would lose them all.
//!
//! A backend may lose it together with everything else: flushed, restored, or restarted without what it held. The replica that
//! comes first then puts a secret there, and all others must go by that one, or each would have a store of its own. So every
//! replica looks from time to time, and after any trouble with the backend, puts its own secret where there is none, and takes
//! over what it finds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use thv_clock::Timestamp;
use thv_jose::at_rest::AtRestError;
use thv_jose::hmac::HmacRing;
use thv_jose::random;
use thv_jose::reload::AtRestHandle;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::{Envelope, seal_anew, unreadable};
use crate::StoreError;
use crate::rows::{FOREVER, Row, RowKey, Rows};
use crate::table::{Kind, Version, When};

/// Where the secret is kept: the one row whose key is the same in every store.
const PLACE: RowKey = RowKey { kind: Kind::Store, hash: [0; 32] };

const LEN: usize = 32;

/// How long the secret is used without looking whether it is still the one in the store.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(60);
/// When the store was last looked at, if that is to be done at the next opportunity.
const LONG_AGO: u64 = u64::MAX;

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
    secret: ArcSwapOption<Secret>,
    /// Held by the one who reads or makes the secret, or looks at its row again.
    turn: Mutex<()>,
    /// When its row was last looked at, in milliseconds.
    looked_at: AtomicU64,
    /// The generation of the encryption keys under which the secret's row was last seen to.
    generation: AtomicU64,
}

struct Secret {
    hmac: HmacRing,
    bytes: Zeroizing<Vec<u8>>,
    version: Version,
}

impl Lookup {
    pub(super) fn new(rows: Arc<dyn Rows>, keys: AtRestHandle) -> Self {
        let generation = AtomicU64::new(keys.generation());
        let (secret, looked_at) = (ArcSwapOption::empty(), AtomicU64::new(LONG_AGO));
        Self { rows, keys, secret, turn: Mutex::new(()), looked_at, generation }
    }

    /// What a record is kept under.
    pub(super) async fn row_key(&self, kind: Kind, key: &[u8], now: Timestamp) -> Result<RowKey, StoreError> {
        let secret = match self.secret.load_full() {
            Some(secret) if self.is_recent(now) => secret,
            Some(secret) => self.look_again(secret, now).await?,
            None => self.first(now).await?,
        };
        Ok(RowKey { kind, hash: secret.hmac.tag(kind.as_str(), key) })
    }

    /// Has the secret's row looked at before it is used again: the backend was in trouble and may have lost it.
    pub(super) fn doubt(&self) {
        self.looked_at.store(LONG_AGO, Ordering::Release);
    }

    /// Whether the store's own row was sealed with a key of ours. If not, another replica has newer keys than we have.
    pub(super) async fn keys_are_current(&self, now: Timestamp) -> Result<bool, StoreError> {
        let row = self.rows.load(&PLACE, now).await?;
        Ok(row.is_none_or(|row| self.keys.load().has_sealed(&row.value)))
    }

    /// A clock that was set back counts as a long time.
    fn is_recent(&self, now: Timestamp) -> bool {
        let passed = now.as_millis().abs_diff(self.looked_at.load(Ordering::Acquire));
        u128::from(passed) < LOOKED_AT_EVERY.as_millis()
            && self.generation.load(Ordering::Acquire) == self.keys.generation()
    }

    async fn first(&self, now: Timestamp) -> Result<Arc<Secret>, StoreError> {
        let _turn = self.turn.lock().await;
        if let Some(secret) = self.secret.load_full() {
            return Ok(secret);
        }
        let generation = self.keys.generation();
        let secret = match self.rows.load(&PLACE, now).await? {
            Some(row) => self.read(row, now).await?,
            None => {
                let made: Zeroizing<[u8; LEN]> = Zeroizing::new(random::bytes());
                self.settle(&*made, Version(random::bytes()), now).await?
            }
        };
        Ok(self.keep(secret, generation, now))
    }

    /// The secret that the store has by now. Whoever finds somebody else looking goes on with the one that is known.
    ///
    /// # Errors
    /// When the row cannot be read. A backend that does not answer is no error: the caller's own request will show that.
    async fn look_again(&self, known: Arc<Secret>, now: Timestamp) -> Result<Arc<Secret>, StoreError> {
        let Ok(_turn) = self.turn.try_lock() else { return Ok(known) };
        let generation = self.keys.generation();
        let doubted = self.looked_at.swap(now.as_millis(), Ordering::AcqRel);
        match self.present(&known, generation, now).await {
            Ok(None) => Ok(known),
            Ok(Some(other)) => {
                tracing::warn!(
                    "the store had lost the secret that rows are found by; what it kept before is gone"
                );
                Ok(self.keep(other, generation, now))
            }
            Err(error) => {
                // Not done: the next one tries again.
                self.looked_at.store(doubted, Ordering::Release);
                if matches!(error, StoreError::Unreadable { .. }) {
                    return Err(error);
                }
                tracing::debug!(%error, "the secret that rows are found by could not be looked at");
                Ok(known)
            }
        }
    }

    /// The secret in the store, if it is another one than `known`; puts `known` there if there is none.
    async fn present(
        &self,
        known: &Secret,
        generation: u64,
        now: Timestamp,
    ) -> Result<Option<Secret>, StoreError> {
        let found = match self.rows.load(&PLACE, now).await? {
            Some(row) if row.version == known.version => {
                self.follow(known, generation, row, now).await;
                return Ok(None);
            }
            Some(row) => self.read(row, now).await?,
            None => self.settle(&known.bytes, known.version, now).await?,
        };
        Ok((found.bytes != known.bytes).then_some(found))
    }

    fn keep(&self, secret: Secret, generation: u64, now: Timestamp) -> Arc<Secret> {
        let secret = Arc::new(secret);
        self.secret.store(Some(Arc::clone(&secret)));
        self.looked_at.store(now.as_millis(), Ordering::Release);
        self.generation.store(generation, Ordering::Release);
        secret
    }

    /// Puts a secret into its row unless there is one, and returns what is there then: another replica may have been first.
    async fn settle(&self, bytes: &[u8], version: Version, now: Timestamp) -> Result<Secret, StoreError> {
        let envelope = Envelope { key: PLACE, until: FOREVER };
        let value = envelope.seal(&self.keys.load(), bytes)?;
        let row = Row { version, until: FOREVER, value };
        self.rows.write(&PLACE, row, When::Absent, now).await?;
        match self.rows.load(&PLACE, now).await? {
            Some(row) => self.read(row, now).await,
            None => Err(unreadable(Kind::Store, LookupError::Vanished)),
        }
    }

    async fn read(&self, row: Row, now: Timestamp) -> Result<Secret, StoreError> {
        let (ring, envelope) = (self.keys.load(), Envelope { key: PLACE, until: row.until });
        let opened = envelope.try_open(&ring, &row.value).map_err(|error| match error {
            AtRestError::UnknownKey(_) => unreadable(Kind::Store, LookupError::OtherKeys(error)),
            _ => unreadable(Kind::Store, error),
        })?;
        let (length, version) = (opened.plaintext.len(), row.version);
        let wrong = |error| unreadable(Kind::Store, error);
        if length != LEN {
            return Err(wrong(LookupError::Length(length)));
        }
        let hmac = HmacRing::new(vec![opened.plaintext.to_vec().into()])
            .map_err(|_| wrong(LookupError::Length(length)))?;
        if !opened.current {
            seal_anew(&*self.rows, &envelope, row, envelope.seal(&ring, &opened.plaintext), now).await;
        }
        Ok(Secret { hmac, bytes: opened.plaintext, version })
    }

    /// Seals the secret's row with keys that came into force after it was read: by the next start the older key may be gone.
    async fn follow(&self, secret: &Secret, generation: u64, row: Row, now: Timestamp) {
        if self.generation.load(Ordering::Acquire) == generation {
            return;
        }
        let envelope = Envelope { key: PLACE, until: row.until };
        let resealed = envelope.seal(&self.keys.load(), &secret.bytes);
        // Where that fails, the next one tries again.
        if seal_anew(&*self.rows, &envelope, row, resealed, now).await {
            self.generation.store(generation, Ordering::Release);
        }
    }
}
