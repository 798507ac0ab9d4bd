//! Who we are at an upstream (U3–U9): registered by hand, by our own metadata document, or dynamically.
//!
//! [`Registrar`] is asked before every use of the upstream. What it knows dynamically lives in the store, so that neither a
//! restart nor another replica registers again; each file below is one thing that may have to be done about it.

mod confirm;
mod earlier;
mod failure;
mod identify;
mod memory;
mod register;
mod registered;
pub(crate) mod removal;
mod renewal;
mod rows;
mod settings;

use std::sync::Arc;
use std::time::Duration;

use thv_client::client_assertion::AssertionSigner;
use thv_client::metadata::MetadataSource;
use thv_client::token_response::TokenResponseShape;
use thv_jose::digest::sha256;
use thv_store::records::RegistrationKey;
use tokio::sync::Mutex as AsyncMutex;

pub(super) use self::failure::Unregistered;
pub(crate) use self::identify::DOCUMENT_METHOD;
use self::memory::{Look, Memory};
pub(super) use self::registered::{Client, Registered};
use self::renewal::is_ending;
pub use self::settings::{
    DynamicRegistration, PreregisteredClient, PublishedClient, RegistrationMode, RegistrationSettings,
};
use super::provider::{ProviderSettings, UpstreamParts};
use crate::single_flight::SingleFlight;

/// How long it is waited for what becomes of a registration that was refused. It goes on after that.
const MENDING: Duration = Duration::from_secs(10);
/// How often it is looked whether a secret is about to end. As often as a stop may have to wait for it.
const LOOK_AT_SECRETS: Duration = Duration::from_secs(1);
/// How often it is looked whether an upstream that we could not register at may be asked again.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

type Outcome = Result<Arc<Registered>, Unregistered>;

/// What may be under way, each once in this process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Work {
    /// Finding out who we are there, and registering if we are nobody.
    Resolve,
    /// Renewing a secret before it ends.
    Renew,
    /// Looking whether the endpoints have moved, and keeping the row alive.
    Follow,
    /// Asking the upstream about the registration with this `client_id`, which was refused.
    Confirm(String),
    /// Replacing the registration with this `client_id`, which was refused.
    Replace(String),
}

/// Knows who we are at one upstream, and sees to it that we are somebody.
pub(super) struct Registrar {
    shared: Arc<Shared>,
    flights: SingleFlight<Work, Outcome>,
}

struct Shared {
    name: String,
    settings: Arc<ProviderSettings>,
    parts: UpstreamParts,
    shape: TokenResponseShape,
    /// The configured one of an `oidc` upstream.
    issuer: Option<String>,
    metadata: Option<MetadataSource>,
    signer: Option<AssertionSigner>,
    key: RegistrationKey,
    memory: Memory,
    /// Held by whoever is about to change the registration.
    changing: AsyncMutex<()>,
}

impl Registrar {
    pub(super) fn new(
        name: String,
        issuer: Option<&str>,
        settings: Arc<ProviderSettings>,
        shape: TokenResponseShape,
        parts: UpstreamParts,
    ) -> Self {
        let (egress, clock) = (parts.egress.clone(), Arc::clone(&parts.clock));
        let metadata = match (&settings.discovery, issuer) {
            (Some(url), _) => Some(MetadataSource::discover(egress, url.clone(), clock)),
            (None, Some(issuer)) => {
                Some(MetadataSource::new(egress, issuer.to_owned(), settings.allow_http, clock))
            }
            (None, None) => None,
        };
        let signer = parts
            .published
            .as_ref()
            .map(|published| AssertionSigner::new(published.keys.clone(), Arc::clone(&parts.clock)));
        let key = registration_key(&parts.issuer, issuer, &settings);
        let flights = SingleFlight::new(parts.tasks.clone());
        let (memory, changing) = (Memory::default(), AsyncMutex::new(()));
        let issuer = issuer.map(str::to_owned);
        let shared = Shared { name, settings, parts, shape, issuer, metadata, signer, key, memory, changing };
        Self { shared: Arc::new(shared), flights }
    }

    /// Who we are there, as we know it or find out now. What is remembered is trusted for a minute, then the store is asked
    /// whether another replica changed it; a failure is remembered for a while, too.
    pub(super) async fn current(&self) -> Outcome {
        let shared = &self.shared;
        if let Some(client) = shared.settings.registration.preregistered() {
            return shared.by_hand(client).await;
        }
        match shared.memory.look(shared.now()) {
            Look::Usable(registered) => Ok(registered),
            Look::Failed(failure) => Err(failure),
            Look::Old(registered) => Ok(self.read_again().await.unwrap_or(registered)),
            Look::Nothing => self.fly(Work::Resolve).await,
        }
    }

