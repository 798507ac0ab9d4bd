//! What meets a demand, with the least trouble to the user: what is kept, a refresh token, a login.

use thv_oauth::received_challenge::ReceivedChallenge;

use super::access::{Access, Origin};
use super::pace::Purpose;

use super::renewal::Refreshed;
use super::work::Work;
use super::{Demand, SessionConfig};
use crate::credentials::IdentityKind;
use crate::discovery::{Discovery, Found, Source};
use crate::error::LoginError;
use crate::probe;
use crate::scope::union;
use crate::ui::Progress;

/// What is to be done.
pub(super) enum Next {
    /// What is kept now will do.
    Use(Origin),
    /// The user has to log in.
    LogIn(Box<Plan>),
}

/// A login that is to be.
pub(super) struct Plan {
    pub(super) found: Found,
    pub(super) scope: String,
}

impl Plan {
    pub(super) fn purpose(&self) -> Purpose {
        Purpose { issuer: self.found.server.issuer.clone(), scope: self.scope.clone() }
    }
}

impl Work {
    /// Decides, and renews where that will do.
    pub(super) async fn decide(
        &mut self,
        config: &SessionConfig,
        demand: Demand,
        used: Option<&Access>,
    ) -> Result<Next, LoginError> {
        let is_login = matches!(demand, Demand::Login);
        if self.credentials.logged_out && self.credentials.grant.is_none() && !is_login {
            return Err(LoginError::LoggedOut);
        }
        match demand {
            Demand::Expired => self.renew(config).await,
            Demand::RenewQuietly => self.renew_quietly(config).await,
            Demand::Unauthorized(challenge) => self.unauthorized(config, challenge, used).await,
            Demand::InsufficientScope(challenge) => self.step_up(config, &challenge).await,
            Demand::Login => {
                let challenge =
                    probe::challenge(&config.reach.egress(), &config.server_url, config.headers.clone())
                        .await;
                let found = self.discover(config, challenge.as_ref(), true).await?;
                let scope = self.wanted_scope(config, &found, challenge.as_ref());
                self.plan(config, found, scope, true)
            }
        }
    }

    /// The token has come to its end.
    async fn renew(&mut self, config: &SessionConfig) -> Result<Next, LoginError> {
        if self.only_exchanged_expired(config) {
            return Ok(Next::Use(Origin::Kept));
        }
        match self.refresh(config).await? {
            Refreshed::Renewed => return Ok(Next::Use(Origin::Renewed)),
            Refreshed::Replaced => return Ok(Next::Use(Origin::Kept)),
            Refreshed::No => {}
        }
        let expired = self.usable_grant(config).and_then(|grant| Some((grant.issued_at, grant.expires_at?)));
        if let Some((issued_at, expires_at)) = expired {
            self.pace.served(expires_at.since(issued_at));
        }
        config.ui.show(Progress::Step("looking for the authorization server"));
        // The server's challenge may be the only place that names its metadata.
        let challenge =
            probe::challenge(&config.reach.egress(), &config.server_url, config.headers.clone()).await;
        let found = self.discover(config, challenge.as_ref(), false).await?;
        let scope = self.wanted_scope(config, &found, challenge.as_ref());
        self.plan(config, found, scope, false)
    }

    async fn renew_quietly(&mut self, config: &SessionConfig) -> Result<Next, LoginError> {
        if self.only_exchanged_expired(config) {
            return Ok(Next::Use(Origin::Kept));
        }
        match self.refresh(config).await? {
            Refreshed::Renewed => Ok(Next::Use(Origin::Renewed)),
            Refreshed::Replaced => Ok(Next::Use(Origin::Kept)),
            Refreshed::No => {
                let issuer = self.usable_grant(config).map(|grant| grant.issuer.clone());
                Err(LoginError::Ended { issuer: issuer.unwrap_or_default() })
            }
        }
    }

    /// Whether the login's own token is good for longer, so that exchanging it once more is enough.
    fn only_exchanged_expired(&self, config: &SessionConfig) -> bool {
        let now = config.clock.now();
        let grant = self.usable_grant(config).filter(|_| config.token_exchange.is_some());
        grant.is_some_and(|grant| grant.is_fresh(now) && !grant.is_due(now))
    }

