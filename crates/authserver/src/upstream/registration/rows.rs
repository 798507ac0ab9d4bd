//! The registrations as they are stored, and the turn to change them.

use std::sync::Arc;
use std::time::Duration;

use thv_clock::Timestamp;
use thv_jose::digest::sha256;
use thv_store::records::{UpstreamRegistration, UpstreamRegistrations};
use thv_store::{Lease, Versioned};

use super::registered::{Registered, announced, is_usable};
use super::{Outcome, Shared, Unregistered};

pub(super) type Row = Versioned<UpstreamRegistrations>;

/// Longer than discovery and registration can take, their deadlines added up.
const TURN: Duration = Duration::from_secs(60);
/// How often it is looked what became of another replica's turn, and how often that is done.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
const LOOKS: u32 = 150;
/// How often a row that others change at the same time is read anew.
pub(super) const CHANGES: u32 = 5;
/// A row that is in use is written anew when less of its time is left.
const KEPT_AT_LEAST: Duration = Duration::from_secs(200 * 24 * 3600);
/// From then on an operator should know.
const OLD_AFTER_DAYS: u64 = 90;

/// Whose turn it is.
pub(super) enum Turn {
    /// Nothing needs to be done any more.
    Over(Row),
    /// Ours.
    Ours(Lease, Option<Row>),
}

impl Shared {
    pub(super) async fn load(&self) -> Result<Option<Row>, Unregistered> {
        Ok(self.parts.stores.registrations.load(&self.key, self.now()).await?)
    }

    /// Remembers a row and gives what it means; `None` when its first registration is of no use.
    pub(super) fn adopt(&self, row: &Arc<UpstreamRegistrations>) -> Option<Arc<Registered>> {
        let made = self.usable(row);
        match &made {
            Some(registered) => {
                self.memory.keep(registered, self.now());
                self.tell_age(row);
            }
            None => self.memory.forget(),
        }
        made
    }

    /// What a row means; `None` when its first registration is of no use.
    fn usable(&self, row: &Arc<UpstreamRegistrations>) -> Option<Arc<Registered>> {
        self.making(&row.endpoints, |making, now| Registered::from_row(making, row, now))
    }

    fn tell_age(&self, row: &UpstreamRegistrations) {
        let Some(registration) = row.generations.first() else { return };
        let days = self.now().since(registration.registered_at).as_secs() / (24 * 3600);
        if days > OLD_AFTER_DAYS && self.memory.tell_age() {
            tracing::warn!(
                upstream.name = self.name,
                upstream.issuer = self.key.upstream,
                client.id = registration.client_id,
                dcr_age_days = days,
                dcr_stale_threshold_days = OLD_AFTER_DAYS,
                "the registration at the upstream is old; it is used on"
            );
        }
    }

    /// Waits for the turn to change the registration, unless meanwhile nothing needs to be done any more.
    pub(super) async fn turn(
        &self,
        is_over: impl Fn(&UpstreamRegistrations) -> bool,
    ) -> Result<Turn, Unregistered> {
        let leases = &self.parts.stores.leases;
        let name = sha256(&self.key.to_bytes());
        for _ in 0..LOOKS {
            let now = self.now();
            let lease = leases.acquire(name, now + TURN, now).await?;
            // Read after the turn began: whoever had it before is done.
            let row = self.load().await;
            match (lease, row) {
                (lease, Ok(Some(row))) if is_over(&row.value) => {
                    self.give_back(lease).await;
                    return Ok(Turn::Over(row));
                }
                (Some(lease), Ok(row)) => return Ok(Turn::Ours(lease, row)),
                (lease, Err(failure)) => {
                    self.give_back(lease).await;
                    return Err(failure);
                }
                (None, Ok(_)) => {}
            }
            if self.parts.tasks.is_closed() {
                break;
            }
            let [jitter] = thv_jose::random::bytes();
            tokio::time::sleep(LOOK_AGAIN + LOOK_AGAIN.mul_f64(f64::from(jitter) / 255.0)).await;
        }
        Err(Unregistered::Busy)
    }

    /// Ends a turn. Where the store does not answer it ends by itself.
    pub(super) async fn give_back(&self, lease: Option<Lease>) {
        let Some(lease) = lease else { return };
        if let Err(error) = self.parts.stores.leases.release(lease, self.now()).await {
            tracing::debug!(
                upstream.name = self.name,
                error = thv_telemetry::chain(&error),
                "the turn to register was not given back; it ends by itself"
            );
        }
    }

    /// Changes the row, whatever others change meanwhile; `None` when there is none.
    pub(super) async fn amend(
        &self,
        change: impl Fn(&mut UpstreamRegistrations),
    ) -> Result<Option<Row>, Unregistered> {
        for _ in 0..CHANGES {
            let Some(row) = self.load().await? else { return Ok(None) };
            let mut value = (*row.value).clone();
            change(&mut value);
            if self.parts.stores.registrations.save(Some(&row), value, self.now()).await? {
                return self.load().await;
            }
        }
        Err(Unregistered::Busy)
    }

    /// What the store says, or else what can be done about it.
    pub(super) async fn resolve(&self) -> Outcome {
        if let Some(registered) = self.while_changing().await? {
            return Ok(registered);
        }
        let _changing = self.changing.lock().await;
        let row = self.load().await?;
        let stored = row.as_ref().filter(|_| self.may_register());
        if let Some(registered) = stored.and_then(|row| self.adopt(&row.value)) {
            return Ok(registered);
        }
        if self.may_use_document()
            && let Some(registered) = self.by_document(row.as_ref()).await?
        {
            return Ok(registered);
        }
        match self.turn(|row| has_usable(row, self.now())).await? {
            Turn::Over(row) => self.adopt(&row.value).ok_or(Unregistered::Busy),
            Turn::Ours(lease, row) => {
                let outcome = self.make_usable(row).await;
                self.give_back(Some(lease)).await;
                outcome
            }
        }
    }

    /// What is stored can be used while the registration is being changed, for which the upstream may take its time. It is
    /// not remembered: by then the change may be.
    async fn while_changing(&self) -> Result<Option<Arc<Registered>>, Unregistered> {
        if self.changing.try_lock().is_ok() || !self.may_register() {
            return Ok(None);
        }
        Ok(self.load().await?.and_then(|row| self.usable(&row.value)))
    }

    /// Looks at the metadata. Where the endpoints have moved, all replicas are to follow; and what is used must not expire.
    pub(super) async fn follow(&self) -> Outcome {
        let known = self.memory.known().ok_or(Unregistered::NotYet)?;
        let metadata = self.load_metadata().await?;
        let Some(row) = self.load().await? else { return Ok(known) };
        let announced = metadata.as_deref().map_or_else(|| row.value.endpoints.clone(), announced);
        if row.value.endpoints != announced {
            tracing::info!(
                upstream.name = self.name,
                upstream.issuer = self.key.upstream,
                "the upstream's endpoints have moved"
            );
        } else if row.until > self.now() + KEPT_AT_LEAST {
            return Ok(known);
        }
        let row = self.amend(|row| row.endpoints = announced.clone()).await?.ok_or(Unregistered::NotYet)?;
        self.note_in_index().await;
        self.adopt(&row.value).ok_or(Unregistered::NotYet)
    }
}

/// Whether the first registration of a row can be used.
pub(super) fn has_usable(row: &UpstreamRegistrations, now: Timestamp) -> bool {
    first(row).is_some_and(|current| is_usable(current, now))
}

/// The registration that is in use.
pub(super) fn first(row: &UpstreamRegistrations) -> Option<&UpstreamRegistration> {
    row.generations.first()
}
