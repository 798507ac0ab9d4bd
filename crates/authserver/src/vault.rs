//! The token vault: the upstreams' tokens of a session, fresh when they are needed (U11).
//!
//! Reading is here; [`renewal`] renews, which is where a token could get lost or used twice.

mod renewal;

use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use thv_clock::{SharedClock, Timestamp};
use thv_store::records::{GrantId, SessionId, UpstreamTokens, VaultEntry};
use thv_store::{Event, StoreError, Stores};
use thv_telemetry::metrics::Metrics;
use tokio_util::task::TaskTracker;

use self::renewal::{Cause, Renewal, Unsaved};
use crate::chain::{LoginChain, step_up_scope};
use crate::single_flight::SingleFlight;

/// A token is renewed when less than a fifth of its life is left, but not more than this before its end.
const AHEAD: Duration = Duration::from_secs(120);
/// One that ends within this is not handed out any more: it must still hold when it arrives.
const TOO_LATE: Duration = Duration::from_secs(5);
/// After a refresh that a backend's refusal forced, another one is not forced for so long: it would not help.
const FORCED_REFRESH_INTERVAL: Duration = Duration::from_secs(30);
/// For so long a backend's refusal of a renewed token makes a login there necessary. Longer, and a backend that was out of
/// order for a while would send all its users to log in.
const REFUSAL_COUNTS: Duration = Duration::from_secs(300);
/// Until a token that should have been renewed is looked at again.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// What is injected towards a backend.
#[derive(Clone, Debug)]
pub struct UpstreamCredential {
    /// The upstream that issued it.
    pub provider: String,
    /// The access token.
    pub access_token: SecretString,
    /// Until when it need not be asked for again; `None` when the upstream did not say when it ends.
    pub fresh_until: Option<Timestamp>,
}

/// Why there is no usable credential.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CredentialFailure {
    /// The user never logged in to that upstream; an authorization request with this scope makes them.
    #[error("the user has not logged in to the upstream yet")]
    NeverLoggedIn {
        /// The scope.
        scope: String,
    },
    /// The upstream will not renew it: the user has to log in there again.
    #[error("the upstream login has ended; log in again")]
    LoginNeeded {
        /// The scope that makes only that leg run; `None` when it is the first leg.
        scope: Option<String>,
    },
    /// The upstream or the store does not answer; the tokens are kept.
    #[error("the upstream credential cannot be renewed at the moment")]
    Unavailable(#[source] Arc<dyn std::error::Error + Send + Sync>),
}

impl From<StoreError> for CredentialFailure {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(Arc::new(error))
    }
}

type Outcome = Result<UpstreamCredential, CredentialFailure>;

/// The vault.
pub struct Vault {
    shared: Arc<Shared>,
    flights: SingleFlight<(SessionId, String), Outcome>,
}

pub(crate) struct Shared {
    chain: Arc<LoginChain>,
    stores: Stores,
    clock: SharedClock,
    metrics: Arc<Metrics>,
    tasks: TaskTracker,
    unsaved: Unsaved,
}

impl Vault {
    pub(crate) fn new(
        chain: Arc<LoginChain>,
        stores: Stores,
        clock: SharedClock,
        metrics: Arc<Metrics>,
        tasks: TaskTracker,
    ) -> Self {
        let flights = SingleFlight::new(tasks.clone());
        let shared = Shared { chain, stores, clock, metrics, tasks, unsaved: Unsaved::default() };
        Self { shared: Arc::new(shared), flights }
    }

    /// The credential of an upstream for the grant that an access token's `tsid` names; `None` when that upstream gives no
    /// tokens. One that is about to end is renewed meanwhile; one that has ended is renewed first, once for all who wait.
    ///
    /// # Errors
    /// When the user must log in (again), or the upstream or the store does not answer.
    pub async fn credential(
        &self,
        tsid: &str,
        provider: &str,
    ) -> Result<Option<UpstreamCredential>, CredentialFailure> {
        let found = self.present_or_renewed(tsid, provider).await;
        self.noted(tsid, provider, found).await
    }

    async fn present_or_renewed(
        &self,
        tsid: &str,
        provider: &str,
    ) -> Result<Option<UpstreamCredential>, CredentialFailure> {
        let Some((session, entry)) = self.find(tsid, provider).await? else { return Ok(None) };
        let (tokens, now) = (&entry.tokens, self.shared.clock.now());
        if now < renew_at(tokens) {
            return Ok(Some(credential(tokens, now)));
        }
        let usable = !ends_by(tokens, now + TOO_LATE);
        // Nothing to wait for: the present token holds, and the next request finds the renewed one.
        let renewal = self.renew(session, provider, Cause::Ending);
        if usable {
            return Ok(Some(credential(tokens, now)));
        }
        match renewal.await {
            // It still holds for a moment: better used than refused.
            Err(CredentialFailure::Unavailable(_)) if !ends_by(tokens, self.shared.clock.now()) => {
                Ok(Some(credential(tokens, now)))
            }
            outcome => outcome.map(Some),
        }
    }

