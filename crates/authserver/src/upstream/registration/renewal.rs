//! Renewing a client secret before it ends (U5): by changing the registration (RFC 7592 §2.2), or by registering anew.

use std::time::Duration;

use thv_client::registration;
use thv_clock::Timestamp;
use thv_store::records::{UpstreamRegistration, UpstreamRegistrations};

use super::register::{managed, stored};
use super::rows::{Row, Turn, first, has_usable};
use super::{Outcome, Shared, Unregistered};

/// A secret is renewed when less than a tenth of its life is left, or less than this; but not in the first half of its life.
const AHEAD: Duration = Duration::from_secs(24 * 3600);

/// Pauses between attempts to keep a changed registration.
const KEEP_AGAIN: [Duration; 4] =
    [Duration::from_millis(100), Duration::from_millis(400), Duration::from_secs(2), Duration::from_secs(5)];

/// Whether the secret is to be renewed.
pub(super) fn is_ending(registration: &UpstreamRegistration, now: Timestamp) -> bool {
    registration.client_secret_expires_at.is_some_and(|expires_at| {
        let life = expires_at.since(registration.registered_at);
        now + (life / 10).max(AHEAD).min(life / 2) >= expires_at
    })
}

/// What became of a change.
enum Updated {
    /// The secret was renewed.
    Renewed(Row),
    /// It cannot be done that way; the row as it is now.
    NotPossible(Option<Row>),
}

impl Shared {
    /// Renews ahead of the end. The registration is used on meanwhile.
    pub(super) async fn renew(&self) -> Outcome {
        let _changing = self.changing.lock().await;
        let settled = |row: &_| {
            has_usable(row, self.now()) && first(row).is_some_and(|current| !is_ending(current, self.now()))
        };
        match self.turn(settled).await? {
            Turn::Over(row) => self.adopt(&row.value).ok_or(Unregistered::Busy),
            Turn::Ours(lease, row) => {
                let outcome = self.make_usable(row).await;
                self.give_back(Some(lease)).await;
                outcome
            }
        }
    }

    /// Changes the registration so that its secret lives on, or makes another. Only in our turn.
    pub(super) async fn make_usable(&self, row: Option<Row>) -> Outcome {
        let current =
            row.as_ref().and_then(|row| first(&row.value)).filter(|current| !current.refused).cloned();
        let Some(current) = current else { return self.register(row).await };
        match self.update(&current, row).await? {
            Updated::Renewed(row) => self.adopt(&row.value).ok_or(Unregistered::Busy),
            Updated::NotPossible(row) => self.register(row).await,
        }
    }

    async fn update(
        &self,
        current: &UpstreamRegistration,
        row: Option<Row>,
    ) -> Result<Updated, Unregistered> {
        let request = self.request(current.auth_method);
        let (egress, allow_http) = (&self.parts.egress, self.settings.allow_http);
        let changed = match registration::update(egress, &managed(current), &request, allow_http).await {
            Ok(changed) => stored(changed, self.now()),
            Err(error) if error.is_temporary() => return Err(error.into()),
            Err(error) => {
                tracing::info!(
                    upstream.name = self.name,
                    upstream.issuer = self.key.upstream,
                    client.id = current.client_id,
                    error = thv_telemetry::chain(&error),
                    "the client secret cannot be renewed by changing the registration; registering anew"
                );
                return Ok(Updated::NotPossible(row));
            }
        };
        // Some servers leave the secret as it is.
        let renewed = changed.client_secret_expires_at != current.client_secret_expires_at;
        let registered_at = if renewed { changed.registered_at } else { current.registered_at };
        let changed = UpstreamRegistration { registered_at, ..changed };
        let row = self.keep_changed(&changed).await?;
        if !renewed || is_ending(&changed, self.now()) {
            return Ok(Updated::NotPossible(row));
        }
        tracing::info!(
            upstream.name = self.name,
            upstream.issuer = self.key.upstream,
            client.id = changed.client_id,
            client.auth_method = changed.auth_method.as_str(),
            client.secret_expires_at = changed.client_secret_expires_at.map(Timestamp::as_secs),
            "the client secret at the upstream was renewed"
        );
        Ok(row.map_or(Updated::NotPossible(None), Updated::Renewed))
    }

    /// Keeps what the upstream changed. The secret before may be void already, so a store that does not answer at once is
    /// asked again.
    pub(super) async fn keep_changed(
        &self,
        changed: &UpstreamRegistration,
    ) -> Result<Option<Row>, Unregistered> {
        let replace = |row: &mut UpstreamRegistrations| {
            let same = |kept: &&mut UpstreamRegistration| kept.client_id == changed.client_id;
            if let Some(kept) = row.generations.iter_mut().find(same) {
                *kept = changed.clone();
            }
        };
        for pause in KEEP_AGAIN {
            match self.amend(replace).await {
                Err(Unregistered::Store(_) | Unregistered::Busy) => tokio::time::sleep(pause).await,
                kept => return kept,
            }
        }
        self.amend(replace).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use thv_oauth::auth_method::AuthMethod;

    #[test]
    fn u5_a_secret_is_renewed_ahead_of_its_end_however_short_its_life() {
        const HOUR: u64 = 3600;
        let start = Timestamp::from_secs(1_700_000_000);
        for (life, due_after) in [
            (100 * 24 * HOUR, 90 * 24 * HOUR),
            (5 * 24 * HOUR, 4 * 24 * HOUR),
            (24 * HOUR, 12 * HOUR),
            (HOUR, HOUR / 2),
            (0, 0),
        ] {
            let registration = UpstreamRegistration {
                client_id: "c".to_owned(),
                client_secret: None,
                auth_method: AuthMethod::ClientSecretBasic,
                registered_at: start,
                client_secret_expires_at: Some(start + Duration::from_secs(life)),
                registration_access_token: None,
                registration_client_uri: None,
                scope: None,
                refused: false,
            };
            let due = start + Duration::from_secs(due_after);
            assert!(is_ending(&registration, due), "{life}");
            assert!(due_after == 0 || !is_ending(&registration, due - Duration::from_secs(1)), "{life}");
            let never = UpstreamRegistration { client_secret_expires_at: None, ..registration };
            assert!(!is_ending(&never, due + Duration::from_secs(life)), "{life}");
        }
    }
}
