//! What the user says about logging in at a remote server.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The `client_id` where nothing else is configured (T-1): the URL of a client ID metadata document.
pub const CLIENT_METADATA_URL: &str = "https://toolhive.dev/oauth/client-metadata.json";
/// The port of the redirect URI that the document at [`CLIENT_METADATA_URL`] names.
pub const CALLBACK_PORT: u16 = 8666;
/// How long a user has for a login.
pub const LOGIN_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// How to log in at a remote server. What is not said is discovered. There is no secret among these.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthSettings {
    /// The authorization server's issuer; discovered when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The authorization endpoint; with `token_url` in place of all discovery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorize_url: Option<String>,
    /// The token endpoint; with `authorize_url`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_url: Option<String>,
    /// The identifier of a client that was registered by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Whether the client that was registered by hand has a secret, which is among the workload's secrets.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub has_client_secret: bool,
    /// Scopes to ask for in place of those that the server names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// The name of the `scope` parameter in authorization requests (Slack's `user_scope`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope_param_name: Option<String>,
    /// Further parameters of authorization requests.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub oauth_params: BTreeMap<String, String>,
    /// The resource indicator (RFC 8707) in place of the one that the server names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// Show the authorization URL and do not open a browser.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub skip_browser: bool,
    /// Seconds that the user has for a login; [`LOGIN_TIMEOUT`] when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_secs: Option<u64>,
    /// The port of the redirect URI; [`CALLBACK_PORT`] when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callback_port: Option<u16>,
    /// The URL of this client's metadata document; [`CLIENT_METADATA_URL`] when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_metadata_url: Option<String>,
    /// Never identify by metadata document.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_cimd: bool,
    /// Never register dynamically.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_dcr: bool,
    /// Whether plain http may be used beyond this machine.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub insecure_allow_http: bool,
}

impl AuthSettings {
    /// The URL of this client's metadata document.
    pub fn client_metadata_url(&self) -> &str {
        self.client_metadata_url.as_deref().unwrap_or(CLIENT_METADATA_URL)
    }

    /// How long the user has for a login.
    pub fn login_timeout(&self) -> Duration {
        self.timeout_secs.map_or(LOGIN_TIMEOUT, Duration::from_secs)
    }
}
