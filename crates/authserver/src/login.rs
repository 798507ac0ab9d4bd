//! After approval: a login at the first upstream, then at the further ones, then a code for the client.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use secrecy::SecretString;
use thv_jose::digest::sha256;
use thv_oauth::error::ErrorCode;
use thv_oauth::params;
use thv_oauth::pkce::CodeVerifier;
use thv_store::records::{ApprovedRequest, LoginProgress, PendingAuthorization, Subject, UpstreamTokens};
use thv_store::{StoreError, Take};

use crate::authorize::RedirectProven;
use crate::browser::{BrowserSecret, Cookie, FLOW_SECONDS, SignIn};
use crate::chain::{Leg, Requirement, asked_upstream};
use crate::limits::source_key;
use crate::respond::{AuthorizationError, PageError, RedirectError, see_other};
use crate::server::{AuthServer, Source};
use crate::upstream::{UpstreamError, UpstreamRequest};

/// A login on its way.
pub(crate) struct Login {
    pub(crate) request: ApprovedRequest,
    /// When a remembered approval stood in for the consent page: whose.
    pub(crate) approved_by: Option<String>,
    /// What earlier legs established.
    pub(crate) progress: Option<LoginProgress>,
    /// It was started again once already.
    pub(crate) restarted: bool,
}

impl Login {
    /// The login that a pending authorization is a part of.
    pub(crate) fn of(pending: PendingAuthorization) -> Self {
        let PendingAuthorization { request, approved_by, progress, restarted, .. } = pending;
        Self { request, approved_by, progress, restarted }
    }

    pub(crate) fn redirect(&self) -> RedirectProven {
        RedirectProven::of(&self.request)
    }
}

impl AuthServer {
    /// Goes on with an approved request: to the upstream, or straight to the client when the user signed in before.
    pub(crate) async fn proceed(
        &self,
        headers: &HeaderMap,
        request: ApprovedRequest,
        approved_by: Option<String>,
        source: Source,
    ) -> Response<Bytes> {
        let login = Login { request, approved_by, progress: None, restarted: false };
        let outcome = self.try_proceed(headers, login, source).await;
        outcome.unwrap_or_else(|error| error.into_response(self.inner.settings.issuer.as_str()))
    }

    async fn try_proceed(
        &self,
        headers: &HeaderMap,
        login: Login,
        source: Source,
    ) -> Result<Response<Bytes>, AuthorizationError> {
        let inner = &self.inner;
        // Also where nobody has to log in any more: a code takes a place in the store like a login in flight.
        if !inner.limits.pending.take(source_key(source.addr)) {
            return Err(too_many_logins().into());
        }
        let signed_in = self.signed_in(headers, &login.request).await;
        if let Some(sign_in) = signed_in.map_err(|error| store_failed(login.redirect(), &error))? {
            return self.user_is_known(login, sign_in, headers).await;
        }
        let identity = inner.chain.identity();
        if identity.upstream.is_local() && login.request.prompt_none {
            let error = RedirectError::new(ErrorCode::LoginRequired, "prompt_none", "nobody is signed in");
            return Err(AuthorizationError::Redirect(Box::new(login.redirect()), error));
        }
        self.send_to_upstream(identity, login, headers).await
    }

    /// The sign-in that this browser remembers, where it does for the first leg. It does for our own login page, and for a
    /// request that was made to log in to one upstream more: everybody else the first upstream is to see each time.
    async fn signed_in(
        &self,
        headers: &HeaderMap,
        request: &ApprovedRequest,
    ) -> Result<Option<SignIn>, StoreError> {
        let inner = &self.inner;
        let identity = &inner.chain.identity().upstream;
        if request.prompt_login {
            return Ok(None);
        }
        let sign_in = self.sign_in(headers).filter(|sign_in| sign_in.subject.upstream == identity.name());
        let Some(sign_in) = sign_in else { return Ok(None) };
        // Whoever signed out is not signed in any more, whatever cookie comes.
        let Some(session) = self.own_session(&sign_in).await? else { return Ok(None) };
        if identity.is_local() {
            return Ok(Some(sign_in));
        }
        for name in request.scopes.iter().filter_map(asked_upstream) {
            let usable = inner.vault.is_usable(&session, name).await?;
            if inner.chain.is_further(name) && !usable {
                return Ok(Some(sign_in));
            }
        }
        Ok(None)
    }

