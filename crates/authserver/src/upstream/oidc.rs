//! `oidc` upstream: an OpenID Connect provider (U1).

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use thv_client::id_token::{self, Expectations};
use thv_client::jwks::JwksCache;
use thv_client::token_response::TokenResponseShape;
use thv_jose::verify::peek_unverified;
use thv_store::records::{UpstreamEndpoints, UpstreamTokens};

use super::oauth2::UserInfo;
use super::oauth2::identity::{Identity, acceptable_subject, displayable, first_displayable};
use super::provider::{Issued, Provider, ProviderSettings, UpstreamParts, named};
use super::{Outbound, UpstreamError, UpstreamLogin, UpstreamRequest, subject as namespaced};

/// The provider's key set, and one more for the moment when its metadata names another.
const KEY_SETS: u64 = 2;

/// An OpenID Connect provider, as configured.
#[derive(Clone, Debug)]
pub struct OidcSettings {
    /// The issuer, compared as a raw string.
    pub issuer: String,
    /// It as an authorization server, and us as its client; `openid` among the scopes.
    pub provider: ProviderSettings,
    /// The claim of the ID token that identifies the user.
    pub subject_claim: String,
    /// Where name and e-mail address are asked for when the ID token lacks them.
    pub userinfo: Option<UserInfo>,
}

/// An OpenID Connect provider. Its metadata and keys are fetched when they are first needed, so that it may be down when we
/// start.
pub(super) struct OidcUpstream {
    issuer: String,
    subject_claim: String,
    userinfo: Option<UserInfo>,
    provider: Provider,
    keys: JwksCache,
}

type Claims = Map<String, Value>;

impl OidcUpstream {
    pub(super) fn new(name: String, settings: OidcSettings, parts: UpstreamParts) -> Self {
        let OidcSettings { issuer, provider, subject_claim, userinfo } = settings;
        let keys = JwksCache::new(parts.egress.clone(), Arc::clone(&parts.clock), KEY_SETS);
        let provider = Provider::new(name, Some(&issuer), provider, TokenResponseShape::Standard, parts);
        Self { issuer, subject_claim, userinfo, provider, keys }
    }

    pub(super) fn provider(&self) -> &Provider {
        &self.provider
    }

    pub(super) async fn authorization_url(
        &self,
        request: &UpstreamRequest<'_>,
    ) -> Result<Outbound, UpstreamError> {
        self.provider.authorization_url(request, Some(request.nonce)).await
    }

    pub(super) async fn redeem(
        &self,
        code: &str,
        verifier: &SecretString,
        nonce: &str,
        client_id: Option<&str>,
    ) -> Result<UpstreamLogin, UpstreamError> {
        let issued = self.provider.exchange_code(code, verifier, client_id).await?;
        let id_token = issued.tokens.id_token.as_ref();
        let id_token = id_token.ok_or_else(|| UpstreamError::unacceptable("there is no ID token"))?;
        let access_token = &issued.tokens.access_token;
        let expected = self.expectations(&issued, Some(nonce), Some(access_token));
        let claims = self.verify(&issued.endpoints, id_token, &expected).await?;
        let Identity { subject, name, email } = self.identify(&claims, access_token).await?;
        let tokens = self.provider.stored_tokens(&subject, issued);
        Ok(UpstreamLogin {
            subject: namespaced(self.provider.name(), &subject, name, email),
            tokens: Some(tokens),
        })
    }

    /// Whose the renewed tokens are is checked where an ID token comes with them (OpenID Connect Core §12.2). One that cannot
    /// be verified is only logged: the refresh token beside it may have replaced the one that was sent, and must not get lost.
    /// So nothing is waited for either: keys that are not at hand are not fetched.
    pub(super) async fn refresh(
        &self,
        refresh_token: &SecretString,
        subject: &str,
        client_id: Option<&str>,
    ) -> Result<UpstreamTokens, UpstreamError> {
        let issued = self.provider.refresh(refresh_token, client_id).await?;
        if let Some(id_token) = &issued.tokens.id_token {
            self.look_at(&issued, id_token);
            // It came from the token endpoint itself, which stands for its signature (OpenID Connect Core §3.1.3.7).
            let claims = peek_unverified::<Claims>(id_token.expose_secret());
            let now_of = claims.as_ref().and_then(|claims| claims.get(&self.subject_claim));
            if now_of.is_some_and(|now_of| now_of.as_str() != Some(subject)) {
                return Err(self.provider.another_user());
            }
        }
        Ok(self.provider.stored_tokens(subject, issued))
    }

