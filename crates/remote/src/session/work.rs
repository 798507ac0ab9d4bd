//! Meeting a demand for another token, and what is remembered from one time to the next.

use std::sync::Arc;

use thv_clock::Timestamp;
use tokio::sync::watch;

use super::access::{Access, Origin};
use super::decide::Next;
use super::pace::Pace;
use super::state::AuthState;
use super::{Demand, SessionConfig, SharedLoginError};
use crate::credentials::{Credentials, Grant, IdentityKind, Turn};
use crate::error::LoginError;
use crate::ui::Progress;

/// A renewal that is known here alone.
struct Unsaved {
    /// The tokens before it.
    replaced: Option<Grant>,
}

/// What renewals know of each other.
pub(super) struct Work {
    pub(super) credentials: Credentials,
    /// Set when the last renewal could not be written: the tokens that it replaced. As long as these are what is kept, what
    /// is known here is newer.
    unsaved: Option<Unsaved>,
    failure: Option<SharedLoginError>,
    pub(super) pace: Pace,
}

impl Work {
    pub(super) async fn load(config: &SessionConfig) -> Result<Self, LoginError> {
        let credentials = load(config).await?;
        Ok(Self { credentials, unsaved: None, failure: None, pace: Pace::default() })
    }

    /// Starts afresh with what is kept, unless that is older than what is known here.
    pub(super) async fn reload(&mut self, config: &SessionConfig) -> Result<(), LoginError> {
        let _turn = turn(config).await?;
        self.sync(config).await?;
        (self.failure, self.pace) = (None, Pace::default());
        Ok(())
    }

    pub(super) fn last_failure(&self) -> Option<SharedLoginError> {
        self.failure.clone()
    }

    pub(super) fn forget_failure(&mut self) {
        self.failure = None;
    }

    /// What is there without asking anybody. Tokens that must be exchanged first are not.
    pub(super) fn access(&self, config: &SessionConfig) -> Option<Access> {
        if let Some(token) = &config.bearer_token {
            let name = http::header::AUTHORIZATION;
            return Access::bearer(name, token, config.clock.now(), None, Origin::Configured).ok();
        }
        let grant = self.usable_grant(config)?;
        let expires_at = match &config.token_exchange {
            // Kept tokens are the login's; the exchanged one has to be fetched anew.
            Some(_) => Some(Timestamp::EPOCH),
            None => grant.expires_at,
        };
        let name = http::header::AUTHORIZATION;
        Access::bearer(name, &grant.access_token, grant.issued_at, expires_at, Origin::Kept).ok()
    }

    /// The kept grant, unless it is another client's than the one that is configured now, or for another server.
    pub(super) fn usable_grant(&self, config: &SessionConfig) -> Option<&Grant> {
        let settings = &config.settings;
        let is_ours = |grant: &&Grant| match &settings.client_id {
            Some(client_id) => *client_id == grant.client_id,
            None => grant.identity != IdentityKind::Preregistered,
        };
        // A resource that the user named may be any; one that was discovered is this server.
        let is_for_it = |grant: &&Grant| settings.resource.is_some() || grant.is_for(&config.server_url);
        self.credentials.grant.as_ref().filter(is_ours).filter(is_for_it)
    }

    pub(super) fn state(&self, config: &SessionConfig) -> AuthState {
        match (&self.failure, self.usable_grant(config)) {
            (Some(failure), _) if failure.is_temporary() => AuthState::Retrying,
            (Some(_), _) => AuthState::Unauthenticated,
            (None, Some(grant)) if grant.is_of_use(config.clock.now()) => AuthState::Authenticated,
            (None, Some(_)) => AuthState::Unauthenticated,
            (None, None) if self.credentials.logged_out => AuthState::Unauthenticated,
            (None, None) if config.bearer_token.is_some() => AuthState::Authenticated,
            (None, None) => AuthState::NotNeeded,
        }
    }

    /// Meets a demand, and remembers how that went.
    pub(super) async fn perform(
        &mut self,
        config: &SessionConfig,
        demand: Demand,
        used: Option<&Access>,
        state: &watch::Sender<AuthState>,
    ) -> Result<Access, SharedLoginError> {
        let outcome = self.meet(config, demand, used, state).await;
        config.ui.show(Progress::Done);
        let error = match outcome {
            Ok(access) => {
                self.failure = None;
                return Ok(access);
            }
            Err(error) => Arc::new(error),
        };
        match &*error {
            LoginError::BackingOff { source, .. } => self.failure = Some(Arc::clone(source)),
            // The login is as good as before.
            LoginError::ScopeRefused { .. } => {}
            _ => {
                tracing::info!(server = config.server_url, error = thv_telemetry::chain(&*error), "no login");
                self.failure = Some(Arc::clone(&error));
            }
        }
        Err(error)
    }

