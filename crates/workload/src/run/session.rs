//! The login of a workload, put together from its definition and its secrets.

use std::sync::Arc;

use thv_egress::Roots;
use thv_remote::reach::Reach;
use thv_remote::session::{Session, SessionConfig};
use thv_remote::settings::AuthSettings;

use super::Environment;
use super::error::RunError;
use super::headers::headers;
use super::keep::KeptLogin;
use super::secrets::{Kind, WorkloadSecrets};
use crate::definition::Definition;
use crate::files::guarded_directory;

/// Opens the session of a workload in front of a remote server; none for a command.
///
/// # Errors
/// When its secrets cannot be read, or one is missing.
pub async fn open_session(
    definition: &Definition,
    environment: &Environment,
    roots: &Roots,
) -> Result<Option<Session>, RunError> {
    let Some(server_url) = definition.remote_url.clone() else { return Ok(None) };
    let secrets = WorkloadSecrets::new(environment.secrets.clone(), definition.name.clone());
    let own = async |wanted: bool, kind, what| match wanted {
        true => match secrets.get(kind).await? {
            Some(secret) => Ok(Some(secret)),
            None => Err(RunError::OwnSecretMissing(what)),
        },
        false => Ok(None),
    };
    let settings = AuthSettings {
        client_metadata_url: definition
            .remote_auth
            .client_metadata_url
            .clone()
            .or_else(|| environment.settings.client_metadata_url.clone()),
        callback_port: definition.remote_auth.callback_port.or(environment.settings.callback_port),
        ..definition.remote_auth.clone()
    };
    let token_exchange = match definition.token_exchange.clone() {
        Some(exchange) => {
            let kind = Kind::TokenExchangeSecret;
            let secret = own(exchange.has_client_secret, kind, "token exchange client secret").await?;
            Some((exchange, secret))
        }
        None => None,
    };
    let exchanged_at = definition.token_exchange.as_ref().map(|exchange| exchange.url.clone());
    guarded_directory(&environment.paths.callbacks())?;
    let config = SessionConfig {
        client_secret: own(settings.has_client_secret, Kind::ClientSecret, "client secret").await?,
        bearer_token: own(definition.has_bearer_token, Kind::BearerToken, "bearer token").await?,
        token_exchange,
        headers: headers(definition, &secrets).await?,
        reach: Reach::of(&server_url, &settings, exchanged_at.as_deref(), roots).await,
        clock: Arc::clone(&environment.clock),
        ui: Arc::clone(&environment.ui),
        keep: Arc::new(KeptLogin::new(&environment.paths, secrets.clone(), &server_url)),
        shared: environment.paths.callbacks(),
        server_url,
        settings,
    };
    Session::open(config).await.map(Some).map_err(RunError::Kept)
}
