//! A login, and what is kept of it.

use tokio::sync::watch;

use super::SessionConfig;
use super::decide::Plan;
use super::state::AuthState;
use super::work::{Work, load, turn};
use crate::credentials::{Grant, IdentityKind};
use crate::error::LoginError;
use crate::login::{LoggedIn, Login};

impl Work {
    /// Has the user log in.
    pub(super) async fn log_in(
        &mut self,
        config: &SessionConfig,
        plan: Plan,
        state: &watch::Sender<AuthState>,
    ) -> Result<(), LoginError> {
        state.send_if_modified(|state| std::mem::replace(state, AuthState::Retrying) != AuthState::Retrying);
        let login = Login {
            server: &config.server_url,
            settings: &config.settings,
            client_secret: config.client_secret.as_ref(),
            reach: &config.reach,
            clock: &config.clock,
            ui: &*config.ui,
            keep: &*config.keep,
            shared: &config.shared,
        };
        let was_logged_out = self.credentials.logged_out;
        let outcome = login.run(&plan.found, &plan.scope, &mut self.credentials).await;
        let achieved = outcome.is_ok().then(|| plan.purpose());
        self.pace.ended(config.clock.now(), achieved);
        let LoggedIn { grant, turn } = outcome?;
        let kept = self.keep_grant(config, grant, was_logged_out).await;
        drop(turn);
        kept
    }

    async fn keep_grant(
        &mut self,
        config: &SessionConfig,
        grant: Grant,
        was_logged_out: bool,
    ) -> Result<(), LoginError> {
        let _turn = turn(config).await?;
        self.credentials = load(config).await?;
        if self.credentials.logged_out && !was_logged_out {
            // The user has logged out while the browser was open: that was meant for this login, too.
            let _ = self.revoke(config, &grant).await;
            return Err(LoginError::LoggedOut);
        }
        if grant.identity == IdentityKind::MetadataDocument {
            self.credentials.metadata_documents.insert(grant.issuer.clone(), grant.client_id.clone());
        }
        tracing::info!(
            issuer = grant.issuer,
            client.id = grant.client_id,
            "logged in ({})",
            grant.identity.describe()
        );
        self.credentials.grant = Some(grant);
        self.credentials.logged_out = false;
        self.save(config).await
    }
}
