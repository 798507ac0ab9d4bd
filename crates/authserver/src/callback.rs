//! After approval: out to the upstream, back through `/oauth/callback`, and on to the client with a code.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use thv_clock::Timestamp;
use thv_jose::digest::sha256;
use thv_jose::handle::{Handle, HandleKind};
use thv_oauth::error::ErrorCode;
use thv_oauth::params::Params;
use thv_oauth::pkce::CodeVerifier;
use thv_store::records::{
    ApprovedRequest, AuthorizationCode, Grant, GrantId, PendingAuthorization, RefreshFamily, Subject,
    UpstreamTokens,
};
use thv_store::{StoreError, Take};

use crate::authorize::RedirectProven;
use crate::browser::{BrowserSecret, Cookie, FLOW_SECONDS, SignIn};
use crate::clients::for_log;
use crate::limits::source_key;
use crate::respond::{AuthorizationError, PageError, RedirectError, see_other};
use crate::server::{AuthServer, Source};
use crate::upstream::{UpstreamError, UpstreamRequest};

/// However often it is refreshed, a family of refresh tokens ends after this.
const ABSOLUTE_REFRESH_LIFETIME: Duration = Duration::from_secs(90 * 24 * 3600);

impl AuthServer {
    /// Goes on with an approved request: to the upstream, or straight to the client when the user signed in before.
    pub(crate) async fn proceed(
        &self,
        headers: &HeaderMap,
        request: ApprovedRequest,
        approved_by: Option<String>,
        source: Source,
    ) -> Response<Bytes> {
        let redirect = RedirectProven::of(&request);
        let outcome = self.try_proceed(headers, request, approved_by, redirect, source).await;
        outcome.unwrap_or_else(|error| error.into_response(self.inner.settings.issuer.as_str()))
    }

    async fn try_proceed(
        &self,
        headers: &HeaderMap,
        request: ApprovedRequest,
        approved_by: Option<String>,
        redirect: RedirectProven,
        source: Source,
    ) -> Result<Response<Bytes>, AuthorizationError> {
        let inner = &self.inner;
        let secure = inner.settings.secure();
        // Also where nobody has to log in any more: a code takes a place in the store like a login in flight.
        if !inner.limits.pending.take(source_key(source.addr)) {
            return Err(too_many_logins().into());
        }
        if inner.upstream.is_local() && !request.prompt_login {
            let sign_in = SignIn::read(headers, secure, &inner.hmac.load(), inner.clock.now())
                .filter(|sign_in| sign_in.subject.upstream == inner.upstream.name());
            if let Some(sign_in) = sign_in {
                return self.complete(request, approved_by, sign_in, None, headers).await;
            }
        }
        if inner.upstream.is_local() && request.prompt_none {
            let error = RedirectError::new(ErrorCode::LoginRequired, "prompt_none", "nobody is signed in");
            return Err(AuthorizationError::Redirect(Box::new(redirect), error));
        }
        let browser = BrowserSecret::of(Cookie::Flow, headers, secure);
        let state = thv_jose::random::token();
        let verifier = CodeVerifier::from_random(thv_jose::random::bytes());
        let nonce = thv_jose::random::token();
        let upstream_request = UpstreamRequest {
            base_path: inner.settings.base_path(),
            state: &state,
            code_challenge: &verifier.challenge(),
            nonce: &nonce,
            prompt_none: request.prompt_none,
            prompt_login: request.prompt_login,
        };
        let location = inner.upstream.authorization_url(&upstream_request).await;
        let location =
            location.map_err(|error| upstream_refused(redirect.clone(), inner.upstream.name(), &error))?;
        let now = inner.clock.now();
        let pending = PendingAuthorization {
            request,
            approved_by,
            browser: browser.digest(),
            upstream: inner.upstream.name().to_owned(),
            upstream_verifier: SecretString::from(verifier.expose()),
            upstream_nonce: nonce,
            expires_at: now + Duration::from_secs(FLOW_SECONDS),
        };
        let inserted = inner.stores.pending.insert(sha256(state.as_bytes()), pending, now).await;
        inserted.map_err(|error| store_failed(redirect, &error))?;
        let mut response = see_other(&location);
        browser.set(Cookie::Flow, &mut response, secure);
        Ok(response)
    }

    /// `GET /oauth/callback`: the upstream's answer.
    pub(crate) async fn callback(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let outcome = self.try_callback(request).await;
        outcome.unwrap_or_else(|error| error.into_response(self.inner.settings.issuer.as_str()))
    }

