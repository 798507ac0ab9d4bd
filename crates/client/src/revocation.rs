//! Revoking tokens (RFC 7009).

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use thv_egress::{Client, EgressError, Limits};

use crate::client_authentication::{ClientCredentials, CredentialsError};
use crate::error_response::{Failure, failure};
use crate::form_endpoint::{FormEndpoint, FormError};
use crate::header_fields::retry_after;

const LIMITS: Limits = Limits { total: Duration::from_secs(10), max_body: 64 * 1024 };

/// What kind of token it is that is revoked (RFC 7009 §2.1). A server may look elsewhere, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenTypeHint {
    /// An access token.
    AccessToken,
    /// A refresh token.
    RefreshToken,
}

impl TokenTypeHint {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccessToken => "access_token",
            Self::RefreshToken => "refresh_token",
        }
    }
}

/// Why a token may still be valid. None of the texts has anything that was sent.
#[derive(Debug, thiserror::Error)]
pub enum RevocationError {
    /// Nothing was received.
    #[error("the revocation endpoint could not be reached")]
    Unreachable(#[source] EgressError),
    /// It cannot answer now (429, 5xx, or an error code that says so); RFC 7009 §2.2.1 says that the token must be taken to
    /// be valid still, and that the request may be sent again.
    #[error("the revocation endpoint cannot answer at the moment ({reason})")]
    Unavailable {
        /// The status or error code.
        reason: String,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// It refused (RFC 6749 §5.2).
    #[error("the revocation endpoint refused with {error}")]
    Refused {
        /// The error code; the status where there is none.
        error: String,
    },
    /// The answer is none of a revocation endpoint.
    #[error("the revocation endpoint's answer is not acceptable: {what}")]
    Malformed {
        /// Which rule it breaks.
        what: String,
    },
    /// The client cannot authenticate; nothing was sent.
    #[error("the client cannot authenticate at the revocation endpoint")]
    Credentials(#[source] CredentialsError),
}

impl From<FormError> for RevocationError {
    fn from(error: FormError) -> Self {
        match error {
            FormError::Unreachable(error) => Self::Unreachable(error),
            FormError::Credentials(error) => Self::Credentials(error),
        }
    }
}

/// A revocation endpoint and this client there, which authenticates as it does at the token endpoint.
pub struct RevocationEndpoint {
    endpoint: FormEndpoint,
}

impl RevocationEndpoint {
    /// The endpoint at `url`.
    pub fn new(egress: Client, url: String, client: ClientCredentials) -> Self {
        Self { endpoint: FormEndpoint::new(egress, url, client, LIMITS) }
    }

    /// Revokes `token`. A token that the server does not know, and a server that does not revoke tokens of this type
    /// (`unsupported_token_type`), count as success: nothing more can be done (RFC 7009 §2.2).
    ///
    /// # Errors
    /// [`RevocationError`].
    pub async fn revoke(&self, token: &SecretString, hint: TokenTypeHint) -> Result<(), RevocationError> {
        let form = [("token", token.expose_secret()), ("token_type_hint", hint.as_str())];
        let answer = self.endpoint.send(&form).await?;
        match failure(&answer) {
            None => Ok(()),
            Some(Failure::Refused { error }) if error == "unsupported_token_type" => Ok(()),
            Some(Failure::Refused { error }) => Err(RevocationError::Refused { error }),
            Some(Failure::Unavailable { reason, .. }) => {
                let retry_after = retry_after(&answer.response.headers);
                Err(RevocationError::Unavailable { reason, retry_after })
            }
            Some(Failure::Malformed { what }) => Err(RevocationError::Malformed { what }),
        }
    }
}