    /// The server wants a (better) token.
    async fn unauthorized(
        &mut self,
        config: &SessionConfig,
        challenge: Option<ReceivedChallenge>,
        used: Option<&Access>,
    ) -> Result<Next, LoginError> {
        config.ui.show(Progress::Step("looking for the authorization server"));
        let found = self.discover(config, challenge.as_ref(), false).await?;
        let unproven = used.filter(|used| !used.is_proven()).map(|used| used.origin);
        let same_server = self.usable_grant(config).is_some_and(|grant| grant.issuer == found.server.issuer);
        if same_server && unproven == Some(Origin::LoggedIn) {
            // One more login would bring one more such token.
            return Err(LoginError::TokenRefused { issuer: found.server.issuer.clone() });
        }
        if same_server && unproven != Some(Origin::Renewed) {
            match self.refresh(config).await? {
                Refreshed::Renewed => return Ok(Next::Use(Origin::Renewed)),
                Refreshed::Replaced => return Ok(Next::Use(Origin::Kept)),
                Refreshed::No => {}
            }
        }
        let scope = self.wanted_scope(config, &found, challenge.as_ref());
        self.plan(config, found, scope, false)
    }

    /// The server wants more scope than the token has (CL-49).
    async fn step_up(
        &mut self,
        config: &SessionConfig,
        challenge: &ReceivedChallenge,
    ) -> Result<Next, LoginError> {
        let wanted = challenge.scope().unwrap_or_default().to_owned();
        let requested =
            self.usable_grant(config).map(|grant| grant.requested_scope.clone()).unwrap_or_default();
        let scope = union(&requested, &wanted);
        if scope == requested {
            return Err(LoginError::ScopeRefused { scope: wanted });
        }
        let found = self.discover(config, Some(challenge), false).await?;
        self.plan(config, found, scope, false)
    }

    /// The scope to log in with: never less than the last login had at the same server.
    fn wanted_scope(
        &self,
        config: &SessionConfig,
        found: &Found,
        challenge: Option<&ReceivedChallenge>,
    ) -> String {
        let scope = found.scope(&config.settings, challenge);
        let last = self.usable_grant(config).filter(|grant| grant.issuer == found.server.issuer);
        match last {
            Some(last) if config.settings.scopes.is_empty() => union(&scope, &last.requested_scope),
            _ => scope,
        }
    }

    async fn discover(
        &self,
        config: &SessionConfig,
        challenge: Option<&ReceivedChallenge>,
        explicit: bool,
    ) -> Result<Found, LoginError> {
        let logged_in = self.usable_grant(config).map(|grant| grant.issuer.as_str());
        let discovery = Discovery {
            server_url: &config.server_url,
            settings: &config.settings,
            reach: &config.reach,
            clock: &config.clock,
            logged_in: logged_in.filter(|_| !explicit),
            known: logged_in.into_iter().chain(self.credentials.known_at()).collect(),
        };
        let server = || config.server_url.clone();
        discovery.run(challenge).await.map_err(|source| LoginError::Discovery { server: server(), source })
    }

    /// A login at the server that was found, if one may begin now.
    fn plan(
        &self,
        config: &SessionConfig,
        found: Found,
        scope: String,
        explicit: bool,
    ) -> Result<Next, LoginError> {
        self.check_preregistration(config, &found)?;
        let plan = Plan { found, scope };
        if !explicit {
            self.check_pause(config, &plan)?;
        }
        Ok(Next::LogIn(Box::new(plan)))
    }

    /// A client that was registered by hand is known at one server. Another one that the resource names instead must not see
    /// it, nor its secret (CL-28): only the user can say that both are meant.
    fn check_preregistration(&self, config: &SessionConfig, found: &Found) -> Result<(), LoginError> {
        let user_named_it = matches!(found.source, Source::Issuer | Source::Endpoints);
        let grant = self.usable_grant(config).filter(|grant| grant.identity == IdentityKind::Preregistered);
        match grant {
            Some(grant) if !user_named_it && grant.issuer != found.server.issuer => {
                Err(LoginError::OtherServer {
                    client_id: grant.client_id.clone(),
                    registered_at: grant.issuer.clone(),
                    named: found.server.issuer.clone(),
                })
            }
            _ => Ok(()),
        }
    }

    /// Browsers do not open one after the other: a login that does not help is for the user to begin.
    fn check_pause(&self, config: &SessionConfig, plan: &Plan) -> Result<(), LoginError> {
        if self.credentials.logged_out {
            return Err(LoginError::LoggedOut);
        }
        let wait = self.pace.wait(config.clock.now(), &plan.purpose());
        if wait.is_zero() {
            return Ok(());
        }
        let refused = || LoginError::TokenRefused { issuer: plan.found.server.issuer.clone() }.into();
        Err(LoginError::BackingOff { wait, source: self.last_failure().unwrap_or_else(refused) })
    }
}
