//! The upstream provider's credential that a request to the backend carries.

mod cache;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use thv_clock::Timestamp;

pub use cache::CredentialCache;

/// An upstream provider's access token, ready to be put into a header.
///
/// The header value is made once: the hot path copies a reference. It is marked sensitive, so that neither `Debug` nor
/// HPACK shows or keeps it.
pub struct Credential {
    header_value: HeaderValue,
    provider: String,
    expires_at: Option<Timestamp>,
    login_scope: Option<String>,
}

/// A credential holds bytes that no header may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the upstream credential cannot be written into a header")]
pub struct UnusableCredential;

impl Credential {
    const SCHEME: &str = "Bearer ";

    /// `Bearer <token>` (RFC 6750 §2.1) of the named upstream provider.
    ///
    /// # Errors
    ///
    /// The token holds control characters.
    pub fn bearer(
        token: &SecretString,
        provider: impl Into<String>,
        expires_at: Option<Timestamp>,
    ) -> Result<Self, UnusableCredential> {
        let text = SecretString::from([Self::SCHEME, token.expose_secret()].concat());
        let mut header_value = HeaderValue::from_str(text.expose_secret()).map_err(|_| UnusableCredential)?;
        header_value.set_sensitive(true);
        Ok(Self { header_value, provider: provider.into(), expires_at, login_scope: None })
    }

    /// Names the scope that makes an authorization run the login at this provider again; see
    /// [`CredentialError::ReauthenticationNeeded`].
    #[must_use]
    pub fn with_login_scope(mut self, scope: impl Into<String>) -> Self {
        self.login_scope = Some(scope.into());
        self
    }

    /// What goes into `Authorization` or the configured header.
    pub fn header_value(&self) -> &HeaderValue {
        &self.header_value
    }

    /// The name of the upstream provider that issued it.
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// When it expires, if the provider said so.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    /// Whether it was made of `token`: whoever keeps tokens can tell this way which one was refused. Both are ours, so the
    /// time that the comparison takes tells nobody anything.
    pub fn is_bearer_of(&self, token: &SecretString) -> bool {
        let held = self.header_value.as_bytes().strip_prefix(Self::SCHEME.as_bytes());
        held == Some(token.expose_secret().as_bytes())
    }

    /// What there is to say when the provider's login no longer gives a credential that the backend accepts.
    pub fn login_ended(&self) -> CredentialError {
        CredentialError::ReauthenticationNeeded { scope: self.login_scope.clone() }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("provider", &self.provider)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// Why there is no credential where one is needed.
///
/// The scopes are single tokens (RFC 6749 §3.3): what an authorization asks for so that the login in question runs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// The session never logged in to the provider, which is asked for only when it is needed.
    #[error("the session has not logged in to the upstream provider")]
    StepUpNeeded {
        /// What makes an authorization log in there.
        scope: String,
    },
    /// The provider's refresh token is gone or refused: the person must log in again.
    #[error("the login at the upstream provider has ended")]
    ReauthenticationNeeded {
        /// What makes an authorization log in there; none if every authorization does.
        scope: Option<String>,
    },
    /// The provider or the store is down; nothing is lost.
    #[error("the upstream credential is unavailable at the moment")]
    Unavailable {
        /// When asking again makes sense.
        retry_after: Duration,
    },
}

/// Where upstream credentials come from.
///
/// A caller may go away while it waits. What must not stop half way, such as storing a rotated refresh token, is the
/// implementation's to finish.
#[async_trait]
pub trait UpstreamCredentials: Send + Sync + 'static {
    /// The credential of a session, refreshed if it has expired; `None` when the session has no upstream credential.
    async fn credential(&self, session: &str) -> Result<Option<Arc<Credential>>, CredentialError>;

    /// A credential other than `refused`, which the backend did not accept although it may not have expired. If the stored
    /// one is another already ([`Credential::is_bearer_of`]), another replica has renewed it, and it will do.
    async fn refresh(
        &self,
        session: &str,
        refused: &Credential,
    ) -> Result<Option<Arc<Credential>>, CredentialError>;

    /// The backend refused `credential`, and there is none that is newer: only another login can help. A source without logins
    /// has nothing to note.
    async fn refused_anew(&self, _session: &str, _credential: &Credential) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> SecretString {
        SecretString::from(text)
    }

    #[test]
    fn a_credential_never_shows_its_token() {
        let credential = Credential::bearer(&secret("hush"), "corp", None).unwrap();
        let shown = format!("{credential:?} {:?}", credential.header_value());
        assert!(!shown.contains("hush"), "{shown}");
        assert!(Credential::bearer(&secret("a\r\nb: c"), "corp", None).is_err());
    }

    #[test]
    fn a_credential_knows_the_token_that_it_was_made_of() {
        let credential = Credential::bearer(&secret("token-1"), "corp", None).unwrap();
        assert!(credential.is_bearer_of(&secret("token-1")));
        for other in ["token-2", "token-", "token-10", "Bearer token-1", ""] {
            assert!(!credential.is_bearer_of(&secret(other)), "{other}");
        }
    }

    #[test]
    fn a_credential_says_which_scope_runs_its_login_again() {
        let credential = Credential::bearer(&secret("t"), "corp", None).unwrap();
        assert_eq!(credential.login_ended(), CredentialError::ReauthenticationNeeded { scope: None });
        let scope = Some("upstream:corp".to_owned());
        let on_demand = credential.with_login_scope("upstream:corp");
        assert_eq!(on_demand.login_ended(), CredentialError::ReauthenticationNeeded { scope });
    }
}