    /// Sends the browser to an upstream (or to our own login page).
    pub(crate) async fn send_to_upstream(
        &self,
        leg: &Leg,
        login: Login,
        headers: &HeaderMap,
    ) -> Result<Response<Bytes>, AuthorizationError> {
        let inner = &self.inner;
        let state = thv_jose::random::token();
        let verifier = CodeVerifier::from_random(thv_jose::random::bytes());
        let nonce = thv_jose::random::token();
        let upstream_request = UpstreamRequest {
            base_path: inner.settings.base_path(),
            state: &state,
            code_challenge: &verifier.challenge(),
            nonce: &nonce,
            prompt_none: login.request.prompt_none,
            // Further upstreams are to be used with whatever account the user has there.
            prompt_login: login.request.prompt_login && login.progress.is_none(),
        };
        let outbound = match leg.upstream.authorization_url(&upstream_request).await {
            Ok(outbound) => outbound,
            Err(error) => return self.leg_failed(leg, login, &error, headers).await,
        };
        let attempt = Attempt {
            upstream_verifier: SecretString::from(verifier.expose()),
            upstream_nonce: nonce,
            upstream_client_id: outbound.client_id,
        };
        self.wait_for(leg, login, attempt, &state, &outbound.url, headers).await
    }

    /// Keeps the login under `state` and redirects the browser, which alone may go on with it.
    async fn wait_for(
        &self,
        leg: &Leg,
        login: Login,
        attempt: Attempt,
        state: &str,
        location: &str,
        headers: &HeaderMap,
    ) -> Result<Response<Bytes>, AuthorizationError> {
        let inner = &self.inner;
        let secure = inner.settings.secure();
        let browser = BrowserSecret::of(Cookie::Flow, headers, secure);
        let redirect = login.redirect();
        let Login { request, approved_by, progress, restarted } = login;
        let Attempt { upstream_verifier, upstream_nonce, upstream_client_id } = attempt;
        let now = inner.clock.now();
        let pending = PendingAuthorization {
            request,
            approved_by,
            browser: browser.digest(),
            upstream: leg.upstream.name().to_owned(),
            upstream_verifier,
            upstream_nonce,
            upstream_client_id,
            progress,
            restarted,
            expires_at: now + Duration::from_secs(FLOW_SECONDS),
        };
        let inserted = inner.stores.pending.insert(sha256(state.as_bytes()), pending, now).await;
        inserted.map_err(|error| store_failed(redirect, &error))?;
        let mut response = see_other(location);
        browser.set(Cookie::Flow, &mut response, secure);
        Ok(response)
    }

    /// Takes the pending authorization that `state` names, if this browser started it.
    pub(crate) async fn take_pending(
        &self,
        state: &str,
        headers: &HeaderMap,
    ) -> Result<PendingAuthorization, PageError> {
        let inner = &self.inner;
        let browser = BrowserSecret::sent(Cookie::Flow, headers, inner.settings.secure());
        let browser = browser.ok_or_else(other_browser)?;
        let key = sha256(state.as_bytes());
        match inner.stores.pending.take(&key, &browser.digest(), inner.clock.now()).await? {
            Take::Taken(pending) => Ok(*pending),
            Take::WrongBrowser => Err(other_browser()),
            Take::Absent => Err(login_gone()),
        }
    }

    /// The first leg is done: the user is known, by their upstream subject.
    pub(crate) async fn identified(
        &self,
        login: Login,
        subject: Subject,
        tokens: Option<UpstreamTokens>,
        headers: &HeaderMap,
    ) -> Result<Response<Bytes>, AuthorizationError> {
        let inner = &self.inner;
        if login.progress.is_some() {
            // The state of a later leg, brought to our login page: that is no way round the legs.
            return Err(login_gone().into());
        }
        let redirect = login.redirect();
        let failed = |error: StoreError| store_failed(redirect.clone(), &error);
        let before = self.sign_in(headers).filter(|sign_in| sign_in.subject.sub == subject.sub);
        let session = match &before {
            Some(sign_in) => self.own_session(sign_in).await.map_err(failed)?,
            None => None,
        };
        let session = match session {
            Some(session) => session,
            None => self.new_session(subject.clone()).await.map_err(failed)?,
        };
        if let Some(tokens) = tokens
            && !self.keep_tokens(&session, tokens).await.map_err(failed)?
        {
            return Err(login_gone().into());
        }
        self.user_is_known(login, SignIn::new(subject, session, inner.clock.now()), headers).await
    }

