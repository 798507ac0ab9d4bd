//! Why a request for a protected resource is refused.

use std::time::Duration;

use http::StatusCode;
use thv_jose::verify::VerifyError;
use thv_oauth::error::ErrorCode;
use thv_oauth::scope::ScopeSet;

use crate::credential::CredentialError;

/// The reason code of a response that refuses a request, among the response's extensions: for metrics and access logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason(pub &'static str);

/// Why a request does not reach the protected resource (RFC 6750 §3.1).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No access token was sent: 401 without `error` (RS-4).
    #[error("no access token was sent")]
    NoToken,
    /// The request carries a token in a way that is not allowed: 400 `invalid_request`.
    #[error(transparent)]
    InvalidRequest(#[from] RequestFault),
    /// The token is not good: 401 `invalid_token`.
    #[error(transparent)]
    InvalidToken(#[from] TokenFault),
    /// The token is good but was granted too little: 403 `insufficient_scope` (RS-6).
    #[error("the access token lacks a scope that this resource requires")]
    InsufficientScope,
    /// The backend needs a login that an authorization runs only when asked for it: 403 `insufficient_scope`.
    #[error(
        "the session has not logged in to the upstream provider, authorize again with the scopes of the challenge"
    )]
    UpstreamLoginNeeded {
        /// What the token was granted, and what it lacks.
        scopes: ScopeSet,
    },
    /// The upstream provider no longer honours the login behind the token: 401 `invalid_token`.
    #[error("the login at the upstream provider has ended, sign in again")]
    UpstreamLoginEnded {
        /// What to ask for beside what everyone asks for; may be empty.
        scopes: ScopeSet,
    },
    /// It cannot be decided now: 503. The token may well be good.
    #[error("the access token cannot be checked at the moment")]
    Unavailable {
        /// When asking again makes sense.
        retry_after: Duration,
    },
    /// The token is good, but the credential that the backend needs cannot be had now: 503.
    #[error("the upstream credential is unavailable at the moment")]
    UpstreamUnavailable {
        /// When asking again makes sense.
        retry_after: Duration,
    },
}

/// How a request for a protected resource is malformed (RFC 6750 §3.1, `invalid_request`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestFault {
    /// More than one `Authorization` header.
    #[error("the request has more than one Authorization header")]
    RepeatedAuthorization,
    /// The scheme is Bearer and what follows is not a token (RFC 6750 §2.1, `b64token`).
    #[error("the Authorization header does not hold a bearer token")]
    MalformedAuthorization,
    /// A token in the query beside the one in the header (RS-14).
    #[error("access tokens are accepted in the Authorization header alone")]
    TokenInQuery,
}

/// What is wrong with an access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// It cannot be read.
    #[error("the access token is malformed")]
    Malformed,
    /// It is a token of another kind, such as an ID token (RFC 9068 §4, RS-11).
    #[error("the token is not an access token")]
    WrongType,
    /// No key of the issuer verifies it.
    #[error("the access token's signature does not verify")]
    Signature,
    /// It is past its `exp`.
    #[error("the access token has expired")]
    Expired,
    /// Its `nbf` or `iat` lies in the future.
    #[error("the access token is not valid yet")]
    NotYetValid,
    /// Somebody else issued it.
    #[error("the access token was issued by an authorization server that is not trusted here")]
    WrongIssuer,
    /// It was issued for another resource (RS-10).
    #[error("the access token was not issued for this resource")]
    WrongAudience,
    /// It, or the login behind it, was revoked.
    #[error("the access token has been revoked")]
    Revoked,
    /// The backend did not accept the upstream credential. There is another one now, but the request is gone.
    #[error("the upstream credential was replaced, send the request again")]
    UpstreamCredentialReplaced,
}

