//! Token requests (RFC 6749 §4.1.3, §6) with client authentication (§2.3).

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use thv_egress::{Client, EgressError, Limits};

pub use crate::client_authentication::{
    AuthMethodChoice, ClientCredentials, CredentialsError, NoCommonAuthMethod,
};
use crate::error_response::{self, Failure};
use crate::form_endpoint::{FormEndpoint, FormError};
use crate::token_response::{self, TokenResponse, TokenResponseShape};

const LIMITS: Limits = Limits { total: Duration::from_secs(15), max_body: 256 * 1024 };

/// Why there are no tokens. None of the texts has anything that was sent.
#[derive(Debug, thiserror::Error)]
pub enum TokenRequestError {
    /// Nothing was received.
    #[error("the token endpoint could not be reached")]
    Unreachable(#[source] EgressError),
    /// It cannot answer now (429, 5xx, or an error code that says so).
    #[error("the token endpoint cannot answer at the moment ({reason})")]
    Unavailable {
        /// The status or error code.
        reason: String,
        /// Whether what was asked may have been done.
        may_have_been_processed: bool,
    },
    /// It refused (RFC 6749 §5.2).
    #[error("the token endpoint refused with {error}")]
    Refused {
        /// The error code; the status where there is none.
        error: String,
    },
    /// The answer is neither tokens nor an error.
    #[error("the token endpoint's answer is not acceptable: {what}")]
    Malformed {
        /// Which rule it breaks.
        what: String,
    },
    /// The client cannot authenticate; nothing was sent.
    #[error("the client cannot authenticate at the token endpoint")]
    Credentials(#[source] CredentialsError),
}

impl TokenRequestError {
    /// Whether the server may have done what was asked, although there are no tokens: a code or refresh token that was sent
    /// may then be used up. False where nothing was sent, and where the server said that it refuses or cannot answer (429, 502, 503); a 500
    /// or 504 may come after the work was done.
    pub const fn may_have_been_processed(&self) -> bool {
        match self {
            Self::Unreachable(error) => error.may_have_been_processed(),
            Self::Malformed { .. } => true,
            Self::Unavailable { may_have_been_processed, .. } => *may_have_been_processed,
            Self::Refused { .. } | Self::Credentials(_) => false,
        }
    }
}

impl From<FormError> for TokenRequestError {
    fn from(error: FormError) -> Self {
        match error {
            FormError::Unreachable(error) => Self::Unreachable(error),
            FormError::Credentials(error) => Self::Credentials(error),
        }
    }
}

impl From<Failure> for TokenRequestError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unavailable { reason, may_have_been_processed } => {
                Self::Unavailable { reason, may_have_been_processed }
            }
            Failure::Refused { error } => Self::Refused { error },
            Failure::Malformed { what } => Self::Malformed { what },
        }
    }
}

/// What is exchanged for what (RFC 8693 §2.1).
#[derive(Debug)]
pub struct TokenExchange<'a> {
    /// The token that is there.
    pub subject_token: &'a SecretString,
    /// What it is, such as `urn:ietf:params:oauth:token-type:access_token`.
    pub subject_token_type: &'a str,
    /// Where the new token is to be used.
    pub audience: Option<&'a str>,
    /// What it is to permit.
    pub scope: Option<String>,
}

/// A token endpoint and this client there. Redirects are not followed, so nothing that is sent reaches another host.
pub struct TokenEndpoint {
    endpoint: FormEndpoint,
    shape: TokenResponseShape,
}

impl TokenEndpoint {
    /// The endpoint at `url`, which answers in `shape`.
    pub fn new(egress: Client, url: String, client: ClientCredentials, shape: TokenResponseShape) -> Self {
        Self { endpoint: FormEndpoint::new(egress, url, client, LIMITS), shape }
    }

    /// Redeems an authorization code (RFC 6749 §4.1.3, RFC 7636 §4.5), with `extra` parameters such as `resource`
    /// (RFC 8707 §2.2).
    ///
    /// # Errors
    /// [`TokenRequestError`].
    pub async fn exchange_code(
        &self,
        code: &str,
        redirect_uri: &str,
        verifier: &SecretString,
        extra: &[(&str, &str)],
    ) -> Result<TokenResponse, TokenRequestError> {
        let mut grant = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect_uri),
            ("code_verifier", verifier.expose_secret()),
        ];
        grant.extend_from_slice(extra);
        self.request(&grant, &self.shape).await
    }

    /// Renews tokens (RFC 6749 §6), with `extra` parameters such as `resource` (RFC 8707 §2.2); without `scope` they keep the
    /// one that was granted.
    ///
    /// # Errors
    /// [`TokenRequestError`].
    pub async fn refresh(
        &self,
        refresh_token: &SecretString,
        scope: Option<&str>,
        extra: &[(&str, &str)],
    ) -> Result<TokenResponse, TokenRequestError> {
        let mut grant =
            vec![("grant_type", "refresh_token"), ("refresh_token", refresh_token.expose_secret())];
        grant.extend(scope.map(|scope| ("scope", scope)));
        grant.extend_from_slice(extra);
        self.request(&grant, &self.shape.of_refresh()).await
    }

    /// Exchanges a token for another one (RFC 8693 §2).
    ///
    /// # Errors
    /// [`TokenRequestError`].
    pub async fn exchange_token(
        &self,
        exchange: &TokenExchange<'_>,
    ) -> Result<TokenResponse, TokenRequestError> {
        let mut grant = vec![
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token", exchange.subject_token.expose_secret()),
            ("subject_token_type", exchange.subject_token_type),
        ];
        grant.extend(exchange.audience.map(|audience| ("audience", audience)));
        grant.extend(exchange.scope.as_deref().map(|scope| ("scope", scope)));
        self.request(&grant, &self.shape).await
    }

    async fn request(
        &self,
        grant: &[(&str, &str)],
        shape: &TokenResponseShape,
    ) -> Result<TokenResponse, TokenRequestError> {
        let answer = self.endpoint.send(grant).await?;
        let outcome = token_response::read(&answer, shape);
        if let Err(error) = &outcome {
            tracing::warn!(
                token.endpoint = self.endpoint.url,
                http.status = answer.response.status.as_u16(),
                error = error as &dyn std::error::Error,
                error.description = error_response::description(&answer),
                "a token request failed"
            );
        }
        outcome
    }
}
