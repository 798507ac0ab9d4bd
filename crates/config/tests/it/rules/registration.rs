//! How this server becomes a client of an upstream provider.

use thv_config::upstream::{Registration, UpstreamKind};
use thv_config::{Config, Profile};

use super::{lines, problems_of};

const HEAD: &str = "
publicUrl: https://mcp.example.com
server: {url: 'http://127.0.0.1:3001/mcp'}
authServer:
  issuer: https://mcp.example.com
  upstreamProviders:
    - {name: corp, type: oidc, oidcConfig: {issuerUrl: 'https://idp.example.com', clientId: gw}}
";

fn oauth2(registration: &str, settings: &str) -> String {
    let registration =
        if registration.is_empty() { String::new() } else { format!("registration: {registration}, ") };
    format!("{HEAD}    - {{name: tracker, type: oauth2, {registration}oauth2Config: {{{settings}}}}}\n")
}

fn oidc(registration: &str, settings: &str) -> String {
    oauth2(registration, &format!("issuerUrl: 'https://a.example', {settings}"))
        .replace("type: oauth2", "type: oidc")
        .replace("oauth2Config", "oidcConfig")
}

fn mode(yaml: &str) -> Registration {
    assert_eq!(problems_of(yaml, Profile::Production), [], "{yaml}");
    Config::parse(yaml).unwrap().auth_server.unwrap().upstream_providers[1].registration_mode()
}

const ENDPOINTS: &str = "authorizationEndpoint: 'https://a.example/a', tokenEndpoint: 'https://a.example/t'";

#[test]
fn rfc_7591_how_a_client_comes_about_follows_from_what_is_configured() {
    let dcr = "dcrConfig: {discoveryUrl: 'https://a.example'}";
    assert_eq!(mode(&oauth2("", dcr)), Registration::Dcr);
    assert_eq!(mode(&oauth2("auto", dcr)), Registration::Auto);
    assert_eq!(
        mode(&oauth2("", "discoveryUrl: 'https://a.example/.well-known/oauth-authorization-server'")),
        Registration::Auto
    );
    assert_eq!(mode(&oauth2("", &format!("clientId: x, {ENDPOINTS}"))), Registration::Preregistered);
    assert_eq!(mode(&oauth2("auto", &format!("clientId: x, {ENDPOINTS}"))), Registration::Auto);
    assert_eq!(
        mode(&oauth2("", "clientId: x, discoveryUrl: 'https://a.example/'")),
        Registration::Preregistered
    );
    assert_eq!(mode(&oauth2("cimd", "discoveryUrl: 'https://a.example'")), Registration::Cimd);
    assert_eq!(
        mode(&oauth2("dcr", "discoveryUrl: 'https://a.example', dcrConfig: {softwareId: x}")),
        Registration::Dcr
    );
    let endpoint = "dcrConfig: {registrationEndpoint: 'https://a.example/r'}";
    assert_eq!(mode(&oauth2("", &format!("{endpoint}, {ENDPOINTS}"))), Registration::Dcr);
    assert_eq!(mode(&oidc("", "dcrConfig: {deleteOnRemoval: true}")), Registration::Dcr);
    assert_eq!(mode(&oidc("auto", "")), Registration::Auto);
    assert_eq!(mode(&oidc("cimd", "")), Registration::Cimd);
}

#[test]
fn manifests_that_give_endpoints_beside_a_discovery_url_are_accepted() {
    let yaml = oauth2("", &format!("{ENDPOINTS}, dcrConfig: {{discoveryUrl: 'https://a.example'}}"));
    assert_eq!(mode(&yaml), Registration::Dcr);
    let config = Config::parse(&yaml).unwrap().auth_server.unwrap();
    let Some(UpstreamKind::OAuth2(oauth2)) = config.upstream_providers[1].kind() else { panic!("{yaml}") };
    assert_eq!(oauth2.metadata_url(), Some("https://a.example"));
    assert_eq!(oauth2.token_endpoint, "https://a.example/t");
}

