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
}

/// A credential holds bytes that no header may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the upstream credential cannot be written into a header")]
pub struct UnusableCredential;

impl Credential {
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
        let text = SecretString::from(format!("Bearer {}", token.expose_secret()));
        let mut header_value = HeaderValue::from_str(text.expose_secret()).map_err(|_| UnusableCredential)?;
        header_value.set_sensitive(true);
        Ok(Self { header_value, provider: provider.into(), expires_at })
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
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// The provider's refresh token is gone or refused: the person must log in again.
    #[error("the login at the upstream provider has ended")]
    ReauthenticationNeeded,
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

    /// A new credential, although the present one has not expired: the backend refused it.
    async fn refresh(&self, session: &str) -> Result<Option<Arc<Credential>>, CredentialError>;
}