    async fn try_callback(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, AuthorizationError> {
        let inner = &self.inner;
        let query = request.uri().query().unwrap_or_default();
        let params = Params::parse(query.as_bytes()).map_err(|_| malformed_callback())?;
        let one = |name| params.one(name).map_err(|_| malformed_callback());
        let state = one("state")?.ok_or_else(malformed_callback)?;
        let pending = self.take_pending(state, request.headers()).await?;
        let redirect = RedirectProven::of(&pending.request);
        let refused =
            |error: UpstreamError| upstream_refused(redirect.clone(), inner.upstream.name(), &error);
        // Whose answer it is comes first, for errors too (RFC 9207 §2.4): another server must not end this login.
        inner.upstream.check_iss(one("iss")?).await.map_err(refused)?;
        if let Some(error) = one("error")? {
            return Err(AuthorizationError::Redirect(Box::new(redirect), upstream_error(error)));
        }
        let code = one("code")?.ok_or_else(malformed_callback)?;
        let verifier = &pending.upstream_verifier;
        let login = inner.upstream.redeem(code, verifier, &pending.upstream_nonce).await.map_err(refused)?;
        let sign_in = SignIn::new(login.subject, inner.clock.now());
        let PendingAuthorization { request: approved, approved_by, .. } = pending;
        self.complete(approved, approved_by, sign_in, login.tokens, request.headers()).await
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

    /// The user is known: issues the code and sends the browser back to the client.
    pub(crate) async fn complete(
        &self,
        mut request: ApprovedRequest,
        approved_by: Option<String>,
        sign_in: SignIn,
        tokens: Option<UpstreamTokens>,
        headers: &HeaderMap,
    ) -> Result<Response<Bytes>, AuthorizationError> {
        let inner = &self.inner;
        let (secure, hmac) = (inner.settings.secure(), inner.hmac.load());
        if approved_by.is_some_and(|sub| sub != sign_in.subject.sub) {
            // Somebody else signed in than the one whose approval was remembered: this user was never asked. They just
            // logged in, so that is not asked again after they approve.
            request.prompt_login = false;
            let mut response = self.consent_page(headers, request);
            sign_in.set(&mut response, secure, &hmac);
            return Ok(response);
        }
        self.remember_approval(&sign_in.subject, &request).await;
        // Only now: strangers cannot make us fetch keys.
        inner.client_keys.snapshot(&mut request.client).await;
        let redirect = RedirectProven::of(&request);
        let code = self.issue_code(&request, &sign_in, tokens).await;
        let code = code.map_err(|error| store_failed(redirect.clone(), &error))?;
        inner.metrics.login(inner.upstream.provider_type(), "success");
        tracing::info!(
            client.id = &*for_log(&request.client.client_id), subject = sign_in.subject.sub, scope = %request.scopes,
            "authorization code issued"
        );
        let mut response = redirect.answer(&[("code", code.expose_secret())], inner.settings.issuer.as_str());
        sign_in.set(&mut response, secure, &hmac);
        Ok(response)
    }

    async fn issue_code(
        &self,
        request: &ApprovedRequest,
        sign_in: &SignIn,
        tokens: Option<UpstreamTokens>,
    ) -> Result<SecretString, StoreError> {
        let inner = &self.inner;
        let now = inner.clock.now();
        let grant = self.grant(request, sign_in.subject.clone(), sign_in.auth_time, now);
        inner.stores.clients.used(&grant.client.client_id, now, grant.expires_at).await?;
        let code = AuthorizationCode {
            redirect_uri: request.redirect_uri.clone(),
            code_challenge: request.code_challenge.clone(),
            upstream_tokens: tokens,
            expires_at: now + inner.settings.code_lifetime,
            grant,
        };
        let handle =
            Handle { kind: HandleKind::AuthorizationCode, id: thv_jose::random::bytes(), counter: 0 };
        inner.stores.codes.insert(handle.id, code, now).await?;
        Ok(handle.encode(&inner.hmac.load()))
    }

    fn grant(
        &self,
        request: &ApprovedRequest,
        subject: Subject,
        auth_time: Timestamp,
        now: Timestamp,
    ) -> Grant {
        let settings = &self.inner.settings;
        // Not only with `offline_access`: clients that take their scopes from our challenge cannot know of it (RS-9), and
        // declared the grant type to stay signed in (AS-126).
        let refreshable = request.client.may_refresh;
        let refresh = refreshable.then(|| RefreshFamily {
            generation: 0,
            rotated_at: now,
            idle_expires_at: now + settings.refresh_token_lifetime,
            absolute_expires_at: now + ABSOLUTE_REFRESH_LIFETIME,
        });
        // An access token may be issued up to the code's expiry, and lives its own lifetime from then.
        let without_refresh = now + settings.code_lifetime + settings.access_token_lifetime;
        Grant {
            id: GrantId::random(),
            client: Arc::new(request.client.clone()),
            subject,
            scopes: request.scopes.clone(),
            resources: request.resources.clone(),
            auth_time,
            expires_at: refresh.map_or(without_refresh, |family| {
                family.absolute_expires_at + settings.access_token_lifetime
            }),
            refresh,
        }
    }
}

/// The upstream's own refusal (RFC 6749 §4.1.2.1), in terms that our client understands. Its description is its own
/// business: it may name accounts or internal hosts.
fn upstream_error(error: &str) -> RedirectError {
    let code = match error {
        "login_required" => ErrorCode::LoginRequired,
        "consent_required" => ErrorCode::ConsentRequired,
        "interaction_required" | "account_selection_required" => ErrorCode::InteractionRequired,
        "temporarily_unavailable" => ErrorCode::TemporarilyUnavailable,
        "server_error" => ErrorCode::ServerError,
        _ => ErrorCode::AccessDenied,
    };
    RedirectError::new(code, "upstream_refused", "the upstream identity provider refused the login")
}

fn upstream_refused(redirect: RedirectProven, upstream: &str, error: &UpstreamError) -> AuthorizationError {
    tracing::warn!(upstream.name = upstream, error = thv_telemetry::chain(error), "upstream login failed");
    let code = if error.is_temporary() { ErrorCode::TemporarilyUnavailable } else { ErrorCode::ServerError };
    let description = format!("the login at the upstream \"{upstream}\" failed; the server's log says why");
    AuthorizationError::Redirect(Box::new(redirect), RedirectError::new(code, error.reason(), description))
}

fn store_failed(redirect: RedirectProven, error: &StoreError) -> AuthorizationError {
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

fn malformed_callback() -> PageError {
    PageError::bad_request(
        ErrorCode::InvalidRequest,
        "callback_malformed",
        "The identity provider's answer is incomplete.",
        "Start again from your application.",
    )
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
