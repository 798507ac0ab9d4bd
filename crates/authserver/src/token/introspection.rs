//! `POST /oauth/introspect`: whether a token counts, and for what (RFC 7662).
//!
//! Only clients that prove who they are may ask, so that nobody can try out tokens (§4). A client sees the tokens that were
//! issued to it. One that the operator configured sees all of them: that is how a resource server asks. For everybody else a
//! token is as good as unknown.

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use serde::Serialize;
use serde_json::json;
use thv_oauth::scope::ScopeSet;
use thv_oauth::token_profile::Audience;
use thv_store::records::Grant;

use super::client_authentication::Presented;
use super::issued::Issued;
use super::{form, presented_token};
use crate::respond::{self, EndpointError};
use crate::server::{AuthServer, Source};

/// An active token (RFC 7662 §2.2); times are seconds since the Unix epoch.
#[derive(Serialize)]
struct Active<'a> {
    active: bool,
    #[serde(skip_serializing_if = "ScopeSet::is_empty")]
    scope: ScopeSet,
    client_id: &'a str,
    /// The user's name, if the upstream told it.
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    /// Of access tokens only.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'static str>,
    exp: u64,
    iat: u64,
    sub: &'a str,
    aud: Audience,
    iss: &'a str,
    /// Of access tokens only.
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<String>,
}

impl AuthServer {
    /// `POST /oauth/introspect`.
    pub(crate) async fn introspect(&self, request: &Request<Bytes>, source: Source) -> Response<Bytes> {
        let outcome = self.try_introspect(request, source).await;
        outcome.unwrap_or_else(EndpointError::into_response)
    }

    async fn try_introspect(
        &self,
        request: &Request<Bytes>,
        source: Source,
    ) -> Result<Response<Bytes>, EndpointError> {
        let form = form(request)?;
        let presented = Presented::from_request(request.headers(), &form)?;
        if !presented.has_credential() {
            let description = "only clients that authenticate may introspect tokens";
            return Err(presented.refused("client_authentication_missing", description));
        }
        // First and in any case: an answer must not depend on the token before it is known who asks.
        let _authenticated = self.authenticate_known_client(&presented, source).await?;
        let issued = self.find_token(presented_token(&form)?).await?;
        let issued = issued.filter(|issued| self.may_see(presented.client_id(), issued.grant()));
        let active = issued.as_ref().and_then(|issued| self.active(issued));
        Ok(match active {
            Some(active) => respond::json(StatusCode::OK, &active),
            None => respond::json(StatusCode::OK, &json!({"active": false})),
        })
    }

    fn may_see(&self, client_id: &str, grant: &Grant) -> bool {
        grant.client.client_id == client_id || self.inner.clients.preregistered.contains_key(client_id)
    }

    /// `None` for a refresh token that was rotated: at most a lost response is sent again for it.
    fn active<'a>(&'a self, issued: &'a Issued) -> Option<Active<'a>> {
        let grant = issued.grant();
        let of_grant = Active {
            active: true,
            scope: grant.scopes.clone(),
            client_id: &grant.client.client_id,
            username: grant.subject.name.as_deref(),
            token_type: None,
            exp: 0,
            iat: 0,
            sub: &grant.subject.sub,
            aud: Audience::from(grant.resources.clone()),
            iss: self.inner.settings.issuer.as_str(),
            jti: None,
        };
        match issued {
            Issued::Access(claims, _) => Some(Active {
                scope: claims.scope.clone(),
                token_type: Some("Bearer"),
                exp: claims.exp,
                iat: claims.iat,
                aud: claims.aud.clone(),
                jti: Some(claims.jti.clone()),
                ..of_grant
            }),
            Issued::Refresh(generation, _) => {
                let family = grant.refresh.filter(|family| family.generation == *generation)?;
                let end = family.idle_expires_at.min(family.absolute_expires_at);
                (self.inner.clock.now() < end).then(|| Active {
                    exp: end.as_secs(),
                    iat: family.rotated_at.as_secs(),
                    ..of_grant
                })
            }
        }
    }
}
