//! From a token that somebody presents to the grant that it stands for.

use std::sync::Arc;

use thv_jose::handle::{Handle, HandleKind};
use thv_jose::verify::{Expected, Typ, verify};
use thv_oauth::token_profile::AccessTokenClaims;
use thv_store::StoreError;
use thv_store::records::{Grant, GrantId};

use crate::server::AuthServer;

/// A token of ours whose grant lives.
pub(super) enum Issued {
    /// An access token that has not expired.
    Access(Box<AccessTokenClaims>, Arc<Grant>),
    /// A refresh token of this generation, which need not be the current one.
    Refresh(u32, Arc<Grant>),
}

impl Issued {
    pub(super) fn grant(&self) -> &Grant {
        match self {
            Self::Access(_, grant) | Self::Refresh(_, grant) => grant,
        }
    }
}

impl AuthServer {
    /// What `token` stands for; `None` when it is not one of ours, has expired, or its grant has ended.
    pub(super) async fn find_token(&self, token: &str) -> Result<Option<Issued>, StoreError> {
        if let Ok(handle) = Handle::decode(token, HandleKind::RefreshToken, &self.inner.hmac.load()) {
            let grant = self.living(GrantId(handle.id)).await?;
            return Ok(grant.map(|grant| Issued::Refresh(handle.counter, grant)));
        }
        let Some((id, claims)) = self.access_token(token) else { return Ok(None) };
        Ok(self.living(id).await?.map(|grant| Issued::Access(Box::new(claims), grant)))
    }

    /// The claims of an access token, and the grant that it names.
    fn access_token(&self, token: &str) -> Option<(GrantId, AccessTokenClaims)> {
        let settings = &self.inner.settings;
        let audiences: Vec<&str> = settings.audiences.iter().map(|audience| audience.as_str()).collect();
        let expected = Expected {
            issuer: Some(settings.issuer.as_str()),
            ..Expected::new(Typ::AccessToken, &audiences, self.inner.clock.now())
        };
        let claims: AccessTokenClaims = verify(token, &*self.inner.keys.load(), &expected).ok()?;
        let id = claims.tsid.as_deref().and_then(GrantId::parse)?;
        Some((id, claims))
    }

    async fn living(&self, id: GrantId) -> Result<Option<Arc<Grant>>, StoreError> {
        let row = self.inner.stores.grants.load(&id, self.inner.clock.now()).await?;
        Ok(row.map(|row| row.value))
    }
}
