//! What both kinds of remote upstreams have in common: we are a client of an authorization server.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use thv_client::authorization_response::check_iss;
use thv_client::discovery::DiscoveryUrl;
use thv_client::revocation::{RevocationEndpoint, TokenTypeHint};
use thv_client::token_response::{TokenResponse, TokenResponseShape};
use thv_clock::SharedClock;
use thv_egress::Client as Egress;
use thv_oauth::issuer::AllowHttp;
use thv_oauth::server_metadata::AuthorizationServerMetadata;
use thv_store::Stores;
use thv_store::records::{UpstreamEndpoints, UpstreamTokens};
use tokio_util::task::TaskTracker;

use super::authorization_request::AuthorizationRequest;
use super::registration::{Client, PublishedClient, Registered, Registrar, RegistrationSettings};
use super::{Outbound, UpstreamError, UpstreamRequest};

/// What may precede a refresh: reading the registration, waiting for another replica that changes it, metadata. Less than
/// the refresh as a whole may take, by more than the token endpoint may take.
const PREPARATION: Duration = Duration::from_secs(10);

/// An upstream as an authorization server that we are a client of.
#[derive(Clone, Debug)]
pub struct ProviderSettings {
    /// Where its metadata is. Without it, an `oidc` upstream's is found by its issuer, and an `oauth2` upstream has none.
    pub discovery: Option<DiscoveryUrl>,
    /// Endpoints that are configured; each wins over the metadata.
    pub endpoints: ConfiguredEndpoints,
    /// Which of its URLs may be plain http.
    pub allow_http: AllowHttp,
    /// How we become its client.
    pub registration: RegistrationSettings,
    /// Our callback, as registered there.
    pub redirect_uri: String,
    /// The scopes that are asked for.
    pub scopes: Vec<String>,
    /// The parameter that carries them; `scope` by the standard.
    pub scope_parameter: String,
    /// What stands between them; a space by the standard.
    pub scope_separator: String,
    /// The resource that tokens are for (RFC 8707); `None` when it is not sent.
    pub resource: Option<String>,
    /// Further parameters of the authorization request.
    pub additional_params: BTreeMap<String, String>,
}

impl ProviderSettings {
    /// `resource` (RFC 8707 §2), the same in every request.
    pub(super) fn resource_parameter(&self) -> Option<(&str, &str)> {
        self.resource.as_deref().map(|resource| ("resource", resource))
    }
}

/// Endpoints that the operator configured.
#[derive(Clone, Debug, Default)]
pub struct ConfiguredEndpoints {
    /// Where the browser is sent.
    pub authorization: Option<String>,
    /// Where codes and refresh tokens are redeemed.
    pub token: Option<String>,
    /// Where tokens are revoked (RFC 7009).
    pub revocation: Option<String>,
    /// Where clients register (RFC 7591).
    pub registration: Option<String>,
}

/// What an upstream is reached and remembered with.
#[derive(Clone)]
pub struct UpstreamParts {
    /// Our own issuer identifier.
    pub issuer: String,
    /// The guarded way to it.
    pub egress: Egress,
    /// Time.
    pub clock: SharedClock,
    /// Where registrations are kept.
    pub stores: Stores,
    /// What we publish about ourselves; `None` when our issuer is not https, so that no upstream could fetch it.
    pub published: Option<PublishedClient>,
    /// Background work, awaited at shutdown.
    pub tasks: TaskTracker,
}

/// An authorization server and us as its client.
pub(super) struct Provider {
    name: String,
    pub(super) settings: Arc<ProviderSettings>,
    pub(super) egress: Egress,
    pub(super) clock: SharedClock,
    registrar: Arc<Registrar>,
}

/// Tokens, and the client that they were issued to.
pub(super) struct Issued {
    pub(super) tokens: TokenResponse,
    pub(super) client_id: String,
    pub(super) endpoints: UpstreamEndpoints,
}

