//! From the authorization response to tokens.

use secrecy::{ExposeSecret, SecretString};
use thv_client::authorization_response::{self, ResponseError};
use thv_client::client_authentication::AuthMethodChoice;
use thv_client::preflight::is_about_client;
use thv_client::token_request::{TokenEndpoint, TokenRequestError};
use thv_client::token_response::{TokenResponse, TokenResponseShape};
use thv_oauth::auth_method::AuthMethod;

use super::request::Asked;
use super::{Ended, Login};
use crate::credentials::Grant;
use crate::discovery::Found;
use crate::error::LoginError;
use crate::identity::Identity;
use crate::ui::Progress;

impl Login<'_> {
    /// Judges a response and redeems its code.
    pub(super) async fn redeem(&self, found: &Found, asked: &Asked, query: &str) -> Result<Grant, Ended> {
        let code = authorization_response::code(&found.server, &asked.state, query).map_err(response)?;
        self.ui.show(Progress::Step("redeeming the authorization code"));
        let endpoint = TokenEndpoint::new(
            self.reach.egress(),
            found.token_endpoint().to_owned(),
            asked.identity.client.clone(),
            TokenResponseShape::Lenient,
        );
        let resource = found.resource.as_deref().map(|resource| ("resource", resource));
        let extra: Vec<_> = resource.into_iter().collect();
        let verifier = SecretString::from(asked.verifier.expose());
        let tokens =
            endpoint.exchange_code(code.expose_secret(), &asked.redirect_uri, &verifier, &extra).await;
        let tokens = tokens.map_err(|error| match error {
            TokenRequestError::Refused { error } if is_about_client(&error) => Ended::ClientRefused(error),
            other => Ended::Failed(LoginError::Token(other)),
        })?;
        Ok(self.grant(found, asked, tokens))
    }

    fn grant(&self, found: &Found, asked: &Asked, tokens: TokenResponse) -> Grant {
        let now = self.clock.now();
        Grant {
            issuer: found.server.issuer.clone(),
            client_id: asked.identity.client.client_id.clone(),
            identity: asked.identity.kind,
            method: method(&asked.identity),
            resource: found.resource.clone(),
            requested_scope: asked.scope.clone(),
            scope: tokens.scope,
            token_endpoint: found.token_endpoint().to_owned(),
            revocation_endpoint: found.server.revocation_endpoint.clone(),
            access_token: tokens.access_token,
            issued_at: now,
            expires_at: tokens.expires_in.map(|lifetime| now + lifetime),
            refresh_token: tokens.refresh_token,
            id_token: tokens.id_token,
        }
    }
}

fn response(error: ResponseError) -> Ended {
    match &error {
        ResponseError::Refused { error: code, .. } if is_about_client(code) => {
            Ended::ClientRefused(error.to_string())
        }
        ResponseError::Refused { error: code, .. } if code == "invalid_scope" => Ended::ScopeRefused(error),
        _ => Ended::Failed(LoginError::Response(error)),
    }
}

/// How the client authenticates, as it is kept.
fn method(identity: &Identity) -> AuthMethod {
    match identity.client.method {
        AuthMethodChoice::ClientSecretPost => AuthMethod::ClientSecretPost,
        AuthMethodChoice::ClientSecretBasic | AuthMethodChoice::Unknown => AuthMethod::ClientSecretBasic,
        AuthMethodChoice::None | AuthMethodChoice::PrivateKeyJwt => AuthMethod::None,
    }
}