    /// A later leg is done.
    pub(crate) async fn connected(
        &self,
        login: Login,
        progress: LoginProgress,
        tokens: Option<UpstreamTokens>,
        headers: &HeaderMap,
    ) -> Result<Response<Bytes>, AuthorizationError> {
        if let Some(tokens) = tokens {
            let kept = self.keep_tokens(&progress.session, tokens).await;
            // Without its session, which has ended or taken too long, a login leads nowhere.
            if !kept.map_err(|error| store_failed(login.redirect(), &error))? {
                return Err(login_gone().into());
            }
        }
        let progress = LoginProgress { failure: None, ..progress };
        self.advance(Login { progress: Some(progress), ..login }, headers).await
    }

    async fn user_is_known(
        &self,
        mut login: Login,
        sign_in: SignIn,
        headers: &HeaderMap,
    ) -> Result<Response<Bytes>, AuthorizationError> {
        let (secure, hmac) = (self.inner.settings.secure(), self.inner.hmac.load());
        let asked = login.approved_by.as_ref().is_none_or(|sub| *sub == sign_in.subject.sub);
        let mut response = if asked {
            let SignIn { subject, session, auth_time, .. } = sign_in.clone();
            let progress =
                LoginProgress { session, subject, auth_time, skipped: BTreeSet::new(), failure: None };
            self.advance(Login { progress: Some(progress), ..login }, headers).await?
        } else {
            // Somebody else signed in than the one whose approval was remembered: this user was never asked. They just
            // logged in, so that is not asked again after they approve.
            login.request.prompt_login = false;
            self.consent_page(headers, login.request)
        };
        sign_in.set(&mut response, secure, &hmac);
        Ok(response)
    }

    /// Goes on to the next leg that is due, or back to the client.
    pub(crate) async fn advance(
        &self,
        login: Login,
        headers: &HeaderMap,
    ) -> Result<Response<Bytes>, AuthorizationError> {
        let redirect = login.redirect();
        let Some(progress) = &login.progress else { return Err(login_gone().into()) };
        let due = self.due_leg(&login.request, progress).await;
        match due.map_err(|error| store_failed(redirect.clone(), &error))? {
            None => self.finish(&login.request, login.progress.as_ref()).await,
            Some(_) if login.request.prompt_none => {
                let description = "the user must log in to a further upstream, and prompt=none forbids it";
                let error = RedirectError::new(ErrorCode::InteractionRequired, "prompt_none", description);
                Err(AuthorizationError::Redirect(Box::new(redirect), error))
            }
            Some(leg) => self.ask_to_connect(leg, login, headers).await,
        }
    }

    /// The first leg after the identity that takes part in this login and has no usable tokens.
    async fn due_leg(
        &self,
        request: &ApprovedRequest,
        progress: &LoginProgress,
    ) -> Result<Option<&Leg>, StoreError> {
        for leg in self.inner.chain.further() {
            let name = leg.upstream.name();
            let asked = request.scopes.iter().filter_map(asked_upstream).any(|asked| asked == name);
            let takes_part = match leg.requirement {
                Requirement::Required => true,
                // A user who cannot be asked skips it.
                Requirement::Optional => asked || !request.prompt_none,
                Requirement::OnDemand => asked,
            };
            if takes_part
                && !progress.skipped.contains(name)
                && !self.inner.vault.is_usable(&progress.session, name).await?
            {
                return Ok(Some(leg));
            }
        }
        Ok(None)
    }

    /// Shows the page between legs.
    async fn ask_to_connect(
        &self,
        leg: &Leg,
        login: Login,
        headers: &HeaderMap,
    ) -> Result<Response<Bytes>, AuthorizationError> {
        let state = thv_jose::random::token();
        let location = format!("{}/oauth/continue", self.inner.settings.base_path());
        let location = params::append_query(&location, &[("state", &state)]);
        self.wait_for(leg, login, Attempt::none(), &state, &location, headers).await
    }

