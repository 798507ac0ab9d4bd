//! The records, in the RFCs' words.

use std::collections::BTreeSet;
use std::sync::Arc;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use thv_clock::Timestamp;
use thv_oauth::auth_method::AuthMethod;
use thv_oauth::client_metadata::ClientMetadata;
use thv_oauth::pkce::CodeChallenge;
use thv_oauth::scope::ScopeSet;

pub use crate::ids::{GrantId, SessionId};

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

/// An approved request whose user is logging in: at an upstream, at our login page, or between two upstreams.
#[derive(Clone, Debug)]
pub struct PendingAuthorization {
    /// The request.
    pub request: ApprovedRequest,
    /// When a remembered approval stood in for the consent page: whose. Another user is asked after all.
    pub approved_by: Option<String>,
    /// SHA-256 of the cookie of the browser that started it: no other browser may finish it.
    pub browser: [u8; 32],
    /// The upstream whose login is due.
    pub upstream: String,
    /// Our PKCE verifier towards the upstream.
    pub upstream_verifier: SecretString,
    /// Our OpenID Connect nonce towards the upstream.
    pub upstream_nonce: String,
    /// The `client_id` that the upstream was asked with: its code belongs to that registration.
    pub upstream_client_id: Option<String>,
    /// What earlier legs of the login established; `None` during the first one.
    pub progress: Option<LoginProgress>,
    /// A login that is started again because the upstream had forgotten our registration is not started a third time.
    pub restarted: bool,
    /// After this it is gone.
    pub expires_at: Timestamp,
}

/// How far a login with several upstreams has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginProgress {
    /// The session that holds the tokens of the legs that are done.
    pub session: SessionId,
    /// Who the user is, by the first leg.
    pub subject: Subject,
    /// When the first leg was finished.
    pub auth_time: Timestamp,
    /// Optional upstreams that the user skipped.
    pub skipped: BTreeSet<String>,
    /// Why the leg that is due failed just now, for the page.
    pub failure: Option<String>,
}

/// A user in a browser, and what hangs on that login. Its upstream tokens are rows of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its name.
    pub id: SessionId,
    /// The user.
    pub subject: Subject,
    /// The grants that use its upstream tokens, each with its end. When the last one is revoked, the tokens go too.
    pub grants: Vec<(GrantId, Timestamp)>,
    /// The row may be dropped then.
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
    /// The login session whose upstream tokens it uses.
    pub session: SessionId,
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
    /// The upstream whose login was last found to have ended while a token of the grant was in use.
    #[serde(default)]
    pub ended_login: Option<String>,
    /// Present when refresh tokens were issued.
    pub refresh: Option<RefreshFamily>,
    /// The row may be dropped then: no token of the grant is valid any more.
    pub expires_at: Timestamp,
}

/// An authorization code's meaning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuthorizationCode {
    /// The grant that redeeming the code creates.
    pub grant: Grant,
    /// The redirect URI that the token request must repeat (AS-22).
    pub redirect_uri: String,
    /// The challenge that the verifier must match.
    pub code_challenge: CodeChallenge,
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
    /// When they were received.
    pub obtained_at: Timestamp,
    /// When the access token ends; `None` when the upstream did not say.
    pub expires_at: Option<Timestamp>,
    /// The scopes that the upstream granted.
    pub scopes: Option<String>,
    /// The `client_id` of our registration that obtained them: a refresh token is bound to it (RFC 6749 §6).
    pub client_id: Option<String>,
}

/// A row of the token vault: an upstream's tokens of a session, and what is known about renewing them.
#[derive(Clone, Debug)]
pub struct VaultEntry {
    /// The tokens.
    pub tokens: UpstreamTokens,
    /// Whether the upstream replaces refresh tokens; `None` before it was seen, which counts as yes where it matters.
    pub rotates: Option<bool>,
    /// Written ahead of a refresh and removed with its outcome: who finds it old knows that the outcome was lost.
    pub intent: Option<RefreshIntent>,
    /// The upstream's logins of this session, counted: tells a renewed login from the one before.
    pub login: u32,
    /// When a refresh was last made because a backend refused the access token.
    pub forced_at: Option<Timestamp>,
    /// When a backend last refused a token that had just been renewed.
    pub refused_at: Option<Timestamp>,
}

