//! `/oauth/continue`: the page between the upstreams of a login, which says how far it has come (U10).

use bytes::Bytes;
use http::{Request, Response};
use thv_jose::digest::sha256;
use thv_oauth::error::ErrorCode;
use thv_oauth::params::Params;
use thv_store::records::PendingAuthorization;

use crate::browser::{BrowserSecret, Cookie};
use crate::chain::{Leg, Requirement, asked_upstream};
use crate::consent::is_cross_site;
use crate::login::{Login, is_away, login_gone};
use crate::pages::{self, ContinuePage, Step, StepState};
use crate::respond::{AuthorizationError, PageError, RedirectError};
use crate::server::AuthServer;

impl AuthServer {
    /// `GET /oauth/continue`: which upstream comes next.
    pub(crate) async fn continue_page(&self, request: &Request<Bytes>) -> Response<Bytes> {
        match self.try_continue_page(request).await {
            Ok(response) => response,
            Err(error) => error.into_response(),
        }
    }

    async fn try_continue_page(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, PageError> {
        let inner = &self.inner;
        let query = request.uri().query().unwrap_or_default();
        let params = Params::parse(query.as_bytes()).map_err(|_| login_gone())?;
        let state = params.one("state").ok().flatten().ok_or_else(login_gone)?;
        let browser = BrowserSecret::sent(Cookie::Flow, request.headers(), inner.settings.secure());
        let browser = browser.ok_or_else(login_gone)?;
        let key = sha256(state.as_bytes());
        let pending = inner.stores.pending.load(&key, &browser.digest(), inner.clock.now()).await?;
        let pending = pending.filter(|pending| !is_away(pending)).ok_or_else(login_gone)?;
        let leg = inner.chain.leg(&pending.upstream).ok_or_else(login_gone)?;
        Ok(pages::continue_login(&self.progress_page(state, leg, &pending)))
    }

    fn progress_page(&self, state: &str, due: &Leg, pending: &PendingAuthorization) -> ContinuePage {
        let inner = &self.inner;
        let progress = pending.progress.as_ref();
        let asked = |leg: &Leg| {
            let mut asked = pending.request.scopes.iter().filter_map(asked_upstream);
            leg.requirement != Requirement::OnDemand || asked.any(|name| name == leg.upstream.name())
        };
        let mut state_now = StepState::Done;
        let steps = inner.chain.legs().filter(|leg| asked(leg)).map(|leg| {
            let name = leg.upstream.name();
            let state = if name == due.upstream.name() {
                state_now = StepState::Later;
                StepState::Next
            } else if progress.is_some_and(|progress| progress.skipped.contains(name)) {
                StepState::Skipped
            } else {
                state_now
            };
            Step { label: leg.label.clone(), state }
        });
        ContinuePage {
            steps: steps.collect(),
            base_path: inner.settings.base_path().to_owned(),
            state: state.to_owned(),
            client_name: pending.request.client.client_name.clone(),
            user: progress
                .map(|progress| &progress.subject)
                .map(|subject| subject.name.clone().unwrap_or_else(|| subject.sub.clone()))
                .unwrap_or_default(),
            label: due.label.clone(),
            may_skip: due.requirement == Requirement::Optional,
            failure: progress.and_then(|progress| progress.failure.clone()),
        }
    }

    /// `POST /oauth/continue`: the user goes on, skips, or gives up.
    pub(crate) async fn continue_decision(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let outcome = self.try_continue_decision(request).await;
        outcome.unwrap_or_else(|error| error.into_response(self.inner.settings.issuer.as_str()))
    }

    async fn try_continue_decision(
        &self,
        request: &Request<Bytes>,
    ) -> Result<Response<Bytes>, AuthorizationError> {
        let headers = request.headers();
        if is_cross_site(headers) {
            return Err(login_gone().into());
        }
        let form = Params::parse(request.body()).map_err(|_| login_gone())?;
        let field = |name| form.one(name).ok().flatten();
        let state = field("state").ok_or_else(login_gone)?;
        let pending = self.take_pending(state, headers).await?;
        if is_away(&pending) {
            return Err(login_gone().into());
        }
        let leg = self.inner.chain.leg(&pending.upstream).ok_or_else(login_gone)?;
        let mut login = Login::of(pending);
        let Some(progress) = &mut login.progress else { return Err(login_gone().into()) };
        match field("decision") {
            Some("connect") => self.send_to_upstream(leg, login, headers).await,
            Some("skip") if leg.requirement == Requirement::Optional => {
                progress.skipped.insert(leg.upstream.name().to_owned());
                progress.failure = None;
                self.advance(login, headers).await
            }
            _ => {
                let description =
                    format!("the user did not log in to the upstream {:?}", leg.upstream.name());
                let error = RedirectError::new(ErrorCode::AccessDenied, "upstream_declined", description);
                Err(AuthorizationError::Redirect(Box::new(login.redirect()), error))
            }
        }
    }
}
