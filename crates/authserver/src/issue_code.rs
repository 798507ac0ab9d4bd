//! The end of a login: a code for the client.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use secrecy::{ExposeSecret, SecretString};
use thv_clock::Timestamp;
use thv_jose::handle::{Handle, HandleKind};
use thv_store::StoreError;
use thv_store::records::{ApprovedRequest, AuthorizationCode, Grant, GrantId, LoginProgress, RefreshFamily};

use crate::authorize::RedirectProven;
use crate::clients::for_log;
use crate::login::{login_gone, store_failed};
use crate::respond::AuthorizationError;
use crate::server::AuthServer;

/// However often it is refreshed, a family of refresh tokens ends after this.
const ABSOLUTE_REFRESH_LIFETIME: Duration = Duration::from_secs(90 * 24 * 3600);

impl AuthServer {
    /// Every leg is done: issues the code and sends the browser back to the client.
    pub(crate) async fn finish(
        &self,
        request: &ApprovedRequest,
        progress: Option<&LoginProgress>,
    ) -> Result<Response<Bytes>, AuthorizationError> {
        let inner = &self.inner;
        let progress = progress.ok_or_else(login_gone)?;
        self.remember_approval(&progress.subject, request).await;
        let mut request = request.clone();
        // Only now: strangers cannot make us fetch keys.
        inner.client_keys.snapshot(&mut request.client).await;
        let redirect = RedirectProven::of(&request);
        let code = self.issue_code(&request, progress).await;
        let code = code.map_err(|error| store_failed(redirect.clone(), &error))?;
        tracing::info!(
            client.id = &*for_log(&request.client.client_id), subject = progress.subject.sub, scope = %request.scopes,
            "authorization code issued"
        );
        Ok(redirect.answer(&[("code", code.expose_secret())], inner.settings.issuer.as_str()))
    }

    async fn issue_code(
        &self,
        request: &ApprovedRequest,
        progress: &LoginProgress,
    ) -> Result<SecretString, StoreError> {
        let inner = &self.inner;
        let now = inner.clock.now();
        let grant = self.grant(request, progress, now);
        let kept_until = grant.expires_at + inner.settings.registration_retention.without_grant;
        inner.stores.clients.used(&grant.client.client_id, kept_until, now).await?;
        let code = AuthorizationCode {
            redirect_uri: request.redirect_uri.clone(),
            code_challenge: request.code_challenge.clone(),
            expires_at: now + inner.settings.code_lifetime,
            grant,
        };
        let handle =
            Handle { kind: HandleKind::AuthorizationCode, id: thv_jose::random::bytes(), counter: 0 };
        inner.stores.codes.insert(handle.id, code, now).await?;
        Ok(handle.encode(&inner.hmac.load()))
    }

    fn grant(&self, request: &ApprovedRequest, progress: &LoginProgress, now: Timestamp) -> Grant {
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
            session: progress.session,
            client: Arc::new(request.client.clone()),
            subject: progress.subject.clone(),
            scopes: request.scopes.clone(),
            resources: request.resources.clone(),
            auth_time: progress.auth_time,
            ended_login: None,
            expires_at: refresh.map_or(without_refresh, |family| {
                family.absolute_expires_at + settings.access_token_lifetime
            }),
            refresh,
        }
    }
}
