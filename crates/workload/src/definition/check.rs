//! Which values make sense.

mod headers;
mod local;
mod login;
mod url;

use std::path::PathBuf;

use thv_config::Problem;
use thv_oauth::scope::ScopeSet;

use super::{Definition, host};

pub(super) fn check(definition: &Definition) -> Vec<Problem> {
    let mut found = Vec::new();
    what_is_run(definition, &mut found);
    login::check(definition, &mut found);
    headers::check(definition, &mut found);
    proxy(definition, &mut found);
    found
}

/// Exactly one of a URL and a command, and nothing that belongs to the other.
fn what_is_run(definition: &Definition, found: &mut Vec<Problem>) {
    let hint = "give the URL of a remote MCP server or a command to run";
    match (&definition.remote_url, &definition.command) {
        (None, None) => {
            found.push(Problem::error("", "one of remote_url and command is required").with_hint(hint));
        }
        (Some(_), Some(_)) => {
            found.push(Problem::error("command", "remote_url and command exclude each other").with_hint(hint))
        }
        (Some(remote), None) => {
            url::check("remote_url", remote, definition.remote_auth.insecure_allow_http, found);
            let local = [
                ("args", !definition.args.is_empty()),
                ("env", !definition.env.is_empty()),
                ("env_secrets", !definition.env_secrets.is_empty()),
                ("cwd", definition.cwd.is_some()),
            ];
            out_of_place(&local, "is for a command, and this is a remote server", found);
        }
        (None, Some(command)) => {
            local::check(definition, command, found);
            let remote = [
                ("remote_auth", definition.remote_auth != <_>::default()),
                ("has_bearer_token", definition.has_bearer_token),
                ("forward_headers", !definition.forward_headers.is_empty()),
                ("forward_headers_secret", !definition.forward_headers_secret.is_empty()),
                ("token_exchange", definition.token_exchange.is_some()),
            ];
            out_of_place(&remote, "is for a remote server, and this is a command", found);
        }
    }
}

fn out_of_place(members: &[(&str, bool)], why: &str, found: &mut Vec<Problem>) {
    let set = members.iter().filter(|(_, set)| *set);
    found.extend(set.map(|(member, _)| Problem::error(*member, why)));
}

/// How MCP clients reach the workload.
fn proxy(definition: &Definition, found: &mut Vec<Problem>) {
    if definition.proxy_port == Some(0) {
        let hint = "leave it out to have a port chosen once and kept";
        found.push(Problem::error("proxy_port", "0 is not a port").with_hint(hint));
    }
    hosts(definition, found);
    for (index, origin) in definition.allowed_origins.iter().enumerate() {
        if !url::is_origin(origin) {
            let message = "is not an origin: scheme, host and port as a browser sends them, without a path";
            let hint = "list origins such as https://app.example.com";
            found.push(Problem::error(format!("allowed_origins[{index}]"), message).with_hint(hint));
        }
    }
    absolute("ca_bundle", definition.ca_bundle.as_ref(), found);
    absolute("auth_server", definition.auth_server.as_ref(), found);
}

/// Where anybody may connect, the names that clients use must be known: a web page under another name would be let in by their
/// browsers (DNS rebinding).
fn hosts(definition: &Definition, found: &mut Vec<Problem>) {
    for (index, host) in definition.allowed_hosts.iter().enumerate() {
        if !host::is_host(host) {
            let message = "is not a host with or without a port, such as mcp.example.com:8080";
            found.push(Problem::error(format!("allowed_hosts[{index}]"), message));
        }
    }
    let named = !definition.allowed_hosts.is_empty();
    if definition.auth_server.is_some() {
        if named {
            let message =
                "has no effect behind an authorization server, which answers to its publicUrl alone";
            found.push(Problem::error("allowed_hosts", message));
        }
        return;
    }
    if definition.host.is_loopback() {
        return;
    }
    let hint = "listen on 127.0.0.1, or configure auth_server";
    let problem = match named {
        true => Problem::warning(
            "host",
            "everyone who can reach this address uses the MCP server, and your login at it",
        ),
        false => Problem::error(
            "host",
            "clients elsewhere are refused unless allowed_hosts has the names that they use",
        ),
    };
    found.push(problem.with_hint(hint));
}

