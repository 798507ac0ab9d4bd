//! From a server's URL and its challenge to the authorization server to log in at (R1).

use std::sync::Arc;

use thv_client::discovery::DiscoveryUrl;
use thv_client::metadata::{MetadataError, MetadataSource};
use thv_client::protected_resource::{self, FoundResource};
use thv_clock::SharedClock;
use thv_oauth::pkce::METHOD_S256;
use thv_oauth::received_challenge::ReceivedChallenge;
use thv_oauth::resource::ResourceIndicator;
use thv_oauth::server_metadata::AuthorizationServerMetadata;

use crate::error::DiscoveryError;
use crate::reach::Reach;
use crate::settings::AuthSettings;

/// Where what is known of the authorization server comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The user named its endpoints.
    Endpoints,
    /// The user named its issuer.
    Issuer,
    /// The protected resource metadata name it.
    ResourceMetadata,
    /// The challenge's realm is its URL.
    Realm,
    /// It is at the server's own host, with metadata (MCP 2025-03-26).
    Origin,
    /// It is assumed at the server's own host, under the names that MCP 2025-03-26 §2.3.3 gives.
    Assumed,
}

impl Source {
    /// For people.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Endpoints => "configured endpoints",
            Self::Issuer => "configured issuer",
            Self::ResourceMetadata => "protected resource metadata",
            Self::Realm => "realm of the challenge",
            Self::Origin => "the server's own host (MCP 2025-03-26)",
            Self::Assumed => "default endpoints at the server's own host (MCP 2025-03-26)",
        }
    }
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Where the authorization server's name comes from.
    pub source: Source,
    /// The resource's metadata, if it has any.
    pub resource_metadata: Option<FoundResource>,
    /// The `resource` to ask tokens for, byte for byte as the server writes it (CL-46).
    pub resource: Option<String>,
    /// The authorization server's metadata; authorization and token endpoint are there.
    pub server: Arc<AuthorizationServerMetadata>,
    /// Candidates that could not be used, and why.
    pub passed_over: Vec<(String, String)>,
}

impl Found {
    /// The authorization endpoint.
    pub fn authorization_endpoint(&self) -> &str {
        self.server.authorization_endpoint.as_deref().unwrap_or_default()
    }

    /// The token endpoint.
    pub fn token_endpoint(&self) -> &str {
        self.server.token_endpoint.as_deref().unwrap_or_default()
    }
}

/// What discovery goes by.
pub struct Discovery<'a> {
    /// The remote server.
    pub server_url: &'a str,
    /// What the user says.
    pub settings: &'a AuthSettings,
    /// The way out.
    pub reach: &'a Reach,
    /// The time.
    pub clock: &'a SharedClock,
    /// Where the user is logged in. It is not given up for another one because it is down for a moment.
    pub logged_in: Option<&'a str>,
    /// The issuers to take before others that the resource names: where this client is known.
    pub known: Vec<&'a str>,
}

