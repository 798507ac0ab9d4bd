//! The assertions by which this client authenticates (RFC 7523 §2.2, `private_key_jwt`).

use std::fmt;
use std::time::Duration;

use secrecy::SecretString;
use thv_clock::SharedClock;
use thv_jose::algorithm::Algorithm;
use thv_jose::client_assertion::sign_client_assertion;
use thv_jose::key::SignError;
use thv_jose::reload::KeyHandle;

/// An assertion is made for one request and shown at once.
const LIFETIME: Duration = Duration::from_secs(60);

/// Signs assertions with the first key of a ring, whichever that is at the time.
#[derive(Clone)]
pub struct AssertionSigner {
    keys: KeyHandle,
    clock: SharedClock,
}

impl AssertionSigner {
    /// A signer with `keys`, which the server has to find at our `jwks_uri`.
    pub fn new(keys: KeyHandle, clock: SharedClock) -> Self {
        Self { keys, clock }
    }

    /// The algorithm of the key that signs now.
    pub fn algorithm(&self) -> Algorithm {
        self.keys.load().active().algorithm()
    }

    /// An assertion with a `jti` of its own.
    fn sign(&self, client_id: &str, audience: &str) -> Result<SecretString, SignError> {
        let keys = self.keys.load();
        let now = self.clock.now();
        sign_client_assertion(keys.active(), client_id, audience, now, LIFETIME).map(SecretString::from)
    }
}

impl fmt::Debug for AssertionSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AssertionSigner").field("keys", &self.keys).finish_non_exhaustive()
    }
}

/// A signer and the server that its assertions are for.
#[derive(Clone, Debug)]
pub struct ClientAssertion {
    signer: AssertionSigner,
    audience: String,
}

impl ClientAssertion {
    /// Assertions for the server with this issuer identifier; where that is not known, for its token endpoint
    /// (RFC 7523 §3, 3; AS-133).
    pub fn new(signer: AssertionSigner, issuer: Option<&str>, token_endpoint: &str) -> Self {
        Self { signer, audience: issuer.unwrap_or(token_endpoint).to_owned() }
    }

    /// The assertion for one request.
    pub(crate) fn sign(&self, client_id: &str) -> Result<SecretString, SignError> {
        self.signer.sign(client_id, &self.audience)
    }
}