    async fn meet(
        &mut self,
        config: &SessionConfig,
        demand: Demand,
        used: Option<&Access>,
        state: &watch::Sender<AuthState>,
    ) -> Result<Access, LoginError> {
        if config.bearer_token.is_some() {
            return Err(match demand {
                Demand::Login => LoginError::BearerConfigured,
                _ => LoginError::BearerRefused,
            });
        }
        config.reach.settle().await;
        let turn = turn(config).await?;
        let explicit = matches!(demand, Demand::Login);
        let next = match self.sync(config).await? {
            // Another process of this workload has renewed it.
            true if !explicit => Next::Use(Origin::Kept),
            _ => self.decide(config, demand, used).await?,
        };
        // Nobody else is to wait for this user.
        drop(turn);
        let origin = match next {
            Next::Use(origin) => origin,
            Next::LogIn(plan) => {
                self.log_in(config, *plan, state).await?;
                Origin::LoggedIn
            }
        };
        self.adopt(config, origin).await
    }

    /// Reads what is kept again; whether it holds other, usable tokens than those known here.
    pub(super) async fn sync(&mut self, config: &SessionConfig) -> Result<bool, LoginError> {
        let kept = load(config).await?;
        if let Some(Unsaved { replaced }) = self.unsaved.take()
            && is_still_kept(replaced.as_ref(), &kept)
        {
            if self.save(config).await.is_err() {
                self.unsaved = Some(Unsaved { replaced });
            }
            return Ok(false);
        }
        let old = std::mem::replace(&mut self.credentials, kept);
        let fresh = self.usable_grant(config).filter(|grant| grant.is_fresh(config.clock.now()));
        Ok(match (fresh, &old.grant) {
            (Some(new), Some(old)) => !new.same_tokens(old),
            (Some(_), None) => true,
            (None, _) => false,
        })
    }

    /// Makes the grant's token, or what it is exchanged for, ready to be sent.
    async fn adopt(&self, config: &SessionConfig, origin: Origin) -> Result<Access, LoginError> {
        let grant = self.usable_grant(config).ok_or(LoginError::Interrupted)?;
        let unusable = |_| LoginError::TokenRefused { issuer: grant.issuer.clone() };
        let Some((exchange, secret)) = &config.token_exchange else {
            let name = http::header::AUTHORIZATION;
            return Access::bearer(name, &grant.access_token, grant.issued_at, grant.expires_at, origin)
                .map_err(unusable);
        };
        let subject = exchange.subject_of(grant).ok_or(LoginError::NoIdToken)?;
        let exchanged = exchange.exchange(&config.reach, secret.as_ref(), subject).await;
        let exchanged =
            exchanged.map_err(|source| LoginError::Exchange { url: exchange.url.clone(), source })?;
        let now = config.clock.now();
        // It is of no use beyond the login's token, which says when that is renewed.
        let own = exchanged.expires_in.map(|life| now + life);
        let expires_at = match (own, grant.expires_at) {
            (Some(own), Some(login)) => Some(own.min(login)),
            (one, other) => one.or(other),
        };
        Access::bearer(exchange.header_name(), &exchanged.access_token, now, expires_at, origin)
            .map_err(unusable)
    }

    pub(super) async fn save(&self, config: &SessionConfig) -> Result<(), LoginError> {
        let saved = config.keep.save(&self.credentials).await;
        saved.map_err(|source| LoginError::Keep { done: "written", source })
    }

    /// Writes tokens that only exist here. Where that fails they are used all the same, and written the next time: the old ones
    /// are of no use any more.
    pub(super) async fn save_renewed(&mut self, config: &SessionConfig, replaced: Option<Grant>) {
        // Of several renewals in a row, the first one's old tokens are what is kept.
        let replaced = self.unsaved.take().map_or(replaced, |unsaved| unsaved.replaced);
        if let Err(error) = self.save(config).await {
            let error = thv_telemetry::chain(&error);
            tracing::warn!(server = config.server_url, error, "renewed tokens are not kept yet");
            self.unsaved = Some(Unsaved { replaced });
        }
    }
}

/// Whether what is kept still has the tokens that a renewal has replaced: then nobody has logged in or out since.
fn is_still_kept(replaced: Option<&Grant>, kept: &Credentials) -> bool {
    match (replaced, &kept.grant) {
        (Some(replaced), Some(kept)) => kept.same_tokens(replaced),
        (None, None) => true,
        _ => false,
    }
}

pub(super) async fn load(config: &SessionConfig) -> Result<Credentials, LoginError> {
    config.keep.load().await.map_err(|source| LoginError::Keep { done: "read", source })
}

pub(super) async fn turn(config: &SessionConfig) -> Result<Turn, LoginError> {
    config.keep.turn().await.map_err(|source| LoginError::Keep { done: "locked", source })
}
