//! The token vault: the upstreams' tokens of a grant, fresh when they are needed.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use thv_clock::{SharedClock, Timestamp};
use thv_store::records::{GrantId, UpstreamTokens};
use thv_store::{StoreError, Stores};
use thv_telemetry::metrics::{Metrics, Outcome};
use tokio_util::task::TaskTracker;

use crate::single_flight::SingleFlight;
use crate::upstream::{Upstream, UpstreamError};

/// A token that ends within this is renewed before it is used: the backend must still accept it when it arrives.
const REFRESH_AHEAD: Duration = Duration::from_secs(30);

/// The upstream's word that a refresh token is void (RFC 6749 §5.2).
const INVALID_GRANT: &str = "invalid_grant";

/// What is injected towards a backend.
#[derive(Clone, Debug)]
pub struct UpstreamCredential {
    /// The upstream that issued it.
    pub provider: String,
    /// The access token.
    pub access_token: SecretString,
    /// When it ends, if the upstream said.
    pub expires_at: Option<Timestamp>,
}

/// Why there is no usable credential.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CredentialFailure {
    /// The upstream will not renew it: the user has to log in again.
    #[error("the upstream login has ended; log in again")]
    LoginNeeded,
    /// The upstream or the store does not answer; the tokens are kept.
    #[error("the upstream credential cannot be renewed at the moment")]
    Unavailable(#[source] Arc<dyn std::error::Error + Send + Sync>),
}

impl From<StoreError> for CredentialFailure {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(Arc::new(error))
    }
}

/// The vault.
pub struct Vault {
    shared: Arc<Shared>,
    flights: SingleFlight<GrantId, Result<UpstreamCredential, CredentialFailure>>,
}

struct Shared {
    upstream: Arc<Upstream>,
    stores: Stores,
    clock: SharedClock,
    metrics: Arc<Metrics>,
}

impl Vault {
    pub(crate) fn new(
        upstream: Arc<Upstream>,
        stores: Stores,
        clock: SharedClock,
        metrics: Arc<Metrics>,
        tasks: TaskTracker,
    ) -> Self {
        let shared = Arc::new(Shared { upstream, stores, clock, metrics });
        Self { shared, flights: SingleFlight::new(tasks) }
    }

    /// The credential of the grant that an access token's `tsid` names; `None` when its upstream gives no tokens. One that
    /// has ended is renewed first, once for all who wait.
    ///
    /// # Errors
    /// When the user must log in again, or the upstream or the store does not answer.
    pub async fn credential(&self, tsid: &str) -> Result<Option<UpstreamCredential>, CredentialFailure> {
        let Some((grant, tokens)) = self.load(tsid).await? else { return Ok(None) };
        let now = self.shared.clock.now();
        let ends = |within: Duration| tokens.expires_at.is_some_and(|expires_at| expires_at <= now + within);
        if !ends(REFRESH_AHEAD) {
            return Ok(Some(credential(&tokens)));
        }
        match self.renew(grant).await {
            // It still holds for a moment: better used than refused.
            Err(CredentialFailure::Unavailable(_)) if !ends(Duration::ZERO) => Ok(Some(credential(&tokens))),
            outcome => outcome.map(Some),
        }
    }

    /// A renewed credential although the present one should hold: a backend refused it.
    ///
    /// # Errors
    /// As for [`Self::credential`].
    pub async fn renewed(&self, tsid: &str) -> Result<Option<UpstreamCredential>, CredentialFailure> {
        match self.load(tsid).await? {
            Some((grant, _)) => self.renew(grant).await.map(Some),
            None => Ok(None),
        }
    }

    /// Forgets the tokens of a grant.
    pub(crate) async fn forget(&self, grant: &GrantId) -> Result<(), StoreError> {
        self.shared.stores.upstream_tokens.delete(grant).await
    }

    async fn load(&self, tsid: &str) -> Result<Option<(GrantId, Arc<UpstreamTokens>)>, CredentialFailure> {
        let Some(grant) = GrantId::parse(tsid) else { return Ok(None) };
        let tokens = self.shared.stores.upstream_tokens.load(&grant, self.shared.clock.now()).await?;
        Ok(tokens.map(|tokens| (grant, tokens)))
    }

    async fn renew(&self, grant: GrantId) -> Result<UpstreamCredential, CredentialFailure> {
        let shared = Arc::clone(&self.shared);
        let flight = self.flights.start(grant, || async move { shared.renew(grant).await });
        let interrupted = || CredentialFailure::Unavailable(Arc::new(std::io::Error::other("interrupted")));
        flight.await.unwrap_or_else(|| Err(interrupted()))
    }
}

impl Shared {
    async fn renew(&self, grant: GrantId) -> Result<UpstreamCredential, CredentialFailure> {
        let now = self.clock.now();
        let tokens =
            self.stores.upstream_tokens.load(&grant, now).await?.ok_or(CredentialFailure::LoginNeeded)?;
        let refresh_token = tokens.refresh_token.as_ref().ok_or(CredentialFailure::LoginNeeded)?;
        // Asked before: once the upstream has rotated its refresh token, nothing should be in the way of keeping it.
        let until = self.until(&grant, now).await?;
        match self.upstream.refresh(refresh_token, &tokens.subject).await {
            Ok(renewed) => {
                // An upstream that does not rotate leaves the refresh token out (RFC 6749 §6).
                let renewed = UpstreamTokens {
                    refresh_token: renewed.refresh_token.or_else(|| tokens.refresh_token.clone()),
                    scopes: renewed.scopes.or_else(|| tokens.scopes.clone()),
                    ..renewed
                };
                self.stores.upstream_tokens.put(grant, renewed.clone(), until, now).await?;
                self.metrics.upstream_refresh(Outcome::Success);
                Ok(credential(&renewed))
            }
            Err(UpstreamError::Refused { error }) => {
                tracing::warn!(
                    upstream.name = tokens.provider,
                    grant.id = %grant,
                    upstream.error = error,
                    "the upstream refused a refresh: login needed"
                );
                self.metrics.upstream_refresh(Outcome::Refused);
                if error == INVALID_GRANT {
                    // It will never do again, and the upstream need not be asked for every request that follows. Any other
                    // refusal is about us and not about the token.
                    let without = UpstreamTokens { refresh_token: None, ..(*tokens).clone() };
                    self.stores.upstream_tokens.put(grant, without, until, now).await?;
                }
                Err(CredentialFailure::LoginNeeded)
            }
            Err(error) => {
                tracing::warn!(
                    upstream.name = tokens.provider,
                    error = thv_telemetry::chain(&error),
                    "upstream refresh failed"
                );
                self.metrics.upstream_refresh(Outcome::Failed);
                Err(CredentialFailure::Unavailable(Arc::new(error)))
            }
        }
    }

    /// Tokens live as long as their grant.
    async fn until(&self, grant: &GrantId, now: Timestamp) -> Result<Timestamp, CredentialFailure> {
        let grant = self.stores.grants.load(grant, now).await?.ok_or(CredentialFailure::LoginNeeded)?;
        Ok(grant.expires_at)
    }
}

fn credential(tokens: &UpstreamTokens) -> UpstreamCredential {
    UpstreamCredential {
        provider: tokens.provider.clone(),
        access_token: tokens.access_token.clone(),
        expires_at: tokens.expires_at,
    }
}
