//! Ending a login: at the authorization server, and here.

use std::sync::Arc;

use secrecy::SecretString;
use thv_client::registration;
use thv_client::revocation::{RevocationEndpoint, TokenTypeHint};

use super::work::turn;
use super::{Session, SessionConfig};
use crate::credentials::{Credentials, Grant};
use crate::error::LoginError;

/// What came of a logout. Whatever could not be done there has been forgotten here all the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogoutReport {
    /// Whether there was a login.
    pub was_logged_in: bool,
    /// Why its tokens may still be valid at the server; none when they were revoked.
    pub not_revoked: Option<String>,
    /// Registrations that may still be there, and why.
    pub not_deleted: Vec<String>,
}

impl Session {
    /// Revokes the login's tokens (RFC 7009) and forgets them. With `registrations`, also deletes those (RFC 7592 §2.3) and
    /// forgets them; where the client is known by its metadata document is no secret, and stays (T-6). No browser opens after it
    /// until the user logs in.
    ///
    /// # Errors
    /// When what is kept cannot be read or written.
    pub async fn log_out(&self, registrations: bool) -> Result<LogoutReport, LoginError> {
        let config = &self.0.config;
        let mut work = self.0.work.lock().await;
        let _turn = turn(config).await?;
        work.sync(config).await?;
        let grant = work.credentials.grant.take();
        let mut report = LogoutReport { was_logged_in: grant.is_some(), ..LogoutReport::default() };
        if let Some(grant) = &grant {
            report.not_revoked = work.revoke(config, grant).await.err();
        }
        if registrations {
            report.not_deleted = delete_registrations(config, &work.credentials).await;
            work.credentials.registrations.clear();
        }
        work.credentials.logged_out = true;
        work.save(config).await?;
        self.0.current.store(work.access(config).map(Arc::new));
        self.0.state.send_replace(work.state(config));
        Ok(report)
    }
}

impl super::work::Work {
    /// The refresh token, with which servers revoke everything (RFC 7009 §2.1), and the access token for those that do not.
    pub(super) async fn revoke(&self, config: &SessionConfig, grant: &Grant) -> Result<(), String> {
        let url = grant.revocation_endpoint.clone();
        let url = url.ok_or_else(|| "the authorization server has no revocation endpoint".to_owned())?;
        let client = self.client_of(config, grant);
        let endpoint = RevocationEndpoint::new(config.reach.egress(), url, client);
        let tokens: [(Option<&SecretString>, _); 2] = [
            (grant.refresh_token.as_ref(), TokenTypeHint::RefreshToken),
            (Some(&grant.access_token), TokenTypeHint::AccessToken),
        ];
        for (token, hint) in tokens {
            if let Some(token) = token {
                endpoint.revoke(token, hint).await.map_err(|error| thv_telemetry::chain(&error))?;
            }
        }
        Ok(())
    }
}

async fn delete_registrations(config: &SessionConfig, credentials: &Credentials) -> Vec<String> {
    let mut left = Vec::new();
    for (issuer, stored) in &credentials.registrations {
        let registration = stored.registration();
        // Most servers offer no way to delete one; they expire them by themselves.
        if registration.registration_client_uri.is_none() {
            continue;
        }
        let deleted =
            registration::delete(&config.reach.egress(), &registration, config.reach.allow_http).await;
        if let Err(error) = deleted {
            left.push(format!("{issuer}: {}", thv_telemetry::chain(&error)));
        }
    }
    left
}
