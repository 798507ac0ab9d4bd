//! Who this client is at a server that it has not met before: registered by hand, by its own metadata document, or
//! dynamically (draft-ietf-oauth-client-id-metadata-document, RFC 7591).

use std::fmt;

use thv_jose::algorithm::Algorithm;
use thv_oauth::auth_method::AuthMethod;
use thv_oauth::server_metadata::AuthorizationServerMetadata;

use crate::client_authentication::{NoCommonAuthMethod, PREFERENCE, choose};
use crate::server_text;

/// Which ways are open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdentificationMode {
    /// All, in this order: registered by hand, metadata document, dynamic registration.
    #[default]
    Auto,
    /// Registered by hand only.
    Preregistered,
    /// Metadata document only.
    MetadataDocument,
    /// Dynamic registration only.
    Registration,
}

/// What this client has to show.
#[derive(Clone, Copy, Debug, Default)]
pub struct OwnIdentity<'a> {
    /// Whether it was registered by hand, so that a `client_id` is configured.
    pub preregistered: bool,
    /// Its own metadata document, where servers can fetch it.
    pub document: Option<OwnDocument<'a>>,
    /// The algorithm of the key that signs its assertions.
    pub key: Option<Algorithm>,
}

/// This client's metadata document.
#[derive(Clone, Copy, Debug)]
pub struct OwnDocument<'a> {
    /// Its URL, which is the `client_id`.
    pub url: &'a str,
    /// The authentication methods that it declares; a server need not accept another one (AS-65). Those with a shared
    /// secret are never chosen, since nobody could have shared it (AS-62).
    pub methods: &'a [AuthMethod],
}

/// Who the client is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identification {
    /// Whom the configuration says.
    Preregistered,
    /// The subject of its metadata document.
    MetadataDocument {
        /// The document's URL.
        client_id: String,
        /// How it authenticates.
        method: AuthMethod,
    },
    /// Whom the server will say when it has registered it.
    Register {
        /// Where that is asked for.
        endpoint: String,
        /// The method to ask for.
        method: AuthMethod,
    },
}

/// What a server offers to clients that it does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    metadata_documents: bool,
    registration: bool,
    methods: Vec<String>,
}

impl Offer {
    fn of(metadata: &AuthorizationServerMetadata) -> Self {
        Self {
            metadata_documents: metadata.client_id_metadata_document_supported,
            registration: metadata.registration_endpoint.is_some(),
            methods: metadata.token_endpoint_auth_methods_supported.clone(),
        }
    }
}

impl fmt::Display for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.metadata_documents, self.registration) {
            (true, true) => "client ID metadata documents and dynamic registration",
            (true, false) => "client ID metadata documents, but no dynamic registration",
            (false, true) => "dynamic registration, but no client ID metadata documents",
            (false, false) => "neither client ID metadata documents nor dynamic registration",
        })?;
        match self.methods.as_slice() {
            [] => f.write_str("; it lists no authentication methods"),
            methods => write!(f, "; it lists the authentication methods {}", server_text::names(methods)),
        }
    }
}

/// Why this client is nobody at the server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentificationError {
    /// No `client_id` is configured, and no other way is open.
    #[error(
        "no client_id is configured: register a client at the server by hand and configure its client_id"
    )]
    NoClientId,
    /// The client has no metadata document to show.
    #[error(
        "this client publishes no metadata document: publish one, or configure another way of registration"
    )]
    NoDocument,
    /// The server does not accept metadata documents.
    #[error(
        "the server does not announce client_id_metadata_document_supported (it offers {offer}): configure another way of registration, or a client_id"
    )]
    DocumentsNotSupported {
        /// What it offers.
        offer: Offer,
    },
    /// The server does not register clients. Where it might do so nevertheless is not guessed.
    #[error(
        "the server's metadata has no registration_endpoint (it offers {offer}): register a client there by hand and configure its client_id, or configure the registration endpoint if you know it"
    )]
    NoRegistrationEndpoint {
        /// What it offers.
        offer: Offer,
    },
    /// The server offers a way that would do, but no authentication method that would.
    #[error(
        "no authentication method fits (the server offers {offer}): register a client there by hand and configure its client_id"
    )]
    Method {
        /// What it offers.
        offer: Offer,
        /// Why none fits.
        #[source]
        source: NoCommonAuthMethod,
    },
}

/// Decides who this client is at the server with this metadata.
///
/// # Errors
/// [`IdentificationError`]; in mode `Auto` that of the last way that was looked at and could have been meant.
pub fn identify(
    mode: IdentificationMode,
    own: &OwnIdentity<'_>,
    metadata: &AuthorizationServerMetadata,
) -> Result<Identification, IdentificationError> {
    match mode {
        IdentificationMode::Preregistered if !own.preregistered => Err(IdentificationError::NoClientId),
        IdentificationMode::Preregistered => Ok(Identification::Preregistered),
        IdentificationMode::MetadataDocument => by_document(own, metadata),
        IdentificationMode::Registration => by_registration(own, metadata),
        IdentificationMode::Auto if own.preregistered => Ok(Identification::Preregistered),
        IdentificationMode::Auto => by_document(own, metadata).or_else(|by_document| {
            by_registration(own, metadata).map_err(|by_registration| match by_document {
                // It was nearly there, and registration was never on offer.
                IdentificationError::Method { .. } if metadata.registration_endpoint.is_none() => by_document,
                _ => by_registration,
            })
        }),
    }
}

fn by_document(
    own: &OwnIdentity<'_>,
    metadata: &AuthorizationServerMetadata,
) -> Result<Identification, IdentificationError> {
    let document = own.document.ok_or(IdentificationError::NoDocument)?;
    let offer = Offer::of(metadata);
    if !metadata.client_id_metadata_document_supported {
        return Err(IdentificationError::DocumentsNotSupported { offer });
    }
    let usable = |method: &AuthMethod| !method.is_shared_secret() && document.methods.contains(method);
    let candidates: Vec<AuthMethod> = PREFERENCE.into_iter().filter(usable).collect();
    let method = choose(metadata, own.key, &candidates)
        .map_err(|source| IdentificationError::Method { offer, source })?;
    Ok(Identification::MetadataDocument { client_id: document.url.to_owned(), method })
}

fn by_registration(
    own: &OwnIdentity<'_>,
    metadata: &AuthorizationServerMetadata,
) -> Result<Identification, IdentificationError> {
    let offer = Offer::of(metadata);
    let Some(endpoint) = metadata.registration_endpoint.clone() else {
        return Err(IdentificationError::NoRegistrationEndpoint { offer });
    };
    let method = choose(metadata, own.key, &PREFERENCE)
        .map_err(|source| IdentificationError::Method { offer, source })?;
    Ok(Identification::Register { endpoint, method })
}

#[cfg(test)]
mod tests;
