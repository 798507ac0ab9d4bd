//! `GET /oauth/callback`: an upstream's answer.

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use thv_oauth::error::ErrorCode;
use thv_oauth::params::Params;
use thv_store::records::PendingAuthorization;

use crate::chain::Leg;
use crate::login::{Login, is_away, login_gone};
use crate::respond::{AuthorizationError, PageError, RedirectError};
use crate::server::AuthServer;
use crate::upstream::{UpstreamError, UpstreamLogin};

impl AuthServer {
    pub(crate) async fn callback(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let outcome = self.try_callback(request).await;
        outcome.unwrap_or_else(|error| error.into_response(self.inner.settings.issuer.as_str()))
    }

    async fn try_callback(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, AuthorizationError> {
        let query = request.uri().query().unwrap_or_default();
        let params = Params::parse(query.as_bytes()).map_err(|_| malformed_callback())?;
        let one = |name| params.one(name).map_err(|_| malformed_callback());
        let state = one("state")?.ok_or_else(malformed_callback)?;
        let pending = self.take_pending(state, request.headers()).await?;
        // An upstream that was taken out of the configuration, or a state of our own page: no answer can be for it.
        let leg = self.inner.chain.leg(&pending.upstream).filter(|_| is_away(&pending));
        let leg = leg.ok_or_else(login_gone)?;
        // Who the user is, only the first upstream says, also after the configuration changed.
        if pending.progress.is_none() && leg.upstream.name() != self.inner.chain.identity().upstream.name() {
            return Err(login_gone().into());
        }
        // Whose answer it is comes first, for errors too (RFC 9207 §2.4): another server's must not be believed.
        if let Err(error) = leg.upstream.check_iss(one("iss")?).await {
            return self.leg_failed(leg, Login::of(pending), &error, request.headers()).await;
        }
        if let Some(error) = one("error")? {
            return self.upstream_refused(leg, Login::of(pending), error, request.headers()).await;
        }
        let code = one("code")?.ok_or_else(malformed_callback)?;
        let redeemed = leg.upstream.redeem(
            code,
            &pending.upstream_verifier,
            &pending.upstream_nonce,
            pending.upstream_client_id.as_deref(),
        );
        match redeemed.await {
            Ok(finished) => self.leg_done(leg, pending, finished, request.headers()).await,
            Err(error) => self.redemption_failed(leg, pending, &error, request.headers()).await,
        }
    }

    async fn leg_done(
        &self,
        leg: &Leg,
        pending: PendingAuthorization,
        finished: UpstreamLogin,
        headers: &HeaderMap,
    ) -> Result<Response<Bytes>, AuthorizationError> {
        self.inner.metrics.login(leg.upstream.provider_type(), "success");
        let mut login = Login::of(pending);
        match login.progress.take() {
            None => self.identified(login, finished.subject, finished.tokens, headers).await,
            Some(progress) => self.connected(login, progress, finished.tokens, headers).await,
        }
    }

    /// An upstream that has forgotten our registration gets a new one, and the user is sent there once more (U7): the code
    /// was issued to the old one.
    async fn redemption_failed(
        &self,
        leg: &Leg,
        pending: PendingAuthorization,
        error: &UpstreamError,
        headers: &HeaderMap,
    ) -> Result<Response<Bytes>, AuthorizationError> {
        let asked_as = pending.upstream_client_id.clone();
        let login = Login::of(pending);
        let forgotten = asked_as.filter(|_| error.is_invalid_client() && !login.restarted);
        if let Some(client_id) = forgotten
            && leg.upstream.replace_registration(&client_id).await
        {
            return self.send_to_upstream(leg, Login { restarted: true, ..login }, headers).await;
        }
        self.leg_failed(leg, login, error, headers).await
    }

    /// The upstream's own refusal (RFC 6749 §4.1.2.1).
    async fn upstream_refused(
        &self,
        leg: &Leg,
        login: Login,
        error: &str,
        headers: &HeaderMap,
    ) -> Result<Response<Bytes>, AuthorizationError> {
        let code = known_error(error);
        // The code only: a description may name accounts or internal hosts, and anybody can make up either.
        tracing::info!(
            upstream.name = leg.upstream.name(),
            upstream.error = code.as_str(),
            "upstream refused a login"
        );
        let failure = match code {
            ErrorCode::AccessDenied => format!("You declined at {}.", leg.label),
            _ => format!("{} refused the login ({}).", leg.label, code.as_str()),
        };
        let for_client = || {
            let description = "the upstream identity provider refused the login";
            RedirectError::new(code, "upstream_refused", description)
        };
        self.leg_ended(leg, login, failure, for_client, headers).await
    }
}

/// An upstream's error code, in terms that our client understands.
fn known_error(error: &str) -> ErrorCode {
    match error {
        "login_required" => ErrorCode::LoginRequired,
        "consent_required" => ErrorCode::ConsentRequired,
        "interaction_required" | "account_selection_required" => ErrorCode::InteractionRequired,
        "temporarily_unavailable" => ErrorCode::TemporarilyUnavailable,
        "server_error" => ErrorCode::ServerError,
        _ => ErrorCode::AccessDenied,
    }
}

fn malformed_callback() -> PageError {
    PageError::bad_request(
        ErrorCode::InvalidRequest,
        "callback_malformed",
        "The identity provider's answer is incomplete.",
        "Start again from your application.",
    )
}
