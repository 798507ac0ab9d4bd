//! `private_key_jwt` (RFC 7523 §3): verifying a client's assertion with its registered keys.

use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use thv_client::jwks::{JwksCache, JwksFetchError};
use thv_clock::{SharedClock, Timestamp};
use thv_egress::client::Client as Egress;
use thv_jose::digest::sha256;
use thv_jose::jwks::{Jwks, JwksError};
use thv_jose::verify::{Expected, Typ, VerifyError, verify};
use thv_oauth::auth_method::AuthMethod;
use thv_store::StoreError;
use thv_store::records::GrantClient;

use crate::clients::for_log;
use crate::server::AuthServer;

const LEEWAY: Duration = Duration::from_secs(60);
/// Assertions are one-time; one that lives longer than this would have to be remembered too long.
const MAX_LIFETIME: Duration = Duration::from_secs(3600);
/// Key sets beyond this are not kept with the grant; they are fetched when needed.
const SNAPSHOT_MAX: usize = 8 * 1024;
const REMEMBERED_SETS: u64 = 256;

/// Why an assertion does not authenticate its client.
#[derive(Debug, thiserror::Error)]
pub(super) enum AssertionError {
    #[error("the client assertion is not acceptable: {0}")]
    Verify(VerifyError),
    #[error("the client assertion must have a sub equal to the client_id")]
    NotTheClient,
    #[error("the client assertion needs a jti of at most 256 characters")]
    Jti,
    #[error("the client assertion was used before")]
    Replayed,
    #[error("the client has no keys")]
    NoKeys,
    #[error("the client's keys are not usable")]
    Keys(#[source] JwksError),
    #[error("the client's keys could not be fetched")]
    Fetch(#[source] JwksFetchError),
    #[error("the client assertion cannot be checked at the moment")]
    Store(#[from] StoreError),
}

impl AssertionError {
    /// Whether it says nothing about the client.
    pub(super) fn is_temporary(&self) -> bool {
        match self {
            Self::Fetch(error) => error.is_temporary(),
            Self::Store(_) => true,
            Self::Verify(_)
            | Self::NotTheClient
            | Self::Jti
            | Self::Replayed
            | Self::NoKeys
            | Self::Keys(_) => false,
        }
    }

    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Verify(error) => error.reason(),
            Self::NotTheClient => "client_assertion_subject",
            Self::Jti => "client_assertion_jti",
            Self::Replayed => "client_assertion_replayed",
            Self::NoKeys => "client_keys_missing",
            Self::Keys(_) => "client_keys_unusable",
            Self::Fetch(_) => "client_keys_unreachable",
            Self::Store(_) => "store_unavailable",
        }
    }
}

#[derive(Deserialize)]
struct AssertionClaims {
    sub: String,
    /// Possibly with a fraction (RFC 7519 §2).
    exp: f64,
    jti: Option<String>,
}

/// Key sets of clients.
pub(crate) struct ClientKeys {
    cache: JwksCache,
}

impl ClientKeys {
    pub(crate) fn new(egress: Egress, clock: SharedClock) -> Self {
        Self { cache: JwksCache::new(egress, clock, REMEMBERED_SETS) }
    }

    /// Keeps the keys of a `jwks_uri` with the grant, so that the client can redeem and refresh while that host is down.
    pub(crate) async fn snapshot(&self, client: &mut GrantClient) {
        let Some(uri) = client.jwks_uri.as_ref().filter(|_| client.auth_method == AuthMethod::PrivateKeyJwt)
        else {
            return;
        };
        match self.cache.load(uri).await {
            Ok(set) => {
                client.jwks = (set.document.to_string().len() <= SNAPSHOT_MAX).then(|| set.document.clone())
            }
            Err(error) => tracing::warn!(
                client.id = &*for_log(&client.client_id),
                jwks.uri = uri,
                error = thv_telemetry::chain(&error),
                "a client's keys could not be fetched yet"
            ),
        }
    }

    /// The keys that count: fetched ones (again when `kid` is unknown to them), or those kept with the grant while the
    /// host is down. A host that answers has the last word, so that a key which the client withdrew is void.
    async fn current(&self, client: &GrantClient, assertion: &str) -> Result<Arc<Jwks>, AssertionError> {
        let kept = || {
            client
                .jwks
                .as_ref()
                .map(|jwks| Jwks::from_value(jwks).map(Arc::new).map_err(AssertionError::Keys))
        };
        let Some(uri) = &client.jwks_uri else { return kept().unwrap_or(Err(AssertionError::NoKeys)) };
        match self.cache.load_for(uri, assertion).await {
            Ok(set) => Ok(Arc::clone(&set.keys)),
            Err(error) if !error.is_temporary() => Err(AssertionError::Fetch(error)),
            Err(error) => kept().unwrap_or(Err(AssertionError::Fetch(error))),
        }
    }
}

impl AuthServer {
    pub(super) async fn verify_assertion(
        &self,
        assertion: &SecretString,
        client: &GrantClient,
    ) -> Result<(), AssertionError> {
        let inner = &self.inner;
        let assertion = assertion.expose_secret();
        let now = inner.clock.now();
        // The issuer is the audience of RFC 7523bis; the token endpoint is what older clients send (AS-133).
        let token_endpoint = format!("{}/oauth/token", inner.settings.issuer.as_str());
        let audiences = [inner.settings.issuer.as_str(), token_endpoint.as_str()];
        let expected = Expected {
            issuer: Some(&client.client_id),
            leeway: LEEWAY,
            max_lifetime: Some(MAX_LIFETIME),
            ..Expected::new(Typ::ClientAssertion, &audiences, now)
        };
        let keys = inner.client_keys.current(client, assertion).await?;
        let claims: AssertionClaims = verify(assertion, &*keys, &expected).map_err(AssertionError::Verify)?;
        if claims.sub != client.client_id {
            return Err(AssertionError::NotTheClient);
        }
        let expires_at = Timestamp::from_secs(claims.exp.ceil() as u64) + LEEWAY;
        let jti = claims.jti.filter(|jti| !jti.is_empty() && jti.len() <= 256).ok_or(AssertionError::Jti)?;
        let key = sha256(format!("{}\n{jti}", client.client_id).as_bytes());
        if inner.stores.replays.claim(key, expires_at, now).await? {
            Ok(())
        } else {
            Err(AssertionError::Replayed)
        }
    }
}
