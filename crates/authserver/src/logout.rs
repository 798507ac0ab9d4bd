//! `/oauth/logout`: the user ends the sign-in of this browser, and with it every grant that rests on its session.
//!
//! It is a page for people. OpenID Connect's RP-initiated logout is not offered: its `id_token_hint` would have to be an ID
//! token of ours, and none is issued; for the same reason nobody is redirected anywhere afterwards.

use std::collections::BTreeMap;

use askama::Template;
use bytes::Bytes;
use futures_util::future::try_join_all;
use http::{HeaderMap, Request, Response, StatusCode};
use serde::{Deserialize, Serialize};
use thv_jose::sealed;
use thv_oauth::error::ErrorCode;
use thv_oauth::params::Params;
use thv_store::StoreError;
use thv_store::records::SessionId;

use crate::browser::{BrowserSecret, Cookie};
use crate::consent::is_cross_site;
use crate::pages;
use crate::respond::PageError;
use crate::server::AuthServer;

const TICKET_DOMAIN: &str = "logout";
const TICKET_MAX: usize = 1024;

/// What a logout page asks about. The CSRF cookie, to which it is bound, ends soon; so does the page with it.
#[derive(Serialize, Deserialize)]
struct Ticket {
    session: SessionId,
    /// Digest of the CSRF cookie of the browser that the page was shown in.
    browser: [u8; 32],
}

#[derive(Template)]
#[template(path = "logout.html")]
struct LogoutPage<'a> {
    base_path: &'a str,
    standing: Standing,
}

/// Who is signed in in this browser.
enum Standing {
    SignedIn { user: String, applications: Vec<String>, ticket: String },
    SignedOut,
    Nobody,
}

impl AuthServer {
    /// `GET /oauth/logout`: who is signed in, what would end, and a button.
    pub(crate) async fn logout_page(&self, headers: &HeaderMap) -> Response<Bytes> {
        self.ask_to_sign_out(headers).await.unwrap_or_else(PageError::into_response)
    }

    /// `POST /oauth/logout`: the button.
    pub(crate) async fn logout(&self, request: &Request<Bytes>) -> Response<Bytes> {
        self.try_logout(request).await.unwrap_or_else(PageError::into_response)
    }

    async fn ask_to_sign_out(&self, headers: &HeaderMap) -> Result<Response<Bytes>, PageError> {
        let inner = &self.inner;
        let secure = inner.settings.secure();
        let Some(sign_in) = self.sign_in(headers) else { return Ok(self.logout_answer(Standing::Nobody)) };
        let secret = BrowserSecret::of(Cookie::Csrf, headers, secure);
        let ticket = Ticket { session: sign_in.session, browser: secret.digest() };
        let standing = Standing::SignedIn {
            applications: self.applications(&sign_in.session).await?,
            user: sign_in.subject.name.unwrap_or(sign_in.subject.sub),
            ticket: sealed::seal_json(&inner.hmac.load(), TICKET_DOMAIN, &ticket)
                .map_err(|_| unreadable())?,
        };
        let mut response = self.logout_answer(standing);
        secret.set(Cookie::Csrf, &mut response, secure);
        Ok(response)
    }

    async fn try_logout(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, PageError> {
        let headers = request.headers();
        let ticket = self.open_logout_ticket(request)?;
        if self.sign_in(headers).is_some_and(|sign_in| sign_in.session != ticket.session) {
            // Somebody signed in since the page was shown: it was another question.
            return self.ask_to_sign_out(headers).await;
        }
        if self.end_session(&ticket.session).await? {
            tracing::info!(session.id = %ticket.session, "session ended by its user");
        }
        let mut response = self.logout_answer(Standing::SignedOut);
        for cookie in [Cookie::SignIn, Cookie::Flow, Cookie::Csrf] {
            cookie.clear(&mut response, self.inner.settings.secure());
        }
        Ok(response)
    }

    fn open_logout_ticket(&self, request: &Request<Bytes>) -> Result<Ticket, PageError> {
        let inner = &self.inner;
        if is_cross_site(request.headers()) {
            return Err(another_browser());
        }
        let form = Params::parse(request.body()).map_err(|_| unreadable())?;
        let sealed = form.one("ticket").ok().flatten().ok_or_else(unreadable)?;
        let ticket: Ticket = sealed::open_json(&inner.hmac.load(), TICKET_DOMAIN, sealed, TICKET_MAX)
            .map_err(|_| unreadable())?;
        BrowserSecret::sent(Cookie::Csrf, request.headers(), inner.settings.secure())
            .filter(|browser| browser.digest() == ticket.browser)
            .map(|_| ticket)
            .ok_or_else(another_browser)
    }

    /// The names of the clients whose grants rest on a session, each client once.
    async fn applications(&self, session: &SessionId) -> Result<Vec<String>, StoreError> {
        let (stores, now) = (&self.inner.stores, self.inner.clock.now());
        let Some(session) = stores.sessions.load(session, now).await? else { return Ok(Vec::new()) };
        let grants =
            try_join_all(session.value.grants.iter().map(|(id, _)| stores.grants.load(id, now))).await?;
        let clients: BTreeMap<String, String> = grants
            .into_iter()
            .flatten()
            .map(|grant| (grant.value.client.client_id.clone(), grant.value.client.client_name.clone()))
            .collect();
        Ok(clients.into_values().collect())
    }

    fn logout_answer(&self, standing: Standing) -> Response<Bytes> {
        let page = LogoutPage { base_path: self.inner.settings.base_path(), standing };
        pages::html(StatusCode::OK, &page)
    }
}

fn unreadable() -> PageError {
    PageError::bad_request(
        ErrorCode::InvalidRequest,
        "logout_unreadable",
        "This form was not made by this server, or is damaged.",
        "Open the sign-out page again.",
    )
}

fn another_browser() -> PageError {
    PageError::bad_request(
        ErrorCode::InvalidRequest,
        "logout_other_browser",
        "This does not come from the browser that the question was shown in, or the page was open for too long.",
        "Open the sign-out page again, and allow cookies for this site.",
    )
}
