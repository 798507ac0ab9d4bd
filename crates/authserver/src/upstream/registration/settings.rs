//! How we may become a client of an upstream, as configured.

use std::fmt;

use secrecy::SecretString;
use thv_client::identification::IdentificationMode;
use thv_jose::reload::KeyHandle;
use thv_oauth::auth_method::AuthMethod;

/// Which ways of becoming a client are open; see [`IdentificationMode`].
pub type RegistrationMode = IdentificationMode;

/// How we become a client of an upstream.
#[derive(Clone, Debug, Default)]
pub struct RegistrationSettings {
    /// Which ways are open.
    pub mode: RegistrationMode,
    /// The client that the operator registered by hand.
    pub preregistered: Option<PreregisteredClient>,
    /// What dynamic registration needs.
    pub dynamic: DynamicRegistration,
}

impl RegistrationSettings {
    /// The client that was registered by hand, where that is the way.
    pub(super) fn preregistered(&self) -> Option<&PreregisteredClient> {
        let open = matches!(self.mode, RegistrationMode::Auto | RegistrationMode::Preregistered);
        self.preregistered.as_ref().filter(|_| open)
    }
}

/// A client that was registered by hand.
#[derive(Clone, Debug)]
pub struct PreregisteredClient {
    /// Who we are there.
    pub client_id: String,
    /// Our secret there; a public client without.
    pub client_secret: Option<SecretString>,
    /// How we authenticate; `None` when the upstream's metadata says it, or trying.
    pub auth_method: Option<AuthMethod>,
}

/// What is sent with a dynamic registration (RFC 7591 §2, §3), and what becomes of it.
#[derive(Clone, Debug, Default)]
pub struct DynamicRegistration {
    /// The credential for registering.
    pub initial_access_token: Option<SecretString>,
    /// The software, across its instances.
    pub software_id: Option<String>,
    /// A signed statement about the software.
    pub software_statement: Option<SecretString>,
    /// Our name there; a general one when absent.
    pub client_name: Option<String>,
    /// Whether the registration is deleted when the upstream is no longer configured (RFC 7592 §2.3).
    pub delete_on_removal: bool,
}

/// What this server publishes about itself as a client, where upstreams can fetch it.
#[derive(Clone)]
pub struct PublishedClient {
    /// The URL of its client ID metadata document.
    pub document_url: String,
    /// The URL of its key set.
    pub jwks_uri: String,
    /// The keys in that set; the first one signs client assertions.
    pub keys: KeyHandle,
}

impl PublishedClient {
    /// What the authorization server with this issuer identifier publishes; `None` unless it is https.
    pub fn of(issuer: &str, keys: KeyHandle) -> Option<Self> {
        issuer.starts_with("https://").then(|| Self {
            document_url: format!("{issuer}{}", crate::own_document::PATH),
            jwks_uri: format!("{issuer}/.well-known/jwks.json"),
            keys,
        })
    }
}

impl fmt::Debug for PublishedClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublishedClient").field("document_url", &self.document_url).finish_non_exhaustive()
    }
}
