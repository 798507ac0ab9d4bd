//! The local MCP server of a workload, put together from its definition and its secrets.

use std::collections::BTreeMap;

use thv_stdio::Server;

use super::error::RunError;
use super::secrets::WorkloadSecrets;
use crate::definition::Definition;

/// How the variables begin that are for this program alone. The password of the user's secrets is one of them.
const OURS: &str = "TOOLHIVE_";

/// The command of `definition`, with the variables that it gets.
///
/// # Errors
/// When a secret is missing or cannot be read.
pub(super) async fn server(definition: &Definition, secrets: &WorkloadSecrets) -> Result<Server, RunError> {
    let mut server = Server::new(definition.command.clone().unwrap_or_default(), definition.args.clone());
    server.inherit_env = false;
    server.env = inherited();
    server.env.extend(definition.env.clone());
    server.cwd = definition.cwd.clone();
    for (variable, name) in &definition.env_secrets {
        let secret = secrets.of_user(name).await?.ok_or_else(|| RunError::SecretMissing(name.clone()))?;
        server.secret_env.push((variable.clone(), secret));
    }
    Ok(server)
}

/// This process's variables, without those that are ours or no text.
fn inherited() -> BTreeMap<String, String> {
    let text = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    text.filter(|(name, _)| !name.starts_with(OURS)).collect()
}
