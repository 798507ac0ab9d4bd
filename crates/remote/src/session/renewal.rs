//! Refresh tokens (RFC 6749 §6), and looking ahead.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use thv_client::client_authentication::{AuthMethodChoice, ClientCredentials};
use thv_client::preflight::is_about_client;
use thv_client::token_request::{TokenEndpoint, TokenRequestError};
use thv_client::token_response::TokenResponseShape;
use thv_clock::Timestamp;
use thv_jose::random;
use thv_oauth::auth_method::AuthMethod;

use super::work::{Work, load};
use super::{Access, Demand, Session, SessionConfig};
use crate::credentials::{Grant, IdentityKind, public_client};
use crate::error::LoginError;
use crate::registration::{Standing, renew};

/// The error code for a refresh token that is none any more (RFC 6749 §5.2).
const INVALID_GRANT: &str = "invalid_grant";

/// How often a refresh token is sent, each time another one: whoever writes holds the turn, but a workload of an older version
/// may not, and renews in the meantime.
const ATTEMPTS: usize = 2;
/// How often the time is looked at: a laptop may have slept.
const LOOK: Duration = Duration::from_secs(30);
/// Pauses after failures of a server that is out of reach.
const FIRST_RETRY: Duration = Duration::from_secs(10);
const LAST_RETRY: Duration = Duration::from_secs(10 * 60);

/// What came of a refresh token.
pub(super) enum Refreshed {
    /// New tokens. They are saved before they are used.
    Renewed,
    /// Another process has renewed them.
    Replaced,
    /// There is none, or it is of no use: only a login helps.
    No,
}

impl Work {
    /// Renews the grant, if that can be done without the user.
    ///
    /// # Errors
    /// When the server is out of reach, so that nothing is known.
    pub(super) async fn refresh(&mut self, config: &SessionConfig) -> Result<Refreshed, LoginError> {
        self.renew_registration(config).await;
        for _ in 0..ATTEMPTS {
            let Some(grant) = self.usable_grant(config).cloned() else { break };
            let Some(refresh_token) = grant.refresh_token.clone() else { break };
            let Err(error) = self.redeem(config, &grant, &refresh_token).await? else {
                return Ok(Refreshed::Renewed);
            };
            tracing::info!(issuer = grant.issuer, error, "the refresh token was refused");
            self.credentials = load(config).await?;
            let kept = self.usable_grant(config).filter(|kept| !kept.same_tokens(&grant));
            match kept.map(|kept| kept.is_fresh(config.clock.now())) {
                Some(true) => return Ok(Refreshed::Replaced),
                // Others have renewed it, and that was long ago.
                Some(false) => {}
                None => {
                    self.give_up(config, &grant, &error).await?;
                    break;
                }
            }
        }
        Ok(Refreshed::No)
    }

    /// Sends a refresh token; inside is the error code if it was refused.
    async fn redeem(
        &mut self,
        config: &SessionConfig,
        grant: &Grant,
        refresh_token: &SecretString,
    ) -> Result<Result<(), String>, LoginError> {
        let endpoint = TokenEndpoint::new(
            config.reach.egress(),
            grant.token_endpoint.clone(),
            self.client_of(config, grant),
            TokenResponseShape::Lenient,
        );
        let resource = grant.resource.as_deref().map(|resource| ("resource", resource));
        let extra: Vec<_> = resource.into_iter().collect();
        let tokens = match endpoint.refresh(refresh_token, None, &extra).await {
            Ok(tokens) => tokens,
            Err(TokenRequestError::Refused { error }) => return Ok(Err(error)),
            Err(error) => return Err(LoginError::Token(error)),
        };
        let now = config.clock.now();
        self.credentials.grant = Some(Grant {
            access_token: tokens.access_token,
            issued_at: now,
            expires_at: tokens.expires_in.map(|lifetime| now + lifetime),
            refresh_token: tokens.refresh_token.or(grant.refresh_token.clone()),
            id_token: tokens.id_token.or(grant.id_token.clone()),
            scope: tokens.scope.or(grant.scope.clone()),
            ..grant.clone()
        });
        self.save_renewed(config, Some(grant.clone())).await;
        Ok(Ok(()))
    }

