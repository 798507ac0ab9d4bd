//! The rules that values must obey together.

mod auth_server;
mod clients;
mod findings;
mod gateway;
mod storage;
mod text;
mod upstream;
mod url;

use crate::config::Config;
use crate::problem::Problem;
use crate::secret_refs::secret_refs;
use findings::Findings;

/// For what a configuration is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Serving users.
    Production,
    /// `thv serve --dev` on the developer's own machine.
    Development,
}

/// Checks a configuration; everything found is returned at once, warnings included. It touches no file and no network:
/// whether keys and secrets can be read is found by resolving [`secret_refs`](crate::secret_refs()).
pub fn validate(config: &Config, profile: Profile) -> Vec<Problem> {
    let mut findings = Findings::default();
    gateway::check(config, profile, &mut findings);
    for (path, reference) in secret_refs(config) {
        if let Err(error) = reference.source() {
            findings.error(&path, error.to_string());
        }
    }
    findings.into_problems()
}
