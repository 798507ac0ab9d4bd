//! Deciding who we are at an upstream (U9).

use std::sync::Arc;

use thv_client::client_assertion::AssertionSigner;
use thv_client::identification::{Identification, IdentificationError, OwnDocument, OwnIdentity, identify};
use thv_client::metadata::MetadataError;
use thv_client::token_request::{AuthMethodChoice, ClientCredentials};
use thv_oauth::auth_method::AuthMethod;
use thv_oauth::server_metadata::AuthorizationServerMetadata;
use thv_store::records::{UpstreamEndpoints, UpstreamRegistrations};

use super::registered::{Making, announced, effective};
use super::{Outcome, PreregisteredClient, Registered, RegistrationMode, Shared, Unregistered};

/// How our metadata document says that we authenticate.
pub(crate) const DOCUMENT_METHOD: AuthMethod = AuthMethod::PrivateKeyJwt;

/// Who we are, or how to become somebody.
pub(super) enum Identified {
    /// The subject of our metadata document.
    Document(Arc<Registered>),
    /// Whoever the upstream says when it has registered us.
    Register(Register),
}

/// How to register.
pub(super) struct Register {
    pub(super) endpoint: String,
    pub(super) method: AuthMethod,
    /// As the metadata has them, to be kept.
    pub(super) endpoints: UpstreamEndpoints,
}

impl Shared {
    /// The client that was registered by hand. It is made anew when the metadata is.
    pub(super) async fn by_hand(&self, client: &PreregisteredClient) -> Outcome {
        let metadata = self.load_metadata().await?;
        if let Some(known) = self.memory.by_hand(metadata.as_ref()) {
            return Ok(known);
        }
        let method = match (client.auth_method, &client.client_secret, &metadata) {
            (Some(method), ..) => method.into(),
            (None, None, _) => AuthMethodChoice::None,
            (None, Some(_), Some(metadata)) => AuthMethodChoice::from_metadata(metadata)?,
            (None, Some(_), None) => AuthMethodChoice::Unknown,
        };
        let credentials = ClientCredentials {
            client_id: client.client_id.clone(),
            secret: client.client_secret.clone(),
            assertion: None,
            method,
        };
        let endpoints = metadata.as_deref().map(announced).unwrap_or_default();
        let registered =
            self.making(&endpoints, |making, _| Some(Registered::by_hand(making, credentials.clone())));
        let registered = registered.ok_or(Unregistered::Interrupted)?;
        self.memory.keep_by_hand(&registered, metadata);
        Ok(registered)
    }

    /// Climbs the ladder: by hand was looked at before, then our metadata document, then registration. `row` has the
    /// registrations that there were before.
    pub(super) async fn identify(
        &self,
        mode: RegistrationMode,
        row: Option<&UpstreamRegistrations>,
    ) -> Result<Identified, Unregistered> {
        let metadata = self.load_metadata().await?;
        let endpoints = metadata.as_deref().map(announced).unwrap_or_default();
        let mut metadata = metadata.as_deref().cloned().unwrap_or_default();
        if let Some(configured) = &self.settings.endpoints.registration {
            metadata.registration_endpoint = Some(configured.clone());
        }
        let published = self.parts.published.as_ref();
        let document = published.map(|published| OwnDocument {
            url: &published.document_url,
            methods: std::slice::from_ref(&DOCUMENT_METHOD),
        });
        let key = self.signer.as_ref().map(AssertionSigner::algorithm);
        let own = OwnIdentity { preregistered: false, document, key };
        match identify(mode, &own, &metadata)? {
            Identification::MetadataDocument { client_id, method } => {
                let made = self.making(&endpoints, |making, now| {
                    Some(Registered::by_document(making, client_id.clone(), method, row, now))
                });
                made.map(Identified::Document).ok_or(Unregistered::Interrupted)
            }
            Identification::Register { endpoint, method } => {
                Ok(Identified::Register(Register { endpoint, method, endpoints }))
            }
            // Only one that is configured can be meant, and that was looked at before.
            Identification::Preregistered => Err(IdentificationError::NoClientId.into()),
        }
    }

    /// The metadata, where there is some. The issuer that is configured must be the one that a discovery URL leads to.
    pub(super) async fn load_metadata(
        &self,
    ) -> Result<Option<Arc<AuthorizationServerMetadata>>, Unregistered> {
        let Some(source) = &self.metadata else { return Ok(None) };
        let metadata = source.load().await?;
        match &self.issuer {
            Some(issuer) if *issuer != metadata.issuer => Err(MetadataError::IssuerMismatch {
                url: self.key.upstream.clone(),
                found: metadata.issuer.clone(),
            }
            .into()),
            _ => Ok(Some(metadata)),
        }
    }

    /// Whether dynamic registration may be the way, and so what is stored.
    pub(super) fn may_register(&self) -> bool {
        matches!(self.settings.registration.mode, RegistrationMode::Auto | RegistrationMode::Registration)
    }

    /// Whether it is to be asked for another way than registration first, which the metadata has to say.
    pub(super) fn may_use_document(&self) -> bool {
        match self.settings.registration.mode {
            RegistrationMode::Auto => self.parts.published.is_some(),
            RegistrationMode::Registration => false,
            RegistrationMode::MetadataDocument | RegistrationMode::Preregistered => true,
        }
    }

    /// Makes what is used, with the endpoints that are configured or else `announced`.
    pub(super) fn making(
        &self,
        announced: &UpstreamEndpoints,
        make: impl FnOnce(&Making<'_>, thv_clock::Timestamp) -> Option<Registered>,
    ) -> Option<Arc<Registered>> {
        let endpoints = effective(&self.settings.endpoints, announced);
        make(&self.making_with(&endpoints), self.now()).map(Arc::new)
    }

    /// Makes what is used with just these endpoints.
    pub(super) fn making_with<'a>(&'a self, endpoints: &'a UpstreamEndpoints) -> Making<'a> {
        let (egress, shape) = (&self.parts.egress, &self.shape);
        Making { endpoints, egress, shape, signer: self.signer.as_ref() }
    }
}