impl From<VerifyError> for TokenFault {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::WrongType => Self::WrongType,
            VerifyError::UnknownKey | VerifyError::Signature => Self::Signature,
            VerifyError::Issuer => Self::WrongIssuer,
            VerifyError::Audience => Self::WrongAudience,
            VerifyError::Expired | VerifyError::TooOld => Self::Expired,
            VerifyError::NotYetValid | VerifyError::IssuedInFuture => Self::NotYetValid,
            _ => Self::Malformed,
        }
    }
}

impl RequestFault {
    const fn reason(self) -> &'static str {
        match self {
            Self::RepeatedAuthorization => "authorization_repeated",
            Self::MalformedAuthorization => "authorization_malformed",
            Self::TokenInQuery => "token_in_query",
        }
    }
}

impl TokenFault {
    const fn reason(self) -> &'static str {
        match self {
            Self::Malformed => "token_malformed",
            Self::WrongType => "token_type",
            Self::Signature => "token_signature",
            Self::Expired => "token_expired",
            Self::NotYetValid => "token_not_yet_valid",
            Self::WrongIssuer => "token_issuer",
            Self::WrongAudience => "token_audience",
            Self::Revoked => "token_revoked",
            Self::UpstreamCredentialReplaced => "upstream_credential_replaced",
        }
    }
}

impl Refusal {
    /// Why a request whose token was granted `granted` does not get the credential it needs.
    ///
    /// A client that is sent to authorize again for one more login is told to ask for all it has as well: it would lose
    /// the rest otherwise (RFC 6750 §3.1).
    pub fn without_credential(error: CredentialError, granted: &ScopeSet) -> Self {
        match error {
            CredentialError::StepUpNeeded { scope } => {
                Self::UpstreamLoginNeeded { scopes: granted_and(&scope, granted) }
            }
            CredentialError::ReauthenticationNeeded { scope } => Self::UpstreamLoginEnded {
                scopes: scope.map(|scope| granted_and(&scope, granted)).unwrap_or_default(),
            },
            CredentialError::Unavailable { retry_after } => Self::UpstreamUnavailable { retry_after },
        }
    }

    /// The stable reason code, for logs, metric labels and error descriptions.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NoToken => "token_missing",
            Self::InvalidRequest(fault) => fault.reason(),
            Self::InvalidToken(fault) => fault.reason(),
            Self::InsufficientScope => "scope_insufficient",
            Self::UpstreamLoginNeeded { .. } => "upstream_login_needed",
            Self::UpstreamLoginEnded { .. } => "upstream_login_ended",
            Self::Unavailable { .. } => "verification_unavailable",
            Self::UpstreamUnavailable { .. } => "upstream_unavailable",
        }
    }

    /// The status of the response.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::NoToken | Self::InvalidToken(_) | Self::UpstreamLoginEnded { .. } => {
                StatusCode::UNAUTHORIZED
            }
            Self::InvalidRequest(_) => StatusCode::BAD_REQUEST,
            Self::InsufficientScope | Self::UpstreamLoginNeeded { .. } => StatusCode::FORBIDDEN,
            Self::Unavailable { .. } | Self::UpstreamUnavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The `error` parameter of the challenge; none when no token was sent (RS-4) or nothing could be decided.
    pub const fn error(&self) -> Option<ErrorCode> {
        match self {
            Self::NoToken | Self::Unavailable { .. } | Self::UpstreamUnavailable { .. } => None,
            Self::InvalidRequest(_) => Some(ErrorCode::InvalidRequest),
            Self::InvalidToken(_) | Self::UpstreamLoginEnded { .. } => Some(ErrorCode::InvalidToken),
            Self::InsufficientScope | Self::UpstreamLoginNeeded { .. } => Some(ErrorCode::InsufficientScope),
        }
    }

    /// When asking again makes sense, if the refusal passes by itself.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after } | Self::UpstreamUnavailable { retry_after } => {
                Some(*retry_after)
            }
            _ => None,
        }
    }
}

/// `granted` with one more. What is not a scope token cannot be asked for and is left out.
fn granted_and(scope: &str, granted: &ScopeSet) -> ScopeSet {
    granted.union(&ScopeSet::from_tokens([scope]).unwrap_or_default())
}