/// (kind, registration, settings, key of the one problem, part of its message)
const WRONG: [(&str, &str, &str, &str, &str); 26] = [
    ("oidc", "", "", "oidcConfig.clientId", "either clientId or dcrConfig is required"),
    ("oidc", "preregistered", "", "oidcConfig.clientId", "required for registration: preregistered"),
    (
        "oidc",
        "",
        "clientId: x, dcrConfig: {}",
        "oidcConfig.dcrConfig",
        "clientId and dcrConfig exclude each other",
    ),
    (
        "oidc",
        "",
        "clientSecretRef: {file: /s}, dcrConfig: {}",
        "oidcConfig.clientSecretRef",
        "belongs to a clientId",
    ),
    ("oidc", "auto", "clientSecretRef: {file: /s}", "oidcConfig.clientSecretRef", "belongs to a clientId"),
    ("oidc", "cimd", "clientId: x", "registration", "cimd and clientId exclude each other"),
    ("oidc", "dcr", "clientId: x", "registration", "dcr and clientId exclude each other"),
    ("oidc", "cimd", "dcrConfig: {}", "oidcConfig.dcrConfig", "does not belong to registration: cimd"),
    (
        "oidc",
        "",
        "dcrConfig: {discoveryUrl: 'https://a.example', registrationEndpoint: 'https://a.example/r'}",
        "oidcConfig.dcrConfig",
        "discoveryUrl and registrationEndpoint exclude each other",
    ),
    (
        "oidc",
        "",
        "dcrConfig: {softwareStatement: a.b}",
        "oidcConfig.dcrConfig.softwareStatement",
        "must be a JWT",
    ),
    (
        "oidc",
        "",
        "dcrConfig: {softwareStatement: 'a. b.c'}",
        "oidcConfig.dcrConfig.softwareStatement",
        "must be a JWT",
    ),
    ("oidc", "", "dcrConfig: {softwareId: ''}", "oidcConfig.dcrConfig.softwareId", "1 to 255"),
    ("oidc", "", "dcrConfig: {clientName: ' a'}", "oidcConfig.dcrConfig.clientName", "printable"),
    (
        "oidc",
        "",
        "dcrConfig: {initialAccessTokenRef: {}}",
        "oidcConfig.dcrConfig.initialAccessTokenRef",
        "exactly one of",
    ),
    ("oauth2", "", "dcrConfig: {}", "oauth2Config.dcrConfig", "either discoveryUrl or registrationEndpoint"),
    (
        "oauth2",
        "",
        "dcrConfig: {discoveryUrl: 'http://a.example'}",
        "oauth2Config.dcrConfig.discoveryUrl",
        "must be https",
    ),
    (
        "oauth2",
        "",
        "dcrConfig: {discoveryUrl: 'https://a.example?x'}",
        "oauth2Config.dcrConfig.discoveryUrl",
        "a query",
    ),
    (
        "oauth2",
        "",
        "dcrConfig: {discoveryUrl: 'https://a.example#x'}",
        "oauth2Config.dcrConfig.discoveryUrl",
        "a fragment",
    ),
    (
        "oauth2",
        "",
        "authorizationEndpoint: 'https://a.example/a', dcrConfig: {registrationEndpoint: 'https://a.example/r'}",
        "oauth2Config.tokenEndpoint",
        "is required",
    ),
    (
        "oauth2",
        "",
        "discoveryUrl: 'https://a.example', dcrConfig: {discoveryUrl: 'https://a.example'}",
        "oauth2Config.dcrConfig.discoveryUrl",
        "keep one of them",
    ),
    ("oauth2", "", "discoveryUrl: a.example", "oauth2Config.discoveryUrl", "absolute URL"),
    ("oauth2", "auto", "", "oauth2Config.discoveryUrl", "is required for registration: auto"),
    ("oauth2", "cimd", "", "oauth2Config.discoveryUrl", "is required for registration: cimd"),
    ("oauth2", "dcr", "", "oauth2Config.discoveryUrl", "is required for registration: dcr"),
    (
        "oauth2",
        "",
        "authorizationEndpoint: 'https://a.example/a', tokenEndpoint: 'https://a.example/t'",
        "oauth2Config.clientId",
        "either clientId or dcrConfig is required",
    ),
    (
        "oauth2",
        "preregistered",
        "discoveryUrl: 'https://a.example', dcrConfig: {}, clientId: x",
        "oauth2Config.dcrConfig",
        "exclude each other",
    ),
];

