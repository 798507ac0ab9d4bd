//! Reading, changing and deleting a registration at its client configuration endpoint (RFC 7592 §2).

use http::Method;
use secrecy::SecretString;
use serde::Serialize;
use thv_egress::{Client, Response};
use thv_oauth::issuer::AllowHttp;
use thv_oauth::server_metadata::check_endpoint;

use super::exchange::{self, Purpose};
use super::request::exposed;
use super::response::{self, Fallback};
use super::{Registration, RegistrationError, RegistrationRequest};

/// What a change consists of: all metadata, and the credentials that identify the client. The four members that a server
/// gives and no client sets are not there (RFC 7592 §2.2).
#[derive(Serialize)]
struct Update<'a> {
    client_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "exposed")]
    client_secret: &'a Option<SecretString>,
    #[serde(flatten)]
    metadata: &'a RegistrationRequest,
}

/// The registration as the server has it now (RFC 7592 §2.1). Use the result in place of `registration`: tokens, secrets and
/// the URI may have been exchanged.
///
/// # Errors
/// [`RegistrationError`]; `Unmanaged` and `ClientUri` before anything is sent.
pub async fn read(
    egress: &Client,
    registration: &Registration,
    allow_http: AllowHttp,
) -> Result<Registration, RegistrationError> {
    let response = send(egress, Method::GET, registration, allow_http, None).await?;
    let asked = registration.token_endpoint_auth_method;
    response::read(&response, Fallback { asked, previous: Some(registration) })
}

/// Replaces all metadata of the registration (RFC 7592 §2.2), which is how many servers renew a secret before it expires.
/// Use the result in place of `registration`.
///
/// # Errors
/// As [`read`].
pub async fn update(
    egress: &Client,
    registration: &Registration,
    request: &RegistrationRequest,
    allow_http: AllowHttp,
) -> Result<Registration, RegistrationError> {
    let response = send(egress, Method::PUT, registration, allow_http, Some(request)).await?;
    let asked = request.token_endpoint_auth_method.unwrap_or(registration.token_endpoint_auth_method);
    response::read(&response, Fallback { asked, previous: Some(registration) })
}

/// Deletes the registration (RFC 7592 §2.3). [`RegistrationError::Gone`] says that it was not there any more.
///
/// # Errors
/// As [`read`].
pub async fn delete(
    egress: &Client,
    registration: &Registration,
    allow_http: AllowHttp,
) -> Result<(), RegistrationError> {
    send(egress, Method::DELETE, registration, allow_http, None).await.map(drop)
}

/// Sends with the registration access token, to nowhere but where that may go.
async fn send(
    egress: &Client,
    method: Method,
    registration: &Registration,
    allow_http: AllowHttp,
    metadata: Option<&RegistrationRequest>,
) -> Result<Response, RegistrationError> {
    let lacks = |lacks| RegistrationError::Unmanaged { lacks };
    let Registration { client_id, client_secret, .. } = registration;
    let url = registration.registration_client_uri.as_deref();
    let url = url.ok_or_else(|| lacks("registration_client_uri"))?;
    let token = registration.registration_access_token.as_ref();
    let token = token.ok_or_else(|| lacks("registration_access_token"))?;
    check_endpoint(url, allow_http).map_err(RegistrationError::ClientUri)?;
    let update = metadata.map(|metadata| Update { client_id, client_secret, metadata });
    let body = update.map(|update| serde_json::to_vec(&update)).transpose();
    let body = body.map_err(RegistrationError::Request)?;
    let statement = metadata.and_then(|metadata| metadata.software_statement.as_ref());
    let secrets = [Some(token), client_secret.as_ref(), statement].into_iter().flatten();
    exchange::send(egress, method, url, Some(token), body, Purpose::Manage, secrets).await
}
