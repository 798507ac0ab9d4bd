//! Making this client known to a server: dynamic registration (RFC 7591) and its management (RFC 7592).

mod configuration;
mod error;
mod exchange;
mod request;
mod response;

use http::Method;
use secrecy::SecretString;
use thv_clock::Timestamp;
use thv_egress::Client;
use thv_oauth::auth_method::AuthMethod;

pub use configuration::{delete, read, update};
pub use error::RegistrationError;
pub use request::{ClientKeys, RegistrationRequest};

use self::exchange::Purpose;
use self::response::Fallback;
use crate::client_assertion::ClientAssertion;
use crate::client_authentication::ClientCredentials;

/// What a server has registered (RFC 7591 §3.2.1). `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The identifier of this client.
    pub client_id: String,
    /// Its secret, if it has one.
    pub client_secret: Option<SecretString>,
    /// When it was registered, if the server says so.
    pub client_id_issued_at: Option<Timestamp>,
    /// When the secret stops working; `None` if never.
    pub client_secret_expires_at: Option<Timestamp>,
    /// The credential for [`read`], [`update`] and [`delete`] (RFC 7592 §3).
    pub registration_access_token: Option<SecretString>,
    /// Where those go (RFC 7592 §3).
    pub registration_client_uri: Option<String>,
    /// How this client authenticates: as the server says; where it is silent, as was asked for.
    pub token_endpoint_auth_method: AuthMethod,
    /// The scope that this client may ask for, if the server says so.
    pub scope: Option<String>,
}

impl Registration {
    /// What the token endpoint and those like it are shown; `assertion` is used if the method is `private_key_jwt`.
    pub fn credentials(&self, assertion: Option<ClientAssertion>) -> ClientCredentials {
        ClientCredentials {
            client_id: self.client_id.clone(),
            secret: self.client_secret.clone(),
            assertion,
            method: self.token_endpoint_auth_method.into(),
        }
    }
}

/// Registers this client (RFC 7591 §3), with an initial access token if the operator was given one.
///
/// # Errors
/// [`RegistrationError`].
pub async fn register(
    egress: &Client,
    endpoint: &str,
    initial_access_token: Option<&SecretString>,
    request: &RegistrationRequest,
) -> Result<Registration, RegistrationError> {
    let body = serde_json::to_vec(request).map_err(RegistrationError::Request)?;
    let purpose = Purpose::Register { with_token: initial_access_token.is_some() };
    let secrets = [initial_access_token, request.software_statement.as_ref()].into_iter().flatten();
    let response =
        exchange::send(egress, Method::POST, endpoint, initial_access_token, Some(body), purpose, secrets)
            .await?;
    let asked = request.token_endpoint_auth_method.unwrap_or(AuthMethod::ClientSecretBasic);
    response::read(&response, Fallback { asked, previous: None })
}
