//! `/oauth/login`: the login page of a `local` upstream (U13).

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use secrecy::SecretString;
use thv_jose::digest::sha256;
use thv_oauth::error::ErrorCode;
use thv_oauth::params::Params;
use thv_store::records::PendingAuthorization;

use crate::browser::{BrowserSecret, Cookie};
use crate::consent::is_cross_site;
use crate::limits::source_key;
use crate::login::{Login, login_gone};
use crate::pages;
use crate::respond::{AuthorizationError, PageError};
use crate::server::{AuthServer, Source};
use crate::upstream::local::LocalUsers;

impl AuthServer {
    /// `GET /oauth/login`: asks who it is.
    pub(crate) async fn login_page(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let query = request.uri().query().unwrap_or_default();
        match self.pending_login(query.as_bytes(), request).await {
            Ok((users, state, pending)) => pages::login(&self.login_form(users, &state, &pending, None)),
            Err(error) => error.into_response(),
        }
    }

    /// `POST /oauth/login`: the answer.
    pub(crate) async fn login(&self, request: &Request<Bytes>, source: Source) -> Response<Bytes> {
        let outcome = self.try_login(request, source).await;
        outcome.unwrap_or_else(|error| error.into_response(self.inner.settings.issuer.as_str()))
    }

    async fn try_login(
        &self,
        request: &Request<Bytes>,
        source: Source,
    ) -> Result<Response<Bytes>, AuthorizationError> {
        let inner = &self.inner;
        if is_cross_site(request.headers()) {
            return Err(login_gone().into());
        }
        let (users, state, pending) = self.pending_login(request.body(), request).await?;
        let form = Params::parse(request.body()).map_err(|_| login_gone())?;
        let username = form.one("username").ok().flatten().unwrap_or_default();
        let password = SecretString::from(form.one("password").ok().flatten().unwrap_or_default());
        let allowed = users.is_development()
            || (inner.limits.logins.take(source_key(source.addr))
                && inner.limits.login_names.take(sha256(username.as_bytes())));
        let refusal = if allowed {
            match users.authenticate(username, &password).await {
                Some(subject) => {
                    let pending = self.take_pending(&state, request.headers()).await?;
                    inner.metrics.login("local", "success");
                    return self.identified(Login::of(pending), subject, None, request.headers()).await;
                }
                None => "The user name or the password is wrong.",
            }
        } else {
            "Too many attempts. Wait a minute and try again."
        };
        inner.metrics.login("local", "refused");
        tracing::warn!(source.addr = %source.addr, allowed, "local login refused");
        let mut response = pages::login(&self.login_form(users, &state, &pending, Some(refusal)));
        *response.status_mut() = if allowed { StatusCode::FORBIDDEN } else { StatusCode::TOO_MANY_REQUESTS };
        Ok(response)
    }

    async fn pending_login(
        &self,
        params: &[u8],
        request: &Request<Bytes>,
    ) -> Result<(&LocalUsers, String, PendingAuthorization), PageError> {
        let inner = &self.inner;
        let users = inner.chain.identity().upstream.local_users().ok_or_else(|| {
            PageError::bad_request(
                ErrorCode::InvalidRequest,
                "no_local_login",
                "This server has no login page of its own.",
                "Start again from your application.",
            )
        })?;
        let params = Params::parse(params).map_err(|_| login_gone())?;
        let state = params.one("state").ok().flatten().ok_or_else(login_gone)?.to_owned();
        let browser = BrowserSecret::sent(Cookie::Flow, request.headers(), inner.settings.secure());
        let browser = browser.ok_or_else(login_gone)?;
        let key = sha256(state.as_bytes());
        let pending = inner.stores.pending.load(&key, &browser.digest(), inner.clock.now()).await?;
        // Our own login page is the first leg and no other.
        let pending = pending.filter(|pending| pending.progress.is_none());
        Ok((users, state, pending.ok_or_else(login_gone)?))
    }

    fn login_form(
        &self,
        users: &LocalUsers,
        state: &str,
        pending: &PendingAuthorization,
        refusal: Option<&'static str>,
    ) -> pages::LoginPage {
        pages::LoginPage {
            base_path: self.inner.settings.base_path().to_owned(),
            state: state.to_owned(),
            client_name: pending.request.client.client_name.clone(),
            development_user: users.development_user().map(ToOwned::to_owned),
            refusal,
        }
    }
}
