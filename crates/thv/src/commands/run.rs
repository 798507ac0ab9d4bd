//! `thv run`

use std::fs;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use thv_config::{Problem, Problems, Severity};
use thv_remote::settings::AuthSettings;
use thv_remote::token_exchange::TokenExchangeSettings;
use thv_workload::run::Kind;
use thv_workload::store::StoreError;
use thv_workload::{Definition, RunLock, WorkloadName};

use super::machine::{Machine, block_on};
use super::start::{Bring, bring_up};
use crate::args::{RemoteAuth, Run, TokenExchange};
use crate::failure::Failure;
use crate::printer;

/// The secrets that came with the command line.
type Given = Vec<(Kind, SecretString)>;

/// `thv run`
pub(crate) fn run(args: Run) -> Result<(), Failure> {
    block_on(async {
        let machine = Machine::open()?;
        let (definition, given) = defined(&args)?;
        refuse_or_warn(&definition)?;
        let definition = save(&machine, definition)?;
        let secrets = machine.workload_secrets(&definition.name)?;
        for (kind, secret) in given {
            secrets.set(kind, secret).await.map_err(|error| Failure::from_error(&error))?;
        }
        let bring = Bring { foreground: args.foreground, json: args.json, detached: false };
        bring_up(&machine, definition, bring).await
    })
}

/// Keeps the workload, in place of one of the same name that was defined differently and has never come up: whoever mends what
/// they have said is not to be told that they have said it.
fn save(machine: &Machine, definition: Definition) -> Result<Definition, Failure> {
    let store = &machine.store;
    let refused = match store.save(&definition) {
        Ok(definition) => return Ok(definition),
        Err(error @ StoreError::Exists(_)) => error,
        Err(error) => return Err(Failure::from_error(&error)),
    };
    let name = &definition.name;
    let status = store.status(name).map_err(|error| Failure::from_error(&error))?;
    if status.state.is_final() && status.started_at.is_none() {
        let lock = RunLock::try_take(store.paths(), name).map_err(|error| Failure::from_error(&error))?;
        store.replace(&lock, &definition).map_err(|error| Failure::from_error(&error))?;
        return Ok(definition);
    }
    let hint = format!(
        "`thv start {name}` starts it as it is, `thv rm {name}` removes it, --name takes another name"
    );
    Err(Failure::from_error(&refused).with_hint(hint))
}

/// Everything that is wrong at once.
fn refuse_or_warn(definition: &Definition) -> Result<(), Failure> {
    let problems =
        definition.check().into_iter().map(|problem| Problem { path: option(&problem.path), ..problem });
    let (errors, warnings): (Vec<_>, Vec<_>) =
        problems.partition(|problem| problem.severity == Severity::Error);
    warnings.iter().for_each(printer::warning);
    if errors.is_empty() { Ok(()) } else { Err(Problems(errors).into()) }
}

/// What the user calls a member of the definition.
fn option(member: &str) -> String {
    let (name, rest) = member.split_at(member.find(['[', ' ']).unwrap_or(member.len()));
    let (group, part) = name.split_once('.').unwrap_or((name, ""));
    match (group, part) {
        ("", _) => String::new(),
        ("remote_url", _) => "URL".to_owned(),
        ("command" | "args" | "cwd", _) => "COMMAND".to_owned(),
        ("env_secrets", variable) => format!("--secret …,target={variable}"),
        ("env", variable) => format!("--env {variable}"),
        ("forward_headers" | "forward_headers_secret", header) => {
            format!("--remote-{} {header}", group.replace('_', "-"))
        }
        ("has_bearer_token", _) => "--remote-auth-bearer-token-file".to_owned(),
        ("remote_auth", "timeout_secs") => "--remote-auth-timeout".to_owned(),
        ("remote_auth", "insecure_allow_http") => "--insecure-allow-http".to_owned(),
        ("remote_auth", part) if part.starts_with("oauth_params") => "--remote-auth-param".to_owned(),
        _ => format!("--{}{rest}", name.replace(['_', '.'], "-")),
    }
}

fn defined(args: &Run) -> Result<(Definition, Given), Failure> {
    let mut definition = match (&args.url, args.command.split_first()) {
        (Some(url), _) => Definition::remote(name(args, || WorkloadName::from_url(url))?, url.clone()),
        (None, Some((command, rest))) => {
            let named = name(args, || Ok(WorkloadName::from_command(command, rest)))?;
            Definition::command(named, command.clone(), rest.to_vec())
        }
        // The command line demands one of them.
        (None, None) => return Err(Failure::new("there is neither a URL nor a command")),
    };
    let (auth, mut secrets) = remote_auth(&args.auth)?;
    let (exchange, exchange_secret) = token_exchange(&args.exchange)?;
    secrets.extend(exchange_secret.map(|secret| (Kind::TokenExchangeSecret, secret)));
    definition.host = args.host;
    definition.proxy_port = args.proxy_port.filter(|&port| port != 0);
    definition.remote_auth = auth;
    definition.has_bearer_token = secrets.iter().any(|(kind, _)| *kind == Kind::BearerToken);
    definition.token_exchange = exchange;
    definition.forward_headers = args.forward_headers.iter().cloned().collect();
    definition.forward_headers_secret = args.forward_headers_secret.iter().cloned().collect();
    definition.env = args.env.iter().cloned().collect();
    definition.env_secrets =
        args.secrets.iter().map(|(name, variable)| (variable.clone(), name.clone())).collect();
    definition.allowed_origins = args.allowed_origins.clone();
    definition.ca_bundle = args.ca_bundle.as_deref().map(absolute).transpose()?;
    definition.auth_server = args.auth_server.as_deref().map(absolute).transpose()?;
    if definition.command.is_some() {
        definition.cwd = std::env::current_dir().ok();
    }
    Ok((definition, secrets))
}