impl Provider {
    /// `issuer` is that of an `oidc` upstream.
    pub(super) fn new(
        name: String,
        issuer: Option<&str>,
        settings: ProviderSettings,
        shape: TokenResponseShape,
        parts: UpstreamParts,
    ) -> Self {
        let (settings, egress, clock) = (Arc::new(settings), parts.egress.clone(), Arc::clone(&parts.clock));
        let registrar = Registrar::new(name.clone(), issuer, Arc::clone(&settings), shape, parts);
        let registrar = Arc::new(registrar);
        Self { name, settings, egress, clock, registrar }
    }

    /// Its configured name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Registers in the background, if that is needed at all, until it succeeds.
    pub(super) fn start(&self) {
        Registrar::start(&self.registrar);
    }

    pub(super) fn registrar(&self) -> &Registrar {
        &self.registrar
    }

    pub(super) async fn authorization_url(
        &self,
        request: &UpstreamRequest<'_>,
        nonce: Option<&str>,
    ) -> Result<Outbound, UpstreamError> {
        let registered = self.registrar.current().await?;
        self.registrar.look_after(&registered);
        let endpoint = named(registered.endpoints.authorization.as_deref(), "authorization_endpoint")?;
        let client_id = &registered.current().client_id;
        AuthorizationRequest { endpoint, client_id, provider: &self.settings, nonce }.url(request)
    }

    /// Checks `iss` (RFC 9207) where the upstream's issuer is known.
    pub(super) async fn check_iss(&self, iss: Option<&str>) -> Result<(), UpstreamError> {
        let registered = self.registrar.current().await?;
        let endpoints = &registered.endpoints;
        let Some(issuer) = endpoints.issuer.clone() else { return Ok(()) };
        let metadata = AuthorizationServerMetadata {
            issuer,
            authorization_response_iss_parameter_supported: endpoints.iss_parameter,
            ..AuthorizationServerMetadata::default()
        };
        Ok(check_iss(&metadata, iss)?)
    }

    /// Redeems a code as the client that asked for it. One that is not known any more is `invalid_client`, as it would be
    /// for the upstream. A server that refuses the client has not looked at the code (RFC 6749 §5.2), so where it turns out
    /// to know us all the same, the code is sent once more.
    pub(super) async fn exchange_code(
        &self,
        code: &str,
        verifier: &SecretString,
        client_id: Option<&str>,
    ) -> Result<Issued, UpstreamError> {
        match self.exchange_once(code, verifier, client_id).await {
            Err(error) if error.is_invalid_client() && self.is_confirmed(client_id).await => {
                self.exchange_once(code, verifier, client_id).await
            }
            redeemed => redeemed,
        }
    }

    async fn exchange_once(
        &self,
        code: &str,
        verifier: &SecretString,
        client_id: Option<&str>,
    ) -> Result<Issued, UpstreamError> {
        let (registered, client) = self.registrar.acting_as(client_id).await?;
        let client = client.ok_or_else(UpstreamError::invalid_client)?;
        let endpoint = named(client.token_endpoint(), "token_endpoint")?;
        let resource: Vec<_> = self.settings.resource_parameter().into_iter().collect();
        let tokens = endpoint.exchange_code(code, &self.settings.redirect_uri, verifier, &resource).await?;
        self.registrar.accepted(&client.client_id);
        Ok(issued(tokens, &client, &registered))
    }

    async fn is_confirmed(&self, client_id: Option<&str>) -> bool {
        match client_id {
            Some(client_id) => self.registrar.confirm(client_id).await,
            None => false,
        }
    }

    /// Renews tokens as the client that they were issued to: nobody else may (RFC 6749 §6).
    pub(super) async fn refresh(
        &self,
        refresh_token: &SecretString,
        client_id: Option<&str>,
    ) -> Result<Issued, UpstreamError> {
        let (registered, client) = self.prepared(PREPARATION, client_id).await?;
        let endpoint = named(client.token_endpoint(), "token_endpoint");
        let endpoint = endpoint.map_err(UpstreamError::before_asking)?;
        let resource: Vec<_> = self.settings.resource_parameter().into_iter().collect();
        let tokens = endpoint.refresh(refresh_token, None, &resource).await?;
        self.registrar.accepted(&client.client_id);
        self.registrar.look_after(&registered);
        Ok(issued(tokens, &client, &registered))
    }

