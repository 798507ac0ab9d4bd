//! The authorization server's settings out of its configuration.

use std::collections::HashMap;
use std::fs;

use secrecy::ExposeSecret;
use thv_authserver::cimd::CimdSettings;
use thv_authserver::{ConsentMode, Preregistered, RegistrationRetention, Settings};
use thv_config::auth_server::{self, Cimd, PreregisteredClient};
use thv_config::{AuthServer, Config, Problem, Profile};
use thv_egress::freshness::Bounds;
use thv_jose::digest::sha256;
use thv_oauth::auth_method::AuthMethod;
use thv_oauth::client_id::MetadataUrl;
use thv_oauth::client_metadata::ClientMetadata;
use thv_oauth::issuer::{AllowHttp, Issuer};
use thv_oauth::metadata_document::{DocumentPolicy, examine};
use thv_oauth::redirect_uri::{RedirectPolicy, RedirectUri};
use thv_oauth::resource::ResourceIndicator;

use super::{DOCUMENT_AUTH_METHODS, at, scope_set};

/// Registrations that one source address gets in a minute.
const REGISTRATIONS_PER_MINUTE: u32 = 30;

pub(super) fn settings(config: &Config, server: &AuthServer, profile: Profile) -> Result<Settings, Problem> {
    let allow_http = if server.insecure_allow_http { AllowHttp::Any } else { AllowHttp::Loopback };
    let audiences = config.audiences();
    let audiences = audiences.iter().map(|audience| ResourceIndicator::parse(audience));
    let clients = server.clients.iter().enumerate().map(|(index, client)| preregistered(index, client));
    let scopes_supported = scope_set("authServer.scopesSupported", &server.scopes_supported)?;
    Ok(Settings {
        issuer: Issuer::parse(&server.issuer, allow_http).map_err(|error| at("authServer.issuer", &error))?,
        authorization_endpoint_base: server.authorization_base().to_owned(),
        audiences: audiences
            .collect::<Result<_, _>>()
            .map_err(|error| at("authServer.allowedAudiences", &error))?,
        baseline_scopes: scope_set("authServer.baselineClientScopes", &server.baseline_client_scopes)?,
        access_token_lifetime: server.token_lifespans.access_token_lifespan.get(),
        refresh_token_lifetime: server.token_lifespans.refresh_token_lifespan.get(),
        code_lifetime: server.token_lifespans.auth_code_lifespan.get(),
        consent: match server.consent.mode {
            auth_server::ConsentMode::Required => ConsentMode::Required,
            auth_server::ConsentMode::Remember => ConsentMode::Remember,
            auth_server::ConsentMode::Off => ConsentMode::Off,
        },
        cimd: if server.cimd.enabled { Some(cimd_settings(server, profile)?) } else { None },
        preregistered: clients.collect::<Result<_, _>>()?,
        confidential_registration: server.allow_confidential_client_registration,
        registration_retention: RegistrationRetention::default(),
        registrations_per_minute: REGISTRATIONS_PER_MINUTE,
        development: profile == Profile::Development,
        scopes_supported,
    })
}

/// How client ID metadata documents are fetched and judged, whether or not they are enabled.
pub(crate) fn cimd_settings(server: &AuthServer, profile: Profile) -> Result<CimdSettings, Problem> {
    let Cimd { cache_max_size, cache_fallback_ttl, cache_min_ttl, cache_max_ttl, stale_if_error, .. } =
        &server.cimd;
    Ok(CimdSettings {
        cache_max_size: u64::from(*cache_max_size),
        freshness: Bounds {
            fallback: cache_fallback_ttl.get(),
            min: cache_min_ttl.get(),
            max: cache_max_ttl.get(),
        },
        stale_if_error: stale_if_error.get(),
        max_document_size: server.cimd.max_document_size.as_usize(),
        allow_loopback: profile == Profile::Development,
        policy: document_policy(server)?,
    })
}

/// What a client ID metadata document is measured by.
pub(crate) fn document_policy(server: &AuthServer) -> Result<DocumentPolicy, Problem> {
    Ok(DocumentPolicy {
        supported_auth_methods: DOCUMENT_AUTH_METHODS.to_vec(),
        scopes_supported: scope_set("authServer.scopesSupported", &server.scopes_supported)?,
    })
}

/// The documents that are never fetched.
pub(super) fn pinned_documents(
    server: &AuthServer,
    profile: Profile,
) -> Result<HashMap<String, ClientMetadata>, Problem> {
    let policy = document_policy(server)?;
    let mut documents = HashMap::new();
    for (index, pinned) in server.cimd.pinned_documents.iter().enumerate() {
        let path = format!("authServer.cimd.pinnedDocuments[{index}]");
        let url = MetadataUrl::parse(&pinned.client_id, profile == Profile::Development);
        let url = url.map_err(|error| at(&format!("{path}.clientId"), &error))?;
        let document = fs::read(&pinned.file).map_err(|error| at(&format!("{path}.file"), &error))?;
        let metadata = examine(&url, &document, &policy).into_result();
        documents
            .insert(pinned.client_id.clone(), metadata.map_err(|error| at(&format!("{path}.file"), &error))?);
    }
    Ok(documents)
}

fn preregistered(index: usize, client: &PreregisteredClient) -> Result<Preregistered, Problem> {
    let path = |key: &str| format!("authServer.clients[{index}].{key}");
    let uris = client.redirect_uris.iter().map(|uri| RedirectUri::parse(uri, RedirectPolicy::PrivateSchemes));
    let uris = uris.collect::<Result<_, _>>().map_err(|error| at(&path("redirectUris"), &error))?;
    let secret = client.client_secret_ref.as_ref().map(|reference| {
        let text = reference.resolve().and_then(|secret| secret.into_text());
        text.map_err(|error| at(&path("clientSecretRef"), &error))
    });
    let secret = secret.transpose()?;
    let scope =
        if client.scopes.is_empty() { None } else { Some(scope_set(&path("scopes"), &client.scopes)?) };
    let metadata = ClientMetadata {
        client_id: Some(client.client_id.clone()),
        client_name: client.client_name.clone(),
        scope,
        token_endpoint_auth_method: secret
            .as_ref()
            .map_or(AuthMethod::None, |_| AuthMethod::ClientSecretBasic),
        ..ClientMetadata::public(uris)
    };
    let secret_digest = secret.map(|secret| sha256(secret.expose_secret().as_bytes()));
    Ok(Preregistered { metadata, secret_digest })
}
