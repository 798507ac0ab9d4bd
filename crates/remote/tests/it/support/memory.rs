//! Where a login is kept, in memory. Several sessions on one are several processes.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use secrecy::SecretString;
use thv_remote::credentials::{Credentials, Keep, KeepError, Turn};
use tokio::sync::watch;

use super::user::within;

#[derive(Default)]
pub(crate) struct Memory {
    record: Mutex<Option<SecretString>>,
    turn: Arc<tokio::sync::Mutex<()>>,
    browser: Arc<tokio::sync::Mutex<()>>,
    pub(crate) saves: AtomicUsize,
    is_full: AtomicBool,
    /// Whether writing takes its time.
    slow: watch::Sender<bool>,
    /// How many writes have begun.
    writing: watch::Sender<usize>,
}

impl Memory {
    pub(crate) fn kept(&self) -> Credentials {
        let record = self.record.lock().unwrap();
        record.as_ref().map_or_else(Credentials::default, |record| Credentials::from_secret(record).unwrap())
    }

    /// What another process does that knows no turns.
    pub(crate) fn meddle(&self, change: impl FnOnce(&mut Credentials)) {
        let mut kept = self.kept();
        change(&mut kept);
        *self.record.lock().unwrap() = Some(kept.to_secret());
    }

    /// Nothing can be written as long as it is full.
    pub(crate) fn fill(&self, is_full: bool) {
        self.is_full.store(is_full, Ordering::SeqCst);
    }

    /// Nothing is written until it is fast again.
    pub(crate) fn slow_down(&self, is_slow: bool) {
        self.slow.send_replace(is_slow);
    }

    /// Waits until something is being written.
    pub(crate) async fn is_writing(&self) {
        let before = *self.writing.borrow();
        within(self.writing.subscribe().wait_for(|begun| *begun > before)).await.unwrap();
    }

    /// Whether nobody holds the turn.
    pub(crate) fn is_idle(&self) -> bool {
        self.turn.try_lock().is_ok()
    }
}

#[async_trait]
impl Keep for Memory {
    async fn load(&self) -> Result<Credentials, KeepError> {
        Ok(self.kept())
    }

    async fn save(&self, credentials: &Credentials) -> Result<(), KeepError> {
        if self.is_full.load(Ordering::SeqCst) {
            return Err("the disk is full".into());
        }
        self.writing.send_modify(|begun| *begun += 1);
        self.slow.subscribe().wait_for(|is_slow| !is_slow).await.unwrap();
        self.saves.fetch_add(1, Ordering::SeqCst);
        *self.record.lock().unwrap() = Some(credentials.to_secret());
        Ok(())
    }

    async fn turn(&self) -> Result<Turn, KeepError> {
        Ok(Box::new(Arc::clone(&self.turn).lock_owned().await))
    }

    async fn browser_turn(&self) -> Result<Turn, KeepError> {
        Ok(Box::new(Arc::clone(&self.browser).lock_owned().await))
    }
}