    /// Who we are there as the store says it now.
    pub(super) async fn read_again(&self) -> Outcome {
        match self.shared.settings.registration.preregistered() {
            Some(client) => self.shared.by_hand(client).await,
            None => self.fly(Work::Resolve).await,
        }
    }

    /// Who we are there, and the client with this identifier, if it is known. The store is asked about one that is not among
    /// those that are remembered: another replica may have made it, or it was registered for other scopes.
    pub(super) async fn acting_as(
        &self,
        client_id: Option<&str>,
    ) -> Result<(Arc<Registered>, Option<Arc<Client>>), Unregistered> {
        let mut registered = self.current().await?;
        let mut client = registered.client(client_id).cloned();
        if client.is_none() {
            registered = self.read_again().await?;
            client = registered.client(client_id).cloned();
        }
        if let (None, Some(client_id)) = (&client, client_id) {
            client = self.shared.earlier(client_id, &registered.endpoints).await?;
        }
        Ok((registered, client))
    }

    /// As [`Self::current`], without waiting for an upstream that we are to become a client of.
    pub(super) async fn ready(&self) -> Outcome {
        let shared = &self.shared;
        if shared.settings.registration.preregistered().is_some() {
            return self.current().await;
        }
        match shared.memory.look(shared.now()) {
            Look::Usable(registered) | Look::Old(registered) => Ok(registered),
            Look::Failed(failure) => Err(failure),
            Look::Nothing => {
                drop(self.flights.start(Work::Resolve, || self.work(Work::Resolve)));
                Err(shared.memory.failure().unwrap_or(Unregistered::NotYet))
            }
        }
    }

    /// Begins in the background what is due, after a use: renewing the secret, looking whether the endpoints have moved.
    pub(super) fn look_after(&self, registered: &Registered) {
        let (shared, now) = (&self.shared, self.shared.now());
        if registered.registration().is_none() {
            return;
        }
        self.renew_if_ending();
        if shared.memory.follow_is_due(now) {
            drop(self.flights.start(Work::Follow, || self.work(Work::Follow)));
        }
    }

    fn renew_if_ending(&self) {
        let (shared, now) = (&self.shared, self.shared.now());
        let known = shared.memory.known();
        let registration = known.as_ref().and_then(|known| known.registration());
        if registration.is_some_and(|registration| is_ending(registration, now))
            && shared.memory.may_renew(now)
        {
            drop(self.flights.start(Work::Renew, || self.work(Work::Renew)));
        }
    }

    /// The upstream accepted `client_id` at its token endpoint.
    pub(super) fn accepted(&self, client_id: &str) {
        self.shared.memory.accepted(client_id);
    }

    /// The upstream refused `client_id` with `invalid_client`: whether it turns out to know it all the same, perhaps by a newer
    /// secret, so that the request can be sent again.
    pub(super) async fn confirm(&self, client_id: &str) -> bool {
        let known = self.shared.memory.known();
        let is_current = known
            .as_ref()
            .and_then(|known| known.registration())
            .is_some_and(|registration| registration.client_id == client_id);
        if !is_current || self.shared.settings.registration.preregistered().is_some() {
            return false;
        }
        let confirmed = tokio::time::timeout(MENDING, self.fly(Work::Confirm(client_id.to_owned()))).await;
        confirmed.is_ok_and(|confirmed| confirmed.is_ok())
    }

    /// The upstream refused `client_id` with `invalid_client`: whether there is another registration now (U7). The upstream is
    /// asked about the one that it refused first; where it still knows it, that one is used on for some minutes at least. A new
    /// one is made at most once in ten minutes, across replicas, so that an upstream that refuses whatever it registers is
    /// not flooded.
    pub(super) async fn replace(&self, client_id: &str) -> bool {
        let shared = &self.shared;
        if shared.settings.registration.preregistered().is_some() {
            shared.warn_invalid_client(client_id, false);
            return false;
        }
        let known = shared.memory.known();
        let is_other = |known: &Arc<Registered>| known.current().client_id != client_id;
        if known.as_ref().is_some_and(is_other) {
            return true;
        }
        let registered = known.is_none_or(|known| known.registration().is_some());
        shared.warn_invalid_client(client_id, registered);
        if !registered {
            return false;
        }
        let replaced = tokio::time::timeout(MENDING, self.fly(Work::Replace(client_id.to_owned()))).await;
        matches!(replaced, Ok(Ok(registered)) if is_other(&registered))
    }