impl Discovery<'_> {
    /// Looks for the authorization server, given the challenge of a 401 or 403 if there was one.
    ///
    /// # Errors
    /// [`DiscoveryError`].
    pub async fn run(&self, challenge: Option<&ReceivedChallenge>) -> Result<Found, DiscoveryError> {
        if let Some(found) = self.configured_endpoints() {
            return Ok(found);
        }
        let resource_metadata = self.resource_metadata(challenge).await?;
        let resource = self.settings.resource.clone().or_else(|| {
            let named = resource_metadata.as_ref().map(|found| found.metadata.resource.clone());
            named.or_else(|| Some(self.server_url.to_owned()))
        });
        let found = |source, server, passed_over| Found {
            source,
            resource_metadata: resource_metadata.clone(),
            resource: resource.clone(),
            server,
            passed_over,
        };
        if let Some(issuer) = &self.settings.issuer {
            let server = self.metadata_of(issuer, Source::Issuer).await?;
            return Ok(found(Source::Issuer, server, Vec::new()));
        }
        let named = resource_metadata.as_ref().map(|found| found.metadata.authorization_servers.clone());
        let named = named.unwrap_or_default();
        if !named.is_empty() {
            let (server, passed_over) = self.first_usable(&named).await?;
            return Ok(found(Source::ResourceMetadata, server, passed_over));
        }
        let mut passed_over = Vec::new();
        if let Some(realm) = realm_of(challenge) {
            match self.metadata_of(realm, Source::Realm).await {
                Ok(server) => return Ok(found(Source::Realm, server, passed_over)),
                // Realms are often the server's own URL, or that of its documentation.
                Err(error) => passed_over.push((realm.to_owned(), thv_telemetry::chain(&error))),
            }
        }
        let (source, server) = self.at_origin().await?;
        Ok(found(source, server, passed_over))
    }

    fn configured_endpoints(&self) -> Option<Found> {
        let (authorize, token) = self.settings.authorize_url.clone().zip(self.settings.token_url.clone())?;
        let server = AuthorizationServerMetadata {
            issuer: self.settings.issuer.clone().unwrap_or_default(),
            authorization_endpoint: Some(authorize),
            token_endpoint: Some(token),
            ..AuthorizationServerMetadata::default()
        };
        let resource = self.settings.resource.clone();
        let server = Arc::new(server);
        let source = Source::Endpoints;
        Some(Found { source, resource_metadata: None, resource, server, passed_over: Vec::new() })
    }

    async fn resource_metadata(
        &self,
        challenge: Option<&ReceivedChallenge>,
    ) -> Result<Option<FoundResource>, DiscoveryError> {
        let (egress, allow_http) = (self.reach.egress(), &self.reach.allow_http);
        let named = challenge.and_then(ReceivedChallenge::resource_metadata);
        let found = protected_resource::discover(&egress, self.server_url, named, *allow_http).await;
        match found {
            Ok(found) => {
                let url = found.as_ref().map(|found| found.url.as_str());
                tracing::debug!(resource.metadata = url, "protected resource metadata: {}", seen(url));
                Ok(found)
            }
            Err(error) => {
                let error = DiscoveryError::Resource(error);
                // The user has said enough to do without; but not what the server calls itself, if it would say so later.
                let is_needed = error.is_temporary() && self.settings.resource.is_none();
                if self.settings.issuer.is_none() || is_needed {
                    return Err(error);
                }
                let error = thv_telemetry::chain(&error);
                tracing::warn!(error, "the server's resource metadata are passed over");
                Ok(None)
            }
        }
    }

    /// Every server that the resource names is a candidate (CL-8); known ones first, then as they are listed.
    async fn first_usable(
        &self,
        issuers: &[String],
    ) -> Result<(Arc<AuthorizationServerMetadata>, Vec<(String, String)>), DiscoveryError> {
        let mut candidates: Vec<&String> = issuers.iter().collect();
        candidates.sort_by_key(|issuer| {
            self.known.iter().position(|known| known == issuer).unwrap_or(self.known.len())
        });
        let mut passed_over = Vec::new();
        let mut failure: Option<DiscoveryError> = None;
        for issuer in candidates {
            match self.metadata_of(issuer, Source::ResourceMetadata).await {
                Ok(server) => return Ok((server, passed_over)),
                // A login there is not given up because it is down for a moment.
                Err(error) if self.logged_in == Some(issuer) && error.is_temporary() => return Err(error),
                Err(error) => {
                    passed_over.push((issuer.clone(), thv_telemetry::chain(&error)));
                    // What is down may be the one to use: that is the thing to say.
                    if failure.as_ref().is_none_or(|known| !known.is_temporary()) {
                        failure = Some(error);
                    }
                }
            }
        }
        Err(failure.unwrap_or(DiscoveryError::Metadata {
            issuer: String::new(),
            source: MetadataError::Interrupted,
        }))
    }

    async fn metadata_of(
        &self,
        issuer: &str,
        source: Source,
    ) -> Result<Arc<AuthorizationServerMetadata>, DiscoveryError> {
        let (egress, allow_http) = (self.reach.egress(), self.reach.allow_http);
        let metadata = MetadataSource::new(egress, issuer.to_owned(), allow_http, Arc::clone(self.clock));
        let metadata = metadata.load().await;
        let metadata =
            metadata.map_err(|source| DiscoveryError::Metadata { issuer: issuer.to_owned(), source })?;
        tracing::debug!(
            issuer,
            cimd = metadata.client_id_metadata_document_supported,
            registration = metadata.registration_endpoint,
            "authorization server metadata found"
        );
        complete(metadata, source)
    }

    /// MCP 2025-03-26: the authorization server is at the server's own host (CL-10).
    async fn at_origin(&self) -> Result<(Source, Arc<AuthorizationServerMetadata>), DiscoveryError> {
        let server = ResourceIndicator::parse(self.server_url);
        let origin = server.map(|server| server.origin().to_owned()).unwrap_or_default();
        let failed = |source| DiscoveryError::Metadata { issuer: origin.clone(), source };
        let (egress, allow_http) = (self.reach.egress(), self.reach.allow_http);
        // The place is known, not whether the issuer is written with a slash at the end.
        let place = format!("{origin}/.well-known/oauth-authorization-server");
        let url = DiscoveryUrl::parse(&place, allow_http).map_err(|_| DiscoveryError::Incomplete {
            issuer: origin.clone(),
            lacks: "metadata that could be looked for",
        })?;
        let metadata = MetadataSource::discover(egress, url, Arc::clone(self.clock)).load().await;
        match metadata {
            Ok(metadata) => complete(metadata, Source::Origin).map(|metadata| (Source::Origin, metadata)),
            Err(error) if error.is_temporary() => Err(failed(error)),
            Err(error @ (MetadataError::IssuerMismatch { .. } | MetadataError::Endpoint { .. })) => {
                Err(failed(error))
            }
            Err(_) => {
                tracing::debug!(origin, "no metadata anywhere: default endpoints are assumed");
                Ok((Source::Assumed, Arc::new(assumed(&origin))))
            }
        }
    }
}

