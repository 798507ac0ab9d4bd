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
use thv_store::records::StoredClient;

use crate::clients::{for_log, stateless};
use crate::limits::source_key;
use crate::respond::{EndpointError, json};
use crate::server::{AuthServer, Source};

/// The registration as it is (RFC 7591 §3.2.1, RFC 7592 §3).
#[derive(Serialize)]
struct ClientInformation<'a> {
    client_id_issued_at: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret_expires_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    registration_access_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    registration_client_uri: Option<String>,
    #[serde(flatten)]
    metadata: &'a ClientMetadata,
}

/// The secrets that the client is told.
#[derive(Default)]
pub(crate) struct Shown<'a> {
    pub(crate) secret: Option<&'a SecretString>,
    pub(crate) registration_token: Option<&'a SecretString>,
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
        let metadata = self.examine_registration(request)?;
        let now = inner.clock.now();
        if !metadata.token_endpoint_auth_method.is_shared_secret()
            && let Some(client_id) = stateless::encode(&metadata, &inner.hmac.load())
        {
            let metadata = ClientMetadata { client_id: Some(client_id), ..metadata };
            return Ok(self.registered(&metadata, now, Shown::default()));
        }
        if !inner.limits.stored_registrations.take(source_key(source.addr)) {
            return Err(EndpointError::too_many(
                "registration_rate",
                "too many large registrations from this address",
            ));
        }
        self.store_registration(metadata, now).await
    }

    /// What is granted of the metadata in a request, which registers a client or replaces a registration.
    pub(crate) fn examine_registration(
        &self,
        request: &Request<Bytes>,
    ) -> Result<ClientMetadata, EndpointError> {
        if !is_json(request) {
            let description = "the body must be application/json";
            return Err(EndpointError::new(ErrorCode::InvalidClientMetadata, "content_type", description));
        }
        let settings = &self.inner.settings;
        let policy = RegistrationPolicy {
            confidential_allowed: settings.confidential_registration,
            scopes_supported: settings.scopes_supported.clone(),
            baseline: settings.baseline_scopes.clone(),
            supported_auth_methods: settings.auth_methods(),
        };
        registration::examine(request.body(), &policy)
            .map_err(|refusal| EndpointError::new(refusal.code, refusal.reason, refusal.description))
    }

    /// A confidential client, or one whose metadata does not fit into a `client_id`. It may manage its registration.
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
        let registration_token = SecretString::from(thv_jose::random::token());
        let metadata = ClientMetadata { client_id: Some(client_id.clone()), ..metadata };
        let stored = StoredClient {
            client_id,
            metadata: metadata.clone(),
            secret_digest: secret.as_ref().map(digest),
            issued_at: now,
            registration_token_digest: Some(digest(&registration_token)),
            used_at: None,
        };
        let until = now + self.inner.settings.registration_retention.unused;
        self.inner.stores.clients.insert(stored, until, now).await?;
        let shown = Shown { secret: secret.as_ref(), registration_token: Some(&registration_token) };
        Ok(self.registered(&metadata, now, shown))
    }

    fn registered(&self, metadata: &ClientMetadata, now: Timestamp, shown: Shown<'_>) -> Response<Bytes> {
        self.inner.metrics.registration("success");
        tracing::info!(
            client.id = &*for_log(metadata.client_id.as_deref().unwrap_or_default()),
            client.name = metadata.client_name,
            client.auth_method = metadata.token_endpoint_auth_method.as_str(),
            "client registered"
        );
        self.client_information(StatusCode::CREATED, metadata, now, shown)
    }

    /// What a client is told of its registration.
    pub(crate) fn client_information(
        &self,
        status: StatusCode,
        metadata: &ClientMetadata,
        issued_at: Timestamp,
        shown: Shown<'_>,
    ) -> Response<Bytes> {
        let issuer = self.inner.settings.issuer.as_str();
        let client_id = metadata.client_id.as_deref().unwrap_or_default();
        let information = ClientInformation {
            client_id_issued_at: issued_at.as_secs(),
            client_secret: shown.secret.map(ExposeSecret::expose_secret),
            client_secret_expires_at: metadata.token_endpoint_auth_method.is_shared_secret().then_some(0),
            registration_access_token: shown.registration_token.map(ExposeSecret::expose_secret),
            registration_client_uri: shown
                .registration_token
                .map(|_| format!("{issuer}/oauth/register/{client_id}")),
            metadata,
        };
        json(status, &information)
    }
}

/// What is kept of a secret that we made.
pub(crate) fn digest(secret: &SecretString) -> [u8; 32] {
    sha256(secret.expose_secret().as_bytes())
}

fn is_json(request: &Request<Bytes>) -> bool {
    let content_type =
        request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    content_type.split(';').next().is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json"))
}
