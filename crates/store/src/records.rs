//! The records, in the RFCs' words.

use std::fmt;
use std::sync::Arc;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use thv_clock::Timestamp;
use thv_oauth::auth_method::AuthMethod;
use thv_oauth::client_metadata::ClientMetadata;
use thv_oauth::pkce::CodeChallenge;
use thv_oauth::scope::ScopeSet;

/// Names a grant: 128 random bits. It is the `tsid` claim of access tokens and the id inside refresh tokens.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GrantId(pub [u8; 16]);

impl GrantId {
    /// A fresh id.
    pub fn random() -> Self {
        Self(thv_jose::random::bytes())
    }

    /// Reads what [`fmt::Display`] wrote; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
            .then(|| u128::from_str_radix(text, 16).ok())
            .flatten()
            .map(|number| Self(number.to_be_bytes()))
    }
}

impl fmt::Display for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a grant needs of its client later, kept with the grant: neither a refresh nor a revocation depends on a remote
/// document host or on a registration that was lost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GrantClient {
    /// The `client_id`, compared as a raw string.
    pub client_id: String,
    /// The name shown to the user.
    pub client_name: String,
    /// How the client authenticates at the token endpoint.
    pub auth_method: AuthMethod,
    /// Whether it declared that it may also come without authentication.
    pub may_be_public: bool,
    /// The client's public keys for `private_key_jwt`, as they were when the grant was made.
    pub jwks: Option<serde_json::Value>,
    /// Where those keys are renewed from.
    pub jwks_uri: Option<String>,
    /// Whether the client may receive refresh tokens.
    pub may_refresh: bool,
    /// Hash of the material metadata at the time of the grant (AS-80).
    pub metadata_hash: String,
}

/// The resource owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// The `sub` of our tokens: `<upstream>:<upstream subject>`.
    pub sub: String,
    /// The upstream that authenticated the user.
    pub upstream: String,
    /// Display name, if the upstream gave one.
    pub name: Option<String>,
    /// E-mail address, if the upstream gave one; never used to link accounts.
    pub email: Option<String>,
}

/// An authorization request that passed every check and was approved; what remains is to prove who the user is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApprovedRequest {
    /// The client.
    pub client: GrantClient,
    /// The redirect URI of the request, byte for byte (with its loopback port).
    pub redirect_uri: String,
    /// The client's `state`, echoed exactly.
    pub state: Option<String>,
    /// The PKCE challenge (RFC 7636).
    pub code_challenge: CodeChallenge,
    /// The scopes that will be granted.
    pub scopes: ScopeSet,
    /// The resources that will be the audience (RFC 8707); one of our own.
    pub resources: Vec<String>,
    /// `prompt` was `none`: the upstream may not show a page either.
    pub prompt_none: bool,
    /// `prompt` held `login` or `select_account`: an existing sign-in does not do.
    pub prompt_login: bool,
}

/// An approved request that is away at the upstream (or at our login page), waiting for its callback.
#[derive(Clone, Debug)]
pub struct PendingAuthorization {
    /// The request.
    pub request: ApprovedRequest,
    /// When a remembered approval stood in for the consent page: whose. Another user is asked after all.
    pub approved_by: Option<String>,
    /// SHA-256 of the cookie of the browser that started it: no other browser may finish it.
    pub browser: [u8; 32],
    /// The upstream that was chosen.
    pub upstream: String,
    /// Our PKCE verifier towards the upstream.
    pub upstream_verifier: SecretString,
    /// Our OpenID Connect nonce towards the upstream.
    pub upstream_nonce: String,
    /// After this it is gone.
    pub expires_at: Timestamp,
}

/// A refresh token family: the tokens that descend from one authorization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefreshFamily {
    /// The generation that is current; a token carries the generation it belongs to.
    pub generation: u32,
    /// When the current generation was first handed out.
    pub rotated_at: Timestamp,
    /// Unused until then, the family ends.
    pub idle_expires_at: Timestamp,
    /// The family ends then, used or not.
    pub absolute_expires_at: Timestamp,
}

/// The resource owner's decision and everything that hangs on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Grant {
    /// Its name.
    pub id: GrantId,
    /// Whom it was given to.
    pub client: Arc<GrantClient>,
    /// Who gave it.
    pub subject: Subject,
    /// What was granted; a refresh may only narrow.
    pub scopes: ScopeSet,
    /// For which resources; a refresh may only narrow.
    pub resources: Vec<String>,
    /// When the user was authenticated.
    pub auth_time: Timestamp,
    /// Present when refresh tokens were issued.
    pub refresh: Option<RefreshFamily>,
    /// The row may be dropped then: no token of the grant is valid any more.
    pub expires_at: Timestamp,
}

/// An authorization code's meaning.
#[derive(Clone, Debug)]
pub struct AuthorizationCode {
    /// The grant that redeeming the code creates.
    pub grant: Grant,
    /// The redirect URI that the token request must repeat (AS-22).
    pub redirect_uri: String,
    /// The challenge that the verifier must match.
    pub code_challenge: CodeChallenge,
    /// The upstream's tokens, which move into the vault at redemption.
    pub upstream_tokens: Option<UpstreamTokens>,
    /// The code is dead then.
    pub expires_at: Timestamp,
}

/// What an upstream gave us for a user.
#[derive(Clone, Debug)]
pub struct UpstreamTokens {
    /// The upstream's name.
    pub provider: String,
    /// The upstream's subject for this user.
    pub subject: String,
    /// The token to inject.
    pub access_token: SecretString,
    /// To renew it, if the upstream gave one.
    pub refresh_token: Option<SecretString>,
    /// When the access token ends; `None` when the upstream did not say.
    pub expires_at: Option<Timestamp>,
    /// The scopes that the upstream granted.
    pub scopes: Option<String>,
}

/// A registration that is kept in the store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredClient {
    /// The `client_id` that was issued.
    pub client_id: String,
    /// The metadata as registered (RFC 7591 §3.2.1).
    pub metadata: ClientMetadata,
    /// SHA-256 of the secret of a confidential client.
    pub secret_digest: Option<[u8; 32]>,
    /// When it was registered.
    pub issued_at: Timestamp,
    /// When an authorization code was last issued to it; `None` when never.
    pub used_at: Option<Timestamp>,
}

/// A user's remembered approval of a client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Approval {
    /// Hash of the client's material metadata when it was approved; another hash asks anew (AS-80).
    pub metadata_hash: String,
    /// The scopes that were approved.
    pub scopes: ScopeSet,
    /// The resources that were approved.
    pub resources: Vec<String>,
    /// After this the user is asked again.
    pub expires_at: Timestamp,
}
