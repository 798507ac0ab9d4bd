//! `oidc` upstream: an OpenID Connect provider (U1).

use std::collections::BTreeMap;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use thv_client::authorization_response::{IssError, check_iss};
use thv_client::id_token::{self, Expectations, IdTokenError};
use thv_client::jwks::{JwksCache, JwksFetchError};
use thv_client::metadata::{MetadataError, MetadataSource};
use thv_client::token_request::{AuthMethodChoice, ClientCredentials, NoCommonAuthMethod, TokenEndpoint};
use thv_client::token_response::TokenResponseShape;
use thv_clock::SharedClock;
use thv_egress::Client as Egress;
use thv_jose::verify::peek_unverified;
use thv_oauth::server_metadata::AuthorizationServerMetadata;
use thv_store::records::UpstreamTokens;

use super::oauth2::identity::{Identity, acceptable_subject, displayable, first_displayable};
use super::oauth2::{AuthorizationRequest, UserInfo, stored_tokens};
use super::{UpstreamError, UpstreamLogin, UpstreamRequest, subject as namespaced};

/// The provider's key set, and one more for the moment when its metadata names another.
const KEY_SETS: u64 = 2;

/// An OpenID Connect provider, as configured.
#[derive(Clone, Debug)]
pub struct OidcSettings {
    /// The issuer, compared as a raw string.
    pub issuer: String,
    /// Who we are there.
    pub client_id: String,
    /// Our secret there; a public client without.
    pub client_secret: Option<SecretString>,
    /// Our callback, as registered there.
    pub redirect_uri: String,
    /// The scopes that are asked for; `openid` among them.
    pub scopes: Vec<String>,
    /// The claim of the ID token that identifies the user.
    pub subject_claim: String,
    /// Further parameters of the authorization request.
    pub additional_params: BTreeMap<String, String>,
    /// Where name and e-mail address are asked for when the ID token lacks them.
    pub userinfo: Option<UserInfo>,
}

/// An OpenID Connect provider. Its metadata and keys are fetched when they are first needed, so that it may be down when we
/// start.
pub struct OidcUpstream {
    settings: OidcSettings,
    egress: Egress,
    clock: SharedClock,
    metadata: MetadataSource,
    keys: JwksCache,
}

type Claims = Map<String, Value>;

impl OidcUpstream {
    /// A provider that is reached through `egress`.
    pub fn new(settings: OidcSettings, egress: Egress, clock: SharedClock) -> Self {
        let metadata = MetadataSource::new(egress.clone(), settings.issuer.clone(), Arc::clone(&clock));
        let keys = JwksCache::new(egress.clone(), Arc::clone(&clock), KEY_SETS);
        Self { settings, egress, clock, metadata, keys }
    }

    pub(super) async fn authorization_url(
        &self,
        request: &UpstreamRequest<'_>,
    ) -> Result<String, UpstreamError> {
        let metadata = self.metadata.load().await?;
        let settings = &self.settings;
        AuthorizationRequest {
            endpoint: named(metadata.authorization_endpoint.as_deref(), "authorization_endpoint")?,
            client_id: &settings.client_id,
            redirect_uri: &settings.redirect_uri,
            scopes: &settings.scopes,
            additional_params: &settings.additional_params,
            nonce: Some(request.nonce),
        }
        .url(request)
    }

    /// Checks the `iss` parameter of an authorization response (RFC 9207).
    pub(super) async fn check_iss(&self, iss: Option<&str>) -> Result<(), UpstreamError> {
        Ok(check_iss(&*self.metadata.load().await?, iss)?)
    }

    pub(super) async fn redeem(
        &self,
        upstream: &str,
        code: &str,
        verifier: &SecretString,
        nonce: &str,
    ) -> Result<UpstreamLogin, UpstreamError> {
        let metadata = self.metadata.load().await?;
        let endpoint = self.token_endpoint(&metadata)?;
        let tokens = endpoint.exchange_code(code, &self.settings.redirect_uri, verifier, &[]).await?;
        let id_token = tokens.id_token.as_ref();
        let id_token = id_token.ok_or_else(|| UpstreamError::unacceptable("there is no ID token"))?;
        let expected = self.expectations(Some(nonce), Some(&tokens.access_token));
        let claims = self.verify(&metadata, id_token, &expected).await?;
        let Identity { subject, name, email } = self.identify(&claims, &tokens.access_token).await?;
        let tokens = stored_tokens(upstream, &subject, tokens, &self.clock);
        Ok(UpstreamLogin { subject: namespaced(upstream, &subject, name, email), tokens: Some(tokens) })
    }