/// The realm of the challenge, if it is a URL.
pub(crate) fn realm_of(challenge: Option<&ReceivedChallenge>) -> Option<&str> {
    challenge.and_then(ReceivedChallenge::realm).filter(|realm| realm.contains("://"))
}

fn seen(url: Option<&str>) -> &'static str {
    if url.is_some() { "found" } else { "none" }
}

/// Metadata with what a login needs. A server that the user has named is believed to support PKCE if it is silent: some that
/// do say nothing.
fn complete(
    metadata: Arc<AuthorizationServerMetadata>,
    source: Source,
) -> Result<Arc<AuthorizationServerMetadata>, DiscoveryError> {
    let issuer = metadata.issuer.clone();
    if metadata.authorization_endpoint.is_none() {
        return Err(DiscoveryError::Incomplete { issuer, lacks: "authorization_endpoint" });
    }
    if metadata.token_endpoint.is_none() {
        return Err(DiscoveryError::Incomplete { issuer, lacks: "token_endpoint" });
    }
    let methods = &metadata.code_challenge_methods_supported;
    let silent = methods.is_empty() && source == Source::Issuer;
    if !silent && !methods.iter().any(|method| method == METHOD_S256) {
        return Err(DiscoveryError::NoPkce { issuer });
    }
    Ok(metadata)
}

/// The endpoints of MCP 2025-03-26 §2.3.3.
fn assumed(origin: &str) -> AuthorizationServerMetadata {
    let at = |path: &str| Some(format!("{origin}{path}"));
    AuthorizationServerMetadata {
        issuer: origin.to_owned(),
        authorization_endpoint: at("/authorize"),
        token_endpoint: at("/token"),
        registration_endpoint: at("/register"),
        code_challenge_methods_supported: vec![METHOD_S256.to_owned()],
        ..AuthorizationServerMetadata::default()
    }
}
