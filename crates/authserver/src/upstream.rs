//! Upstream identity providers: who the user is, and the tokens that come with it.

mod authorization_request;
mod error;
pub mod local;
mod oauth2;
mod oidc;
mod provider;
mod registration;

use secrecy::SecretString;
use thv_oauth::pkce::CodeChallenge;
use thv_store::records::{RegistrationKey, Subject, UpstreamTokens};

pub use self::error::UpstreamError;
use self::local::LocalUsers;
use self::oauth2::OAuth2Upstream;
pub use self::oauth2::{IdentityPaths, OAuth2Settings, TokenResponsePaths, UserInfo};
pub use self::oidc::OidcSettings;
use self::oidc::OidcUpstream;
use self::provider::Provider;
pub use self::provider::{ConfiguredEndpoints, ProviderSettings, UpstreamParts};
pub(crate) use self::registration::DOCUMENT_METHOD;
pub(crate) use self::registration::removal::Removal;
pub use self::registration::{
    DynamicRegistration, PreregisteredClient, PublishedClient, RegistrationMode, RegistrationSettings,
};

/// The upstream that authenticates users.
pub struct Upstream {
    name: String,
    kind: Kind,
}

enum Kind {
    Local(LocalUsers),
    Oidc(Box<OidcUpstream>),
    OAuth2(Box<OAuth2Upstream>),
}

/// What goes into an authorization request to the upstream.
pub(crate) struct UpstreamRequest<'a> {
    /// Where our own pages are.
    pub(crate) base_path: &'a str,
    pub(crate) state: &'a str,
    pub(crate) code_challenge: &'a CodeChallenge,
    pub(crate) nonce: &'a str,
    pub(crate) prompt_none: bool,
    pub(crate) prompt_login: bool,
}

/// Where the browser goes.
pub(crate) struct Outbound {
    pub(crate) url: String,
    /// The `client_id` in it; `None` for our own login page.
    pub(crate) client_id: Option<String>,
}

/// A finished upstream login.
pub(crate) struct UpstreamLogin {
    pub(crate) subject: Subject,
    pub(crate) tokens: Option<UpstreamTokens>,
}

impl Upstream {
    /// Users from our own login page.
    pub fn local(name: impl Into<String>, users: LocalUsers) -> Self {
        Self { name: name.into(), kind: Kind::Local(users) }
    }

    /// An OpenID Connect provider.
    pub fn oidc(name: impl Into<String>, settings: OidcSettings, parts: UpstreamParts) -> Self {
        let name = name.into();
        Self { kind: Kind::Oidc(Box::new(OidcUpstream::new(name.clone(), settings, parts))), name }
    }

    /// A plain OAuth 2.0 provider.
    pub fn oauth2(name: impl Into<String>, settings: OAuth2Settings, parts: UpstreamParts) -> Self {
        let name = name.into();
        Self { kind: Kind::OAuth2(Box::new(OAuth2Upstream::new(name.clone(), settings, parts))), name }
    }

