//! What a server has registered dynamically.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use thv_client::registration::Registration;
use thv_clock::Timestamp;
use thv_oauth::auth_method::AuthMethod;

use super::exposed_option;

/// A dynamic registration as it is kept, with what RFC 7592 needs (R10).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoredRegistration {
    /// The identifier.
    pub client_id: String,
    /// The redirect URI that was registered.
    pub redirect_uri: String,
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "exposed_option")]
    client_secret: Option<SecretString>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issued_at: Option<Timestamp>,
    /// When the secret stops working.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_expires_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "exposed_option")]
    registration_access_token: Option<SecretString>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    registration_client_uri: Option<String>,
    method: AuthMethod,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
}

impl StoredRegistration {
    /// What a server registered for `redirect_uri`.
    pub fn new(registration: &Registration, redirect_uri: &str) -> Self {
        let from = registration.clone();
        Self {
            client_id: from.client_id,
            redirect_uri: redirect_uri.to_owned(),
            client_secret: from.client_secret,
            issued_at: from.client_id_issued_at,
            secret_expires_at: from.client_secret_expires_at,
            registration_access_token: from.registration_access_token,
            registration_client_uri: from.registration_client_uri,
            method: from.token_endpoint_auth_method,
            scope: from.scope,
        }
    }

    /// As the client crate takes it.
    pub fn registration(&self) -> Registration {
        let from = self.clone();
        Registration {
            client_id: from.client_id,
            client_secret: from.client_secret,
            client_id_issued_at: from.issued_at,
            client_secret_expires_at: from.secret_expires_at,
            registration_access_token: from.registration_access_token,
            registration_client_uri: from.registration_client_uri,
            token_endpoint_auth_method: from.method,
            scope: from.scope,
        }
    }
}
