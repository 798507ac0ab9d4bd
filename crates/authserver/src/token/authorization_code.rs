//! `grant_type=authorization_code` (RFC 6749 §4.1.3, RFC 7636 §4.6).

use bytes::Bytes;
use http::Response;
use thv_jose::handle::{Handle, HandleKind};
use thv_oauth::error::ErrorCode;
use thv_oauth::params::Params;
use thv_store::Redemption;
use thv_store::records::AuthorizationCode;

use super::client_authentication::{ClientAuthenticated, Presented};
use super::narrowed_resources;
use crate::clients::for_log;
use crate::respond::EndpointError;
use crate::server::{AuthServer, Source};

/// Proof that the code's challenge was met. Only [`verify_pkce`] makes one.
struct PkceVerified(());

impl AuthServer {
    pub(super) async fn authorization_code(
        &self,
        form: &Params,
        presented: &Presented,
        source: Source,
    ) -> Result<Response<Bytes>, EndpointError> {
        let inner = &self.inner;
        let code = form
            .one("code")?
            .ok_or_else(|| EndpointError::invalid_request("code_missing", "the parameter code is missing"))?;
        let Ok(handle) = Handle::decode(code, HandleKind::AuthorizationCode, &inner.hmac.load()) else {
            return Err(self.no_grant(presented, "authorization code", source).await);
        };
        let now = inner.clock.now();
        let Some(code) = inner.stores.codes.load(&handle.id, now).await? else {
            return Err(self.refuse_spent(&handle, presented, source).await?);
        };
        let client = self.authenticate_client(presented, &code.grant.client).await?;
        same_redirect_uri(form, &code)?;
        let pkce = verify_pkce(form, &code)?;
        let resources = narrowed_resources(form, &code.grant.resources, &inner.settings.audiences)?;
        self.redeem(&handle, code, (presented, source), &resources, client, pkce).await
    }

    /// Everything is proven, which the last two arguments show: spends the code and issues tokens.
    ///
    /// The grant is there before the code is spent, so that whoever presents the code a second time finds something to
    /// revoke, however close behind the first it comes.
    async fn redeem(
        &self,
        handle: &Handle,
        code: AuthorizationCode,
        (presented, source): (&Presented, Source),
        resources: &[String],
        _client: ClientAuthenticated,
        _pkce: PkceVerified,
    ) -> Result<Response<Bytes>, EndpointError> {
        let stores = &self.inner.stores;
        let (grant, now) = (code.grant, self.inner.clock.now());
        let attached = stores.sessions.attach(&grant.session, grant.id, grant.expires_at, now).await?;
        let Some(displaced) = attached else {
            return Err(self.no_grant(presented, "authorization code", source).await);
        };
        for grant in &displaced {
            stores.grants.revoke(grant, now).await?;
            self.grant_ended(grant).await;
        }
        self.inner.vault.keep_until(&grant.session, grant.expires_at).await?;
        stores.grants.insert(grant.clone(), now).await?;
        // Whoever ends the session from now on finds the grant; whoever did before may have missed it.
        if stores.sessions.load(&grant.session, now).await?.is_none() {
            self.revoke_grant(&grant.id).await?;
            return Err(self.no_grant(presented, "authorization code", source).await);
        }
        match stores.codes.redeem(&handle.id, now).await? {
            Redemption::First(_) => self.issue(&grant, &grant.scopes, resources),
            Redemption::Again(_) | Redemption::Absent => {
                Err(self.refuse_spent(handle, presented, source).await?)
            }
        }
    }

    /// A code that was redeemed before ends the grant it gave: somebody has a copy (AS-37).
    async fn refuse_spent(
        &self,
        handle: &Handle,
        presented: &Presented,
        source: Source,
    ) -> Result<EndpointError, EndpointError> {
        let inner = &self.inner;
        if let Redemption::Again(grant) = inner.stores.codes.redeem(&handle.id, inner.clock.now()).await? {
            tracing::warn!(grant.id = %grant, client.id = &*for_log(presented.client_id()), "authorization code presented twice: grant revoked");
            self.revoke_grant(&grant).await?;
        }
        Ok(self.no_grant(presented, "authorization code", source).await)
    }
}

/// AS-22: exact, port included. OAuth 2.1 §4.1.3 drops the parameter, so it may be absent.
fn same_redirect_uri(form: &Params, code: &AuthorizationCode) -> Result<(), EndpointError> {
    match form.one("redirect_uri")? {
        Some(sent) if sent != code.redirect_uri => Err(EndpointError::new(
            ErrorCode::InvalidGrant,
            "redirect_uri_mismatch",
            "redirect_uri differs from the one of the authorization request",
        )),
        Some(_) | None => Ok(()),
    }
}

/// AS-123. A failure does not spend the code: whoever intercepted it cannot take it from its owner.
fn verify_pkce(form: &Params, code: &AuthorizationCode) -> Result<PkceVerified, EndpointError> {
    let verifier = form.one("code_verifier")?.ok_or_else(|| {
        EndpointError::invalid_request("code_verifier_missing", "the parameter code_verifier is missing")
    })?;
    if code.code_challenge.verify(verifier) {
        return Ok(PkceVerified(()));
    }
    let description = "code_verifier does not match the code_challenge";
    Err(EndpointError::new(ErrorCode::InvalidGrant, "code_verifier_mismatch", description))
}