    /// Its configured name, the namespace of its subjects.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its kind, as the configuration and the metrics say it.
    pub(crate) fn provider_type(&self) -> &'static str {
        match self.kind {
            Kind::Local(_) => "local",
            Kind::Oidc(_) => "oidc",
            Kind::OAuth2(_) => "oauth2",
        }
    }

    pub(crate) fn is_local(&self) -> bool {
        matches!(self.kind, Kind::Local(_))
    }

    pub(crate) fn local_users(&self) -> Option<&LocalUsers> {
        match &self.kind {
            Kind::Local(users) => Some(users),
            Kind::Oidc(_) | Kind::OAuth2(_) => None,
        }
    }

    /// Where the browser goes to log in.
    pub(crate) async fn authorization_url(
        &self,
        request: &UpstreamRequest<'_>,
    ) -> Result<Outbound, UpstreamError> {
        match &self.kind {
            Kind::Local(_) => {
                Ok(Outbound { url: local::login_url(request.base_path, request.state), client_id: None })
            }
            Kind::Oidc(provider) => provider.authorization_url(request).await,
            Kind::OAuth2(provider) => provider.authorization_url(request).await,
        }
    }

    /// Checks the `iss` parameter of an authorization response (RFC 9207), before anything else in it is believed.
    ///
    /// An `oauth2` upstream without metadata has no issuer. That an answer is its own follows from `state`, which names the
    /// pending authorization, and from the code verifier.
    pub(crate) async fn check_iss(&self, iss: Option<&str>) -> Result<(), UpstreamError> {
        match self.provider() {
            Some(provider) => provider.check_iss(iss).await,
            None => Ok(()),
        }
    }

    /// Redeems the upstream's code, after [`Self::check_iss`], as the client that asked for it.
    pub(crate) async fn redeem(
        &self,
        code: &str,
        verifier: &SecretString,
        nonce: &str,
        client_id: Option<&str>,
    ) -> Result<UpstreamLogin, UpstreamError> {
        match &self.kind {
            Kind::Local(_) => Err(UpstreamError::unacceptable("a local login has no callback")),
            Kind::Oidc(provider) => provider.redeem(code, verifier, nonce, client_id).await,
            Kind::OAuth2(provider) => provider.redeem(code, verifier, client_id).await,
        }
    }

    /// Renews tokens, as the client that they were issued to. They must remain the same user's.
    pub(crate) async fn refresh(&self, tokens: &UpstreamTokens) -> Result<UpstreamTokens, UpstreamError> {
        let Some(refresh_token) = &tokens.refresh_token else {
            return Err(UpstreamError::unacceptable("there is no refresh token"));
        };
        let (subject, client_id) = (tokens.subject.as_str(), tokens.client_id.as_deref());
        match &self.kind {
            Kind::Local(_) => Err(UpstreamError::unacceptable("a local login has no tokens")),
            Kind::Oidc(provider) => provider.refresh(refresh_token, subject, client_id).await,
            Kind::OAuth2(provider) => provider.refresh(refresh_token, subject, client_id).await,
        }
    }

    /// Revokes tokens (RFC 7009), where the upstream offers it.
    pub(crate) async fn revoke(&self, tokens: &UpstreamTokens) -> Result<(), UpstreamError> {
        match self.provider() {
            Some(provider) => provider.revoke(tokens).await,
            None => Ok(()),
        }
    }

    /// The upstream refused the registration `client_id` with `invalid_client`: whether there is another one now (U7). `false`
    /// also where it turns out that the upstream knows it all the same, and what was asked can be asked again.
    pub(crate) async fn replace_registration(&self, client_id: &str) -> bool {
        match self.provider() {
            Some(provider) => provider.registrar().replace(client_id).await,
            None => false,
        }
    }

    /// Registers at the upstream in the background, where that is needed, until it succeeds.
    pub(crate) fn start(&self) {
        if let Some(provider) = self.provider() {
            provider.start();
        }
    }

    /// What our registration there is stored under, or would be.
    pub(crate) fn registration_key(&self) -> Option<&RegistrationKey> {
        Some(self.provider()?.registrar().key())
    }

    /// What our metadata document has to say about us for this upstream: our callback, and the scopes that are asked for.
    pub(crate) fn asked_with(&self) -> Option<(&str, &[String])> {
        let settings = &self.provider()?.settings;
        Some((&settings.redirect_uri, &settings.scopes))
    }

    fn provider(&self) -> Option<&Provider> {
        match &self.kind {
            Kind::Local(_) => None,
            Kind::Oidc(oidc) => Some(oidc.provider()),
            Kind::OAuth2(oauth2) => Some(oauth2.provider()),
        }
    }

    /// Whether its logins come with tokens.
    pub(crate) fn gives_tokens(&self) -> bool {
        !self.is_local()
    }

    /// Whether a login could start now.
    pub(crate) async fn ready(&self) -> Result<(), String> {
        match &self.kind {
            Kind::Local(_) => Ok(()),
            Kind::Oidc(provider) => provider.ready().await,
            Kind::OAuth2(provider) => provider.ready().await,
        }
    }
}

/// The `sub` of our tokens: the upstream's name is its subjects' namespace, so that two upstreams (or an upstream and a
/// client's URL, AS-84) can never name the same subject.
pub(crate) fn subject(upstream: &str, subject: &str, name: Option<String>, email: Option<String>) -> Subject {
    Subject { sub: format!("{upstream}:{subject}"), upstream: upstream.to_owned(), name, email }
}
