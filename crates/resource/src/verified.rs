//! What a verified access token says.

use thv_clock::Timestamp;
use thv_jose::digest::sha256;
use thv_oauth::scope::ScopeSet;
use thv_oauth::token_profile::AccessTokenClaims;

/// Who makes a request, through which client, and with which permissions: the content of an access token that was found
/// good.
#[derive(Clone, Debug)]
pub struct Verified {
    /// The authorization server that issued the token, as a raw string.
    pub issuer: String,
    /// The resource owner (`sub`), unique within the issuer.
    pub subject: String,
    /// The client (`client_id`).
    pub client_id: String,
    /// What was granted.
    pub scopes: ScopeSet,
    /// The login session (`tsid`) that upstream credentials hang on. Only our own tokens have one: another issuer must not
    /// be able to name our sessions.
    pub session: Option<String>,
    /// The resource owner's name, for display.
    pub name: Option<String>,
    /// The resource owner's e-mail address, for display.
    pub email: Option<String>,
    /// When the token expires.
    pub expires_at: Timestamp,
    owner: [u8; 32],
}

impl Verified {
    /// A token's content without the optional parts.
    pub fn new(
        issuer: String,
        subject: String,
        client_id: String,
        scopes: ScopeSet,
        expires_at: Timestamp,
    ) -> Self {
        let owner = owner_digest(&issuer, &subject);
        Self { issuer, subject, client_id, scopes, session: None, name: None, email: None, expires_at, owner }
    }

    /// The content of one of our own tokens.
    pub(crate) fn own(claims: AccessTokenClaims) -> Self {
        let session = claims.tsid.clone();
        Self { session, ..Self::foreign(claims) }
    }

    /// The content of another issuer's token.
    pub(crate) fn foreign(claims: AccessTokenClaims) -> Self {
        let expires_at = Timestamp::from_secs(claims.exp);
        let verified = Self::new(claims.iss, claims.sub, claims.client_id, claims.scope, expires_at);
        Self { name: claims.name, email: claims.email, ..verified }
    }

    /// A digest of issuer and subject: the same person has the same one, whatever the token.
    pub const fn owner(&self) -> &[u8; 32] {
        &self.owner
    }
}

fn owner_digest(issuer: &str, subject: &str) -> [u8; 32] {
    // The length keeps ("ab", "c") and ("a", "bc") apart.
    let mut message = issuer.len().to_be_bytes().to_vec();
    message.extend_from_slice(issuer.as_bytes());
    message.extend_from_slice(subject.as_bytes());
    sha256(&message)
}
