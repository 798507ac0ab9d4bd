//! The serialization of records that hold secrets.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use thv_clock::Timestamp;
use thv_oauth::auth_method::AuthMethod;

use super::secret;
use crate::records::{
    ApprovedRequest, LoginProgress, PendingAuthorization, RefreshIntent, RegistrationKey, UpstreamEndpoints,
    UpstreamRegistration, UpstreamRegistrations, UpstreamTokens, VaultEntry,
};

#[derive(Serialize, Deserialize)]
#[serde(remote = "PendingAuthorization")]
pub(super) struct PendingAuthorizationMirror {
    request: ApprovedRequest,
    approved_by: Option<String>,
    browser: [u8; 32],
    upstream: String,
    #[serde(with = "secret")]
    upstream_verifier: SecretString,
    upstream_nonce: String,
    upstream_client_id: Option<String>,
    progress: Option<LoginProgress>,
    #[serde(default)]
    restarted: bool,
    expires_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "VaultEntry")]
pub(super) struct VaultEntryMirror {
    #[serde(with = "UpstreamTokensMirror")]
    tokens: UpstreamTokens,
    rotates: Option<bool>,
    intent: Option<RefreshIntent>,
    login: u32,
    #[serde(default)]
    forced_at: Option<Timestamp>,
    #[serde(default)]
    refused_at: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "UpstreamTokens")]
struct UpstreamTokensMirror {
    provider: String,
    subject: String,
    #[serde(with = "secret")]
    access_token: SecretString,
    #[serde(with = "secret::optional", default)]
    refresh_token: Option<SecretString>,
    #[serde(default)]
    obtained_at: Timestamp,
    expires_at: Option<Timestamp>,
    scopes: Option<String>,
    client_id: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "UpstreamRegistrations")]
pub(super) struct UpstreamRegistrationsMirror {
    key: RegistrationKey,
    #[serde(with = "registrations")]
    generations: Vec<UpstreamRegistration>,
    endpoints: UpstreamEndpoints,
    #[serde(default)]
    delete_on_removal: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "UpstreamRegistration")]
struct UpstreamRegistrationMirror {
    client_id: String,
    #[serde(with = "secret::optional", default)]
    client_secret: Option<SecretString>,
    auth_method: AuthMethod,
    registered_at: Timestamp,
    client_secret_expires_at: Option<Timestamp>,
    #[serde(with = "secret::optional", default)]
    registration_access_token: Option<SecretString>,
    registration_client_uri: Option<String>,
    scope: Option<String>,
    #[serde(default)]
    refused: bool,
}

/// A list of registrations, each through its mirror.
mod registrations {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{UpstreamRegistration, UpstreamRegistrationMirror};

    #[derive(Serialize, Deserialize)]
    struct Item(#[serde(with = "UpstreamRegistrationMirror")] UpstreamRegistration);

    pub(super) fn serialize<S: Serializer>(
        list: &[UpstreamRegistration],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(list.iter().cloned().map(Item))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<UpstreamRegistration>, D::Error> {
        Ok(Vec::<Item>::deserialize(deserializer)?
            .into_iter()
            .map(|Item(registration)| registration)
            .collect())
    }
}
