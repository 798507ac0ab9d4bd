//! `grant_type=refresh_token`: rotation, with a grace for lost responses and parallel refreshes (A7, AS-125).

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use thv_jose::handle::{Handle, HandleKind};
use thv_oauth::error::ErrorCode;
use thv_oauth::params::Params;
use thv_oauth::scope::ScopeSet;
use thv_store::records::{Grant, GrantId};
use thv_store::{Rotation, RotationPolicy};

use super::client_authentication::Presented;
use super::narrowed_resources;
use crate::clients::for_log;
use crate::respond::EndpointError;
use crate::server::{AuthServer, Source};

/// For so long the predecessor of the current refresh token still gets that same token again.
const GRACE: Duration = Duration::from_secs(60);

impl AuthServer {
    pub(super) async fn refresh_token(
        &self,
        form: &Params,
        presented: &Presented,
        source: Source,
    ) -> Result<Response<Bytes>, EndpointError> {
        let inner = &self.inner;
        let token = form.one("refresh_token")?.ok_or_else(|| {
            EndpointError::invalid_request("refresh_token_missing", "the parameter refresh_token is missing")
        })?;
        let Ok(handle) = Handle::decode(token, HandleKind::RefreshToken, &inner.hmac.load()) else {
            return Err(self.no_grant(presented, "refresh token", source).await);
        };
        let (id, now) = (GrantId(handle.id), inner.clock.now());
        let Some(loaded) = inner.stores.grants.load(&id, now).await? else {
            return Err(self.no_grant(presented, "refresh token", source).await);
        };
        let grant = &loaded.value;
        // Everything that can be refused is refused before the rotation: a bad request invalidates nothing.
        let _authenticated = self.authenticate_client(presented, &grant.client).await?;
        self.refuse_ended_login(grant).await?;
        let scopes = narrowed_scopes(form, &grant.scopes)?;
        let resources = narrowed_resources(form, &grant.resources, &inner.settings.audiences)?;
        let policy = RotationPolicy { grace: GRACE, idle: inner.settings.refresh_token_lifetime };
        match inner.stores.grants.rotate(loaded, handle.counter, now, policy).await? {
            Rotation::Rotated(grant) | Rotation::Replayed(grant) => self.issue(&grant, &scopes, &resources),
            Rotation::Reused(grant) => {
                tracing::warn!(
                    grant.id = %grant.id, client.id = &*for_log(&grant.client.client_id), subject = grant.subject.sub,
                    "refresh token reused: family revoked"
                );
                // The rotation has ended the grant already. What hangs on it goes whether or not the thief waits.
                let server = self.clone();
                inner.tasks.spawn(async move {
                    server.grant_ended(&grant.id).await;
                    if let Err(error) = server.detach(&grant.session, &grant.id).await {
                        tracing::error!(
                            error = thv_telemetry::chain(&error),
                            "the session of a revoked grant is left to its end"
                        );
                    }
                });
                Err(self.no_grant(presented, "refresh token", source).await)
            }
            Rotation::Absent => Err(self.no_grant(presented, "refresh token", source).await),
        }
    }
}

impl AuthServer {
    /// A grant whose login at an upstream has ended would yield tokens that the gateway refuses. `invalid_grant` is what makes
    /// clients log in again. Nothing is revoked: after that login in the same browser, these refresh tokens do again.
    async fn refuse_ended_login(&self, grant: &Grant) -> Result<(), EndpointError> {
        let configured = |upstream: &&String| self.inner.chain.leg(upstream).is_some();
        let Some(upstream) = grant.ended_login.as_ref().filter(configured) else { return Ok(()) };
        if self.inner.vault.is_usable(&grant.session, upstream).await? {
            return Ok(());
        }
        let description = format!("the login at the upstream {upstream:?} has ended: log in again");
        Err(EndpointError::new(ErrorCode::InvalidGrant, "upstream_login_ended", description))
    }
}

/// RFC 6749 §6: never more than was granted.
fn narrowed_scopes(form: &Params, granted: &ScopeSet) -> Result<ScopeSet, EndpointError> {
    let Some(requested) = form.one("scope")? else { return Ok(granted.clone()) };
    let requested = ScopeSet::parse(requested)
        .map_err(|error| EndpointError::new(ErrorCode::InvalidScope, "scope_malformed", error.to_string()))?;
    if requested.is_subset_of(granted) {
        return Ok(requested);
    }
    let description = format!("a refresh may only narrow; granted were: {granted}");
    Err(EndpointError::new(ErrorCode::InvalidScope, "scope_not_granted", description))
}
