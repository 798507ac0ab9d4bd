//! Known upstream providers.

use std::collections::BTreeSet;
use std::path::Path;

use thv_config::upstream::UpstreamKind;
use thv_config::{Config, Profile, preset, validate};

use super::{OIDC, lines, problems_of};

/// A configuration in which the entry, written as in the documentation, is the second provider.
fn second(entry: &str) -> String {
    let indented: String = entry.lines().map(|line| format!("    {line}\n")).collect();
    format!("{OIDC}{indented}")
}

#[test]
fn every_preset_is_documented_with_an_example_that_works() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, section) = text.split_once("\n## Presets\n").expect("the section is there");
    let section = section.split("\n## ").next().unwrap();
    let mut documented = BTreeSet::new();
    for part in section.split("\n### ").skip(1) {
        let name = part.lines().next().unwrap();
        let (_, example) = part.split_once("```yaml\n").expect("an example");
        // A preset for another provider beside `corp` of the base.
        let example = example.split("```").next().unwrap().replace("name: corp", "name: second");
        assert!(example.contains(&format!("preset: {name}\n")), "{name}");
        let config = Config::parse(&second(&example)).unwrap_or_else(|problems| panic!("{name}: {problems}"));
        assert_eq!(validate(&config, Profile::Production), [], "{name}");
        let provider = &config.auth_server.as_ref().unwrap().upstream_providers[1];
        assert_eq!(provider.preset.as_deref(), Some(name));
        assert_ne!(provider.display_name(), provider.name);
        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(Config::parse(&json).unwrap(), config, "{name} is written and read back the same");
        documented.insert(name);
    }
    assert_eq!(documented.into_iter().collect::<Vec<_>>(), preset::names());
}

#[test]
fn an_unknown_preset_is_one_problem_with_a_suggestion() {
    let all = "atlassian, auth0, datadog, entra, github, google, keycloak, okta, slack";
    let at = "authServer.upstreamProviders[1].preset";
    let found = problems_of(&second("- {name: x, preset: gihtub, oauth2Config: {}}"), Profile::Production);
    assert_eq!(lines(&found), [format!("{at}: `gihtub` is not one of {all}; did you mean `github`?")]);
    let found = problems_of(&second("- {name: x, preset: example}"), Profile::Production);
    assert_eq!(
        lines(&found),
        [format!("{at}: `example` is not one of {all}; leave it out for another provider")]
    );
}

#[test]
fn a_preset_of_another_type_is_one_problem() {
    let found = problems_of(&second("- {name: x, type: oidc, preset: github}"), Profile::Production);
    assert_eq!(
        lines(&found),
        [
            "authServer.upstreamProviders[1].type: preset github is of type oauth2; remove the type or the preset"
        ]
    );
}

#[test]
fn a_preset_says_what_else_it_needs() {
    for (preset, key, hint) in [
        ("entra", "oidcConfig.issuerUrl", "login.microsoftonline.com/TENANT/v2.0"),
        ("okta", "oidcConfig.issuerUrl", "COMPANY.okta.com"),
        ("keycloak", "oidcConfig.issuerUrl", "realms/REALM"),
        ("auth0", "oidcConfig.issuerUrl", "slash at its end"),
        ("google", "oidcConfig.clientId", "either clientId or dcrConfig"),
        ("github", "oauth2Config.clientId", "either clientId or dcrConfig"),
        ("slack", "oauth2Config.clientId", "either clientId or dcrConfig"),
        ("atlassian", "oauth2Config.clientId", "either clientId or dcrConfig"),
        ("datadog", "oauth2Config.discoveryUrl", "https://mcp.datadoghq.com/v1/mcp for the site US1"),
    ] {
        let found = problems_of(&second(&format!("- {{name: x, preset: {preset}}}")), Profile::Production);
        let first = &found[0];
        assert_eq!(first.path, format!("authServer.upstreamProviders[1].{key}"), "{preset}: {found:#?}");
        assert!(first.to_string().contains(hint), "{preset}: {first}");
    }
}