/// A refresh that was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefreshIntent {
    /// Who began it.
    pub by: [u8; 16],
    /// When.
    pub at: Timestamp,
}

/// What our registrations at upstreams are stored under: one upstream, as one deployment asks for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RegistrationKey {
    /// Our own issuer identifier.
    pub issuer: String,
    /// The upstream's issuer identifier, or its registration endpoint.
    pub upstream: String,
    /// The redirection URI that is registered.
    pub redirect_uri: String,
    /// SHA-256 of the scopes, sorted, without duplicates, joined by spaces.
    pub scopes_hash: [u8; 32],
}

/// Our registrations at one upstream (RFC 7591), newest first. Those that were replaced stay for the refresh tokens that are
/// bound to them.
#[derive(Clone, Debug)]
pub struct UpstreamRegistrations {
    /// What they are stored under.
    pub key: RegistrationKey,
    /// The registrations; the first one is current.
    pub generations: Vec<UpstreamRegistration>,
    /// The endpoints as the upstream's metadata gave them last.
    pub endpoints: UpstreamEndpoints,
    /// Whether they are deleted at the upstream when it is no longer configured.
    pub delete_on_removal: bool,
}

/// Where a deployment's registrations at upstreams are: rows can be found by their key only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistrationIndex {
    /// Their keys.
    pub keys: Vec<RegistrationKey>,
}

/// The endpoints of an upstream, kept so that a restart needs no discovery.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamEndpoints {
    /// The issuer identifier, where there is metadata.
    pub issuer: Option<String>,
    /// Where the browser is sent.
    pub authorization: Option<String>,
    /// Where codes and refresh tokens are redeemed.
    pub token: Option<String>,
    /// Where tokens are revoked (RFC 7009).
    pub revocation: Option<String>,
    /// Where clients register (RFC 7591).
    pub registration: Option<String>,
    /// The signing keys of ID tokens.
    pub jwks: Option<String>,
    /// Whether authorization responses name their issuer (RFC 9207).
    pub iss_parameter: bool,
}

/// One registration of ours at an upstream.
#[derive(Clone, Debug)]
pub struct UpstreamRegistration {
    /// The identifier that the upstream gave us.
    pub client_id: String,
    /// The secret, if it gave one.
    pub client_secret: Option<SecretString>,
    /// How we authenticate at its token endpoint.
    pub auth_method: AuthMethod,
    /// When it was made.
    pub registered_at: Timestamp,
    /// When the secret ends; `None` when it does not.
    pub client_secret_expires_at: Option<Timestamp>,
    /// To manage the registration (RFC 7592).
    pub registration_access_token: Option<SecretString>,
    /// Where it is managed (RFC 7592).
    pub registration_client_uri: Option<String>,
    /// The scopes that were registered, as the upstream answered.
    pub scope: Option<String>,
    /// The upstream said `invalid_client` and does not confirm that it knows it: no login uses it any more. Refresh tokens that
    /// are bound to it are of use until the upstream refuses them, each by itself.
    pub refused: bool,
}

/// A client's metadata document as it was fetched, shared by replicas.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredDocument {
    /// The document.
    pub document: serde_json::Value,
    /// Its `ETag`.
    pub etag: Option<String>,
    /// Until when it needs no fetch.
    pub fresh_until: Timestamp,
    /// When it was last fetched or confirmed.
    pub fetched_at: Timestamp,
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
    /// SHA-256 of the registration access token (RFC 7592); `None` for a registration that is not managed.
    pub registration_token_digest: Option<[u8; 32]>,
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