    /// A leg did not succeed. The first one ends the login; for a later one the user decides how to go on, and what was
    /// reached stays.
    pub(crate) async fn leg_failed(
        &self,
        leg: &Leg,
        login: Login,
        error: &UpstreamError,
        headers: &HeaderMap,
    ) -> Result<Response<Bytes>, AuthorizationError> {
        let name = leg.upstream.name();
        tracing::warn!(
            upstream.name = name,
            error.reason = error.reason(),
            error = thv_telemetry::chain(error),
            "upstream login failed"
        );
        self.inner.metrics.login(leg.upstream.provider_type(), "failed");
        let label = &leg.label;
        let failure = match error {
            UpstreamError::Refused { error } => format!("{label} refused the login ({error})."),
            _ if error.is_temporary() => format!("{label} does not answer at the moment."),
            _ => format!("{label} gave an answer that cannot be used; the server's log says why."),
        };
        if error.is_temporary() && login.progress.is_none() && !login.request.prompt_none {
            // Nothing that the client could do about it, and much that the user wants to know.
            let hint = "Wait a moment and start again from your application.";
            let page = PageError {
                status: StatusCode::SERVICE_UNAVAILABLE,
                ..PageError::bad_request(ErrorCode::TemporarilyUnavailable, error.reason(), failure, hint)
            };
            let for_client = upstream_failed(name, error);
            return Err(AuthorizationError::PageAndWayBack(
                Box::new(page),
                Box::new(login.redirect()),
                for_client,
            ));
        }
        self.leg_ended(leg, login, failure, || upstream_failed(name, error), headers).await
    }

    /// As [`Self::leg_failed`], with what the page says and what the client is told instead where there is no page.
    pub(crate) async fn leg_ended(
        &self,
        leg: &Leg,
        login: Login,
        failure: String,
        for_client: impl FnOnce() -> RedirectError,
        headers: &HeaderMap,
    ) -> Result<Response<Bytes>, AuthorizationError> {
        let redirect = login.redirect();
        match login.progress {
            Some(progress) if !login.request.prompt_none => {
                let progress = Some(LoginProgress { failure: Some(failure), ..progress });
                self.ask_to_connect(leg, Login { progress, ..login }, headers).await
            }
            _ => Err(AuthorizationError::Redirect(Box::new(redirect), for_client())),
        }
    }
}

/// What belongs to one attempt at an upstream.
struct Attempt {
    upstream_verifier: SecretString,
    upstream_nonce: String,
    upstream_client_id: Option<String>,
}

impl Attempt {
    /// The user is still on our own page.
    fn none() -> Self {
        Self {
            upstream_verifier: SecretString::from(""),
            upstream_nonce: String::new(),
            upstream_client_id: None,
        }
    }
}

/// Whether a pending authorization is one whose user is away at the upstream, and not on a page of ours.
pub(crate) fn is_away(pending: &PendingAuthorization) -> bool {
    !pending.upstream_nonce.is_empty()
}

fn upstream_failed(upstream: &str, error: &UpstreamError) -> RedirectError {
    let code = if error.is_temporary() { ErrorCode::TemporarilyUnavailable } else { ErrorCode::ServerError };
    let description = format!("the login at the upstream \"{upstream}\" failed; the server's log says why");
    RedirectError::new(code, error.reason(), description)
}

pub(crate) fn store_failed(redirect: RedirectProven, error: &StoreError) -> AuthorizationError {
    tracing::error!(error = thv_telemetry::chain(error), "store operation failed");
    let description = "the server cannot reach its storage at the moment";
    let error = RedirectError::new(ErrorCode::TemporarilyUnavailable, "store_unavailable", description);
    AuthorizationError::Redirect(Box::new(redirect), error)
}

fn too_many_logins() -> PageError {
    PageError {
        status: StatusCode::TOO_MANY_REQUESTS,
        ..PageError::bad_request(
            ErrorCode::TemporarilyUnavailable,
            "login_rate",
            "Too many logins were started from this network.",
            "Wait a minute and start again from your application.",
        )
    }
}

/// No pending login belongs to this page.
pub(crate) fn login_gone() -> PageError {
    PageError::bad_request(
        ErrorCode::InvalidRequest,
        "login_expired",
        "This login has expired, or was finished already.",
        "Start again from your application.",
    )
}

fn other_browser() -> PageError {
    PageError::bad_request(
        ErrorCode::InvalidRequest,
        "login_other_browser",
        "This login was not started in this browser.",
        "If a link brought you here, close this page. Otherwise start again from your application, and allow cookies for \
         this site.",
    )
}
