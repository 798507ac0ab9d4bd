//! Registrations at the same upstream under another key: made for other scopes or for another callback, or before a client
//! that was registered by hand took their place.
//!
//! Their refresh tokens go on working, as the client that they were issued to. The rows stay where they are, so that each
//! registration has one place; nothing renews them, so they serve until their secret ends.

use std::sync::Arc;

use thv_store::records::UpstreamEndpoints;

use super::registered::is_alive;
use super::{Client, Shared, Unregistered};

impl Shared {
    /// The client with this identifier among those registrations, at the endpoints that are used now.
    pub(super) async fn earlier(
        &self,
        client_id: &str,
        endpoints: &UpstreamEndpoints,
    ) -> Result<Option<Arc<Client>>, Unregistered> {
        let (rows, now) = (&self.parts.stores.registrations, self.now());
        for key in rows.index(&self.key.issuer, now).await? {
            // What another issuer gave out must not be shown to this one.
            if key.upstream != self.key.upstream {
                continue;
            }
            let Some(row) = rows.load(&key, now).await? else { continue };
            let mut generations = row.value.generations.iter();
            if let Some(kept) = generations.find(|kept| kept.client_id == client_id && is_alive(kept, now)) {
                return Ok(Some(self.making_with(endpoints).registered(kept)));
            }
        }
        Ok(None)
    }
}
