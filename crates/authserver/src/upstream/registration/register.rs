//! Registering dynamically (RFC 7591), and again when the upstream has forgotten us (U3, U7).

use std::sync::Arc;
use std::time::Duration;

use thv_client::registration::{self, ClientKeys, Registration, RegistrationRequest};
use thv_clock::Timestamp;
use thv_jose::digest::sha256;
use thv_oauth::auth_method::AuthMethod;
use thv_oauth::grant_type::GrantType;
use thv_store::records::{UpstreamRegistration, UpstreamRegistrations};

use super::confirm::is_renewed;
use super::identify::{Identified, Register};
use super::registered::{Registered, is_alive};
use super::rows::{CHANGES, Row, Turn, first, has_usable};
use super::{Outcome, RegistrationMode, Shared, Unregistered};

/// The registrations that are kept: the current one, and those whose refresh tokens may still be in use.
const GENERATIONS: usize = 3;
/// A registration that was refused is replaced at most once within this.
const REPLACED_ONCE_IN: Duration = Duration::from_secs(10 * 60);

impl Shared {
    /// The upstream refused `client_id`, which is ours. It is registered anew only where the upstream does not know it any more,
    /// or refuses it all the same.
    pub(super) async fn replace(&self, client_id: &str) -> Outcome {
        let _changing = self.changing.lock().await;
        let now = self.now();
        let tried = self.tried(client_id);
        let is_other = |row: &UpstreamRegistrations| {
            has_usable(row, now)
                && first(row).is_some_and(|current| {
                    current.client_id != client_id || is_renewed(current, tried.as_ref())
                })
        };
        match self.turn(is_other).await? {
            Turn::Over(row) => self.adopt(&row.value).ok_or(Unregistered::Busy),
            Turn::Ours(lease, row) => {
                let outcome = self.replace_in_turn(client_id, row).await;
                self.give_back(Some(lease)).await;
                outcome
            }
        }
    }

    async fn replace_in_turn(&self, client_id: &str, row: Option<Row>) -> Outcome {
        if let Some(registered) = self.confirm_in_turn(client_id, row.as_ref()).await? {
            return Ok(registered);
        }
        let now = self.now();
        let once = sha256(&[&b"reregister"[..], &self.key.to_bytes()].concat());
        if !self.parts.stores.replays.claim(once, now + REPLACED_ONCE_IN, now).await? {
            tracing::warn!(
                upstream.name = self.name,
                upstream.issuer = self.key.upstream,
                client.id = client_id,
                "the registration was replaced less than ten minutes ago and is not replaced again yet"
            );
            return row.and_then(|row| self.adopt(&row.value)).ok_or(Unregistered::Busy);
        }
        let row = self.amend(|row| refuse(row, client_id)).await?;
        self.memory.forget();
        if self.may_use_document()
            && let Some(registered) = self.by_document(row.as_ref()).await?
        {
            return Ok(registered);
        }
        self.register(row).await
    }

    /// Our metadata document, if it is the way.
    pub(super) async fn by_document(
        &self,
        row: Option<&Row>,
    ) -> Result<Option<Arc<Registered>>, Unregistered> {
        match self.identify(self.settings.registration.mode, row.map(|row| &*row.value)).await? {
            Identified::Document(registered) => {
                self.memory.keep(&registered, self.now());
                Ok(Some(registered))
            }
            Identified::Register(_) => Ok(None),
        }
    }

    /// Makes a registration and keeps it before those of `row`. Only in our turn.
    pub(super) async fn register(&self, row: Option<Row>) -> Outcome {
        let how = match self.identify(RegistrationMode::Registration, None).await? {
            Identified::Document(registered) => return Ok(registered),
            Identified::Register(how) => how,
        };
        let token = self.settings.registration.dynamic.initial_access_token.as_ref();
        let request = self.request(how.method);
        let made = registration::register(&self.parts.egress, &how.endpoint, token, &request).await?;
        let made = stored(made, self.now());
        tracing::info!(
            upstream.name = self.name,
            upstream.issuer = self.key.upstream,
            client.id = made.client_id,
            client.auth_method = made.auth_method.as_str(),
            client.secret_expires_at = made.client_secret_expires_at.map(Timestamp::as_secs),
            "registered at upstream"
        );
        let kept = self.keep(row, &made, &how).await;
        if !kept.as_ref().is_ok_and(|kept| kept.client(Some(&made.client_id)).is_some()) {
            // Nobody would ever find it again.
            self.delete(&made).await;
        }
        kept
    }

