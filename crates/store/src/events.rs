//! What replicas tell each other, so that none keeps using what another one ended.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::records::GrantId;
use crate::sealed::SealedEvents;

/// Something that others may have cached has changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A grant ended: its access tokens are void.
    GrantRevoked(GrantId),
    /// The upstream tokens that these grants use changed.
    UpstreamTokensChanged(Vec<GrantId>),
    /// Events of other replicas may have been missed: whatever is cached may be out of date. It arises at the reader and never
    /// travels.
    #[serde(skip)]
    Missed,
}

/// What replicas tell each other. It travels as far as it can: whoever caches something also lets it grow old.
#[derive(Clone, Default)]
pub struct Events(Option<Arc<SealedEvents>>);

impl Events {
    pub(crate) fn over(sealed: SealedEvents) -> Self {
        Self(Some(Arc::new(sealed)))
    }

    /// Tells the other replicas, if there are any.
    pub async fn publish(&self, event: &Event) {
        if let Some(sealed) = &self.0 {
            sealed.publish(event).await;
        }
    }

    /// What another replica tells next; `None` at once when there are no others, and when the store is closed. One reader.
    /// [`Event::Missed`] comes when listening began, began again after an interruption, and when the reader was too slow.
    pub async fn next(&self) -> Option<Event> {
        match &self.0 {
            Some(sealed) => sealed.next().await,
            None => None,
        }
    }
}