    /// Registers in the background, if that is needed, until it succeeds; then renews a secret that is about to end, also
    /// while nobody logs in. Nothing waits for it.
    pub(super) fn start(this: &Arc<Self>) {
        if this.shared.settings.registration.preregistered().is_some() {
            return;
        }
        let (registrar, tasks) = (Arc::clone(this), this.shared.parts.tasks.clone());
        this.shared.parts.tasks.spawn(async move {
            while registrar.current().await.is_err() && !tasks.is_closed() {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            while !tasks.is_closed() {
                registrar.renew_if_ending();
                tokio::time::sleep(LOOK_AT_SECRETS).await;
            }
        });
    }

    /// What our registration there is stored under, or would be.
    pub(super) fn key(&self) -> &RegistrationKey {
        &self.shared.key
    }

    async fn fly(&self, work: Work) -> Outcome {
        let flight = self.flights.start(work.clone(), || self.work(work));
        flight.await.unwrap_or(Err(Unregistered::Interrupted))
    }

    fn work(&self, work: Work) -> impl Future<Output = Outcome> + Send + use<> {
        let shared = Arc::clone(&self.shared);
        async move { shared.work(work).await }
    }
}

impl Shared {
    async fn work(&self, work: Work) -> Outcome {
        let outcome = match &work {
            Work::Resolve => self.resolve().await,
            Work::Renew => self.renew().await,
            Work::Follow => self.follow().await,
            Work::Confirm(client_id) => self.confirm(client_id).await,
            Work::Replace(client_id) => self.replace(client_id).await,
        };
        let now = self.now();
        match (&outcome, &work) {
            (Ok(_), Work::Renew) => self.memory.renewed(),
            (Ok(_), Work::Resolve | Work::Replace(_)) => self.memory.succeeded(),
            (_, Work::Follow | Work::Confirm(_)) => {}
            (Err(failure), Work::Renew) => {
                self.warn_failed(failure, self.memory.renewal_failed(now));
            }
            (Err(failure), Work::Resolve | Work::Replace(_)) => {
                self.warn_failed(failure, self.memory.failed(failure.clone(), now));
            }
        }
        outcome
    }

    fn now(&self) -> thv_clock::Timestamp {
        self.parts.clock.now()
    }

    fn warn_failed(&self, failure: &Unregistered, retry_in: Duration) {
        tracing::warn!(
            upstream.name = self.name,
            upstream.issuer = self.key.upstream,
            retry_in_secs = retry_in.as_secs(),
            error = thv_telemetry::chain(failure),
            "we are no client of the upstream, or cannot renew our registration there"
        );
    }

    fn warn_invalid_client(&self, client_id: &str, registered: bool) {
        let remediation = if registered {
            "the upstream is asked about it, and where that does not help it is registered anew, at most once in ten \
             minutes; if that does not help either, look at the upstream why it refuses clients that it has registered"
        } else {
            "check the client identifier, the client secret and the way of authentication that the upstream \
             expects, and configure new ones if they were revoked there"
        };
        tracing::warn!(
            upstream.name = self.name,
            upstream.issuer = self.key.upstream,
            client.id = client_id,
            remediation,
            "the upstream does not accept this server as its client (invalid_client)"
        );
    }
}

/// What a registration is stored under. The upstream is named by what is known of it without asking.
fn registration_key(ours: &str, issuer: Option<&str>, settings: &ProviderSettings) -> RegistrationKey {
    let discovered = settings.discovery.as_ref().map(|url| url.issuer().as_str());
    let endpoint = settings.endpoints.registration.as_deref();
    let mut scopes: Vec<&str> = settings.scopes.iter().map(String::as_str).collect();
    scopes.sort_unstable();
    scopes.dedup();
    RegistrationKey {
        issuer: ours.to_owned(),
        upstream: issuer.or(discovered).or(endpoint).unwrap_or_default().to_owned(),
        redirect_uri: settings.redirect_uri.clone(),
        scopes_hash: sha256(scopes.join(" ").as_bytes()),
    }
}
