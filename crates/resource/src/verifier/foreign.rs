//! Tokens of other authorization servers.

use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;
use thv_clock::Timestamp;
use thv_jose::digest::base64url_decode;
use thv_jose::jwks::Jwks;
use thv_jose::verify::peek_unverified;
use thv_oauth::scope::ScopeSet;

use super::Unavailable;
use crate::refusal::{Refusal, TokenFault};
use crate::verified::Verified;

/// The published keys of one issuer.
#[async_trait]
pub trait TokenKeys: Send + Sync + 'static {
    /// The key set, fetched anew within the implementation's budget if it is stale or lacks `kid`.
    async fn keys(&self, kid: Option<&str>) -> Result<Arc<Jwks>, Unavailable>;
}

/// An introspection endpoint (RFC 7662).
#[async_trait]
pub trait Introspect: Send + Sync + 'static {
    /// What the endpoint says of the token; `None` if it is not active.
    async fn introspect(&self, token: &str) -> Result<Option<Introspection>, Unavailable>;
}

/// An active token as introspection describes it (RFC 7662 §2.2).
#[derive(Clone, Debug)]
pub struct Introspection {
    /// The issuer: `iss`, or the endpoint's own if the response has none.
    pub issuer: String,
    /// `sub`.
    pub subject: String,
    /// `client_id`.
    pub client_id: String,
    /// `scope`.
    pub scopes: ScopeSet,
    /// `aud`, as a list.
    pub audiences: Vec<String>,
    /// `exp`.
    pub expires_at: Timestamp,
}

/// Whom else we trust.
#[derive(Default)]
pub(super) struct Foreign {
    issuers: Vec<(String, Arc<dyn TokenKeys>)>,
    endpoint: Option<Arc<dyn Introspect>>,
}

impl Foreign {
    pub(super) fn trust(&mut self, issuer: String, keys: Arc<dyn TokenKeys>) {
        self.issuers.push((issuer, keys));
    }

    pub(super) fn introspect_at(&mut self, endpoint: Arc<dyn Introspect>) {
        self.endpoint = Some(endpoint);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.issuers.is_empty() && self.endpoint.is_none()
    }

    /// The keys with which `issuer` may have signed `token`.
    pub(super) async fn keys(&self, issuer: &str, token: &str) -> Result<Arc<Jwks>, Refusal> {
        let trusted = self.issuers.iter().find(|(trusted, _)| trusted == issuer);
        let (_, keys) = trusted.ok_or(TokenFault::WrongIssuer)?;
        Ok(keys.keys(claimed_kid(token).as_deref()).await?)
    }

    /// Asks the endpoint, and checks what it leaves to us: audience and time (RS-12).
    pub(super) async fn introspect(
        &self,
        token: &str,
        audiences: &[String],
        now: Timestamp,
    ) -> Result<Verified, Refusal> {
        let endpoint = self.endpoint.as_ref().ok_or(TokenFault::Malformed)?;
        let active = endpoint.introspect(token).await?.ok_or(TokenFault::Revoked)?;
        if !active.audiences.iter().any(|audience| audiences.contains(audience)) {
            return Err(TokenFault::WrongAudience.into());
        }
        if now >= active.expires_at {
            return Err(TokenFault::Expired.into());
        }
        let Introspection { issuer, subject, client_id, scopes, expires_at, .. } = active;
        Ok(Verified::new(issuer, subject, client_id, scopes, expires_at))
    }
}

/// The issuer that a JWT claims, to find the keys that can prove it; `None` for an opaque token.
pub(super) fn claimed_issuer(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Claims {
        iss: String,
    }
    peek_unverified::<Claims>(token).map(|claims| claims.iss)
}

fn claimed_kid(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Header {
        kid: Option<String>,
    }
    let header = base64url_decode(token.split('.').next()?)?;
    serde_json::from_slice::<Header>(&header).ok()?.kid
}
