//! The discovery documents, written once and served as bytes.

use bytes::Bytes;
use thv_jose::keyring::KeyRing;
use thv_oauth::auth_method::AuthMethod;
use thv_oauth::server_metadata::AuthorizationServerMetadata;

use crate::settings::Settings;

/// Discovery documents and key set, ready to be served.
#[derive(Clone, Debug)]
pub struct Documents {
    /// RFC 8414 metadata.
    pub authorization_server: Bytes,
    /// The same with the members that OpenID Connect Discovery asks for.
    pub openid: Bytes,
    /// The JSON Web Key Set: every key that verifies, also those not signing yet or any more.
    pub jwks: Bytes,
}

impl Documents {
    pub(crate) fn new(settings: &Settings, keys: &KeyRing) -> Self {
        let metadata = metadata(settings);
        let openid = AuthorizationServerMetadata {
            subject_types_supported: vec!["public".to_owned()],
            id_token_signing_alg_values_supported: vec![keys.active().algorithm().as_str().to_owned()],
            ..metadata.clone()
        };
        Self { authorization_server: written(&metadata), openid: written(&openid), jwks: keys.jwks_json() }
    }
}

fn metadata(settings: &Settings) -> AuthorizationServerMetadata {
    let issuer = settings.issuer.as_str();
    let endpoint = |name: &str| format!("{issuer}/oauth/{name}");
    let names =
        |methods: &[AuthMethod]| methods.iter().map(|method| method.as_str().to_owned()).collect::<Vec<_>>();
    let strings = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>();
    let assertion_algorithms = strings(&["ES256", "ES384", "RS256", "PS256", "EdDSA"]);
    let auth_methods = settings.auth_methods();
    let confidential: Vec<_> =
        auth_methods.iter().copied().filter(|method| *method != AuthMethod::None).collect();
    AuthorizationServerMetadata {
        issuer: issuer.to_owned(),
        authorization_endpoint: Some(format!("{}/oauth/authorize", settings.authorization_endpoint_base)),
        token_endpoint: Some(endpoint("token")),
        registration_endpoint: Some(endpoint("register")),
        jwks_uri: Some(format!("{issuer}/.well-known/jwks.json")),
        response_types_supported: strings(&["code"]),
        response_modes_supported: strings(&["query"]),
        grant_types_supported: strings(&["authorization_code", "refresh_token"]),
        code_challenge_methods_supported: strings(&["S256"]),
        scopes_supported: settings.scopes_supported.iter().map(ToOwned::to_owned).collect(),
        token_endpoint_auth_methods_supported: names(&auth_methods),
        token_endpoint_auth_signing_alg_values_supported: assertion_algorithms.clone(),
        revocation_endpoint: Some(endpoint("revoke")),
        revocation_endpoint_auth_methods_supported: names(&auth_methods),
        revocation_endpoint_auth_signing_alg_values_supported: assertion_algorithms.clone(),
        introspection_endpoint: Some(endpoint("introspect")),
        introspection_endpoint_auth_methods_supported: names(&confidential),
        introspection_endpoint_auth_signing_alg_values_supported: assertion_algorithms,
        authorization_response_iss_parameter_supported: true,
        client_id_metadata_document_supported: settings.cimd.is_some(),
        ..AuthorizationServerMetadata::default()
    }
}

fn written(metadata: &AuthorizationServerMetadata) -> Bytes {
    // A struct of strings always serializes; the fallback keeps the type honest.
    Bytes::from(serde_json::to_vec(metadata).unwrap_or_default())
}
