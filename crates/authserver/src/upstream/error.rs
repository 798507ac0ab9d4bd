//! Why an upstream did not do what was asked.

use std::error::Error;

use thv_client::authorization_response::IssError;
use thv_client::id_token::IdTokenError;
use thv_client::jwks::JwksFetchError;
use thv_client::revocation::RevocationError;
use thv_client::token_request::TokenRequestError;
use thv_client::userinfo::UserInfoError;

use super::registration::Unregistered;

/// Why an upstream did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// It refused, with an OAuth error code.
    #[error("the upstream refused with {error}")]
    Refused {
        /// The error code, such as `invalid_grant`.
        error: String,
    },
    /// Our client that the token was issued to is not known here (any more), so it was not asked. The token is not void.
    #[error("the client that the token was issued to is not known here")]
    UnknownClient,
    /// It could not be reached, or answered 5xx or 429; or we could not ask it.
    #[error("the upstream cannot be asked, or does not answer")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// It did not answer, or failed half-way (500, 504), and may or may not have done what was asked.
    #[error("the upstream did not answer, and may have done what was asked")]
    Unanswered(#[source] Box<dyn Error + Send + Sync>),
    /// Its answer breaks a rule.
    #[error("the upstream's answer is not acceptable: {what}")]
    Unacceptable {
        /// Which rule.
        what: String,
        /// The cause, if there is one.
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },
}

impl UpstreamError {
    pub(crate) fn unacceptable(what: impl Into<String>) -> Self {
        Self::Unacceptable { what: what.into(), source: None }
    }

    /// It refused the code or refresh token (RFC 6749 §5.2).
    pub(super) fn invalid_grant() -> Self {
        Self::Refused { error: "invalid_grant".to_owned() }
    }

    /// It does not know us, or not any more (RFC 6749 §5.2).
    pub(super) fn invalid_client() -> Self {
        Self::Refused { error: "invalid_client".to_owned() }
    }

    /// The same failure where nothing was sent yet, so that no token can be used up.
    pub(super) fn before_asking(self) -> Self {
        match self {
            Self::Unacceptable { .. } | Self::Unanswered(_) => Self::Unavailable(Box::new(self)),
            Self::Refused { .. } | Self::UnknownClient | Self::Unavailable(_) => self,
        }
    }

    pub(crate) fn is_temporary(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Unanswered(_))
    }

    /// It does not know us, or not any more (RFC 6749 §5.2).
    pub(crate) fn is_invalid_client(&self) -> bool {
        matches!(self, Self::Refused { error } if error == "invalid_client")
    }

    /// The code or refresh token is void (RFC 6749 §5.2).
    pub(crate) fn is_invalid_grant(&self) -> bool {
        matches!(self, Self::Refused { error } if error == "invalid_grant")
    }

    /// Whether a token that was sent may have been used up without our learning of it.
    pub(crate) fn may_have_been_processed(&self) -> bool {
        matches!(self, Self::Unanswered(_) | Self::Unacceptable { .. })
    }

    /// The stable reason code.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "upstream_refused",
            Self::UnknownClient => "upstream_client_unknown",
            Self::Unavailable(_) | Self::Unanswered(_) => "upstream_unavailable",
            Self::Unacceptable { .. } => "upstream_unacceptable",
        }
    }
}

fn unacceptable(what: &str, source: impl Error + Send + Sync + 'static) -> UpstreamError {
    UpstreamError::Unacceptable { what: what.to_owned(), source: Some(Box::new(source)) }
}

impl From<TokenRequestError> for UpstreamError {
    fn from(error: TokenRequestError) -> Self {
        let processed = error.may_have_been_processed();
        match error {
            TokenRequestError::Refused { error } => Self::Refused { error },
            TokenRequestError::Malformed { .. } => unacceptable("no tokens", error),
            TokenRequestError::Unreachable(_) | TokenRequestError::Unavailable { .. } if processed => {
                Self::Unanswered(error.into())
            }
            TokenRequestError::Unreachable(_)
            | TokenRequestError::Unavailable { .. }
            | TokenRequestError::Credentials(_) => Self::Unavailable(error.into()),
        }
    }
}

impl From<RevocationError> for UpstreamError {
    fn from(error: RevocationError) -> Self {
        match error {
            RevocationError::Refused { error } => Self::Refused { error },
            RevocationError::Malformed { .. } => unacceptable("the revocation is not confirmed", error),
            RevocationError::Unreachable(_)
            | RevocationError::Unavailable { .. }
            | RevocationError::Credentials(_) => Self::Unavailable(error.into()),
        }
    }
}

impl From<Unregistered> for UpstreamError {
    fn from(error: Unregistered) -> Self {
        if error.is_temporary() {
            Self::Unavailable(error.into())
        } else {
            unacceptable("we are no client of it", error)
        }
    }
}

impl From<UserInfoError> for UpstreamError {
    fn from(error: UserInfoError) -> Self {
        if error.is_temporary() {
            Self::Unavailable(error.into())
        } else {
            unacceptable("no user info", error)
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
