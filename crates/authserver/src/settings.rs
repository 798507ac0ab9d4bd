//! What the authorization server needs to know, resolved: no files, no references, no defaults left to apply.

use std::time::Duration;

use thv_oauth::auth_method::AuthMethod;
use thv_oauth::issuer::Issuer;
use thv_oauth::resource::ResourceIndicator;
use thv_oauth::scope::ScopeSet;

use crate::cimd::CimdSettings;
use crate::clients::Preregistered;

/// When the user is asked whether a client may act for them (A9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsentMode {
    /// At every authorization request.
    Required,
    /// Unless the same user approved the same client, with the same metadata, for at least the same access before.
    Remember,
    /// Never. The operator knows every client.
    Off,
}

/// How long registrations stay in the store.
#[derive(Clone, Copy, Debug)]
pub struct RegistrationRetention {
    /// One that was never used.
    pub unused: Duration,
    /// One whose last grant ended.
    pub without_grant: Duration,
}

impl Default for RegistrationRetention {
    fn default() -> Self {
        const HOUR: u64 = 3600;
        Self { unused: Duration::from_secs(24 * HOUR), without_grant: Duration::from_secs(30 * 24 * HOUR) }
    }
}

/// The authorization server's settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Our issuer identifier, byte for byte what appears everywhere (AS-3).
    pub issuer: Issuer,
    /// Base of the authorization endpoint, when the browser reaches us under another name.
    pub authorization_endpoint_base: String,
    /// The resources that tokens may be for; the first is the default (RFC 8707).
    pub audiences: Vec<ResourceIndicator>,
    /// Scopes that may be granted.
    pub scopes_supported: ScopeSet,
    /// Scopes that every client may be granted (A8).
    pub baseline_scopes: ScopeSet,
    /// Lifetime of access tokens.
    pub access_token_lifetime: Duration,
    /// A refresh token unused for so long ends.
    pub refresh_token_lifetime: Duration,
    /// Lifetime of authorization codes.
    pub code_lifetime: Duration,
    /// Consent.
    pub consent: ConsentMode,
    /// URL client ids; `None` when they are not enabled.
    pub cimd: Option<CimdSettings>,
    /// Clients that the operator configured.
    pub preregistered: Vec<Preregistered>,
    /// Whether `client_secret_basic` and `client_secret_post` may be registered.
    pub confidential_registration: bool,
    /// How long registrations stay in the store.
    pub registration_retention: RegistrationRetention,
    /// Registrations accepted per source address and minute.
    pub registrations_per_minute: u32,
    /// A development server: pages say so.
    pub development: bool,
}

impl Settings {
    /// Whether browsers reach us over https, so that cookies can be `__Host-` ones.
    pub(crate) fn secure(&self) -> bool {
        self.authorization_endpoint_base.starts_with("https://")
    }

    /// What stands before `/oauth/` where browsers reach us: the path of the authorization endpoint's base.
    pub(crate) fn base_path(&self) -> &str {
        let after_scheme = self.authorization_endpoint_base.split_once("://").map_or("", |(_, rest)| rest);
        after_scheme
            .find('/')
            .and_then(|slash| after_scheme.get(slash..))
            .unwrap_or_default()
            .trim_end_matches('/')
    }

    /// The ways in which a client may authenticate at the token endpoint.
    pub(crate) fn auth_methods(&self) -> Vec<AuthMethod> {
        let mut methods = vec![AuthMethod::None, AuthMethod::PrivateKeyJwt];
        if self.confidential_registration
            || self.preregistered.iter().any(|client| client.secret_digest.is_some())
        {
            methods.extend([AuthMethod::ClientSecretBasic, AuthMethod::ClientSecretPost]);
        }
        methods
    }
}
