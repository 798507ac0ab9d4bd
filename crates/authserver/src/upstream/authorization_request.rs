//! The authorization request to an upstream (RFC 6749 §4.1.1, RFC 7636 §4.3, RFC 8707 §2.1).

use thv_oauth::params;
use thv_oauth::pkce::METHOD_S256;

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
    /// Its URL. The endpoint may come from metadata, and the browser goes there: no scheme but HTTP's will do.
    pub(super) fn url(&self, request: &UpstreamRequest<'_>) -> Result<Outbound, UpstreamError> {
        if !self.endpoint.starts_with("https://") && !self.endpoint.starts_with("http://") {
            return Err(UpstreamError::unacceptable("the authorization endpoint is not an http(s) URL"));
        }
        let provider = self.provider;
        let scope = provider.scopes.join(&provider.scope_separator);
        let configured = &provider.additional_params;
        let prompt = prompt(request, configured.get("prompt").map(String::as_str));
        let mut pairs = vec![
            ("response_type", "code"),
            ("client_id", self.client_id),
            ("redirect_uri", &provider.redirect_uri),
            ("state", request.state),
            ("code_challenge", request.code_challenge.as_str()),
            ("code_challenge_method", METHOD_S256),
        ];
        pairs.extend((!scope.is_empty()).then_some((provider.scope_parameter.as_str(), scope.as_str())));
        pairs.extend(provider.resource_parameter());
        pairs.extend(self.nonce.map(|nonce| ("nonce", nonce)));
        pairs.extend(prompt.as_deref().map(|prompt| ("prompt", prompt)));
        let additional = configured.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        pairs.extend(additional.filter(|(name, _)| *name != "prompt"));
        let url = params::append_query(self.endpoint, &pairs);
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
