//! A client ID metadata document judged as the gateway would, for the command line.

use thv_authserver::cimd::{self, CheckReport};
use thv_config::{AuthServer, Config, Problem, Problems, Profile};
use thv_egress::{Client, Roots};

use crate::compose;

/// Fetches the document of a `client_id` with the gateway's egress rules and judges it by the gateway's rules.
///
/// # Errors
/// When the configuration cannot be used.
pub async fn check_client_id(
    client_id: &str,
    config: &Config,
    profile: Profile,
) -> Result<CheckReport, Problems> {
    if config.auth_server.as_ref().is_some_and(|server| !server.cimd.enabled) {
        return Err(Problem::error(
            "authServer.cimd.enabled",
            "client ID metadata documents are not enabled",
        )
        .with_hint("set `authServer.cimd.enabled: true`")
        .into());
    }
    let roots = Roots::load(config.egress.ca_bundle.as_deref());
    let roots = roots.map_err(|error| compose::at("egress.caBundle", &error))?;
    let standard = AuthServer::default();
    let server = config.auth_server.as_ref().unwrap_or(&standard);
    let settings = compose::settings::cimd_settings(server, profile)?;
    let egress = Client::new(compose::egress_policy(config, profile), &roots);
    Ok(cimd::check(client_id, &egress, &settings).await)
}