    /// Whose the renewed tokens are is checked where an ID token comes with them (OpenID Connect Core §12.2). One that cannot
    /// be verified is only logged: the refresh token beside it may have replaced the one that was sent, and must not get lost.
    pub(super) async fn refresh(
        &self,
        upstream: &str,
        refresh_token: &SecretString,
        subject: &str,
    ) -> Result<UpstreamTokens, UpstreamError> {
        let metadata = self.metadata.load().await?;
        let tokens = self.token_endpoint(&metadata)?.refresh(refresh_token, None).await?;
        if let Some(id_token) = &tokens.id_token {
            let claims = match self.verify(&metadata, id_token, &self.expectations(None, None)).await {
                Ok(claims) => Some(claims),
                Err(error) => {
                    let error = thv_telemetry::chain(&error);
                    tracing::warn!(
                        upstream.name = upstream,
                        error,
                        "the ID token of a refresh is not acceptable"
                    );
                    peek_unverified::<Claims>(id_token.expose_secret())
                }
            };
            let now_of = claims.as_ref().and_then(|claims| claims.get(&self.settings.subject_claim));
            if now_of.is_some_and(|now_of| now_of.as_str() != Some(subject)) {
                return Err(UpstreamError::Refused {
                    error: "the renewed tokens are another user's".to_owned(),
                });
            }
        }
        Ok(stored_tokens(upstream, subject, tokens, &self.clock))
    }

    pub(super) async fn ready(&self) -> Result<(), String> {
        let ready = async {
            let metadata = self.metadata.load().await?;
            named(metadata.authorization_endpoint.as_deref(), "authorization_endpoint")?;
            named(metadata.jwks_uri.as_deref(), "jwks_uri")?;
            self.token_endpoint(&metadata).map(drop)
        };
        ready.await.map_err(|error: UpstreamError| thv_telemetry::chain(&error))
    }

    fn token_endpoint(&self, metadata: &AuthorizationServerMetadata) -> Result<TokenEndpoint, UpstreamError> {
        let url = named(metadata.token_endpoint.as_deref(), "token_endpoint")?.to_owned();
        let secret = self.settings.client_secret.clone();
        let method = match &secret {
            Some(_) => AuthMethodChoice::from_metadata(metadata)?,
            None => AuthMethodChoice::None,
        };
        let client = ClientCredentials { client_id: self.settings.client_id.clone(), secret, method };
        Ok(TokenEndpoint::new(self.egress.clone(), url, client, TokenResponseShape::Standard))
    }

    fn expectations<'a>(
        &'a self,
        nonce: Option<&'a str>,
        access_token: Option<&'a SecretString>,
    ) -> Expectations<'a> {
        let OidcSettings { issuer, client_id, .. } = &self.settings;
        Expectations { issuer, client_id, nonce, access_token, now: self.clock.now() }
    }

    async fn verify(
        &self,
        metadata: &AuthorizationServerMetadata,
        id_token: &SecretString,
        expected: &Expectations<'_>,
    ) -> Result<Claims, UpstreamError> {
        let jwks_uri = named(metadata.jwks_uri.as_deref(), "jwks_uri")?;
        let set = self.keys.load_for(jwks_uri, id_token.expose_secret()).await?;
        Ok(id_token::verify(id_token, &*set.keys, expected)?)
    }

    async fn identify(
        &self,
        claims: &Claims,
        access_token: &SecretString,
    ) -> Result<Identity, UpstreamError> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
        let claim = &self.settings.subject_claim;
        let subject = text(claim)
            .ok_or_else(|| UpstreamError::unacceptable(format!("the ID token has no text as {claim}")))?;
        let name =
            ["name", "preferred_username"].into_iter().find_map(|name| text(name).and_then(displayable));
        let email = text("email").and_then(displayable);
        let identity = Identity { subject: acceptable_subject(subject)?, name, email };
        match &self.settings.userinfo {
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
        let user = match userinfo.fetch(&self.egress, access_token).await {
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

fn named<'a>(member: Option<&'a str>, name: &str) -> Result<&'a str, UpstreamError> {
    member.ok_or_else(|| UpstreamError::unacceptable(format!("its metadata has no {name}")))
}

fn unacceptable(what: &str, source: impl std::error::Error + Send + Sync + 'static) -> UpstreamError {
    UpstreamError::Unacceptable { what: what.to_owned(), source: Some(Box::new(source)) }
}

impl From<MetadataError> for UpstreamError {
    fn from(error: MetadataError) -> Self {
        if error.is_temporary() {
            Self::Unavailable(error.into())
        } else {
            unacceptable("no usable metadata", error)
        }
    }
}

impl From<JwksFetchError> for UpstreamError {
    fn from(error: JwksFetchError) -> Self {
        if error.is_temporary() {
            Self::Unavailable(error.into())
        } else {
            unacceptable("no usable keys", error)
        }
    }
}

impl From<IdTokenError> for UpstreamError {
    fn from(error: IdTokenError) -> Self {
        unacceptable("the ID token was refused", error)
    }
}

impl From<IssError> for UpstreamError {
    fn from(error: IssError) -> Self {
        unacceptable("the authorization response was refused", error)
    }
}

impl From<NoCommonAuthMethod> for UpstreamError {
    fn from(error: NoCommonAuthMethod) -> Self {
        unacceptable("we cannot authenticate to it", error)
    }
}

#[cfg(test)]
mod tests;
