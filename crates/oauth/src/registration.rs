//! Dynamic client registration requests (RFC 7591 §2, §3.1).

mod request;

use crate::auth_method::AuthMethod;
use crate::client_metadata::ClientMetadata;
use crate::error::ErrorCode;
use crate::json_object::Members;
use crate::scope::ScopeSet;

/// The most redirect URIs that a registration may have.
pub const MAX_REDIRECT_URIS: usize = 10;

/// What this authorization server grants to clients that register themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationPolicy {
    /// Whether client secrets are issued. They never are to clients with redirect URIs on the user's own machine.
    pub confidential_allowed: bool,
    /// Requested scopes are reduced to these; a client that requests none gets all.
    pub scopes_supported: ScopeSet,
    /// Every client gets these.
    pub baseline: ScopeSet,
    /// The authentication methods of the token endpoint.
    pub supported_auth_methods: Vec<AuthMethod>,
}

/// Why a registration was refused; answered with status 400 (RFC 7591 §3.2.2).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{description}")]
pub struct RegistrationRefusal {
    /// The OAuth error code.
    pub code: ErrorCode,
    /// The stable reason code.
    pub reason: &'static str,
    /// What to change.
    pub description: String,
}

impl RegistrationRefusal {
    fn metadata(reason: &'static str, description: impl Into<String>) -> Self {
        Self { code: ErrorCode::InvalidClientMetadata, reason, description: description.into() }
    }

    fn redirect_uri(reason: &'static str, description: impl Into<String>) -> Self {
        Self { code: ErrorCode::InvalidRedirectUri, reason, description: description.into() }
    }
}

/// Judges a registration request and returns what is granted, which may be less than was asked for (RFC 7591 §3.2.1);
/// the response has to repeat it.
///
/// # Errors
/// [`RegistrationRefusal`] for the first rule that the request breaks.
pub fn examine(body: &[u8], policy: &RegistrationPolicy) -> Result<ClientMetadata, RegistrationRefusal> {
    let members = Members::parse(body).map_err(|error| {
        RegistrationRefusal::metadata("not_a_json_object", format!("the request body {error}"))
    })?;
    request::grant(&members, policy)
}

#[cfg(test)]
mod tests;