    /// Logs what is wrong with the ID token of a refresh, as far as the keys that are kept tell.
    fn look_at(&self, issued: &Issued, id_token: &SecretString) {
        let Some(jwks_uri) = &issued.endpoints.jwks else { return };
        let Some(set) = self.keys.kept_for(jwks_uri, id_token.expose_secret()) else { return };
        let expected = self.expectations(issued, None, None);
        if let Err(error) = id_token::verify(id_token, &*set.keys, &expected) {
            tracing::warn!(
                upstream.name = self.provider.name(),
                error = thv_telemetry::chain(&error),
                "the ID token of a refresh is not acceptable"
            );
        }
    }

    pub(super) async fn ready(&self) -> Result<(), String> {
        let ready = async {
            let registered = self.provider.ready().await?;
            named(registered.endpoints.jwks.as_deref(), "jwks_uri").map(drop)
        };
        ready.await.map_err(|error: UpstreamError| thv_telemetry::chain(&error))
    }

    fn expectations<'a>(
        &'a self,
        issued: &'a Issued,
        nonce: Option<&'a str>,
        access_token: Option<&'a SecretString>,
    ) -> Expectations<'a> {
        let now = self.provider.clock.now();
        Expectations { issuer: &self.issuer, client_id: &issued.client_id, nonce, access_token, now }
    }

    async fn verify(
        &self,
        endpoints: &UpstreamEndpoints,
        id_token: &SecretString,
        expected: &Expectations<'_>,
    ) -> Result<Claims, UpstreamError> {
        let jwks_uri = named(endpoints.jwks.as_deref(), "jwks_uri")?;
        let set = self.keys.load_for(jwks_uri, id_token.expose_secret()).await?;
        Ok(id_token::verify(id_token, &*set.keys, expected)?)
    }

    async fn identify(
        &self,
        claims: &Claims,
        access_token: &SecretString,
    ) -> Result<Identity, UpstreamError> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
        let claim = &self.subject_claim;
        let subject = text(claim)
            .ok_or_else(|| UpstreamError::unacceptable(format!("the ID token has no text as {claim}")))?;
        let name =
            ["name", "preferred_username"].into_iter().find_map(|name| text(name).and_then(displayable));
        let email = text("email").and_then(displayable);
        let identity = Identity { subject: acceptable_subject(subject)?, name, email };
        match &self.userinfo {
            Some(userinfo) if identity.name.is_none() || identity.email.is_none() => {
                Ok(self.complete(identity, claims, userinfo, access_token).await)
            }
            _ => Ok(identity),
        }
    }

    /// Adds what the ID token lacks. It is for people to read only, so a login does not depend on it.
    async fn complete(
        &self,
        identity: Identity,
        claims: &Claims,
        userinfo: &UserInfo,
        access_token: &SecretString,
    ) -> Identity {
        let user = match userinfo.fetch(&self.provider.egress, access_token).await {
            Ok(user) => user,
            Err(error) => {
                tracing::warn!(error = thv_telemetry::chain(&error), "the user info was not answered");
                return identity;
            }
        };
        // An answer about somebody else must not be used (OpenID Connect Core §5.3.2).
        if user.get("sub").is_some_and(|sub| Some(sub) != claims.get("sub")) {
            tracing::warn!("the user info is about another subject than the ID token");
            return identity;
        }
        Identity {
            name: identity.name.or_else(|| first_displayable(&user, &userinfo.name_fields)),
            email: identity.email.or_else(|| first_displayable(&user, &userinfo.email_fields)),
            ..identity
        }
    }
}

#[cfg(test)]
mod tests;
