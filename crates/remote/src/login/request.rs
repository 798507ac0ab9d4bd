//! The authorization request.

use thv_client::authorization_request::AuthorizationRequest;
use thv_jose::random;
use thv_oauth::pkce::CodeVerifier;

use crate::discovery::Found;
use crate::error::LoginError;
use crate::identity::Identity;
use crate::scope::{OFFLINE_ACCESS, covers};
use crate::settings::AuthSettings;

/// What was asked, as far as the answer and the token request go by it.
pub(crate) struct Asked {
    pub(crate) identity: Identity,
    pub(crate) redirect_uri: String,
    pub(crate) state: String,
    pub(crate) verifier: CodeVerifier,
    pub(crate) scope: String,
}

impl Asked {
    pub(crate) fn new(identity: Identity, redirect_uri: String, state: String, scope: &str) -> Self {
        let verifier = CodeVerifier::from_random(random::bytes());
        Self { identity, redirect_uri, state, verifier, scope: scope.to_owned() }
    }

    /// Where the browser is sent to.
    ///
    /// # Errors
    /// [`LoginError::Endpoint`].
    pub(crate) fn url(&self, found: &Found, settings: &AuthSettings) -> Result<String, LoginError> {
        let challenge = self.verifier.challenge();
        let request = AuthorizationRequest {
            endpoint: found.authorization_endpoint(),
            client_id: &self.identity.client.client_id,
            redirect_uri: &self.redirect_uri,
            state: &self.state,
            code_challenge: &challenge,
        };
        let scope_name = settings.scope_param_name.as_deref().unwrap_or("scope");
        let extra = &settings.oauth_params;
        let mut further = Vec::new();
        further.extend((!self.scope.is_empty()).then_some((scope_name, self.scope.as_str())));
        further.extend(found.resource.as_deref().map(|resource| ("resource", resource)));
        // OpenID Connect Core §11: without it, servers ignore the wish.
        further.extend(covers(&self.scope, OFFLINE_ACCESS).then_some(("prompt", "consent")));
        // The user's own words are the last ones.
        further.retain(|(name, _)| !extra.contains_key(*name));
        further.extend(extra.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        request
            .url(further)
            .map_err(|source| LoginError::Endpoint { issuer: found.server.issuer.clone(), source })
    }
}
