//! Everything that can be found wrong with a configuration without serving it.

mod reach;

use std::fs;
use std::path::Path;
use std::time::Duration;

use thv_config::upstream::UpstreamKind;
use thv_config::{AuthServer, Config, Problem, Profile, UsersFile, secret_refs, validate};
use thv_egress::Roots;
use thv_egress::target::TargetClient;
use thv_oauth::client_id::MetadataUrl;
use thv_oauth::metadata_document::{Outcome, examine};
use thv_proxy::RequestBody;

use crate::compose;
use crate::front::Bounded;
use crate::keys;

/// All problems of a configuration at once: its values, and the secrets, keys, certificates, users and documents that it
/// refers to. Reads files and environment variables; opens no socket.
pub fn check(config: &Config, profile: Profile) -> Vec<Problem> {
    let mut problems = validate(config, profile);
    exposure(config, profile, &mut problems);
    secrets(config, &mut problems);
    if let Some(tls) = &config.tls {
        let files = compose::certificate_files(tls);
        let chain = note("tls.certFile", files.read_chain(), &mut problems);
        let key = note("tls.keyFile", files.read_key(), &mut problems);
        if chain.is_some() && key.is_some() {
            note("tls", files.load(), &mut problems);
        }
    }
    let ca_bundle = config.egress.ca_bundle.as_deref();
    let roots = note("egress.caBundle", Roots::load(ca_bundle), &mut problems);
    if let (Some(url), Some(roots)) = (&config.server.url, roots) {
        let client = TargetClient::<RequestBody<Bounded>>::new(url, &roots, Duration::ZERO);
        if !problems.iter().any(|problem| problem.path == "server.url") {
            note("server.url", client, &mut problems);
        }
    }
    reach::check(config, profile, &mut problems);
    if let Some(auth_server) = &config.auth_server {
        problems.extend(keys::check(auth_server));
        let kept_there =
            keys::keeps_its_own(auth_server) || compose::storage::is_in_state_dir(auth_server, profile);
        if profile == Profile::Production && kept_there {
            let directory = keys::state_dir(config);
            note(
                "stateDir",
                directory.and_then(|directory| keys::probe_state_dir(&directory)),
                &mut problems,
            );
        }
        users(auth_server, &mut problems);
        pinned_documents(auth_server, profile, &mut problems);
    }
    problems
}

/// A login without a password belongs on the developer's own machine.
fn exposure(config: &Config, profile: Profile, problems: &mut Vec<Problem>) {
    let provider = config.auth_server.as_ref().and_then(AuthServer::identity_provider);
    let local = provider.and_then(|provider| provider.local_config.as_ref());
    let open = local.is_some_and(|local| local.development_user.is_some());
    if open && profile == Profile::Development && !config.listen.ip().is_loopback() {
        let message = format!("whoever reaches {} can log in as the development user", config.listen);
        problems.push(Problem::warning("listen", message).with_hint("listen on 127.0.0.1"));
    }
}

/// Client secrets; keys are judged as what they are.
fn secrets(config: &Config, problems: &mut Vec<Problem>) {
    for (path, reference) in secret_refs(config) {
        // A reference that is none was reported with the values.
        if reference.source().is_err() {
            continue;
        }
        let secret = reference.resolve();
        if let Some(warning) = secret.as_ref().ok().and_then(|secret| secret.warning()) {
            problems.push(Problem::warning(&path, warning));
        }
        let keys = ["signingKeySecretRefs", "hmacSecretRefs", "encryptionKeySecretRefs"];
        if !keys.iter().any(|key| path.contains(key)) {
            note(&path, secret.and_then(|secret| secret.into_text()), problems);
        }
    }
}

fn users(auth_server: &AuthServer, problems: &mut Vec<Problem>) {
    for (at, provider) in auth_server.upstream_providers.iter().enumerate() {
        let Some(UpstreamKind::Local(local)) = provider.kind() else { continue };
        let Some(file) = &local.users_file else { continue };
        let Err(found) = UsersFile::load(file) else { continue };
        let path = format!("authServer.upstreamProviders[{at}].localConfig.usersFile");
        problems.extend(found.iter().map(|problem| {
            let place = if problem.path.is_empty() { String::new() } else { format!("{}: ", file.display()) };
            Problem::error(&path, format!("{place}{problem}"))
        }));
    }
}

fn pinned_documents(auth_server: &AuthServer, profile: Profile, problems: &mut Vec<Problem>) {
    // Scopes that are none were reported with the values.
    let Ok(policy) = compose::settings::document_policy(auth_server) else { return };
    for (at, pinned) in auth_server.cimd.pinned_documents.iter().enumerate() {
        let path = format!("authServer.cimd.pinnedDocuments[{at}]");
        let Some(url) = note(
            &format!("{path}.clientId"),
            MetadataUrl::parse(&pinned.client_id, profile == Profile::Development),
            problems,
        ) else {
            continue;
        };
        let path = format!("{path}.file");
        let Some(document) = read(&path, &pinned.file, problems) else { continue };
        for check in examine(&url, &document, &policy).checks {
            if let Outcome::Failed { detail, fix } = check.outcome {
                problems.push(
                    Problem::error(&path, format!("{}: {detail}", pinned.file.display())).with_hint(fix),
                );
            }
        }
    }
}

fn read(path: &str, file: &Path, problems: &mut Vec<Problem>) -> Option<Vec<u8>> {
    match fs::read(file) {
        Ok(content) => Some(content),
        Err(error) => {
            problems.push(Problem::error(path, format!("{} cannot be read: {error}", file.display())));
            None
        }
    }
}

/// Keeps the value, or notes at this path what is wrong.
fn note<T, E>(path: &str, outcome: Result<T, E>, problems: &mut Vec<Problem>) -> Option<T>
where
    E: std::error::Error + 'static,
{
    match outcome {
        Ok(value) => Some(value),
        Err(error) => {
            let problem = Problem::error(path, thv_telemetry::chain(&error));
            if !problems.contains(&problem) {
                problems.push(problem);
            }
            None
        }
    }
}