    /// Who refreshes. A client that is not known any more cannot, so the upstream is not asked. This has a deadline of its own:
    /// whoever waits for the refresh must be able to tell that the refresh token was not sent.
    pub(super) async fn prepared(
        &self,
        within: Duration,
        client_id: Option<&str>,
    ) -> Result<(Arc<Registered>, Arc<Client>), UpstreamError> {
        let found = tokio::time::timeout(within, self.registrar.acting_as(client_id)).await;
        let found = found.map_err(|elapsed| UpstreamError::Unavailable(elapsed.into()))?;
        let (registered, client) = found.map_err(|error| UpstreamError::from(error).before_asking())?;
        let client = client.ok_or(UpstreamError::UnknownClient).inspect_err(|_| {
            tracing::warn!(
                upstream.name = self.name,
                client.id = client_id,
                "the registration that obtained a refresh token is not known here: the user has to log in again"
            );
        })?;
        Ok((registered, client))
    }

    /// Renewed tokens turned out to be another user's. They are not used, and what they were renewed with has been used up.
    pub(super) fn another_user(&self) -> UpstreamError {
        tracing::warn!(upstream.name = self.name, "the renewed tokens are another user's and are not used");
        UpstreamError::invalid_grant()
    }

    /// Revokes tokens (RFC 7009), the refresh token first: most servers end what descends from it, too.
    pub(super) async fn revoke(&self, tokens: &UpstreamTokens) -> Result<(), UpstreamError> {
        let client_id = tokens.client_id.as_deref();
        let (registered, client) = self.registrar.acting_as(client_id).await?;
        let Some(url) = registered.endpoints.revocation.clone() else { return Ok(()) };
        let client = client.ok_or(UpstreamError::UnknownClient)?;
        let endpoint = RevocationEndpoint::new(self.egress.clone(), url, client.credentials.clone());
        if let Some(refresh_token) = &tokens.refresh_token {
            endpoint.revoke(refresh_token, TokenTypeHint::RefreshToken).await?;
        }
        Ok(endpoint.revoke(&tokens.access_token, TokenTypeHint::AccessToken).await?)
    }

    /// Whether a login could start now; the endpoints if so.
    pub(super) async fn ready(&self) -> Result<Arc<Registered>, UpstreamError> {
        let registered = self.registrar.ready().await?;
        named(registered.endpoints.authorization.as_deref(), "authorization_endpoint")?;
        named(registered.endpoints.token.as_deref(), "token_endpoint")?;
        Ok(registered)
    }

    /// The tokens as the vault keeps them.
    pub(super) fn stored_tokens(&self, subject: &str, issued: Issued) -> UpstreamTokens {
        let (tokens, now) = (issued.tokens, self.clock.now());
        UpstreamTokens {
            provider: self.name.clone(),
            subject: subject.to_owned(),
            access_token: tokens.access_token,
            refresh_token: tokens.refresh_token,
            obtained_at: now,
            expires_at: tokens.expires_in.map(|lifetime| now + lifetime),
            scopes: tokens.scope,
            client_id: Some(issued.client_id),
        }
    }
}

fn issued(tokens: TokenResponse, client: &Client, registered: &Registered) -> Issued {
    Issued { tokens, client_id: client.client_id.clone(), endpoints: registered.endpoints.clone() }
}

/// A member of the metadata that is needed.
pub(super) fn named<T>(member: Option<T>, name: &str) -> Result<T, UpstreamError> {
    member.ok_or_else(|| {
        UpstreamError::unacceptable(format!("its metadata has no {name}, and none is configured"))
    })
}
