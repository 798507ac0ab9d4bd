//! The embedded authorization server: the block `authServer` here and `embeddedAuthServer` in Kubernetes resources.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::byte_size::ByteSize;
use crate::duration::GoDuration;
use crate::secret_ref::SecretRef;
use crate::storage::Storage;
use crate::upstream::UpstreamProvider;

/// Configuration of the embedded authorization server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct AuthServer {
    /// Issuer identifier, byte for byte what clients compare with (RFC 8414 §2). Required.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub issuer: String,
    /// Base of the authorization endpoint when browsers reach it under another origin; the issuer when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization_endpoint_base_url: Option<String>,
    /// Where users log in, in order: the first gives the identity, the others tokens for what is behind the gateway. At least
    /// one.
    pub upstream_providers: Vec<UpstreamProvider>,
    /// Name of the upstream provider whose token's claims policies look at; the first one when absent. It changes neither the
    /// order of logins nor whose identity counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary_upstream_provider: Option<String>,
    /// PEM private keys. The first one signs; all verify and are published. Without any, the server keeps its own in
    /// [`state_dir`](crate::Config::state_dir).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub signing_key_secret_refs: Vec<SecretRef>,
    /// Secrets of at least 32 bytes for opaque tokens and stateless client identifiers. The first one is used for new
    /// values; all verify.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hmac_secret_refs: Vec<SecretRef>,
    /// How long codes and tokens live.
    pub token_lifespans: TokenLifespans,
    /// Scopes that clients may ask for.
    pub scopes_supported: Vec<String>,
    /// Scopes that every registered client gets beside its own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub baseline_client_scopes: Vec<String>,
    /// Resource identifiers that tokens may be issued for (RFC 8707). Empty: the gateway's own; use
    /// [`Config::audiences`](crate::Config::audiences).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_audiences: Vec<String>,
    /// When users are asked to approve a client.
    pub consent: Consent,
    /// Client ID metadata documents.
    pub cimd: Cimd,
    /// Sends requests to the MCP server without any credential instead of the upstream provider's token.
    pub disable_upstream_token_injection: bool,
    /// Allows an `http` issuer that is not loopback. For test networks only.
    #[serde(rename = "insecureAllowHTTP")]
    pub insecure_allow_http: bool,
    /// Allows dynamic registration of clients with a secret.
    pub allow_confidential_client_registration: bool,
    /// Preregistered clients.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clients: Vec<PreregisteredClient>,
    /// Where pending authorizations, grants and upstream tokens are kept.
    pub storage: Storage,
}

impl Default for AuthServer {
    fn default() -> Self {
        Self {
            issuer: String::new(),
            authorization_endpoint_base_url: None,
            upstream_providers: Vec::new(),
            primary_upstream_provider: None,
            signing_key_secret_refs: Vec::new(),
            hmac_secret_refs: Vec::new(),
            token_lifespans: TokenLifespans::default(),
            scopes_supported: ["openid", "profile", "email", "offline_access"].map(str::to_owned).to_vec(),
            baseline_client_scopes: Vec::new(),
            allowed_audiences: Vec::new(),
            consent: Consent::default(),
            cimd: Cimd::default(),
            disable_upstream_token_injection: false,
            insecure_allow_http: false,
            allow_confidential_client_registration: false,
            clients: Vec::new(),
            storage: Storage::default(),
        }
    }
}

impl AuthServer {
    /// Base of the authorization endpoint: `authorizationEndpointBaseUrl`, or the issuer.
    pub fn authorization_base(&self) -> &str {
        self.authorization_endpoint_base_url.as_deref().unwrap_or(&self.issuer)
    }

    /// The upstream provider that establishes the identity: the first. `None` only before validation.
    pub fn identity_provider(&self) -> Option<&UpstreamProvider> {
        self.upstream_providers.first()
    }

    /// The upstream provider of this name.
    pub fn provider(&self, name: &str) -> Option<&UpstreamProvider> {
        self.upstream_providers.iter().find(|provider| provider.name == name)
    }

    /// The upstream provider whose token's claims policies look at: the one named by `primaryUpstreamProvider`, or the
    /// first. `None` only before validation.
    pub fn primary_provider(&self) -> Option<&UpstreamProvider> {
        match &self.primary_upstream_provider {
            Some(name) => self.provider(name),
            None => self.identity_provider(),
        }
    }
}

/// How long codes and tokens live.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct TokenLifespans {
    /// Access tokens: 1 m to 24 h.
    pub access_token_lifespan: GoDuration,
    /// Refresh tokens: 1 h to 720 h.
    pub refresh_token_lifespan: GoDuration,
    /// Authorization codes: 30 s to 10 m.
    pub auth_code_lifespan: GoDuration,
}

impl Default for TokenLifespans {
    fn default() -> Self {
        Self {
            access_token_lifespan: GoDuration::from_secs(3600),
            refresh_token_lifespan: GoDuration::from_secs(168 * 3600),
            auth_code_lifespan: GoDuration::from_secs(60),
        }
    }
}

/// When users are asked to approve a client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Consent {
    /// The rule.
    pub mode: ConsentMode,
}

/// The rule by which users are asked to approve a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConsentMode {
    /// Asked at every authorization.
    #[default]
    Required,
    /// Asked once for each user and client, until the client's metadata changes materially.
    Remember,
    /// Never asked. Any client can then obtain tokens from a user who follows its link.
    Off,
}

/// Clients identified by the URL of their metadata document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Cimd {
    /// Accepts URLs as client identifiers and says so in the authorization server metadata.
    pub enabled: bool,
    /// Documents kept in the cache.
    pub cache_max_size: u32,
    /// Freshness of a document whose response does not state one.
    pub cache_fallback_ttl: GoDuration,
    /// Least freshness, whatever the response states.
    pub cache_min_ttl: GoDuration,
    /// Most freshness, whatever the response states.
    pub cache_max_ttl: GoDuration,
    /// How long a stale document serves while its host cannot be reached.
    pub stale_if_error: GoDuration,
    /// Largest document that is read, at most 10 KiB.
    pub max_document_size: ByteSize,
    /// Documents read from files instead of being fetched.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pinned_documents: Vec<PinnedDocument>,
}

impl Default for Cimd {
    fn default() -> Self {
        Self {
            enabled: false,
            cache_max_size: 256,
            cache_fallback_ttl: GoDuration::from_secs(300),
            cache_min_ttl: GoDuration::from_secs(60),
            cache_max_ttl: GoDuration::from_secs(24 * 3600),
            stale_if_error: GoDuration::from_secs(168 * 3600),
            max_document_size: ByteSize::kibibytes(5),
            pinned_documents: Vec::new(),
        }
    }
}

/// A client ID metadata document that is read from a file instead of being fetched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct PinnedDocument {
    /// The client identifier that the document is for. Required.
    pub client_id: String,
    /// The document. Required.
    pub file: PathBuf,
}

/// A client configured by hand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct PreregisteredClient {
    /// Client identifier. Required.
    pub client_id: String,
    /// Name shown on the consent page; the client identifier when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_name: Option<String>,
    /// Client secret; a public client when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret_ref: Option<SecretRef>,
    /// Redirection URIs, compared as strings (any port for loopback). At least one.
    pub redirect_uris: Vec<String>,
    /// Scopes that the client may ask for; all supported ones when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
}
