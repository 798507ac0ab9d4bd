//! Who we are at an upstream, ready to be used.

use std::sync::Arc;

use secrecy::ExposeSecret;
use thv_client::client_assertion::{AssertionSigner, ClientAssertion};
use thv_client::token_request::{AuthMethodChoice, ClientCredentials, TokenEndpoint};
use thv_client::token_response::TokenResponseShape;
use thv_clock::Timestamp;
use thv_egress::Client as Egress;
use thv_oauth::auth_method::AuthMethod;
use thv_oauth::server_metadata::AuthorizationServerMetadata;
use thv_store::records::{UpstreamEndpoints, UpstreamRegistration, UpstreamRegistrations};

use crate::upstream::provider::ConfiguredEndpoints;

/// Who we are at an upstream, and where its endpoints are.
pub(in crate::upstream) struct Registered {
    pub(in crate::upstream) endpoints: UpstreamEndpoints,
    current: Arc<Client>,
    /// Those that were replaced, for the refresh tokens that are bound to them. The upstream may have refused one of them; it
    /// is asked again with each token.
    previous: Vec<Arc<Client>>,
    row: Option<Arc<UpstreamRegistrations>>,
}

/// One client of the upstream: us, by one of our identifiers.
pub(in crate::upstream) struct Client {
    pub(in crate::upstream) client_id: String,
    pub(in crate::upstream) credentials: ClientCredentials,
    token_endpoint: Option<TokenEndpoint>,
}

/// What a client is made with.
pub(super) struct Making<'a> {
    pub(super) endpoints: &'a UpstreamEndpoints,
    pub(super) egress: &'a Egress,
    pub(super) shape: &'a TokenResponseShape,
    pub(super) signer: Option<&'a AssertionSigner>,
}

impl Making<'_> {
    /// The client with these credentials, to which the way to sign is added where there is one.
    pub(super) fn client(&self, credentials: ClientCredentials) -> Client {
        let token = self.endpoints.token.as_deref();
        let assertion = self
            .signer
            .cloned()
            .zip(token)
            .map(|(signer, token)| ClientAssertion::new(signer, self.endpoints.issuer.as_deref(), token));
        let credentials = ClientCredentials { assertion, ..credentials };
        let token_endpoint = token.map(|token| {
            TokenEndpoint::new(self.egress.clone(), token.to_owned(), credentials.clone(), self.shape.clone())
        });
        Client { client_id: credentials.client_id.clone(), credentials, token_endpoint }
    }

    /// The client that a registration made us.
    pub(super) fn registered(&self, registration: &UpstreamRegistration) -> Arc<Client> {
        Arc::new(self.client(ClientCredentials {
            client_id: registration.client_id.clone(),
            secret: registration.client_secret.clone(),
            assertion: None,
            method: registration.auth_method.into(),
        }))
    }
}

impl Client {
    pub(in crate::upstream) fn token_endpoint(&self) -> Option<&TokenEndpoint> {
        self.token_endpoint.as_ref()
    }
}

impl Registered {
    /// A client that is in no row: registered by hand.
    pub(super) fn by_hand(making: &Making<'_>, credentials: ClientCredentials) -> Self {
        let current = Arc::new(making.client(credentials));
        Self { endpoints: making.endpoints.clone(), current, previous: Vec::new(), row: None }
    }

    /// The subject of our metadata document, and the registrations that there were before.
    pub(super) fn by_document(
        making: &Making<'_>,
        client_id: String,
        method: AuthMethod,
        earlier: Option<&UpstreamRegistrations>,
        now: Timestamp,
    ) -> Self {
        let method = AuthMethodChoice::from(method);
        let credentials = ClientCredentials { client_id, secret: None, assertion: None, method };
        let earlier = earlier.map_or(&[][..], |row| row.generations.as_slice());
        let previous = earlier.iter().filter(|old| is_alive(old, now)).map(|old| making.registered(old));
        Self { previous: previous.collect(), ..Self::by_hand(making, credentials) }
    }

    /// The registrations of a row; `None` when its first is of no use.
    pub(super) fn from_row(
        making: &Making<'_>,
        row: &Arc<UpstreamRegistrations>,
        now: Timestamp,
    ) -> Option<Self> {
        let (current, previous) = row.generations.split_first()?;
        if !is_usable(current, now) {
            return None;
        }
        let previous = previous.iter().filter(|old| is_alive(old, now)).map(|old| making.registered(old));
        Some(Self {
            endpoints: making.endpoints.clone(),
            current: making.registered(current),
            previous: previous.collect(),
            row: Some(Arc::clone(row)),
        })
    }

    /// Who we are at the upstream from now on.
    pub(in crate::upstream) fn current(&self) -> &Client {
        &self.current
    }

    /// The client with this identifier, now or before; the current one when nobody noted which it was.
    pub(in crate::upstream) fn client(&self, client_id: Option<&str>) -> Option<&Arc<Client>> {
        let Some(client_id) = client_id else { return Some(&self.current) };
        std::iter::once(&self.current).chain(&self.previous).find(|client| client.client_id == client_id)
    }

    /// The registration that we made; `None` when we are known otherwise.
    pub(super) fn registration(&self) -> Option<&UpstreamRegistration> {
        self.row.as_ref()?.generations.first()
    }

    /// Whether the current client can still be used.
    pub(super) fn is_usable(&self, now: Timestamp) -> bool {
        self.registration().is_none_or(|registration| is_usable(registration, now))
    }
}

/// Whether the upstream is to be believed to know this registration.
pub(super) fn is_usable(registration: &UpstreamRegistration, now: Timestamp) -> bool {
    !registration.refused && is_alive(registration, now)
}

/// Whether the upstream may accept the registration's secret.
pub(super) fn is_alive(registration: &UpstreamRegistration, now: Timestamp) -> bool {
    registration.client_secret_expires_at.is_none_or(|expires_at| now < expires_at)
}

/// Whether two states of a registration show the token endpoint the same.
pub(super) fn same_credentials(one: &UpstreamRegistration, other: &UpstreamRegistration) -> bool {
    let secret =
        |of: &UpstreamRegistration| of.client_secret.as_ref().map(|secret| secret.expose_secret().to_owned());
    one.client_id == other.client_id && one.auth_method == other.auth_method && secret(one) == secret(other)
}

/// The endpoints that metadata names.
pub(super) fn announced(metadata: &AuthorizationServerMetadata) -> UpstreamEndpoints {
    UpstreamEndpoints {
        issuer: Some(metadata.issuer.clone()),
        authorization: metadata.authorization_endpoint.clone(),
        token: metadata.token_endpoint.clone(),
        revocation: metadata.revocation_endpoint.clone(),
        registration: metadata.registration_endpoint.clone(),
        jwks: metadata.jwks_uri.clone(),
        iss_parameter: metadata.authorization_response_iss_parameter_supported,
    }
}

/// The endpoints as they are used: what is configured wins.
pub(super) fn effective(
    configured: &ConfiguredEndpoints,
    announced: &UpstreamEndpoints,
) -> UpstreamEndpoints {
    let first = |configured: &Option<String>, announced: &Option<String>| {
        configured.clone().or_else(|| announced.clone())
    };
    UpstreamEndpoints {
        authorization: first(&configured.authorization, &announced.authorization),
        token: first(&configured.token, &announced.token),
        revocation: first(&configured.revocation, &announced.revocation),
        registration: first(&configured.registration, &announced.registration),
        ..announced.clone()
    }
}