    /// A credential other than `refused`, which should hold but a backend did not accept: the one that somebody else fetched
    /// meanwhile, or a renewed one.
    ///
    /// # Errors
    /// As for [`Self::credential`].
    pub async fn renewed(
        &self,
        tsid: &str,
        provider: &str,
        refused: impl Fn(&SecretString) -> bool + Send,
    ) -> Result<Option<UpstreamCredential>, CredentialFailure> {
        let Some((session, entry)) = self.find(tsid, provider).await? else { return Ok(None) };
        let (tokens, now) = (&entry.tokens, self.shared.clock.now());
        if !refused(&tokens.access_token) && !ends_by(tokens, now + TOO_LATE) {
            return Ok(Some(credential(tokens, now)));
        }
        if entry.forced_at.is_some_and(|forced_at| now.since(forced_at) < FORCED_REFRESH_INTERVAL) {
            return Ok(Some(credential(tokens, now)));
        }
        let cause = Cause::Refused(tokens.access_token.clone());
        let renewed = self.renew(session, provider, cause).await.map(Some);
        self.noted(tsid, provider, renewed).await
    }

    /// A backend refused even a renewed token: the next login runs that leg again, instead of coming back with the same token.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn refused_anew(
        &self,
        tsid: &str,
        provider: &str,
        refused: impl Fn(&SecretString) -> bool + Send,
    ) -> Result<(), CredentialFailure> {
        let Some((session, _)) = self.find(tsid, provider).await? else { return Ok(()) };
        let (rows, now) = (&self.shared.stores.upstream_tokens, self.shared.clock.now());
        while let Some(row) = rows.load(&session, provider, now).await? {
            if !refused(&row.value.tokens.access_token) {
                return Ok(());
            }
            let entry = VaultEntry { refused_at: Some(now), ..(*row.value).clone() };
            if rows.replace(&session, &row, entry, now).await? {
                break;
            }
        }
        let ended = Err::<(), _>(self.shared.login_needed(provider));
        self.noted(tsid, provider, ended).await.or_else(|failure| match failure {
            CredentialFailure::LoginNeeded { .. } => Ok(()),
            other => Err(other),
        })
    }

    /// Notes with the grant that a login has ended: a client that answers our 401 with its refresh token would come back with
    /// as useless a token, and is to log in instead.
    async fn noted<T>(
        &self,
        tsid: &str,
        provider: &str,
        outcome: Result<T, CredentialFailure>,
    ) -> Result<T, CredentialFailure> {
        if let (Err(CredentialFailure::LoginNeeded { .. }), Some(grant)) = (&outcome, GrantId::parse(tsid)) {
            let now = self.shared.clock.now();
            self.shared.stores.grants.note_ended_login(&grant, provider, now).await?;
        }
        outcome
    }

    /// Whether a session has tokens of an upstream that can be used, so that its leg of a login need not run. An upstream
    /// that does not answer says nothing against them.
    pub(crate) async fn is_usable(&self, session: &SessionId, provider: &str) -> Result<bool, StoreError> {
        let now = self.shared.clock.now();
        let Some(row) = self.shared.stores.upstream_tokens.load(session, provider, now).await? else {
            return Ok(false);
        };
        if row.value.refused_at.is_some_and(|refused_at| now.since(refused_at) < REFUSAL_COUNTS) {
            return Ok(false);
        }
        if !ends_by(&row.value.tokens, now + TOO_LATE) {
            return Ok(true);
        }
        let outcome = self.renew(*session, provider, Cause::Ending).await;
        Ok(!matches!(outcome, Err(CredentialFailure::LoginNeeded { .. })))
    }

    /// Keeps the tokens of a session for as long as a grant that rests on it.
    pub(crate) async fn keep_until(&self, session: &SessionId, until: Timestamp) -> Result<(), StoreError> {
        let (rows, now) = (&self.shared.stores.upstream_tokens, self.shared.clock.now());
        for leg in self.shared.chain.legs() {
            rows.keep_until(session, leg.upstream.name(), until, now).await?;
        }
        Ok(())
    }

    /// Forgets the tokens of a session, and revokes them at their upstreams (RFC 7009) as far as those offer it.
    pub(crate) async fn forget(&self, session: &SessionId) -> Result<(), StoreError> {
        let (rows, now) = (&self.shared.stores.upstream_tokens, self.shared.clock.now());
        for leg in self.shared.chain.legs() {
            let name = leg.upstream.name();
            if let Some(entry) = rows.take(session, name, now).await? {
                self.revoke(entry.tokens.clone());
            }
        }
        Ok(())
    }

    /// Revokes tokens that nobody will use, at their upstream, which nobody waits for.
    pub(crate) fn revoke(&self, tokens: UpstreamTokens) {
        let shared = Arc::clone(&self.shared);
        self.shared.tasks.spawn(async move { shared.revoke(&tokens.provider, &tokens).await });
    }

    /// Tells other replicas that the tokens of a session changed; what they were told.
    pub(crate) async fn tell_others(&self, session: &SessionId) -> Option<Event> {
        self.shared.tell_others(*session).await
    }

    async fn find(
        &self,
        tsid: &str,
        provider: &str,
    ) -> Result<Option<(SessionId, Arc<VaultEntry>)>, CredentialFailure> {
        let Some(leg) = self.shared.chain.leg(provider).filter(|leg| leg.upstream.gives_tokens()) else {
            return Ok(None);
        };
        let now = self.shared.clock.now();
        let ended = || self.shared.login_needed(provider);
        let grant = GrantId::parse(tsid).ok_or_else(ended)?;
        let grant = self.shared.stores.grants.load(&grant, now).await?.ok_or_else(ended)?;
        let session = grant.value.session;
        match self.shared.stores.upstream_tokens.load(&session, provider, now).await? {
            Some(row) => Ok(Some((session, row.value))),
            None if self.shared.chain.is_further(leg.upstream.name()) => {
                Err(CredentialFailure::NeverLoggedIn { scope: step_up_scope(provider) })
            }
            None => Err(ended()),
        }
    }

    /// Starts to renew, or joins those who wait for it already.
    fn renew(
        &self,
        session: SessionId,
        provider: &str,
        cause: Cause,
    ) -> impl Future<Output = Outcome> + Send + use<> {
        let (shared, name) = (Arc::clone(&self.shared), provider.to_owned());
        let flight = self.flights.start((session, name.clone()), || async move {
            Renewal { shared: &shared, session, provider: &name, cause }.run().await
        });
        async move {
            let interrupted =
                || CredentialFailure::Unavailable(Arc::new(std::io::Error::other("interrupted")));
            flight.await.unwrap_or_else(|| Err(interrupted()))
        }
    }
}

