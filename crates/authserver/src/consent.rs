//! Consent: asked before anything is sent to an upstream (AS-140), bound to the browser it was shown in.
//!
//! Nothing is stored until the user approves: the page carries the checked request, sealed, so that anonymous requests
//! cost no memory and what is approved is exactly what was shown.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use serde::{Deserialize, Serialize};
use thv_clock::Timestamp;
use thv_jose::sealed;
use thv_oauth::error::ErrorCode;
use thv_oauth::params::Params;
use thv_store::records::{Approval, ApprovedRequest, Subject};

use crate::authorize::{AuthorizationRequest, RedirectProven};
use crate::browser::{BrowserSecret, Cookie, FLOW_SECONDS};
use crate::clients::for_log;
use crate::pages;
use crate::respond::{PageError, RedirectError};
use crate::server::{AuthServer, Source};
use crate::settings::ConsentMode;

const TICKET_DOMAIN: &str = "consent";
/// Room for a client's `jwks` within the 64 KiB that a request body may have.
const TICKET_MAX: usize = 48 * 1024;
/// Remembered approvals are asked anew after this.
const APPROVAL_LIFETIME: Duration = Duration::from_secs(90 * 24 * 3600);

/// The checked request inside a consent page.
#[derive(Serialize, Deserialize)]
struct Ticket {
    request: ApprovedRequest,
    /// Digest of the CSRF cookie of the browser that the page was shown in.
    browser: [u8; 32],
    expires_at: Timestamp,
}

impl AuthServer {
    /// Shows the consent page, or goes on where none is needed.
    pub(crate) async fn ask_consent(
        &self,
        headers: &HeaderMap,
        checked: AuthorizationRequest,
        source: Source,
    ) -> Response<Bytes> {
        let AuthorizationRequest { redirect, approved: request, prompt } = checked;
        let inner = &self.inner;
        let sign_in = self.sign_in(headers);
        let approved_by = match inner.settings.consent {
            ConsentMode::Required => None,
            ConsentMode::Off => return self.proceed(headers, request, None, source).await,
            ConsentMode::Remember if prompt.consent => None,
            ConsentMode::Remember => match &sign_in {
                Some(sign_in) if self.approved_before(&sign_in.subject, &request).await => {
                    Some(sign_in.subject.sub.clone())
                }
                Some(_) | None => None,
            },
        };
        if approved_by.is_some() {
            return self.proceed(headers, request, approved_by, source).await;
        }
        if prompt.none {
            let code = if sign_in.is_some() { ErrorCode::ConsentRequired } else { ErrorCode::LoginRequired };
            let error =
                RedirectError::new(code, "prompt_none", "the user must be asked, and prompt=none forbids it");
            return error.into_response(&redirect, inner.settings.issuer.as_str());
        }
        self.consent_page(headers, request)
    }

    /// The consent page for `request`.
    pub(crate) fn consent_page(&self, headers: &HeaderMap, request: ApprovedRequest) -> Response<Bytes> {
        let inner = &self.inner;
        let secret = BrowserSecret::of(Cookie::Csrf, headers, inner.settings.secure());
        let page = pages::ConsentPage::of(&request, &inner.settings, &inner.chain);
        let expires_at = inner.clock.now() + Duration::from_secs(FLOW_SECONDS);
        let ticket = Ticket { request, browser: secret.digest(), expires_at };
        let Ok(ticket) = sealed::seal_json(&inner.hmac.load(), TICKET_DOMAIN, &ticket) else {
            return unreadable_ticket().into_response();
        };
        let mut response = pages::consent(page, &ticket);
        secret.set(Cookie::Csrf, &mut response, inner.settings.secure());
        response
    }

    /// `POST /oauth/consent`: the user's decision.
    pub(crate) async fn consent_decision(&self, request: &Request<Bytes>, source: Source) -> Response<Bytes> {
        let (ticket, decision) = match self.open_ticket(request) {
            Ok(opened) => opened,
            Err(error) => return error.into_response(),
        };
        let issuer = self.inner.settings.issuer.as_str();
        if decision == "approve" {
            tracing::info!(client.id = &*for_log(&ticket.request.client.client_id), "consent given");
            return self.proceed(request.headers(), ticket.request, None, source).await;
        }
        let error = RedirectError::new(ErrorCode::AccessDenied, "consent_denied", "the user declined");
        error.into_response(&RedirectProven::of(&ticket.request), issuer)
    }

    fn open_ticket(&self, request: &Request<Bytes>) -> Result<(Ticket, String), PageError> {
        let inner = &self.inner;
        let secure = inner.settings.secure();
        if is_cross_site(request.headers()) {
            return Err(another_browser());
        }
        let form = Params::parse(request.body()).map_err(|_| unreadable_ticket())?;
        let sealed = form.one("ticket").ok().flatten().ok_or_else(unreadable_ticket)?;
        let ticket: Ticket = sealed::open_json(&inner.hmac.load(), TICKET_DOMAIN, sealed, TICKET_MAX)
            .map_err(|_| unreadable_ticket())?;
        let browser =
            BrowserSecret::sent(Cookie::Csrf, request.headers(), secure).ok_or_else(another_browser)?;
        if browser.digest() != ticket.browser {
            return Err(another_browser());
        }
        if inner.clock.now() >= ticket.expires_at {
            return Err(PageError::bad_request(
                ErrorCode::InvalidRequest,
                "consent_expired",
                "This page was open for too long.",
                "Start again from your application.",
            ));
        }
        let decision = form.one("decision").ok().flatten().unwrap_or_default().to_owned();
        Ok((ticket, decision))
    }

    async fn approved_before(&self, subject: &Subject, request: &ApprovedRequest) -> bool {
        let inner = &self.inner;
        let approval =
            inner.stores.consents.load(&subject.sub, &request.client.client_id, inner.clock.now()).await;
        // A store that does not answer asks the user again: safe, and no worse than a first login.
        let Ok(Some(approval)) = approval else { return false };
        approval.metadata_hash == request.client.metadata_hash
            && request.scopes.is_subset_of(&approval.scopes)
            && request.resources.iter().all(|resource| approval.resources.contains(resource))
    }

    /// Remembers that `subject` approved `request`, where approvals are remembered.
    pub(crate) async fn remember_approval(&self, subject: &Subject, request: &ApprovedRequest) {
        let inner = &self.inner;
        if inner.settings.consent != ConsentMode::Remember {
            return;
        }
        let now = inner.clock.now();
        let approval = Approval {
            metadata_hash: request.client.metadata_hash.clone(),
            scopes: request.scopes.clone(),
            resources: request.resources.clone(),
            expires_at: now + APPROVAL_LIFETIME,
        };
        let saved = inner.stores.consents.save(&subject.sub, &request.client.client_id, approval, now).await;
        if let Err(error) = saved {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "approval not remembered; the user is asked again"
            );
        }
    }
}

/// Fetch Metadata: a form post from our own page is `same-origin`. Browsers that do not send it are held by the cookie.
pub(crate) fn is_cross_site(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin")
}

fn unreadable_ticket() -> PageError {
    PageError::bad_request(
        ErrorCode::InvalidRequest,
        "consent_unreadable",
        "This form was not made by this server, or is damaged.",
        "Start again from your application.",
    )
}

fn another_browser() -> PageError {
    PageError::bad_request(
        ErrorCode::InvalidRequest,
        "consent_other_browser",
        "This decision does not come from the browser that the question was shown in.",
        "Start again from your application, and allow cookies for this site.",
    )
}
