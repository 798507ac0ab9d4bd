//! `POST /oauth/register`: Dynamic Client Registration (RFC 7591).

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use thv_clock::Timestamp;
use thv_jose::digest::sha256;
use thv_oauth::client_metadata::ClientMetadata;
use thv_oauth::error::ErrorCode;
use thv_oauth::registration::{self, RegistrationPolicy};
use thv_store::StoreError;
use thv_store::records::StoredClient;

use crate::clients::{for_log, stateless};
use crate::limits::source_key;
use crate::respond::{EndpointError, json};
use crate::server::{AuthServer, Source};

/// The registration as granted (RFC 7591 §3.2.1).
#[derive(Serialize)]
struct Registered<'a> {
    client_id_issued_at: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret_expires_at: Option<u64>,
    #[serde(flatten)]
    metadata: &'a ClientMetadata,
}

impl AuthServer {
    pub(crate) async fn register(&self, request: &Request<Bytes>, source: Source) -> Response<Bytes> {
        match self.try_register(request, source).await {
            Ok(response) => response,
            Err(error) => {
                self.inner.metrics.registration(error.code.as_str());
                error.into_response()
            }
        }
    }

    async fn try_register(
        &self,
        request: &Request<Bytes>,
        source: Source,
    ) -> Result<Response<Bytes>, EndpointError> {
        let inner = &self.inner;
        if !inner.limits.registrations.take(source_key(source.addr)) {
            return Err(EndpointError::too_many(
                "registration_rate",
                "too many registrations from this address",
            ));
        }
        if !is_json(request) {
            let description = "the body must be application/json";
            return Err(EndpointError::new(ErrorCode::InvalidClientMetadata, "content_type", description));
        }
        let policy = RegistrationPolicy {
            confidential_allowed: inner.settings.confidential_registration,
            scopes_supported: inner.settings.scopes_supported.clone(),
            baseline: inner.settings.baseline_scopes.clone(),
            supported_auth_methods: inner.settings.auth_methods(),
        };
        let metadata = registration::examine(request.body(), &policy)
            .map_err(|refusal| EndpointError::new(refusal.code, refusal.reason, refusal.description))?;
        let now = inner.clock.now();
        if !metadata.token_endpoint_auth_method.is_shared_secret()
            && let Some(client_id) = stateless::encode(&metadata, &inner.hmac.load())
        {
            let metadata = ClientMetadata { client_id: Some(client_id), ..metadata };
            return Ok(self.registered(&metadata, None, now));
        }
        if !inner.limits.stored_registrations.take(source_key(source.addr)) {
            return Err(EndpointError::too_many(
                "registration_rate",
                "too many large registrations from this address",
            ));
        }
        self.store_registration(metadata, now).await
    }

    /// A confidential client, or one whose metadata does not fit into a `client_id`.
    async fn store_registration(
        &self,
        metadata: ClientMetadata,
        now: Timestamp,
    ) -> Result<Response<Bytes>, EndpointError> {
        let client_id = thv_jose::random::token();
        let secret = metadata
            .token_endpoint_auth_method
            .is_shared_secret()
            .then(|| SecretString::from(thv_jose::random::token()));
        let metadata = ClientMetadata { client_id: Some(client_id.clone()), ..metadata };
        let stored = StoredClient {
            client_id,
            metadata: metadata.clone(),
            secret_digest: secret.as_ref().map(|secret| sha256(secret.expose_secret().as_bytes())),
            issued_at: now,
            used_at: None,
        };
        self.insert_registration(stored).await?;
        Ok(self.registered(&metadata, secret.as_ref(), now))
    }

    async fn insert_registration(&self, stored: StoredClient) -> Result<(), EndpointError> {
        let clients = &self.inner.stores.clients;
        match clients.insert(stored.clone()).await {
            Err(StoreError::Full { .. }) => {
                self.reap_registrations().await?;
                Ok(clients.insert(stored).await?)
            }
            outcome => Ok(outcome?),
        }
    }

    /// Forgets stored registrations that were never used or whose last grant ended, each after its time (A14). Called from
    /// time to time; returns how many are gone.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn reap_registrations(&self) -> Result<usize, StoreError> {
        let (now, retention) = (self.inner.clock.now(), self.inner.settings.registration_retention);
        let clients = &self.inner.stores.clients;
        clients.reap(now - retention.unused, now - retention.without_grant).await
    }

    fn registered(
        &self,
        metadata: &ClientMetadata,
        secret: Option<&SecretString>,
        now: Timestamp,
    ) -> Response<Bytes> {
        self.inner.metrics.registration("success");
        tracing::info!(
            client.id = &*for_log(metadata.client_id.as_deref().unwrap_or_default()),
            client.name = metadata.client_name,
            client.auth_method = metadata.token_endpoint_auth_method.as_str(),
            "client registered"
        );
        let registered = Registered {
            client_id_issued_at: now.as_secs(),
            client_secret: secret.map(ExposeSecret::expose_secret),
            client_secret_expires_at: secret.map(|_| 0),
            metadata,
        };
        json(StatusCode::CREATED, &registered)
    }
}

fn is_json(request: &Request<Bytes>) -> bool {
    let content_type =
        request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    content_type.split(';').next().is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json"))
}
