//! The one place where a `client_id` becomes a client, whatever kind it is.
//!
//! Order: a preregistered client, a metadata document (URL), a registration that lives in its own `client_id`, a stored
//! registration. Authorization and token endpoint ask here; what a grant needs later travels with the grant.

pub(crate) mod stateless;

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use http::StatusCode;
use thv_clock::SharedClock;
use thv_jose::reload::HmacHandle;
use thv_oauth::auth_method::AuthMethod;
use thv_oauth::client_id::{MetadataUrl, looks_like_url};
use thv_oauth::client_metadata::ClientMetadata;
use thv_oauth::error::ErrorCode;
use thv_oauth::grant_type::GrantType;
use thv_oauth::scope::ScopeSet;
use thv_store::records::GrantClient;
use thv_store::{ClientStore, StoreError};

use crate::cimd::{ResolveError, Resolver};
use crate::respond::PageError;

/// A client, however it became known.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) client_id: String,
    pub(crate) metadata: Arc<ClientMetadata>,
    pub(crate) material_hash: String,
    /// What may be granted to it at most.
    pub(crate) scopes: ScopeSet,
}

impl Client {
    /// The name to show: its own, or its `client_id`.
    pub(crate) fn name(&self) -> &str {
        self.metadata.client_name.as_deref().unwrap_or(&self.client_id)
    }

    /// What a grant keeps of it.
    pub(crate) fn for_grant(&self) -> GrantClient {
        GrantClient {
            client_id: self.client_id.clone(),
            client_name: self.name().to_owned(),
            auth_method: self.metadata.token_endpoint_auth_method,
            may_be_public: self.metadata.token_endpoint_auth_methods_supported.contains(&AuthMethod::None),
            jwks: self.metadata.jwks.clone(),
            jwks_uri: self.metadata.jwks_uri.clone(),
            may_refresh: self.metadata.grant_types.contains(&GrantType::RefreshToken),
            metadata_hash: self.material_hash.clone(),
        }
    }
}

/// A client that the operator configured.
#[derive(Clone, Debug)]
pub struct Preregistered {
    /// Its metadata, `client_id` included.
    pub metadata: ClientMetadata,
    /// SHA-256 of its secret, for a confidential client.
    pub secret_digest: Option<[u8; 32]>,
}

/// Why there is no such client.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientRefusal {
    /// Nobody knows this `client_id`.
    #[error("the client is not known")]
    Unknown,
    /// URL client ids are switched off.
    #[error("client ID metadata documents are not enabled")]
    DocumentsDisabled,
    /// It is an URL, but not one that may be a `client_id`.
    #[error("{0}")]
    Url(thv_oauth::client_id::MetadataUrlError),
    /// The document could not be had or breaks a rule.
    #[error(transparent)]
    Document(#[from] ResolveError),
    /// A registration of ours whose seal does not verify.
    #[error("the registration is not one of this server, or its key was removed")]
    ForeignRegistration,
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ClientRefusal {
    /// The stable reason code.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Unknown => "client_unknown",
            Self::DocumentsDisabled => "cimd_disabled",
            Self::Url(error) => error.reason(),
            Self::Document(ResolveError::Fetch(error)) => error.reason(),
            Self::Document(ResolveError::Document(refusal)) => refusal.rule.reason(),
            Self::Document(ResolveError::Busy(exceeded)) => exceeded.reason(),
            Self::Document(ResolveError::Interrupted) => "cimd_interrupted",
            Self::ForeignRegistration => "registration_not_ours",
            Self::Store(_) => "store_unavailable",
        }
    }

    /// As a page (AS-23, AS-57): the redirect URI of an unknown client proves nothing.
    pub(crate) fn into_page(self) -> PageError {
        let reason = self.reason();
        let (status, code, hint) = match &self {
            Self::Unknown | Self::ForeignRegistration => (
                StatusCode::BAD_REQUEST,
                ErrorCode::InvalidClient,
                "Remove the server from your application and add it again, so that it registers anew.".to_owned(),
            ),
            Self::DocumentsDisabled => (
                StatusCode::BAD_REQUEST,
                ErrorCode::InvalidClient,
                "The operator of this server can enable them (cimd.enabled).".to_owned(),
            ),
            Self::Url(_) => (
                StatusCode::BAD_REQUEST,
                ErrorCode::InvalidClient,
                "The application's publisher must correct its client_id.".to_owned(),
            ),
            Self::Document(ResolveError::Document(refusal)) => (
                StatusCode::BAD_REQUEST,
                refusal.rule.error_code(),
                format!("For the application's publisher: {}.", refusal.fix),
            ),
            Self::Document(ResolveError::Busy(_)) => (
                StatusCode::TOO_MANY_REQUESTS,
                ErrorCode::TemporarilyUnavailable,
                "Wait a minute and start again from your application.".to_owned(),
            ),
            Self::Document(ResolveError::Fetch(_) | ResolveError::Interrupted) => (
                StatusCode::BAD_REQUEST,
                ErrorCode::InvalidClient,
                "Start again from your application; if it persists, the operator finds the cause in the log under the \
                 number below, or by running thv cimd check."
                    .to_owned(),
            ),
            Self::Store(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                ErrorCode::TemporarilyUnavailable,
                "Wait a moment and start again from your application.".to_owned(),
            ),
        };
        PageError { status, code, reason, message: format!("This application cannot sign in: {self}."), hint }
    }
}