#[test]
fn registration_rules() {
    for (kind, registration, settings, key, message) in WRONG {
        let yaml = if kind == "oidc" { oidc(registration, settings) } else { oauth2(registration, settings) };
        let found = problems_of(&yaml, Profile::Production);
        let [problem] = found.as_slice() else { panic!("{registration} {settings}: {found:#?}") };
        let at = format!("authServer.upstreamProviders[1].{key}");
        assert_eq!((&problem.path, problem.is_error()), (&at, true), "{registration} {settings}: {problem}");
        assert!(problem.to_string().contains(message), "{registration} {settings}: {problem}");
    }
}

#[test]
fn cimd_at_a_provider_needs_an_https_issuer() {
    for settings in ["cimd", "auto"] {
        let plain = oidc(settings, "").replace("issuer: https://mcp", "issuer: http://mcp");
        let plain = plain.replace("authServer:", "authServer:\n  insecureAllowHTTP: true");
        let found = problems_of(&plain, Profile::Production);
        let said = lines(&found).into_iter().any(|line| {
            line.starts_with("authServer.upstreamProviders[1].registration: cimd needs an https issuer")
        });
        assert_eq!(said, settings == "cimd", "{found:#?}");
    }
}

#[test]
fn registration_texts_are_bounded() {
    for (key, most) in [("softwareId", 255), ("clientName", 255)] {
        let with = |length: usize| oidc("", &format!("dcrConfig: {{{key}: {}}}", "x".repeat(length)));
        assert_eq!(problems_of(&with(most), Profile::Production), []);
        assert_eq!(problems_of(&with(most + 1), Profile::Production).len(), 1);
    }
    let statement =
        |length: usize| oidc("", &format!("dcrConfig: {{softwareStatement: a.b.{}}}", "x".repeat(length)));
    assert_eq!(problems_of(&statement(16_380), Profile::Production), []);
    let found = problems_of(&statement(16_381), Profile::Production);
    assert_eq!(
        lines(&found),
        [
            "authServer.upstreamProviders[1].oidcConfig.dcrConfig.softwareStatement: has 16385 bytes, more than 16384"
        ]
    );
    let url =
        |length: usize| oauth2("", &format!("discoveryUrl: 'https://a.example/{}'", "x".repeat(length)));
    assert_eq!(problems_of(&url(2030), Profile::Production), []);
    assert_eq!(problems_of(&url(2031), Profile::Production).len(), 1);
}

#[test]
fn plain_http_is_for_loopback_or_by_permission() {
    for settings in [
        "discoveryUrl: 'http://127.0.0.1:9000'",
        "discoveryUrl: 'http://a.example', insecureAllowHTTP: true",
        "dcrConfig: {discoveryUrl: 'http://a.example'}, insecureAllowHTTP: true",
    ] {
        assert_eq!(problems_of(&oauth2("", settings), Profile::Production), [], "{settings}");
    }
}

#[test]
fn a_local_provider_has_no_clients() {
    let yaml = HEAD.replace(
        "type: oidc, oidcConfig: {issuerUrl: 'https://idp.example.com', clientId: gw}",
        "type: local, registration: auto, localConfig: {usersFile: /u}",
    );
    let found = problems_of(&yaml, Profile::Production);
    assert_eq!(
        lines(&found),
        ["authServer.upstreamProviders[0].registration: does not belong to type local, which has no clients"]
    );
}