fn name(
    args: &Run,
    derived: impl FnOnce() -> Result<WorkloadName, thv_workload::name::NameError>,
) -> Result<WorkloadName, Failure> {
    match &args.name {
        Some(name) => Ok(name.clone()),
        None => {
            derived().map_err(|error| Failure::from_error(&error).with_hint("give it a name with --name"))
        }
    }
}

/// The settings of a login, and the secrets that came with them.
pub(super) fn remote_auth(args: &RemoteAuth) -> Result<(AuthSettings, Given), Failure> {
    let client_secret = secret(
        "--remote-auth-client-secret",
        args.remote_auth_client_secret.as_deref(),
        args.remote_auth_client_secret_file.as_deref(),
    )?;
    let bearer_token = secret(
        "--remote-auth-bearer-token",
        args.remote_auth_bearer_token.as_deref(),
        args.remote_auth_bearer_token_file.as_deref(),
    )?;
    let settings = AuthSettings {
        issuer: args.remote_auth_issuer.clone(),
        authorize_url: args.remote_auth_authorize_url.clone(),
        token_url: args.remote_auth_token_url.clone(),
        client_id: args.remote_auth_client_id.clone(),
        has_client_secret: client_secret.is_some(),
        scopes: args.remote_auth_scopes.clone(),
        scope_param_name: args.remote_auth_scope_param_name.clone(),
        oauth_params: args.remote_auth_params.iter().cloned().collect(),
        resource: args.remote_auth_resource.clone(),
        skip_browser: args.remote_auth_skip_browser,
        timeout_secs: args.remote_auth_timeout.map(|timeout| timeout.get().as_secs().max(1)),
        callback_port: args.remote_auth_callback_port,
        client_metadata_url: args.remote_auth_client_metadata_url.clone(),
        no_cimd: args.remote_auth_no_cimd,
        no_dcr: args.remote_auth_no_dcr,
        insecure_allow_http: args.insecure_allow_http,
    };
    let secrets = client_secret.map(|secret| (Kind::ClientSecret, secret));
    let secrets = secrets.into_iter().chain(bearer_token.map(|secret| (Kind::BearerToken, secret)));
    Ok((settings, secrets.collect()))
}

fn token_exchange(
    args: &TokenExchange,
) -> Result<(Option<TokenExchangeSettings>, Option<SecretString>), Failure> {
    let secret = secret(
        "--token-exchange-client-secret",
        args.token_exchange_client_secret.as_deref(),
        args.token_exchange_client_secret_file.as_deref(),
    )?;
    let settings = args.token_exchange_url.clone().map(|url| TokenExchangeSettings {
        url,
        client_id: args.token_exchange_client_id.clone(),
        has_client_secret: secret.is_some(),
        audience: args.token_exchange_audience.clone(),
        scopes: args.token_exchange_scopes.clone(),
        subject_token_type: args.token_exchange_subject_token_type.clone(),
        header_name: args.token_exchange_header_name.clone(),
    });
    let secret = secret.filter(|_| settings.is_some());
    Ok((settings, secret))
}

/// A secret from its flag, which other users can see, or from a file.
fn secret(flag: &str, given: Option<&str>, file: Option<&Path>) -> Result<Option<SecretString>, Failure> {
    if let Some(file) = file {
        let text = fs::read_to_string(file).map_err(|error| {
            Failure::new(format!("{flag}-file: {} cannot be read: {error}", file.display()))
        })?;
        let text = text.trim();
        if text.is_empty() {
            return Err(Failure::new(format!("{flag}-file: {} is empty", file.display())));
        }
        return Ok(Some(SecretString::from(text)));
    }
    if given.is_some() && std::env::args().any(|argument| argument.starts_with(flag)) {
        printer::talk(&format!("warning: other users of this machine can see {flag}: prefer {flag}-file\n"));
    }
    Ok(given.filter(|text| !text.is_empty()).map(SecretString::from))
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_named_after_the_option_that_it_comes_from() {
        for (member, expected) in [
            ("", ""),
            ("remote_url", "URL"),
            ("proxy_port", "--proxy-port"),
            ("allowed_origins[1]", "--allowed-origins[1]"),
            ("env_secrets.KEY", "--secret …,target=KEY"),
            ("forward_headers.X-Team", "--remote-forward-headers X-Team"),
            ("remote_auth.client_metadata_url", "--remote-auth-client-metadata-url"),
            ("remote_auth.scopes[0]", "--remote-auth-scopes[0]"),
            ("remote_auth.oauth_params.prompt", "--remote-auth-param"),
            ("remote_auth.timeout_secs", "--remote-auth-timeout"),
            ("token_exchange.subject_token_type", "--token-exchange-subject-token-type"),
        ] {
            assert_eq!(option(member), expected);
        }
    }
}