/// Resolves clients of every kind.
pub(crate) struct ClientResolver {
    pub(crate) preregistered: HashMap<String, Preregistered>,
    pub(crate) documents: Option<Resolver>,
    pub(crate) stored: ClientStore,
    pub(crate) clock: SharedClock,
    pub(crate) hmac: HmacHandle,
    pub(crate) scopes_supported: ScopeSet,
    pub(crate) baseline: ScopeSet,
}

impl ClientResolver {
    /// The client named `client_id`, asked for by `source`.
    pub(crate) async fn resolve(&self, client_id: &str, source: IpAddr) -> Result<Client, ClientRefusal> {
        if let Some(client) = self.preregistered.get(client_id) {
            let metadata = Arc::new(client.metadata.clone());
            return Ok(self.client(client_id, metadata));
        }
        if looks_like_url(client_id) {
            return self.resolve_document(client_id, source).await;
        }
        if stateless::is_stateless(client_id) {
            let metadata =
                stateless::decode(client_id, &self.hmac.load()).ok_or(ClientRefusal::ForeignRegistration)?;
            return Ok(self.client(client_id, Arc::new(metadata)));
        }
        let stored = self.stored.load(client_id, self.clock.now()).await?.ok_or(ClientRefusal::Unknown)?;
        Ok(self.client(client_id, Arc::new(stored.metadata)))
    }

    /// SHA-256 of a confidential client's secret. It is looked up when it is needed and travels with nothing, so that a
    /// preregistered client's secret can be changed.
    pub(crate) async fn secret_digest(&self, client_id: &str) -> Result<Option<[u8; 32]>, StoreError> {
        if let Some(client) = self.preregistered.get(client_id) {
            return Ok(client.secret_digest);
        }
        Ok(self.stored.load(client_id, self.clock.now()).await?.and_then(|stored| stored.secret_digest))
    }

    /// Whether `client_id` names a stored registration that is not there any more. Those that are used outlive their grants,
    /// so its client has deleted it (RFC 7592 §2.3).
    pub(crate) async fn is_gone(&self, client_id: &str) -> Result<bool, StoreError> {
        let elsewhere = self.preregistered.contains_key(client_id)
            || looks_like_url(client_id)
            || stateless::is_stateless(client_id);
        Ok(!elsewhere && self.stored.load(client_id, self.clock.now()).await?.is_none())
    }

    /// Whether `client_id` could name a client, as far as can be told without fetching a document.
    pub(crate) async fn is_known(&self, client_id: &str, source: IpAddr) -> bool {
        if looks_like_url(client_id) && !self.preregistered.contains_key(client_id) {
            return self
                .documents
                .as_ref()
                .is_some_and(|documents| MetadataUrl::parse(client_id, documents.allows_loopback()).is_ok());
        }
        // A store that does not answer says nothing against the client.
        !matches!(
            self.resolve(client_id, source).await,
            Err(ClientRefusal::Unknown | ClientRefusal::ForeignRegistration)
        )
    }

    async fn resolve_document(&self, client_id: &str, source: IpAddr) -> Result<Client, ClientRefusal> {
        let documents = self.documents.as_ref().ok_or(ClientRefusal::DocumentsDisabled)?;
        let url = MetadataUrl::parse(client_id, documents.allows_loopback()).map_err(ClientRefusal::Url)?;
        let document = documents.resolve(&url, source).await?;
        Ok(Client {
            client_id: client_id.to_owned(),
            scopes: self.grantable(&document.metadata),
            material_hash: document.material_hash.clone(),
            metadata: Arc::clone(&document.metadata),
        })
    }

    fn client(&self, client_id: &str, metadata: Arc<ClientMetadata>) -> Client {
        Client {
            client_id: client_id.to_owned(),
            scopes: self.grantable(&metadata),
            material_hash: metadata.material_hash(),
            metadata,
        }
    }

    /// Declared scopes that are supported, or all supported ones when none is declared; with the baseline (A8). A client that
    /// declares only scopes of others gets the baseline alone: what it declares is a ceiling.
    fn grantable(&self, metadata: &ClientMetadata) -> ScopeSet {
        let declared = metadata.scope.as_ref();
        declared
            .map_or_else(|| self.scopes_supported.clone(), |scope| scope.intersection(&self.scopes_supported))
            .union(&self.baseline)
    }
}

/// A `client_id` as it is logged: the long ones, which carry a whole registration, by their ends.
pub(crate) fn for_log(client_id: &str) -> Cow<'_, str> {
    const LONG: usize = 200;
    let ends = || Some((client_id.get(..12)?, client_id.get(client_id.len() - 12..)?));
    match ends().filter(|_| client_id.len() > LONG) {
        Some((start, end)) => Cow::Owned(format!("{start}…{end}")),
        None => Cow::Borrowed(client_id),
    }
}
