//! Events between replicas, sealed like the rows.

use std::sync::Arc;

use thv_jose::random;
use thv_jose::reload::AtRestHandle;
use tokio::sync::Mutex;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::events::Event;
use crate::rows::{Announcement, Rows};
use crate::sealed::lookup::Lookup;

const PLACE: &[u8] = b"event";
const SENDER_LEN: usize = 16;

/// Carries events over what the backend announces.
pub(crate) struct SealedEvents {
    rows: Arc<dyn Rows>,
    keys: AtRestHandle,
    /// Tells our own messages from those of others.
    sender: [u8; SENDER_LEN],
    announcements: Mutex<Receiver<Announcement>>,
    /// What was missed may have been the loss of the store.
    lookup: Arc<Lookup>,
}

impl SealedEvents {
    pub(super) fn new(
        rows: Arc<dyn Rows>,
        keys: AtRestHandle,
        announcements: Receiver<Announcement>,
        lookup: Arc<Lookup>,
    ) -> Self {
        Self { rows, keys, sender: random::bytes(), announcements: Mutex::new(announcements), lookup }
    }

    /// The event in a message; `None` for our own, and for what no replica with our keys sent.
    fn read(&self, message: &[u8]) -> Option<Event> {
        let opened = match self.keys.load().open(PLACE, message) {
            Ok(opened) => opened,
            Err(error) => {
                tracing::debug!(%error, "an announcement was ignored");
                return None;
            }
        };
        let (sender, event) = opened.plaintext.split_first_chunk::<SENDER_LEN>()?;
        if *sender == self.sender {
            return None;
        }
        serde_json::from_slice(event)
            .inspect_err(|error| tracing::debug!(%error, "an announcement of an unknown form was ignored"))
            .ok()
    }

    pub(crate) async fn publish(&self, event: &Event) {
        let mut message = self.sender.to_vec();
        let sealed = serde_json::to_writer(&mut message, event)
            .map_err(|error| error.to_string())
            .and_then(|()| self.keys.load().seal(PLACE, &message).map_err(|error| error.to_string()));
        match sealed {
            Ok(sealed) => self.rows.announce(sealed).await,
            Err(error) => tracing::debug!(%error, "an event was not announced"),
        }
    }

    pub(crate) async fn next(&self) -> Option<Event> {
        let mut announcements = self.announcements.lock().await;
        loop {
            match announcements.recv().await {
                Ok(Announcement::Message(message)) => {
                    if let Some(event) = self.read(&message) {
                        return Some(event);
                    }
                }
                Ok(Announcement::Listening) => {
                    self.lookup.doubt();
                    return Some(Event::Missed);
                }
                Err(RecvError::Lagged(missed)) => {
                    tracing::warn!(missed, "announcements of other replicas were missed");
                    return Some(Event::Missed);
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }
}
