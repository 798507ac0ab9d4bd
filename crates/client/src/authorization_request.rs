//! The authorization request of a client that uses PKCE (RFC 6749 §4.1.1, RFC 7636 §4.3, RFC 8707 §2.1).

use thv_oauth::params;
use thv_oauth::pkce::{CodeChallenge, METHOD_S256};

/// The authorization endpoint is no URL that a browser may be sent to (CL-12).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the authorization endpoint is not an http(s) URL")]
pub struct UnusableEndpoint;

/// What every authorization request has.
#[derive(Clone, Copy, Debug)]
pub struct AuthorizationRequest<'a> {
    /// The authorization endpoint; it may have a query of its own.
    pub endpoint: &'a str,
    /// Who asks.
    pub client_id: &'a str,
    /// Where the answer goes.
    pub redirect_uri: &'a str,
    /// What the answer must repeat.
    pub state: &'a str,
    /// What the token request will prove (S256, CL-40).
    pub code_challenge: &'a CodeChallenge,
}

impl<'a> AuthorizationRequest<'a> {
    /// The URL to send the browser to, with `further` parameters such as `scope` and `resource` after the others. The endpoint
    /// may come from metadata: no scheme but HTTP's will do.
    ///
    /// # Errors
    /// [`UnusableEndpoint`].
    pub fn url(
        &self,
        further: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<String, UnusableEndpoint> {
        if !self.endpoint.starts_with("https://") && !self.endpoint.starts_with("http://") {
            return Err(UnusableEndpoint);
        }
        let mut pairs = vec![
            ("response_type", "code"),
            ("client_id", self.client_id),
            ("redirect_uri", self.redirect_uri),
            ("state", self.state),
            ("code_challenge", self.code_challenge.as_str()),
            ("code_challenge_method", METHOD_S256),
        ];
        pairs.extend(further);
        Ok(params::append_query(self.endpoint, &pairs))
    }
}
