//! Registering this client dynamically, and keeping what was registered alive (RFC 7591, RFC 7592).

use std::time::Duration;

use thv_client::registration::{self, RegistrationRequest};
use thv_clock::SharedClock;
use thv_oauth::auth_method::AuthMethod;
use thv_oauth::grant_type::GrantType;
use thv_oauth::server_metadata::AuthorizationServerMetadata;

use crate::credentials::StoredRegistration;
use crate::error::LoginError;
use crate::reach::Reach;

/// What users are shown of a registered client.
const CLIENT_NAME: &str = "ToolHive MCP Client";
const CLIENT_URI: &str = "https://toolhive.dev";
/// How long before its end a registered secret is renewed.
const SECRET_RENEWAL: Duration = Duration::from_secs(24 * 3600);

/// What has become of a stored registration.
pub(crate) enum Standing {
    /// It holds.
    Holds,
    /// It holds as this one, which is to be kept in its place.
    Renewed(StoredRegistration),
    /// Its secret has expired, and the server has not given another one.
    Expired,
}

/// Registers this client for `redirect_uri`.
///
/// # Errors
/// [`LoginError::Registration`].
pub(crate) async fn register(
    reach: &Reach,
    server: &AuthorizationServerMetadata,
    redirect_uri: &str,
    scope: &str,
) -> Result<StoredRegistration, LoginError> {
    let endpoint = server.registration_endpoint.as_deref().unwrap_or_default();
    let request = request(redirect_uri, scope, method(server));
    let registered = registration::register(&reach.egress(), endpoint, None, &request).await;
    let registration =
        registered.map_err(|source| LoginError::Registration { issuer: server.issuer.clone(), source })?;
    tracing::info!(issuer = server.issuer, client.id = registration.client_id, "registered dynamically");
    Ok(StoredRegistration::new(&registration, redirect_uri))
}

/// Renews the secret of `stored` where it is about to expire (RFC 7592 §2.2).
pub(crate) async fn renew(reach: &Reach, clock: &SharedClock, stored: &StoredRegistration) -> Standing {
    let Some(expires_at) = stored.secret_expires_at.filter(|&at| at <= clock.now() + SECRET_RENEWAL) else {
        return Standing::Holds;
    };
    let registered = stored.registration();
    let scope = registered.scope.as_deref().unwrap_or_default();
    let request = request(&stored.redirect_uri, scope, registered.token_endpoint_auth_method);
    match registration::update(&reach.egress(), &registered, &request, reach.allow_http).await {
        Ok(renewed) => {
            tracing::info!(client.id = renewed.client_id, "the registration was renewed");
            Standing::Renewed(StoredRegistration::new(&renewed, &stored.redirect_uri))
        }
        Err(error) => {
            tracing::info!(error = thv_telemetry::chain(&error), "the registration could not be renewed");
            if expires_at > clock.now() { Standing::Holds } else { Standing::Expired }
        }
    }
}

fn request(redirect_uri: &str, scope: &str, method: AuthMethod) -> RegistrationRequest {
    RegistrationRequest {
        redirect_uris: vec![redirect_uri.to_owned()],
        token_endpoint_auth_method: Some(method),
        grant_types: GrantType::ALL.to_vec(),
        response_types: vec!["code".to_owned()],
        client_name: Some(CLIENT_NAME.to_owned()),
        client_uri: Some(CLIENT_URI.to_owned()),
        scope: Some(scope.to_owned()).filter(|scope| !scope.is_empty()),
        application_type: Some("native".to_owned()),
        ..RegistrationRequest::default()
    }
}

/// A program that everybody can read keeps no secret, so none is asked for where the server lets it (CL-24).
fn method(server: &AuthorizationServerMetadata) -> AuthMethod {
    const PREFERENCE: [AuthMethod; 3] =
        [AuthMethod::None, AuthMethod::ClientSecretBasic, AuthMethod::ClientSecretPost];
    let listed = &server.token_endpoint_auth_methods_supported;
    let usable = PREFERENCE.into_iter().find(|method| listed.iter().any(|name| name == method.as_str()));
    usable.unwrap_or(AuthMethod::None)
}