/// The process that runs a workload has its own idea of where it is.
fn absolute(at: &str, path: Option<&PathBuf>, found: &mut Vec<Problem>) {
    if path.is_some_and(|path| !path.is_absolute()) {
        found.push(Problem::error(at, "must be an absolute path: a workload starts anywhere"));
    }
}

/// Scope tokens (RFC 6749 §3.3).
fn scopes(at: &str, scopes: &[String], found: &mut Vec<Problem>) {
    for (index, scope) in scopes.iter().enumerate() {
        if let Err(error) = ScopeSet::from_tokens([scope]) {
            found.push(Problem::error(format!("{at}[{index}]"), error.to_string()));
        }
    }
}

/// The name of a secret, which some providers make a part of a variable's name.
fn secret_name(at: String, name: &str, found: &mut Vec<Problem>) {
    if name.is_empty() || name.contains(|c: char| c.is_control() || c.is_whitespace() || c == '=') {
        found.push(Problem::error(at, "is not the name of a secret"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn remote() -> Definition {
        Definition::remote("x".parse().unwrap(), "https://mcp.example.com/mcp")
    }

    pub(super) fn command() -> Definition {
        Definition::command("x".parse().unwrap(), "serve", Vec::new())
    }

    /// The paths of the problems.
    pub(super) fn paths(definition: &Definition) -> Vec<String> {
        definition.check().into_iter().map(|problem| problem.path).collect()
    }

    #[test]
    fn a_plain_workload_of_either_kind_is_fine() {
        assert_eq!(remote().check(), []);
        assert_eq!(command().check(), []);
    }

    #[test]
    fn exactly_one_of_url_and_command_is_required() {
        let neither = Definition { remote_url: None, ..remote() };
        assert_eq!(paths(&neither), [""]);
        let both = Definition { command: Some("serve".into()), ..remote() };
        assert_eq!(paths(&both), ["command"]);
    }

    #[test]
    fn what_belongs_to_the_other_kind_is_refused() {
        let remote = Definition {
            args: vec!["a".into()],
            env: [("A".into(), "b".into())].into(),
            env_secrets: [("B".into(), "s".into())].into(),
            cwd: Some("/".into()),
            ..remote()
        };
        assert_eq!(paths(&remote), ["args", "env", "env_secrets", "cwd"]);
        let mut command = command();
        command.remote_auth.skip_browser = true;
        command.has_bearer_token = true;
        command.forward_headers_secret = [("X-Key".into(), "s".into())].into();
        let found = paths(&command);
        for path in ["remote_auth", "has_bearer_token", "forward_headers_secret"] {
            assert!(found.iter().any(|found| found == path), "{path} is missing from {found:?}");
        }
    }

    #[test]
    fn an_address_for_everyone_needs_names_or_somebody_who_guards_it() {
        let found = |definition: &Definition| {
            let problems = definition.check().into_iter();
            problems.map(|problem| (problem.is_error(), problem.path)).collect::<Vec<_>>()
        };
        let open = Definition { host: "0.0.0.0".parse().unwrap(), ..remote() };
        assert_eq!(found(&open), [(true, "host".to_owned())]);
        let named = Definition { allowed_hosts: vec!["mcp.lan".into()], ..open.clone() };
        assert_eq!(found(&named), [(false, "host".to_owned())]);
        let guarded = Definition { auth_server: Some("/as.yaml".into()), ..open };
        assert_eq!(guarded.check(), []);
        let both = Definition { allowed_hosts: named.allowed_hosts, ..guarded };
        assert_eq!(found(&both), [(true, "allowed_hosts".to_owned())]);
    }

    #[test]
    fn ports_paths_and_origins_of_the_proxy_are_checked() {
        let definition = Definition {
            proxy_port: Some(0),
            allowed_hosts: vec!["mcp.lan".into(), "http://mcp.lan".into()],
            allowed_origins: vec!["https://app.example.com".into(), "*".into()],
            ca_bundle: Some("ca.pem".into()),
            auth_server: Some("as.yaml".into()),
            ..remote()
        };
        let expected = [
            "proxy_port",
            "allowed_hosts[1]",
            "allowed_hosts",
            "allowed_origins[1]",
            "ca_bundle",
            "auth_server",
        ];
        assert_eq!(paths(&definition), expected);
    }
}
