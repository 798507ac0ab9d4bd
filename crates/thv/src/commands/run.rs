//! `thv run`

use std::fs;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use thv_config::{Problem, Problems, Severity};
use thv_remote::settings::AuthSettings;
use thv_remote::token_exchange::TokenExchangeSettings;
use thv_workload::run::Kind;
use thv_workload::store::StoreError;
use thv_workload::{Definition, WorkloadName};

use super::machine::{Machine, block_on};
use super::start::{Bring, bring_up, take};
use crate::args::{RemoteAuth, Run, TokenExchange};
use crate::failure::Failure;
use crate::printer;

const BEARER_TOKEN: &str = "--remote-auth-bearer-token";
const CLIENT_SECRET: &str = "--remote-auth-client-secret";

/// The secrets that came with the command line.
type Given = Vec<(Kind, SecretString)>;

/// `thv run`
pub(crate) fn run(args: Run) -> Result<(), Failure> {
    block_on(async {
        let machine = Machine::open()?;
        let (definition, given) = defined(&args)?;
        refuse_or_warn(&definition)?;
        if !given.is_empty() && !machine.keeps_logins()? {
            let failure =
                Failure::new("secrets come from the environment, where those of a workload cannot be kept");
            let hint = "choose another provider, such as TOOLHIVE_SECRETS_PROVIDER=encrypted";
            return Err(failure.with_hint(hint));
        }
        let definition = save(&machine, definition)?;
        keep(&machine, &definition.name, given).await?;
        let bring = Bring { foreground: args.foreground, json: args.json, detached: false };
        bring_up(&machine, definition, bring).await
    })
}

/// Keeps the secrets of a workload, unless it runs with others.
async fn keep(machine: &Machine, name: &WorkloadName, given: Given) -> Result<(), Failure> {
    if given.is_empty() {
        return Ok(());
    }
    let _lock = take(machine, name)?;
    let secrets = machine.workload_secrets(name)?;
    for (kind, secret) in given {
        secrets.set(kind, secret).await.map_err(|error| Failure::from_error(&error))?;
    }
    Ok(())
}

/// Keeps the workload, in place of one of the same name that does not run and has never come up, or differs in its port alone:
/// whoever mends what they have said is not to be told that they have said it.
fn save(machine: &Machine, definition: Definition) -> Result<Definition, Failure> {
    let store = &machine.store;
    let refused = match store.save(&definition) {
        Ok(definition) => return Ok(definition),
        Err(error @ StoreError::Exists(_)) => error,
        Err(error) => return Err(Failure::from_error(&error)),
    };
    let name = &definition.name;
    let status = store.status(name).map_err(|error| Failure::from_error(&error))?;
    let may_change = || {
        status.started_at.is_none()
            || store.load(name).is_ok_and(|kept| definition.differs_at_most_in_port(&kept))
    };
    if status.state.is_final() && may_change() {
        let lock = take(machine, name)?;
        store.replace(&lock, &definition).map_err(|error| Failure::from_error(&error))?;
        return Ok(definition);
    }
    let hint = format!(
        "`thv start {name}` starts it as it is, `thv rm {name}` removes it, --name takes another name"
    );
    Err(Failure::from_error(&refused).with_hint(hint))
}

/// Everything that is wrong at once.
pub(super) fn refuse_or_warn(definition: &Definition) -> Result<(), Failure> {
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
    let (auth, mut secrets) = remote_auth(&auth_of(args))?;
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
    definition.allowed_hosts = args.allowed_hosts.clone();
    definition.allowed_origins = args.allowed_origins.clone();
    definition.ca_bundle = args.ca_bundle.as_deref().map(absolute).transpose()?;
    definition.auth_server = args.auth_server.as_deref().map(absolute).transpose()?;
    if definition.command.is_some() {
        definition.cwd = std::env::current_dir().ok();
    }
    Ok((definition, secrets))
}

/// What is said of a login. What the environment says for remote servers does not concern a command.
fn auth_of(args: &Run) -> RemoteAuth {
    let mut auth = args.auth.clone();
    if args.url.is_none() {
        auth.remote_auth_bearer_token.take_if(|_| !is_typed(BEARER_TOKEN));
        auth.remote_auth_client_secret.take_if(|_| !is_typed(CLIENT_SECRET));
    } else if auth.remote_auth_bearer_token.as_ref().is_some_and(|token| !token.is_empty())
        && !is_typed(BEARER_TOKEN)
    {
        printer::talk("the bearer token comes from TOOLHIVE_REMOTE_AUTH_BEARER_TOKEN\n");
    }
    auth
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
        CLIENT_SECRET,
        args.remote_auth_client_secret.as_deref(),
        args.remote_auth_client_secret_file.as_deref(),
    )?;
    let bearer_token = secret(
        BEARER_TOKEN,
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
    if given.is_some() && is_typed(flag) {
        printer::talk(&format!("warning: other users of this machine can see {flag}: prefer {flag}-file\n"));
    }
    Ok(given.filter(|text| !text.is_empty()).map(SecretString::from))
}

/// Whether a flag is among the arguments, and its value not from the environment.
fn is_typed(flag: &str) -> bool {
    let ours = std::env::args_os().take_while(|argument| argument != "--");
    let mut ours = ours.filter_map(|argument| argument.into_string().ok());
    ours.any(|argument| {
        argument.strip_prefix(flag).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    })
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
