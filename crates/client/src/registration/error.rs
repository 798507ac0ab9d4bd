//! Why there is no registration.

use std::time::Duration;

use thv_egress::EgressError;
use thv_oauth::auth_method::AuthMethod;
use thv_oauth::server_metadata::EndpointError;

use crate::server_text;

/// Why there is no registration, or why it could not be read, changed or deleted. None of the texts has a secret that was
/// sent or received.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    /// The metadata cannot be written as JSON.
    #[error("the registration request cannot be written as JSON")]
    Request(#[source] serde_json::Error),
    /// The token has characters that no header field can carry.
    #[error("the {0} access token cannot be sent in a header field")]
    AccessToken(&'static str),
    /// Nothing was received.
    #[error("the registration endpoint could not be reached")]
    Unreachable(#[source] EgressError),
    /// It cannot answer now (429, 5xx).
    #[error("the registration endpoint cannot answer at the moment (status {status})")]
    Unavailable {
        /// The answer's status.
        status: u16,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// There is no such endpoint (404, 405, 501).
    #[error(
        "the server does not support dynamic client registration (RFC 7591; status {status}): register a client there by hand and configure its client_id"
    )]
    NotSupported {
        /// The answer's status.
        status: u16,
    },
    /// The registration cannot be read, changed or deleted there (403, 404, 405, 501).
    #[error(
        "the server does not permit this change of the registration (RFC 7592; status {status}): register anew"
    )]
    ManagementNotSupported {
        /// The answer's status.
        status: u16,
    },
    /// A redirect, which could take credentials to another host.
    #[error(
        "the registration endpoint answered with a redirect (status {status}), which is not followed: the URL that it leads to has to be configured or announced"
    )]
    Redirected {
        /// The answer's status.
        status: u16,
    },
    /// The initial access token was refused (401, 403).
    #[error(
        "the registration endpoint refused the initial access token (status {status}): ask the server's operator for another one"
    )]
    InitialTokenRefused {
        /// The answer's status.
        status: u16,
    },
    /// There was no initial access token, and it seems that one is needed (401, 403).
    #[error(
        "the registration endpoint does not register strangers (status {status}): configure an initial access token, or register a client there by hand and configure its client_id"
    )]
    InitialTokenNeeded {
        /// The answer's status.
        status: u16,
    },
    /// The server does not know the registration any more, or not its registration access token (401; RFC 7592 §2.1).
    #[error("the server does not know the registration or its access token any more: register anew")]
    Gone,
    /// The server refused the metadata (RFC 7591 §3.2.2).
    #[error("the registration was refused with {error}{}", server_text::in_brackets(.description.as_deref()))]
    Refused {
        /// The error code.
        error: String,
        /// The server's own words, in the character set of RFC 6749 §5.2.
        description: Option<String>,
    },
    /// The answer is neither a registration nor an error.
    #[error("the registration endpoint's answer is not acceptable: {what}")]
    Malformed {
        /// Which rule it breaks.
        what: String,
    },
    /// The server registered this client with a method that it does not know.
    #[error("the server registered the authentication method {method}, which this client does not support")]
    UnknownMethod {
        /// Its name.
        method: String,
    },
    /// The server registered this client with a method for which it has no credential.
    #[error(
        "the server registered the authentication method {method}, and this client has no {lacks} for it"
    )]
    UnusableMethod {
        /// The method.
        method: AuthMethod,
        /// What is missing.
        lacks: &'static str,
    },
    /// The server gave no `registration_client_uri` or no registration access token.
    #[error("the registration cannot be managed: the server gave no {lacks} (RFC 7592 §3)")]
    Unmanaged {
        /// Which member is missing.
        lacks: &'static str,
    },
    /// `registration_client_uri` must not be used.
    #[error("the registration_client_uri cannot be used")]
    ClientUri(#[source] EndpointError),
}

impl RegistrationError {
    /// Whether the same request may succeed later.
    pub const fn is_temporary(&self) -> bool {
        match self {
            Self::Unavailable { .. } => true,
            Self::Unreachable(error) => !matches!(
                error,
                EgressError::Url { .. }
                    | EgressError::Scheme
                    | EgressError::Plaintext { .. }
                    | EgressError::Refused { .. }
                    | EgressError::TooLarge { .. }
                    | EgressError::Encoding
            ),
            _ => false,
        }
    }

    pub(super) fn malformed(what: impl Into<String>) -> Self {
        Self::Malformed { what: what.into() }
    }
}
