//! Writing tokens: RFC 9068 access tokens, opaque refresh tokens.

use bytes::Bytes;
use http::{Response, StatusCode};
use secrecy::ExposeSecret;
use serde::Serialize;
use thv_jose::handle::{Handle, HandleKind};
use thv_oauth::error::ErrorCode;
use thv_oauth::scope::ScopeSet;
use thv_oauth::token_profile::{ACCESS_TOKEN_TYP, AccessTokenClaims, Audience};
use thv_store::records::Grant;

use crate::respond::{EndpointError, json};
use crate::server::AuthServer;

/// RFC 6749 §5.1.
#[derive(Serialize)]
struct TokenResponse<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: u64,
    scope: &'a ScopeSet,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
}

impl AuthServer {
    /// The token response for a grant, narrowed to `scopes` and `resources`.
    pub(super) fn issue(
        &self,
        grant: &Grant,
        scopes: &ScopeSet,
        resources: &[String],
    ) -> Result<Response<Bytes>, EndpointError> {
        let inner = &self.inner;
        let lifetime = inner.settings.access_token_lifetime.as_secs();
        let now = inner.clock.now().as_secs();
        let claims = AccessTokenClaims {
            iss: inner.settings.issuer.as_str().to_owned(),
            sub: grant.subject.sub.clone(),
            aud: Audience::from(resources.to_vec()),
            client_id: grant.client.client_id.clone(),
            scope: scopes.clone(),
            iat: now,
            exp: now + lifetime,
            jti: thv_jose::digest::base64url(&thv_jose::random::bytes::<16>()),
            tsid: Some(grant.id.to_string()),
            name: grant.subject.name.clone(),
            email: grant.subject.email.clone(),
        };
        let access_token = inner.keys.load().sign(ACCESS_TOKEN_TYP, &claims).map_err(|error| {
            tracing::error!(error = thv_telemetry::chain(&error), "access token could not be signed");
            EndpointError::new(ErrorCode::ServerError, "signing_failed", "the token could not be signed")
        })?;
        let refresh_token = grant.refresh.map(|family| {
            let handle =
                Handle { kind: HandleKind::RefreshToken, id: grant.id.0, counter: family.generation };
            handle.encode(&inner.hmac.load())
        });
        let response = TokenResponse {
            access_token: &access_token,
            token_type: "Bearer",
            expires_in: lifetime,
            scope: scopes,
            refresh_token: refresh_token.as_ref().map(ExposeSecret::expose_secret),
        };
        Ok(json(StatusCode::OK, &response))
    }
}
