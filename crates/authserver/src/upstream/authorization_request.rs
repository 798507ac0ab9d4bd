//! The authorization request to an upstream, with what its settings add.

use thv_client::authorization_request::AuthorizationRequest as Standard;

use super::provider::ProviderSettings;
use super::{Outbound, UpstreamError, UpstreamRequest};

/// An authorization request with PKCE.
pub(super) struct AuthorizationRequest<'a> {
    pub(super) endpoint: &'a str,
    pub(super) client_id: &'a str,
    pub(super) provider: &'a ProviderSettings,
    /// OpenID Connect's.
    pub(super) nonce: Option<&'a str>,
}

impl AuthorizationRequest<'_> {
    /// Its URL.
    pub(super) fn url(&self, request: &UpstreamRequest<'_>) -> Result<Outbound, UpstreamError> {
        let provider = self.provider;
        let scope = provider.scopes.join(&provider.scope_separator);
        let configured = &provider.additional_params;
        let prompt = prompt(request, configured.get("prompt").map(String::as_str));
        let standard = Standard {
            endpoint: self.endpoint,
            client_id: self.client_id,
            redirect_uri: &provider.redirect_uri,
            state: request.state,
            code_challenge: request.code_challenge,
        };
        let mut further = Vec::new();
        further.extend((!scope.is_empty()).then_some((provider.scope_parameter.as_str(), scope.as_str())));
        further.extend(provider.resource_parameter());
        further.extend(self.nonce.map(|nonce| ("nonce", nonce)));
        further.extend(prompt.as_deref().map(|prompt| ("prompt", prompt)));
        let additional = configured.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        further.extend(additional.filter(|(name, _)| *name != "prompt"));
        let url = standard.url(further).map_err(|error| UpstreamError::unacceptable(error.to_string()))?;
        Ok(Outbound { url, client_id: Some(self.client_id.to_owned()) })
    }
}

/// What our own client asked for goes before what is configured; a configured `consent` is kept beside a `login`.
fn prompt(request: &UpstreamRequest<'_>, configured: Option<&str>) -> Option<String> {
    if request.prompt_none {
        return Some("none".to_owned());
    }
    if !request.prompt_login {
        return configured.map(str::to_owned);
    }
    let others =
        configured.unwrap_or_default().split(' ').filter(|value| !matches!(*value, "" | "login" | "none"));
    Some(std::iter::once("login").chain(others).collect::<Vec<_>>().join(" "))
}