    /// Keeps a registration, unless another replica was faster, whose turn we had taken for over.
    async fn keep(&self, mut row: Option<Row>, made: &UpstreamRegistration, how: &Register) -> Outcome {
        let registrations = &self.parts.stores.registrations;
        let before = row.as_ref().and_then(|row| first(&row.value)).map(|current| current.client_id.clone());
        for _ in 0..CHANGES {
            let now = self.now();
            let value = self.in_front(made, row.as_ref(), how, now);
            if registrations.save(row.as_ref(), value.clone(), now).await? {
                self.note_in_index().await;
                return self.adopt(&Arc::new(value)).ok_or(Unregistered::Busy);
            }
            row = self.load().await?;
            let faster = row.as_ref().filter(|row| {
                first(&row.value).map(|current| &current.client_id) != before.as_ref()
                    && has_usable(&row.value, now)
            });
            if let Some(faster) = faster {
                return self.adopt(&faster.value).ok_or(Unregistered::Busy);
            }
        }
        Err(Unregistered::Busy)
    }

    fn in_front(
        &self,
        made: &UpstreamRegistration,
        row: Option<&Row>,
        how: &Register,
        now: Timestamp,
    ) -> UpstreamRegistrations {
        let earlier = row.map_or(&[][..], |row| row.value.generations.as_slice());
        // A refresh token lives no longer than the secret that it is used with.
        let earlier = earlier.iter().filter(|earlier| is_alive(earlier, now)).cloned();
        UpstreamRegistrations {
            key: self.key.clone(),
            generations: std::iter::once(made.clone()).chain(earlier).take(GENERATIONS).collect(),
            endpoints: how.endpoints.clone(),
            delete_on_removal: self.settings.registration.dynamic.delete_on_removal,
        }
    }

    async fn delete(&self, made: &UpstreamRegistration) {
        let deleted =
            registration::delete(&self.parts.egress, &managed(made), self.settings.allow_http).await;
        if let Err(error) = deleted {
            tracing::warn!(
                upstream.name = self.name,
                upstream.issuer = self.key.upstream,
                client.id = made.client_id,
                error = thv_telemetry::chain(&error),
                "a registration that is not used could not be deleted at the upstream"
            );
        }
    }

    /// What is asked for.
    pub(super) fn request(&self, method: AuthMethod) -> RegistrationRequest {
        let dynamic = &self.settings.registration.dynamic;
        let published = self.parts.published.as_ref().filter(|_| method == AuthMethod::PrivateKeyJwt);
        let scope = self.settings.scopes.join(" ");
        RegistrationRequest {
            redirect_uris: vec![self.settings.redirect_uri.clone()],
            token_endpoint_auth_method: Some(method),
            grant_types: GrantType::ALL.to_vec(),
            response_types: vec!["code".to_owned()],
            client_name: Some(
                dynamic.client_name.clone().unwrap_or_else(|| crate::own_document::NAME.to_owned()),
            ),
            client_uri: Some(self.parts.issuer.clone()).filter(|issuer| issuer.starts_with("https://")),
            scope: Some(scope).filter(|scope| !scope.is_empty()),
            keys: published.map(|published| ClientKeys::Reference(published.jwks_uri.clone())),
            software_id: dynamic.software_id.clone(),
            software_statement: dynamic.software_statement.clone(),
            // A web client's callbacks are https, a native one's are on its own machine (OpenID Connect Dynamic Client
            // Registration §2).
            application_type: Some(
                if self.settings.redirect_uri.starts_with("https://") { "web" } else { "native" }.to_owned(),
            ),
            ..RegistrationRequest::default()
        }
    }
}

fn refuse(row: &mut UpstreamRegistrations, client_id: &str) {
    for registration in &mut row.generations {
        if registration.client_id == client_id {
            registration.refused = true;
        }
    }
}

/// A registration as it is kept.
pub(super) fn stored(made: Registration, now: Timestamp) -> UpstreamRegistration {
    UpstreamRegistration {
        client_id: made.client_id,
        client_secret: made.client_secret,
        auth_method: made.token_endpoint_auth_method,
        registered_at: now,
        client_secret_expires_at: made.client_secret_expires_at,
        registration_access_token: made.registration_access_token,
        registration_client_uri: made.registration_client_uri,
        scope: made.scope,
        refused: false,
    }
}

/// A registration as it is managed.
pub(super) fn managed(kept: &UpstreamRegistration) -> Registration {
    Registration {
        client_id: kept.client_id.clone(),
        client_secret: kept.client_secret.clone(),
        client_id_issued_at: None,
        client_secret_expires_at: kept.client_secret_expires_at,
        registration_access_token: kept.registration_access_token.clone(),
        registration_client_uri: kept.registration_client_uri.clone(),
        token_endpoint_auth_method: kept.auth_method,
        scope: kept.scope.clone(),
    }
}
