//! Who this client is at a server, and how it shows that (RFC 6749 §2.3, RFC 7523 §2.2).

use secrecy::SecretString;
use thv_jose::algorithm::Algorithm;
use thv_jose::key::SignError;
use thv_oauth::auth_method::AuthMethod;
use thv_oauth::pkce::METHOD_S256;
use thv_oauth::server_metadata::AuthorizationServerMetadata;

use crate::client_assertion::ClientAssertion;
use crate::server_text;

/// How the client authenticates at the token endpoint and those like it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMethodChoice {
    /// Not at all: `client_id` in the body.
    None,
    /// HTTP Basic.
    ClientSecretBasic,
    /// The secret in the body.
    ClientSecretPost,
    /// A signed assertion.
    PrivateKeyJwt,
    /// Nobody has said: Basic, which every server must support (RFC 6749 §2.3.1), and where that is refused, the body.
    Unknown,
}

impl From<AuthMethod> for AuthMethodChoice {
    fn from(method: AuthMethod) -> Self {
        match method {
            AuthMethod::None => Self::None,
            AuthMethod::PrivateKeyJwt => Self::PrivateKeyJwt,
            AuthMethod::ClientSecretBasic => Self::ClientSecretBasic,
            AuthMethod::ClientSecretPost => Self::ClientSecretPost,
        }
    }
}

impl AuthMethodChoice {
    /// The method for a client that has a secret and no key; see [`choose`].
    ///
    /// # Errors
    /// When the server lists other methods only.
    pub fn from_metadata(metadata: &AuthorizationServerMetadata) -> Result<Self, NoCommonAuthMethod> {
        choose(metadata, None, &PREFERENCE).map(Self::from)
    }
}

/// Every method, the preferred first: no secret to be stolen, then a secret that stays out of bodies.
pub const PREFERENCE: [AuthMethod; 4] = [
    AuthMethod::PrivateKeyJwt,
    AuthMethod::ClientSecretBasic,
    AuthMethod::ClientSecretPost,
    AuthMethod::None,
];

/// The server accepts none of the methods that this client can use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the token endpoint accepts {} only, none of which this client can use{reason}",
    server_text::names(.listed)
)]
pub struct NoCommonAuthMethod {
    /// What the server lists; `client_secret_basic` when it lists nothing.
    pub listed: Vec<String>,
    reason: &'static str,
}

/// The first of `candidates` that the server lists and this client can use. A server that lists nothing accepts
/// `client_secret_basic` (RFC 8414 §2). `private_key_jwt` needs a key of ours (`key` is its algorithm, which must be among
/// those that the server lists, if it lists any); `none` needs PKCE with `S256`, for nothing else then protects the code.
///
/// # Errors
/// When none of them fits.
pub fn choose(
    metadata: &AuthorizationServerMetadata,
    key: Option<Algorithm>,
    candidates: &[AuthMethod],
) -> Result<AuthMethod, NoCommonAuthMethod> {
    let mut listed = metadata.token_endpoint_auth_methods_supported.clone();
    if listed.is_empty() {
        listed.push(AuthMethod::ClientSecretBasic.as_str().to_owned());
    }
    let mut reason = "";
    for &method in candidates {
        if listed.iter().any(|name| name == method.as_str()) {
            match obstacle(metadata, key, method) {
                None => return Ok(method),
                Some(obstacle) => reason = obstacle,
            }
        }
    }
    Err(NoCommonAuthMethod { listed, reason })
}

/// Why a method that the server lists cannot be used.
fn obstacle(
    metadata: &AuthorizationServerMetadata,
    key: Option<Algorithm>,
    method: AuthMethod,
) -> Option<&'static str> {
    let algorithms = &metadata.token_endpoint_auth_signing_alg_values_supported;
    match (method, key) {
        (AuthMethod::PrivateKeyJwt, None) => Some(" (private_key_jwt needs a signing key)"),
        (AuthMethod::PrivateKeyJwt, Some(key)) => {
            (!algorithms.is_empty() && !algorithms.iter().any(|name| name == key.as_str())).then_some(
                " (token_endpoint_auth_signing_alg_values_supported lacks the algorithm of our signing key)",
            )
        }
        (AuthMethod::None, _) => {
            let has_s256 = metadata.code_challenge_methods_supported.iter().any(|name| name == METHOD_S256);
            (!has_s256).then_some(" (none needs S256 in code_challenge_methods_supported)")
        }
        (AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost, _) => None,
    }
}

/// Who the client is. One with neither secret nor `private_key_jwt` is public, whatever `method` says.
#[derive(Clone, Debug)]
pub struct ClientCredentials {
    /// The identifier that the server gave it.
    pub client_id: String,
    /// The secret that the server gave it.
    pub secret: Option<SecretString>,
    /// What signs for it; used by `private_key_jwt` only.
    pub assertion: Option<ClientAssertion>,
    /// How it authenticates.
    pub method: AuthMethodChoice,
}

/// Why the client cannot authenticate. Nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// `client_id` or secret have characters that no header field can carry.
    #[error("the client's credentials cannot be sent in a header field")]
    Header,
    /// `private_key_jwt` was chosen for a client without a key.
    #[error("the client authenticates by private_key_jwt and has no signing key")]
    NoKey,
    /// The assertion could not be signed.
    #[error("the client's assertion could not be signed")]
    Sign(#[source] SignError),
}
