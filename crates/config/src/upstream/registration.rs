//! How this server becomes a client of an upstream provider.

use serde::{Deserialize, Serialize};

use super::{OAuth2Upstream, OidcUpstream, UpstreamKind, UpstreamProvider};
use crate::secret_ref::SecretRef;

/// Where the client identifier at an upstream provider comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Registration {
    /// The first of the following that is possible.
    Auto,
    /// Registered by hand: `clientId`.
    Preregistered,
    /// The URL of this server's own client ID metadata document.
    Cimd,
    /// Dynamic client registration (RFC 7591).
    Dcr,
}

impl Registration {
    /// The name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Preregistered => "preregistered",
            Self::Cimd => "cimd",
            Self::Dcr => "dcr",
        }
    }
}

/// Dynamic client registration at an upstream provider (RFC 7591).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct DcrConfig {
    /// Where the provider's metadata is: a well-known URL (RFC 8414 §3, OpenID Connect Discovery §4), or the issuer itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discovery_url: Option<String>,
    /// The registration endpoint, where there is no metadata.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration_endpoint: Option<String>,
    /// Initial access token of the registration request (RFC 7591 §3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial_access_token_ref: Option<SecretRef>,
    /// `software_id` of the registration request (RFC 7591 §2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software_id: Option<String>,
    /// `software_statement` of the registration request (RFC 7591 §2.3), sent as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software_statement: Option<String>,
    /// `client_name` of the registration request (RFC 7591 §2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_name: Option<String>,
    /// Deletes the registration (RFC 7592 §2.3) when the provider is no longer configured.
    pub delete_on_removal: bool,
}

impl UpstreamProvider {
    /// How this server becomes a client: as configured, else by what is configured: `clientId`, `dcrConfig`, or neither.
    /// Always preregistered for a `local` provider, which has no clients.
    pub fn registration_mode(&self) -> Registration {
        let (client_id, dcr) = match self.kind() {
            Some(UpstreamKind::Oidc(oidc)) => (&oidc.client_id, &oidc.dcr_config),
            Some(UpstreamKind::OAuth2(oauth2)) => (&oauth2.client_id, &oauth2.dcr_config),
            Some(UpstreamKind::Local(_)) | None => return Registration::Preregistered,
        };
        self.registration.unwrap_or(match (client_id.is_empty(), dcr) {
            (false, _) => Registration::Preregistered,
            (true, Some(_)) => Registration::Dcr,
            (true, None) => Registration::Auto,
        })
    }
}

impl OidcUpstream {
    /// Where the metadata for the registration is, when it is not that of the issuer.
    pub fn registration_discovery_url(&self) -> Option<&str> {
        self.dcr_config.as_ref()?.discovery_url.as_deref()
    }
}

impl OAuth2Upstream {
    /// Where the provider's metadata is: the block's own `discoveryUrl`, or that of `dcrConfig`.
    pub fn metadata_url(&self) -> Option<&str> {
        let registration = || self.dcr_config.as_ref()?.discovery_url.as_deref();
        self.discovery_url.as_deref().or_else(registration)
    }

    /// The registration endpoint, where it is configured instead of discovered.
    pub fn registration_endpoint(&self) -> Option<&str> {
        self.dcr_config.as_ref()?.registration_endpoint.as_deref()
    }
}
