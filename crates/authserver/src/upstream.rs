//! Upstream identity providers: who the user is, and the tokens that come with it.

pub mod local;
mod oauth2;
mod oidc;

use secrecy::SecretString;
use thv_oauth::pkce::CodeChallenge;
use thv_store::records::{Subject, UpstreamTokens};

use self::local::LocalUsers;
pub use self::oauth2::{IdentityPaths, OAuth2Settings, OAuth2Upstream, TokenResponsePaths, UserInfo};
pub use self::oidc::{OidcSettings, OidcUpstream};

/// The upstream that authenticates users.
pub struct Upstream {
    name: String,
    kind: Kind,
}

enum Kind {
    Local(LocalUsers),
    Oidc(OidcUpstream),
    OAuth2(OAuth2Upstream),
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

/// A finished upstream login.
pub(crate) struct UpstreamLogin {
    pub(crate) subject: Subject,
    pub(crate) tokens: Option<UpstreamTokens>,
}

/// Why an upstream did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// It refused, with an OAuth error code.
    #[error("the upstream refused with {error}")]
    Refused {
        /// The error code, such as `invalid_grant`.
        error: String,
    },
    /// It could not be reached, or answered 5xx or 429.
    #[error("the upstream does not answer")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Its answer breaks a rule.
    #[error("the upstream's answer is not acceptable: {what}")]
    Unacceptable {
        /// Which rule.
        what: String,
        /// The cause, if there is one.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

impl UpstreamError {
    pub(crate) fn unacceptable(what: impl Into<String>) -> Self {
        Self::Unacceptable { what: what.into(), source: None }
    }

    pub(crate) fn is_temporary(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    /// The stable reason code.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "upstream_refused",
            Self::Unavailable(_) => "upstream_unavailable",
            Self::Unacceptable { .. } => "upstream_unacceptable",
        }
    }
}

impl Upstream {
    /// Users from our own login page.
    pub fn local(name: impl Into<String>, users: LocalUsers) -> Self {
        Self { name: name.into(), kind: Kind::Local(users) }
    }

    /// An OpenID Connect provider.
    pub fn oidc(name: impl Into<String>, provider: OidcUpstream) -> Self {
        Self { name: name.into(), kind: Kind::Oidc(provider) }
    }

    /// A plain OAuth 2.0 provider.
    pub fn oauth2(name: impl Into<String>, provider: OAuth2Upstream) -> Self {
        Self { name: name.into(), kind: Kind::OAuth2(provider) }
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
    ) -> Result<String, UpstreamError> {
        match &self.kind {
            Kind::Local(_) => Ok(local::login_url(request.base_path, request.state)),
            Kind::Oidc(provider) => provider.authorization_url(request).await,
            Kind::OAuth2(provider) => provider.authorization_url(request),
        }
    }

    /// Checks the `iss` parameter of an authorization response (RFC 9207), before anything else in it is believed.
    ///
    /// An `oauth2` upstream has no issuer. That an answer is its own follows from `state`, which names the pending
    /// authorization, and from the code verifier.
    pub(crate) async fn check_iss(&self, iss: Option<&str>) -> Result<(), UpstreamError> {
        match &self.kind {
            Kind::Local(_) | Kind::OAuth2(_) => Ok(()),
            Kind::Oidc(provider) => provider.check_iss(iss).await,
        }
    }

    /// Redeems the upstream's code, after [`Self::check_iss`].
    pub(crate) async fn redeem(
        &self,
        code: &str,
        verifier: &SecretString,
        nonce: &str,
    ) -> Result<UpstreamLogin, UpstreamError> {
        match &self.kind {
            Kind::Local(_) => Err(UpstreamError::unacceptable("a local login has no callback")),
            Kind::Oidc(provider) => provider.redeem(&self.name, code, verifier, nonce).await,
            Kind::OAuth2(provider) => provider.redeem(&self.name, code, verifier).await,
        }
    }

    /// Renews tokens; `subject` is whose they must remain.
    pub(crate) async fn refresh(
        &self,
        refresh_token: &SecretString,
        subject: &str,
    ) -> Result<UpstreamTokens, UpstreamError> {
        match &self.kind {
            Kind::Local(_) => Err(UpstreamError::unacceptable("a local login has no tokens")),
            Kind::Oidc(provider) => provider.refresh(&self.name, refresh_token, subject).await,
            Kind::OAuth2(provider) => provider.refresh(&self.name, refresh_token, subject).await,
        }
    }

    /// Whether a login could start now.
    pub(crate) async fn ready(&self) -> Result<(), String> {
        match &self.kind {
            Kind::Local(_) | Kind::OAuth2(_) => Ok(()),
            Kind::Oidc(provider) => provider.ready().await,
        }
    }
}

/// The `sub` of our tokens: the upstream's name is its subjects' namespace, so that two upstreams (or an upstream and a
/// client's URL, AS-84) can never name the same subject.
pub(crate) fn subject(upstream: &str, subject: &str, name: Option<String>, email: Option<String>) -> Subject {
    Subject { sub: format!("{upstream}:{subject}"), upstream: upstream.to_owned(), name, email }
}