#[test]
fn the_keys_of_the_file_win() {
    let yaml = second(
        "- {name: x, preset: github, label: Code, oauth2Config: {clientId: a, scopes: [repo], tokenEndpoint: \
         'https://ghe.example.com/token', userInfo: {endpointUrl: 'https://ghe.example.com/user'}}}",
    );
    assert_eq!(problems_of(&yaml, Profile::Production), []);
    let config = Config::parse(&yaml).unwrap().auth_server.unwrap();
    let provider = &config.upstream_providers[1];
    let Some(UpstreamKind::OAuth2(oauth2)) = provider.kind() else { panic!("{provider:?}") };
    assert_eq!(provider.display_name(), "Code");
    assert_eq!(oauth2.scopes, ["repo"]);
    assert_eq!(oauth2.authorization_endpoint, "https://github.com/login/oauth/authorize");
    assert_eq!(oauth2.token_endpoint, "https://ghe.example.com/token");
    let user_info = oauth2.user_info.as_ref().unwrap();
    assert_eq!(user_info.endpoint_url, "https://ghe.example.com/user");
    assert_eq!(user_info.field_mapping.subject_fields, ["id"]);
}

#[test]
fn a_preset_works_in_development_too() {
    let yaml = "authServer: {upstreamProviders: [{name: gh, preset: github, oauth2Config: {clientId: a}}]}";
    let config = Config::parse_development("127.0.0.1:8080".parse().unwrap(), None, yaml).unwrap();
    assert_eq!(validate(&config, Profile::Development), []);
}

#[test]
fn a_wrong_guess_of_an_issuer_names_the_preset() {
    let tenant = "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555";
    for (issuer, preset) in [
        ("https://github.com", "github"),
        ("https://api.github.com", "github"),
        ("https://slack.com", "slack"),
        ("https://acme.slack.com", "slack"),
        ("https://api.atlassian.com", "atlassian"),
        ("https://acme.atlassian.net", "atlassian"),
        ("https://www.google.com", "google"),
        ("https://oauth2.googleapis.com", "google"),
        ("https://mcp.datadoghq.com", "datadog"),
        ("https://login.microsoftonline.com/common/v2.0", "entra"),
        (tenant, "entra"),
    ] {
        let entry = format!("- {{name: x, type: oidc, oidcConfig: {{issuerUrl: '{issuer}', clientId: a}}}}");
        let found = problems_of(&second(&entry), Profile::Production);
        let [problem] = found.as_slice() else { panic!("{issuer}: {found:#?}") };
        assert_eq!(problem.path, "authServer.upstreamProviders[1].oidcConfig.issuerUrl", "{problem}");
        assert!(problem.to_string().contains(&format!("preset: {preset}")), "{issuer}: {problem}");
        assert_eq!(
            problem.is_error(),
            issuer != "https://slack.com",
            "{issuer}: logins with Slack are possible"
        );
    }
    for issuer in ["https://accounts.google.com", &format!("{tenant}/v2.0"), "https://github.com.example.com"]
    {
        let entry = format!("- {{name: x, type: oidc, oidcConfig: {{issuerUrl: '{issuer}', clientId: a}}}}");
        assert_eq!(problems_of(&second(&entry), Profile::Production), [], "{issuer}");
    }
}

#[test]
fn a_wrong_guess_of_a_discovery_url_names_the_preset() {
    let found = |url: &str, block: &str| {
        let settings = block.replace("URL", &format!("'{url}'"));
        problems_of(
            &second(&format!("- {{name: x, type: oauth2, oauth2Config: {{{settings}}}}}")),
            Profile::Production,
        )
    };
    for block in ["discoveryUrl: URL", "dcrConfig: {discoveryUrl: URL}", "clientId: a, discoveryUrl: URL"] {
        for (url, preset) in [
            ("https://github.com", "github"),
            ("https://GitHub.com/", "github"),
            ("https://api.slack.com", "slack"),
            ("https://app.datadoghq.com", "datadog"),
        ] {
            let found = found(url, block);
            let [problem] = found.as_slice() else { panic!("{url} {block}: {found:#?}") };
            assert!(problem.path.ends_with("discoveryUrl"), "{problem}");
            assert!(problem.to_string().contains(&format!("preset: {preset}")), "{problem}");
        }
        for url in [
            "https://mcp.datadoghq.com/v1/mcp",
            "https://mcp.atlassian.com",
            "https://github.com/login/oauth",
            "https://login.microsoftonline.com/organizations/v2.0",
        ] {
            assert_eq!(found(url, block), [], "{url} {block}");
        }
    }
}
