//! The user's part: a browser, or a URL that they paste.

use std::time::Duration;

use thv_client::authorization_response::ResponseError;
use tokio::time::{Instant, interval, sleep_until, timeout};

use super::request::Asked;
use super::{Ended, LoggedIn, Login};
use crate::callback::{Callback, Delivery, Outcome};
use crate::credentials::{Credentials, Grant, Turn};
use crate::discovery::Found;
use crate::error::LoginError;
use crate::scope::covers;
use crate::ui::{Input, Progress};

/// After which time a wait for another login is mentioned.
const MENTION: Duration = Duration::from_millis(300);

impl Login<'_> {
    /// Opens the browser when it is this login's turn, unless another one has made it unnecessary by then.
    pub(super) async fn by_user(
        &self,
        callback: &mut Callback,
        found: &Found,
        asked: &Asked,
        url: &str,
        known: &Credentials,
    ) -> Result<LoggedIn, Ended> {
        let turn = self.browser_turn().await?;
        let grant = match self.done_by_another(found, asked, known).await? {
            Some(grant) => grant,
            None => self.wait_for_user(callback, found, asked, url).await?,
        };
        Ok(LoggedIn { grant, turn: Some(turn) })
    }

    async fn browser_turn(&self) -> Result<Turn, LoginError> {
        let mut turn = self.keep.browser_turn();
        let turn = match timeout(MENTION, &mut turn).await {
            Ok(turn) => turn,
            Err(_) => {
                let note = "another login at this server is under way: waiting for it to end";
                self.ui.show(Progress::Note(note));
                turn.await
            }
        };
        turn.map_err(|source| LoginError::Keep { done: "locked", source })
    }

    /// The grant that another process of this workload has got in the meantime, if it will do.
    async fn done_by_another(
        &self,
        found: &Found,
        asked: &Asked,
        known: &Credentials,
    ) -> Result<Option<Grant>, LoginError> {
        let kept = self.keep.load().await;
        let kept = kept.map_err(|source| LoginError::Keep { done: "read", source })?;
        let is_new = |grant: &Grant| known.grant.as_ref().is_none_or(|known| !known.same_tokens(grant));
        Ok(kept.grant.filter(|grant| {
            is_new(grant)
                && grant.is_fresh(self.clock.now())
                && grant.issuer == found.server.issuer
                && covers(&grant.requested_scope, &asked.scope)
        }))
    }

    /// Opens the browser and waits for what it brings, or for what the user pastes.
    async fn wait_for_user(
        &self,
        callback: &mut Callback,
        found: &Found,
        asked: &Asked,
        url: &str,
    ) -> Result<Grant, Ended> {
        let within = self.settings.login_timeout();
        let open = || !self.settings.skip_browser && self.ui.open_browser(url);
        let opened = open();
        if !opened && !self.ui.is_attended() {
            return Err(LoginError::Unattended.into());
        }
        self.ui.show(Progress::LogIn { url, opened, within });
        let deadline = Instant::now() + within;
        let mut tick = interval(Duration::from_secs(1));
        // Asked for once: a terminal must not lose what was typed so far.
        let mut input = self.ui.input();
        loop {
            tokio::select! {
                delivery = callback.next() => {
                    let Some(delivery) = delivery else { return Err(self.port_taken(callback.port()).into()) };
                    if let Some(outcome) = self.delivered(delivery, found, asked).await {
                        return outcome;
                    }
                }
                said = &mut input => {
                    match said {
                        Input::Again => {
                            open();
                        }
                        Input::CallbackUrl(pasted) => {
                            if let Some(outcome) = self.pasted(&pasted, found, asked).await {
                                return outcome;
                            }
                        }
                    }
                    input = self.ui.input();
                }
                _ = tick.tick() => {
                    self.ui.show(Progress::Remaining(deadline.saturating_duration_since(Instant::now())));
                }
                () = sleep_until(deadline) => return Err(LoginError::TimedOut { after: within }.into()),
            }
        }
    }

    /// What came of a response that the browser brought; `None` to go on waiting. The browser is told.
    async fn delivered(
        &self,
        delivery: Delivery,
        found: &Found,
        asked: &Asked,
    ) -> Option<Result<Grant, Ended>> {
        let outcome = self.redeem(found, asked, &delivery.query).await;
        let is_foreign = matches!(&outcome, Err(Ended::Failed(LoginError::Response(ResponseError::State))));
        let shown = match &outcome {
            Ok(_) => Outcome::LoggedIn(self.server.to_owned()),
            Err(_) if is_foreign => Outcome::Unexpected,
            Err(Ended::Failed(error)) => Outcome::Failed(thv_telemetry::chain(error)),
            Err(Ended::ScopeRefused(error)) => Outcome::Failed(error.to_string()),
            Err(Ended::ClientRefused(_) | Ended::PortRefused { .. }) => Outcome::Failed(
                "The authorization server does not accept this client as it is known there. The login starts again in another way.".to_owned(),
            ),
        };
        delivery.answer(shown).await;
        (!is_foreign).then_some(outcome)
    }

    /// What came of a URL that the user pasted; `None` to go on waiting, since it may have been the wrong one.
    async fn pasted(&self, url: &str, found: &Found, asked: &Asked) -> Option<Result<Grant, Ended>> {
        let url = url.trim();
        let Some((_, query)) = url.split_once('?').filter(|_| url.starts_with("http")) else {
            let note = "that is not the address of the page at which the browser ended: copy all of it";
            self.ui.show(Progress::Note(note));
            return None;
        };
        let query = query.split('#').next().unwrap_or_default();
        let outcome = self.redeem(found, asked, query).await;
        match &outcome {
            Err(Ended::Failed(LoginError::Response(error)))
                if !matches!(error, ResponseError::Refused { .. }) =>
            {
                let note = format!("that URL does not belong to this login: {error}");
                self.ui.show(Progress::Note(&note));
                None
            }
            _ => Some(outcome),
        }
    }
}
