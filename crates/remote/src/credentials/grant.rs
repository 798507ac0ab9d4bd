//! The tokens of a login.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use thv_clock::Timestamp;
use thv_oauth::auth_method::AuthMethod;
use thv_oauth::resource::ResourceIndicator;

use super::{IdentityKind, exposed, exposed_option};

/// Tokens, and what is needed to renew and revoke them without asking anybody.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Grant {
    /// The authorization server.
    pub issuer: String,
    /// Who the tokens were issued to.
    pub client_id: String,
    /// How that client is known.
    pub identity: IdentityKind,
    /// How it authenticates.
    pub method: AuthMethod,
    /// The `resource` of every request (RFC 8707), byte for byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// What was asked for, so that a step-up asks for no less (CL-49).
    pub requested_scope: String,
    /// What was granted, if the server said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Where tokens are renewed.
    pub token_endpoint: String,
    /// Where they are revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation_endpoint: Option<String>,
    /// The access token.
    #[serde(serialize_with = "exposed")]
    pub access_token: SecretString,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it expires, if the server said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The refresh token.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "exposed_option")]
    pub refresh_token: Option<SecretString>,
    /// The ID token of the login (OpenID Connect Core §3.1.3.3), for a token exchange that wants it.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "exposed_option")]
    pub id_token: Option<SecretString>,
}

impl Grant {
    /// Whether both hold the very same tokens.
    pub fn same_tokens(&self, other: &Self) -> bool {
        let refresh =
            |grant: &Self| grant.refresh_token.as_ref().map(|token| token.expose_secret().to_owned());
        self.access_token.expose_secret() == other.access_token.expose_secret()
            && refresh(self) == refresh(other)
    }

    /// Whether it was issued for the server at `server_url` (CL-52). Of a grant without a resource that is not known.
    pub(crate) fn is_for(&self, server_url: &str) -> bool {
        let covers = |resource: &String| {
            ResourceIndicator::parse(resource).is_ok_and(|resource| resource.covers(server_url))
        };
        self.resource.as_ref().is_none_or(covers)
    }

    /// Whether the access token can still be used.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|expires_at| now < expires_at)
    }

    /// Whether it is good for a request without the user: as it is, or after a renewal.
    pub(crate) fn is_of_use(&self, now: Timestamp) -> bool {
        self.is_fresh(now) || self.refresh_token.is_some()
    }

    /// Whether the access token should be renewed.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        renew_at(self.issued_at, self.expires_at).is_some_and(|at| at <= now)
    }
}

/// When a token should be renewed: with a fifth of its life left.
pub(crate) fn renew_at(issued_at: Timestamp, expires_at: Option<Timestamp>) -> Option<Timestamp> {
    let life = expires_at?.since(issued_at);
    Some(issued_at + life.saturating_sub(life / 5).max(Duration::from_secs(1)))
}
