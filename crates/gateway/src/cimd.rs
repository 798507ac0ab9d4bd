//! A client ID metadata document judged as the gateway would, for the command line.

use thv_authserver::cimd::{self, CheckReport};
use thv_config::{AuthServer, Config, Problem, Problems, Profile};
use thv_egress::{Client, Roots};

use crate::compose;

/// Takes the document of a `client_id` from where the gateway would (pinned, or fetched with its egress rules) and judges it by
/// the gateway's rules.
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
    let mut pinned = server.cimd.pinned_documents.iter().enumerate();
    if let Some((at, pinned)) = pinned.find(|(_, pinned)| pinned.client_id == client_id) {
        let path = format!("authServer.cimd.pinnedDocuments[{at}].file");
        let document = std::fs::read(&pinned.file).map_err(|error| compose::at(&path, &error))?;
        return Ok(cimd::check_pinned(client_id, &document, &settings));
    }
    Ok(cimd::check(client_id, &egress, &settings).await)
}
