//! Asking the upstream about a registration that its token endpoint refused (RFC 7592 §2.1), before it is given up (U7).
//!
//! A refusal may pass: an upstream that restarts, a replica of it that is behind. Or the secret was renewed there and the news
//! did not reach the store. Everybody would have to log in again if the registration were replaced for that. An upstream that
//! says to know us and refuses us for minutes all the same is not believed for ever, though: it may keep to itself that the
//! secret is another one.

use std::sync::Arc;

use thv_client::registration;
use thv_store::records::{UpstreamRegistration, UpstreamRegistrations};

use super::register::{managed, stored};
use super::registered::{Registered, is_usable, same_credentials};
use super::rows::{Row, Turn, first, has_usable};
use super::{Outcome, Shared, Unregistered};

impl Shared {
    /// The upstream refused `client_id`, which is ours: what can be used now, if it knows it all the same.
    pub(super) async fn confirm(&self, client_id: &str) -> Outcome {
        let _changing = self.changing.lock().await;
        let tried = self.tried(client_id);
        let now = self.now();
        let is_over = |row: &UpstreamRegistrations| {
            has_usable(row, now) && first(row).is_some_and(|current| is_renewed(current, tried.as_ref()))
        };
        match self.turn(is_over).await? {
            Turn::Over(row) => self.adopt(&row.value).ok_or(Unregistered::Busy),
            Turn::Ours(lease, row) => {
                let outcome = self.confirm_in_turn(client_id, row.as_ref()).await;
                self.give_back(Some(lease)).await;
                outcome?.ok_or(Unregistered::Unconfirmed)
            }
        }
    }

    /// As [`Self::confirm`]; `None` when the upstream does not know it, cannot be asked about it, or has refused it for
    /// too long.
    pub(super) async fn confirm_in_turn(
        &self,
        client_id: &str,
        row: Option<&Row>,
    ) -> Result<Option<Arc<Registered>>, Unregistered> {
        let current = row.and_then(|row| first(&row.value));
        let refused = |current: &&UpstreamRegistration| {
            current.client_id == client_id && is_usable(current, self.now())
        };
        let Some(current) = current.filter(refused) else { return Ok(None) };
        let Some(found) = self.read(current).await? else { return Ok(None) };
        let renewed = !same_credentials(&found, current);
        let row = self.keep_changed(&found).await?;
        if !renewed && self.memory.is_refused_for_long(client_id, self.now()) {
            return Ok(None);
        }
        tracing::info!(
            upstream.name = self.name,
            upstream.issuer = self.key.upstream,
            client.id = client_id,
            renewed,
            "the upstream refused the registration and knows it all the same; it is used on"
        );
        Ok(row.and_then(|row| self.adopt(&row.value)))
    }

    /// The registration as the upstream has it now.
    async fn read(
        &self,
        current: &UpstreamRegistration,
    ) -> Result<Option<UpstreamRegistration>, Unregistered> {
        let (egress, allow_http) = (&self.parts.egress, self.settings.allow_http);
        match registration::read(egress, &managed(current), allow_http).await {
            Ok(found) => {
                let found = stored(found, current.registered_at);
                Ok(is_usable(&found, self.now()).then_some(found))
            }
            Err(error) if error.is_temporary() => Err(error.into()),
            Err(error) => {
                tracing::info!(
                    upstream.name = self.name,
                    upstream.issuer = self.key.upstream,
                    client.id = current.client_id,
                    error = thv_telemetry::chain(&error),
                    "the upstream does not confirm that it knows the registration"
                );
                Ok(None)
            }
        }
    }

    /// The registration with this `client_id` as this process has used it.
    pub(super) fn tried(&self, client_id: &str) -> Option<UpstreamRegistration> {
        let known = self.memory.known()?;
        known.registration().filter(|tried| tried.client_id == client_id).cloned()
    }
}

/// Whether the store has a newer secret of the registration than the one that was refused.
pub(super) fn is_renewed(current: &UpstreamRegistration, tried: Option<&UpstreamRegistration>) -> bool {
    tried.is_some_and(|tried| current.client_id == tried.client_id && !same_credentials(current, tried))
}
