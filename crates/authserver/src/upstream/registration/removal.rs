//! Deleting our registrations at upstreams that are no longer configured (U8), where the operator asked for that.
//!
//! A registration that was made for other scopes or another callback goes with its upstream, not before: refresh tokens that
//! it obtained are still in use, see [`super::earlier`].

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
    /// What registrations at the configured upstreams are stored under, or would be.
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
            if self.configured.iter().any(|configured| configured.upstream == key.upstream) {
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

    /// Whether none of the registrations is left that could be deleted later: where our own network or the upstream stands in
    /// the way now, an operator can change that.
    async fn delete(&self, row: &UpstreamRegistrations) -> bool {
        let mut done = true;
        for kept in &row.generations {
            done &= self.delete_one(row, kept).await;
        }
        done
    }

    async fn delete_one(&self, row: &UpstreamRegistrations, kept: &UpstreamRegistration) -> bool {
        let outcome = registration::delete(&self.egress, &managed(kept), allow_http(&row.key)).await;
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
                matches!(
                    error,
                    RegistrationError::Unmanaged { .. } | RegistrationError::ManagementNotSupported { .. }
                )
            }
        }
    }
}

/// Which of its URLs may be plain http is no longer configured; where the upstream itself was, they were allowed to be.
fn allow_http(key: &RegistrationKey) -> AllowHttp {
    if key.upstream.starts_with("http://") { AllowHttp::Any } else { AllowHttp::Loopback }
}

impl Shared {
    /// Lets a later start find the registration when the upstream is no longer configured.
    pub(super) async fn note_in_index(&self) {
        if let Err(error) = self.parts.stores.registrations.note(&self.key, self.now()).await {
            tracing::warn!(
                upstream.name = self.name,
                error = thv_telemetry::chain(&error),
                "the registration could not be noted in the index; it will not be deleted when the upstream is \
                 removed, and its refresh tokens end when other scopes are configured"
            );
        }
    }
}
