//! Deleting our registrations at upstreams that are no longer configured (U8), where the operator asked for that.

use thv_client::registration::{self, RegistrationError};
use thv_clock::SharedClock;
use thv_egress::Client as Egress;
use thv_oauth::issuer::AllowHttp;
use thv_store::records::{RegistrationKey, UpstreamRegistration, UpstreamRegistrations};
use thv_store::{StoreError, Stores};

use super::Shared;
use super::register::managed;

/// What was configured when this process started, against what is stored.
pub(crate) struct Removal {
    pub(crate) stores: Stores,
    pub(crate) egress: Egress,
    pub(crate) clock: SharedClock,
    /// Our own issuer identifier.
    pub(crate) issuer: String,
    /// What the configured upstreams are stored under.
    pub(crate) configured: Vec<RegistrationKey>,
}

impl Removal {
    /// Deletes once. What could not be deleted is tried again at the next start.
    pub(crate) async fn run(self) {
        if let Err(error) = self.try_run().await {
            tracing::warn!(
                error = thv_telemetry::chain(&error),
                "registrations at upstreams that are no longer configured could not be looked for"
            );
        }
    }

    async fn try_run(&self) -> Result<(), StoreError> {
        let (rows, now) = (&self.stores.registrations, self.clock.now());
        for key in rows.index(&self.issuer, now).await? {
            if self.configured.contains(&key) {
                continue;
            }
            match rows.load(&key, now).await? {
                Some(row) if !row.value.delete_on_removal => continue,
                Some(row) if !self.delete(&row.value).await => continue,
                Some(_) => drop(rows.delete(&key, now).await?),
                None => {}
            }
            rows.unnote(&key, now).await?;
        }
        Ok(())
    }

    /// Whether none of the registrations is left that could be deleted later.
    async fn delete(&self, row: &UpstreamRegistrations) -> bool {
        let mut done = true;
        for kept in &row.generations {
            done &= self.delete_one(row, kept).await;
        }
        done
    }

    async fn delete_one(&self, row: &UpstreamRegistrations, kept: &UpstreamRegistration) -> bool {
        // Which of its URLs might be plain http is no longer configured.
        let outcome = registration::delete(&self.egress, &managed(kept), AllowHttp::Loopback).await;
        let (issuer, client_id) = (&row.key.upstream, &kept.client_id);
        match outcome {
            Ok(()) | Err(RegistrationError::Gone) => {
                tracing::info!(
                    upstream.issuer = issuer,
                    client.id = client_id,
                    "deleted the registration at an upstream that is no longer configured"
                );
                true
            }
            Err(error) => {
                tracing::warn!(
                    upstream.issuer = issuer,
                    client.id = client_id,
                    error = thv_telemetry::chain(&error),
                    "the registration at an upstream that is no longer configured could not be deleted"
                );
                !error.is_temporary()
            }
        }
    }
}

impl Shared {
    /// Lets a later start find the registration when the upstream is no longer configured.
    pub(super) async fn note_in_index(&self) {
        if let Err(error) = self.parts.stores.registrations.note(&self.key, self.now()).await {
            tracing::warn!(
                upstream.name = self.name,
                error = thv_telemetry::chain(&error),
                "the registration could not be noted in the index; it will not be deleted when the upstream is removed"
            );
        }
    }
}
