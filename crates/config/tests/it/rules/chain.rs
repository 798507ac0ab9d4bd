//! Several upstream providers in one login, and whose token is handed on.

use thv_config::{Config, Profile};

use super::{LOCAL, OIDC, lines, problems_of};

const SECOND: &str = "
    - name: tracker
      type: oidc
      oidcConfig: {issuerUrl: 'https://tracker.example.com', clientId: gw}
";

fn chain(base: &str, extra: &str) -> String {
    format!("{base}{}", SECOND.replace("      type: oidc\n", &format!("      type: oidc\n{extra}")))
}

fn local_chain() -> String {
    let list =
        "upstreamProviders:\n    - {name: home, type: local, localConfig: {usersFile: /etc/thv/users.yaml}}";
    let inline =
        "upstreamProviders: [{name: home, type: local, localConfig: {usersFile: /etc/thv/users.yaml}}]";
    chain(&LOCAL.replace(inline, list), "")
}

#[test]
fn several_providers_are_one_login() {
    for extra in ["", "      optional: true\n", "      onDemand: true\n"] {
        assert_eq!(problems_of(&chain(OIDC, extra), Profile::Production), [], "{extra}");
    }
}

#[test]
fn the_first_provider_can_neither_be_skipped_nor_wait() {
    let first = OIDC.replace("type: oidc,", "type: oidc, optional: true, onDemand: true,");
    let found = problems_of(&first, Profile::Production);
    let paths: Vec<&str> = found.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(
        paths,
        ["authServer.upstreamProviders[0].optional", "authServer.upstreamProviders[0].onDemand"]
    );
    assert!(found.iter().all(|problem| problem.is_error() && problem.message.contains("who the user is")));
}

#[test]
fn optional_and_on_demand_exclude_each_other() {
    let found =
        problems_of(&chain(OIDC, "      optional: true\n      onDemand: true\n"), Profile::Production);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].path, "authServer.upstreamProviders[1].onDemand");
    assert!(found[0].message.starts_with("optional and onDemand exclude each other"), "{}", found[0]);
}

#[test]
fn a_local_provider_can_only_be_first() {
    let local = "\n    - {name: home, type: local, localConfig: {usersFile: /etc/thv/users.yaml}}\n";
    let found = problems_of(&format!("{OIDC}{local}"), Profile::Production);
    assert_eq!(
        lines(&found),
        [
            "authServer.upstreamProviders[1].type: local can only be the first provider: it says who the user is, and has \
             no token to hand on"
        ]
    );
}

#[test]
fn who_logs_in_must_be_known_of_the_first_provider_only() {
    let anonymous = "
    - name: tracker
      type: oauth2
      oauth2Config: {discoveryUrl: 'https://tracker.example.com'}
";
    assert_eq!(problems_of(&format!("{OIDC}{anonymous}"), Profile::Production), []);
}

#[test]
fn the_token_that_is_handed_on_is_of_the_named_provider_or_the_first() {
    let injected = |yaml: &str| {
        let config = Config::parse(yaml).unwrap();
        config.injected_provider().map(|provider| provider.name.clone())
    };
    let named = |name: &str, yaml: &str| {
        yaml.replace("/mcp'}", &format!("/mcp', upstreamInject: {{providerName: {name}}}}}"))
    };
    assert_eq!(injected(&chain(OIDC, "")).as_deref(), Some("corp"));
    assert_eq!(injected(&named("tracker", &chain(OIDC, ""))).as_deref(), Some("tracker"));
    assert_eq!(injected(LOCAL), None, "a local provider has no tokens");
    assert_eq!(injected(&format!("{OIDC}  disableUpstreamTokenInjection: true")), None);
    assert_eq!(problems_of(&named("tracker", &local_chain()), Profile::Production), []);

    let found = problems_of(&local_chain(), Profile::Production);
    assert_eq!(
        lines(&found),
        [
            "server.upstreamInject.providerName: is not set, and the first provider is of type local, which has no token \
             to hand on; name one of tracker"
        ]
    );
    assert!(!found[0].is_error());
    let found = problems_of(&named("home", LOCAL), Profile::Production);
    assert_eq!(
        lines(&found),
        [
            "server.upstreamInject.providerName: \"home\" is of type local, which has no token to hand on; remove it"
        ]
    );
    assert!(found[0].is_error());
}

#[test]
fn the_primary_provider_changes_neither_order_nor_identity() {
    let yaml = chain(OIDC, "") + "  primaryUpstreamProvider: tracker\n";
    assert_eq!(problems_of(&yaml, Profile::Production), []);
    let auth_server = Config::parse(&yaml).unwrap().auth_server.unwrap();
    assert_eq!(auth_server.identity_provider().unwrap().name, "corp");
    assert_eq!(auth_server.primary_provider().unwrap().name, "tracker");
}