    /// Forgets a refresh token that is of no use any more, or the client if that is what was refused. Anything else that is
    /// wrong with the request does not make the token a bad one.
    async fn give_up(
        &mut self,
        config: &SessionConfig,
        refused: &Grant,
        error: &str,
    ) -> Result<(), LoginError> {
        let about_client = is_about_client(error);
        if error != INVALID_GRANT && !about_client {
            return Ok(());
        }
        if let Some(grant) = self.credentials.grant.as_mut() {
            grant.refresh_token = None;
        }
        if about_client && refused.identity == IdentityKind::Registered {
            let registrations = &mut self.credentials.registrations;
            if registrations.get(&refused.issuer).is_some_and(|known| known.client_id == refused.client_id) {
                registrations.remove(&refused.issuer);
            }
        }
        self.save(config).await
    }

    /// Renews the secret of the client that the grant was issued to, where it is about to expire (R10).
    async fn renew_registration(&mut self, config: &SessionConfig) {
        let grant = self.usable_grant(config).filter(|grant| grant.identity == IdentityKind::Registered);
        let Some(issuer) = grant.map(|grant| grant.issuer.clone()) else { return };
        let Some(stored) = self.credentials.registrations.get(&issuer) else { return };
        if let Standing::Renewed(renewed) = renew(&config.reach, &config.clock, stored).await {
            self.credentials.registrations.insert(issuer, renewed);
            let kept = self.credentials.grant.clone();
            self.save_renewed(config, kept).await;
        }
    }

    /// The client that a grant was issued to. A metadata document's URL is used as it was then (T-6).
    pub(super) fn client_of(&self, config: &SessionConfig, grant: &Grant) -> ClientCredentials {
        let registered = self.credentials.registrations.get(&grant.issuer);
        match (grant.identity, registered) {
            (IdentityKind::Registered, Some(stored)) if stored.client_id == grant.client_id => {
                stored.registration().credentials(None)
            }
            (IdentityKind::Preregistered, _) if config.client_secret.is_some() => ClientCredentials {
                client_id: grant.client_id.clone(),
                secret: config.client_secret.clone(),
                assertion: None,
                method: match grant.method {
                    AuthMethod::ClientSecretPost => AuthMethodChoice::ClientSecretPost,
                    // It may be that nobody said, and that the server was found to want it otherwise.
                    _ => AuthMethodChoice::Unknown,
                },
            },
            _ => public_client(&grant.client_id),
        }
    }
}

impl Session {
    /// Renews the token ahead of its end, for ever. A server that is out of reach is asked again, less and less often; a
    /// login that has ended is left to the next request, since only somebody who is there can log in.
    pub async fn keep_fresh(&self) {
        let mut failures = 0_u32;
        let mut not_before = Timestamp::EPOCH;
        loop {
            let (clock, current) = (&self.0.config.clock, self.0.current.load_full());
            let now = clock.now();
            let renew_at = current.as_ref().and_then(|access| access.renew_at());
            let renewable = renew_at.is_some() && self.is_renewable().await;
            let due = renew_at.filter(|_| renewable).map(|at| at.max(not_before));
            match due {
                Some(at) if at <= now => match self.renew_quietly(current.as_ref()).await {
                    Ok(()) => failures = 0,
                    Err(()) => {
                        failures = failures.saturating_add(1);
                        not_before = clock.now() + retry_pause(failures);
                    }
                },
                Some(at) => tokio::time::sleep(at.since(now).min(LOOK)).await,
                None => tokio::time::sleep(LOOK).await,
            }
        }
    }

    async fn is_renewable(&self) -> bool {
        let work = self.0.work.lock().await;
        work.credentials.grant.as_ref().is_some_and(|grant| grant.refresh_token.is_some())
    }

    /// Renews without ever asking the user.
    async fn renew_quietly(&self, current: Option<&Arc<Access>>) -> Result<(), ()> {
        self.obtain(Demand::RenewQuietly, current).await.map(drop).map_err(drop)
    }
}

fn retry_pause(failures: u32) -> Duration {
    let doubled = FIRST_RETRY.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1).min(16)));
    let [byte] = random::bytes::<1>();
    doubled.min(LAST_RETRY).mul_f64(1.0 + f64::from(byte) / 512.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_out_of_reach_is_asked_less_and_less_often() {
        for (failures, seconds) in [(1, 10), (2, 20), (3, 40), (7, 600), (50, 600)] {
            let (least, pause) = (Duration::from_secs(seconds), retry_pause(failures));
            assert!(pause >= least && pause < least * 3 / 2, "{failures}: {pause:?}");
        }
    }
}