impl Shared {
    /// Tells an upstream that tokens are not needed any more. It is nobody's to wait for.
    async fn revoke(&self, provider: &str, tokens: &UpstreamTokens) {
        let Some(leg) = self.chain.leg(provider) else { return };
        if let Err(error) = leg.upstream.revoke(tokens).await {
            tracing::warn!(
                upstream.name = provider,
                error = thv_telemetry::chain(&error),
                "the upstream did not revoke tokens that are not needed any more"
            );
        }
    }

    fn login_needed(&self, provider: &str) -> CredentialFailure {
        let scope = self.chain.is_further(provider).then(|| step_up_scope(provider));
        CredentialFailure::LoginNeeded { scope }
    }
}

/// Whether the access token has ended by `time`.
fn ends_by(tokens: &UpstreamTokens, time: Timestamp) -> bool {
    tokens.expires_at.is_some_and(|expires_at| expires_at <= time)
}

/// When to renew: before the end, so that nobody waits for it.
fn renew_at(tokens: &UpstreamTokens) -> Timestamp {
    let Some(expires_at) = tokens.expires_at else { return Timestamp::from_millis(u64::MAX) };
    let ahead = expires_at.since(tokens.obtained_at) / 5;
    expires_at - ahead.min(AHEAD)
}

fn credential(tokens: &UpstreamTokens, now: Timestamp) -> UpstreamCredential {
    let renew_at = renew_at(tokens);
    // One that is past its renewal is in use because there is no other yet.
    let fresh_until = if now < renew_at { Some(renew_at) } else { Some(now + ASK_AGAIN) };
    UpstreamCredential {
        provider: tokens.provider.clone(),
        access_token: tokens.access_token.clone(),
        fresh_until: fresh_until.filter(|_| tokens.expires_at.is_some()),
    }
}

fn is_same(one: &SecretString, other: &SecretString) -> bool {
    one.expose_secret() == other.expose_secret()
}
