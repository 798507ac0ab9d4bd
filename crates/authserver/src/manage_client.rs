//! `/oauth/register/{client_id}`: a client reads, replaces or deletes its registration (RFC 7592, AS-108).
//!
//! Only registrations in the store are managed. One that lives in its own `client_id` has nothing that could be changed: its
//! client registers anew, and is given no registration access token.
//!
//! The registration access token stays the same for as long as the registration: were it replaced with every change, a lost
//! response would lock the client out for good. So does the secret, which is shown once, because only its digest is kept.

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Request, Response, StatusCode};
use secrecy::SecretString;
use serde::Deserialize;
use serde::de::IgnoredAny;
use thv_oauth::client_metadata::ClientMetadata;
use thv_oauth::error::ErrorCode;
use thv_store::records::StoredClient;

use crate::limits::source_key;
use crate::register::{Shown, digest};
use crate::respond::{EndpointError, empty};
use crate::server::{AuthServer, Source};

/// What a replacement has beside metadata (RFC 7592 §2.2).
#[derive(Deserialize)]
struct Replacement {
    client_id: Option<String>,
    client_secret: Option<SecretString>,
    registration_access_token: Option<IgnoredAny>,
    registration_client_uri: Option<IgnoredAny>,
    client_secret_expires_at: Option<IgnoredAny>,
    client_id_issued_at: Option<IgnoredAny>,
}

impl Replacement {
    fn read(request: &Request<Bytes>) -> Result<Self, EndpointError> {
        // That it is an object was found before; what is left are wrong types and repeated members.
        serde_json::from_slice(request.body()).map_err(|_| {
            refused("member_malformed", "client_id and client_secret must be strings, and no member repeated")
        })
    }

    fn check(&self, client: &StoredClient) -> Result<(), EndpointError> {
        if self.client_id.as_ref() != Some(&client.client_id) {
            return Err(refused("client_id_mismatch", "client_id must be that of the registration"));
        }
        let ours = [
            (&self.registration_access_token, "registration_access_token"),
            (&self.registration_client_uri, "registration_client_uri"),
            (&self.client_secret_expires_at, "client_secret_expires_at"),
            (&self.client_id_issued_at, "client_id_issued_at"),
        ];
        if let Some((_, name)) = ours.iter().find(|(member, _)| member.is_some()) {
            return Err(refused("member_not_the_clients", format!("{name} must not be in the request")));
        }
        match &self.client_secret {
            Some(secret) if client.secret_digest != Some(digest(secret)) => Err(refused(
                "client_secret_chosen",
                "client_secret must be the one that was issued, or absent",
            )),
            Some(_) | None => Ok(()),
        }
    }
}

impl AuthServer {
    /// `GET`: the registration as it is (RFC 7592 §2.1).
    pub(crate) async fn read_registration(
        &self,
        request: &Request<Bytes>,
        client_id: &str,
    ) -> Response<Bytes> {
        match self.managed_client(request.headers(), client_id).await {
            Ok((client, token)) => {
                let shown = Shown { secret: None, registration_token: Some(&token) };
                self.client_information(StatusCode::OK, &client.metadata, client.issued_at, shown)
            }
            Err(error) => error.into_response(),
        }
    }

    /// `PUT`: other metadata in place of all that was registered (RFC 7592 §2.2).
    pub(crate) async fn replace_registration(
        &self,
        request: &Request<Bytes>,
        client_id: &str,
        source: Source,
    ) -> Response<Bytes> {
        let outcome = self.try_replace_registration(request, client_id, source).await;
        outcome.unwrap_or_else(EndpointError::into_response)
    }

    async fn try_replace_registration(
        &self,
        request: &Request<Bytes>,
        client_id: &str,
        source: Source,
    ) -> Result<Response<Bytes>, EndpointError> {
        let inner = &self.inner;
        let (client, token) = self.managed_client(request.headers(), client_id).await?;
        if !inner.limits.registrations.take(source_key(source.addr)) {
            return Err(EndpointError::too_many("registration_rate", "too many changes from this address"));
        }
        let metadata = self.examine_registration(request)?;
        let replacement = Replacement::read(request)?;
        replacement.check(&client)?;
        let metadata = ClientMetadata { client_id: Some(client.client_id.clone()), ..metadata };
        let needs_secret = metadata.token_endpoint_auth_method.is_shared_secret();
        let issued = (needs_secret && client.secret_digest.is_none())
            .then(|| SecretString::from(thv_jose::random::token()));
        let replaced = |present: &StoredClient| StoredClient {
            metadata: metadata.clone(),
            secret_digest: issued.as_ref().map(digest).or(present.secret_digest).filter(|_| needs_secret),
            ..present.clone()
        };
        if !inner.stores.clients.update(client_id, replaced, inner.clock.now()).await? {
            return Err(not_managed());
        }
        tracing::info!(
            client.id = client_id,
            client.name = metadata.client_name,
            "client registration replaced"
        );
        let secret = issued.as_ref().or(replacement.client_secret.as_ref()).filter(|_| needs_secret);
        let shown = Shown { secret, registration_token: Some(&token) };
        Ok(self.client_information(StatusCode::OK, &metadata, client.issued_at, shown))
    }

    /// `DELETE`: the client is not known any more (RFC 7592 §2.3). Neither its codes nor its refresh tokens are redeemed from
    /// now on; access tokens run out.
    pub(crate) async fn delete_registration(
        &self,
        request: &Request<Bytes>,
        client_id: &str,
    ) -> Response<Bytes> {
        self.try_delete_registration(request, client_id).await.unwrap_or_else(EndpointError::into_response)
    }

    async fn try_delete_registration(
        &self,
        request: &Request<Bytes>,
        client_id: &str,
    ) -> Result<Response<Bytes>, EndpointError> {
        self.managed_client(request.headers(), client_id).await?;
        self.inner.stores.clients.delete(client_id, self.inner.clock.now()).await?;
        tracing::info!(client.id = client_id, "client registration deleted");
        Ok(empty(StatusCode::NO_CONTENT))
    }

    /// The client that may manage its registration, and the token that proves it. A client that does not exist and a token
    /// that is wrong look the same.
    async fn managed_client(
        &self,
        headers: &HeaderMap,
        client_id: &str,
    ) -> Result<(StoredClient, SecretString), EndpointError> {
        let token = bearer(headers).ok_or_else(not_managed)?;
        let client = self.inner.stores.clients.load(client_id, self.inner.clock.now()).await?;
        // Digests of high-entropy secrets: comparing them reveals nothing about the secret.
        let client = client.filter(|client| client.registration_token_digest == Some(digest(&token)));
        Ok((client.ok_or_else(not_managed)?, token))
    }
}

/// The token of the one `Authorization` header (RFC 6750 §2.1).
fn bearer(headers: &HeaderMap) -> Option<SecretString> {
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    let (line, another) = (lines.next()?, lines.next());
    let (scheme, token) = line.to_str().ok()?.split_once(' ')?;
    (another.is_none() && scheme.eq_ignore_ascii_case("bearer")).then(|| SecretString::from(token.trim()))
}

fn refused(reason: &'static str, description: impl Into<String>) -> EndpointError {
    EndpointError::new(ErrorCode::InvalidClientMetadata, reason, description)
}

fn not_managed() -> EndpointError {
    let description = "there is no such registration, or the registration access token is not its own";
    EndpointError::new(ErrorCode::InvalidToken, "registration_token_wrong", description)
}
