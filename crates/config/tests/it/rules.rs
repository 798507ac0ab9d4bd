//! Rules between values: each case changes one key of a correct configuration and names the one problem that follows.

mod auth_server;
mod chain;
mod preset;
mod registration;
mod storage;
mod upstream;

use thv_config::{Config, Problem, Profile, Severity, validate};

const OIDC: &str = "
publicUrl: https://mcp.example.com
server: {url: 'http://127.0.0.1:3001/mcp'}
stateDir: /var/lib/thv
authServer:
  issuer: https://mcp.example.com
  upstreamProviders:
    - {name: corp, type: oidc, oidcConfig: {issuerUrl: 'https://idp.example.com', clientId: gw}}
";
const OAUTH2: &str = "
publicUrl: https://mcp.example.com
server: {url: 'http://127.0.0.1:3001/mcp'}
stateDir: /var/lib/thv
authServer:
  issuer: https://mcp.example.com
  upstreamProviders:
    - name: gh
      type: oauth2
      oauth2Config:
        authorizationEndpoint: https://idp.example.com/authorize
        tokenEndpoint: https://idp.example.com/token
        clientId: gw
        userInfo: {endpointUrl: 'https://idp.example.com/user'}
        tokenResponseMapping: {accessTokenPath: a.b}
        identityFromToken: {subjectPath: a.id}
";
const LOCAL: &str = "
publicUrl: https://mcp.example.com
server: {url: 'http://127.0.0.1:3001/mcp'}
stateDir: /var/lib/thv
authServer:
  issuer: https://mcp.example.com
  upstreamProviders: [{name: home, type: local, localConfig: {usersFile: /etc/thv/users.yaml}}]
";
const EXTERNAL: &str = "
publicUrl: https://mcp.example.com
server: {url: 'http://127.0.0.1:3001/mcp'}
oidc: {issuer: 'https://idp.example.com'}
";

/// The problems of `base` with the JSON `value` at the key path `path`; without a value the key is removed.
fn problems(base: &str, path: &str, value: Option<&str>, profile: Profile) -> Vec<Problem> {
    let mut root = serde_json::to_value(Config::parse(base).unwrap()).unwrap();
    let pointer = path.replace('[', ".").replace(']', "");
    let (parents, last) = pointer.rsplit_once('.').unwrap_or(("", &pointer));
    let mut node = &mut root;
    for step in parents.split('.').filter(|step| !step.is_empty()) {
        node = match step.parse::<usize>() {
            Ok(index) => &mut node[index],
            Err(_) => &mut node[step],
        };
    }
    match value {
        Some(value) => node[last] = serde_json::from_str(value).unwrap(),
        None => drop(node.as_object_mut().unwrap().remove(last).expect("the key to remove is there")),
    }
    let config = Config::parse(&root.to_string()).unwrap_or_else(|problems| panic!("{path}: {problems}"));
    validate(&config, profile)
}

/// The problems of a whole text.
fn problems_of(yaml: &str, profile: Profile) -> Vec<Problem> {
    let config = Config::parse(yaml).unwrap_or_else(|problems| panic!("{yaml}: {problems}"));
    validate(&config, profile)
}

/// The problems as they are printed, errors and warnings alike.
fn lines(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

/// (base, key path that is changed, JSON value or none to remove it, path of the problem, part of its message)
type Case = (&'static str, &'static str, &'static str, &'static str, &'static str);

#[track_caller]
fn check(severity: Severity, cases: &[Case]) {
    for (base, path, value, at, message) in cases {
        let value = (!value.is_empty()).then_some(*value);
        let found = problems(base, path, value, Profile::Production);
        let [problem] = found.as_slice() else {
            panic!("{path} = {value:?}: expected one problem, got {found:#?}")
        };
        assert_eq!(problem.severity, severity, "{path} = {value:?}: {problem}");
        assert_eq!(problem.path, *at, "{path} = {value:?}: {problem}");
        assert!(problem.to_string().contains(message), "{path} = {value:?}: {problem}");
    }
}

#[test]
fn the_bases_are_correct() {
    for base in [OIDC, OAUTH2, LOCAL, EXTERNAL] {
        assert_eq!(validate(&Config::parse(base).unwrap(), Profile::Production), []);
    }
}

#[test]
fn an_empty_configuration_names_all_that_is_required() {
    let problems = validate(&Config::default(), Profile::Production);
    let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(paths, ["publicUrl", "server.url", "authServer"]);
    let config =
        Config::parse("authServer: {upstreamProviders: [{}], clients: [{}], cimd: {pinnedDocuments: [{}]}}");
    let problems = validate(&config.unwrap(), Profile::Production);
    let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "publicUrl",
            "server.url",
            "authServer.issuer",
            "authServer.upstreamProviders[0].name",
            "authServer.upstreamProviders[0].type",
            "authServer.cimd.pinnedDocuments",
            "authServer.cimd.pinnedDocuments[0].clientId",
            "authServer.cimd.pinnedDocuments[0].file",
            "authServer.clients[0].clientId",
            "authServer.clients[0].redirectUris",
        ]
    );
}

#[test]
fn listener_rules() {
    let at = "publicUrl";
    check(
        Severity::Error,
        &[
            (EXTERNAL, at, "", at, "is required; the origin"),
            (EXTERNAL, at, "\"mcp.example.com\"", at, "absolute URL"),
            (EXTERNAL, at, "\"http://mcp.example.com\"", at, "must be https"),
            (EXTERNAL, at, "\"https://mcp.example.com/\"", at, "trailing slash"),
            (EXTERNAL, at, "\"https://mcp.example.com/mcp\"", at, "a path"),
            (EXTERNAL, at, "\"https://mcp.example.com:443\"", at, "default port"),
            (EXTERNAL, at, "\"https://MCP.example.com\"", at, "upper-case"),
            (EXTERNAL, at, "\"https://mcp.example.com?x\"", at, "a query"),
            (EXTERNAL, "tls", r#"{"certFile": "/c"}"#, "tls.keyFile", "required"),
            (EXTERNAL, "tls", r#"{"keyFile": "/c"}"#, "tls.certFile", "required"),
            (EXTERNAL, "metricsListen", "\"0.0.0.0:8080\"", "metricsListen", "must differ"),
            (EXTERNAL, "stateDir", "\"\"", "stateDir", "empty"),
            (EXTERNAL, "limits.maxConnections", "0", "limits.maxConnections", "at least 1"),
            (EXTERNAL, "limits.maxConnectionsPerSource", "0", "limits.maxConnectionsPerSource", "at least 1"),
            (EXTERNAL, "limits.maxRequestBody", "0", "limits.maxRequestBody", "at least 1"),
            (EXTERNAL, "allowedOrigins", "[\"*\"]", "allowedOrigins[0]", "every web page"),
            (EXTERNAL, "allowedOrigins", "[\"null\"]", "allowedOrigins[0]", "every web page"),
            (EXTERNAL, "allowedOrigins", "[\"https://a.example/\"]", "allowedOrigins[0]", "trailing slash"),
            (
                EXTERNAL,
                "egress.hostOverrides",
                r#"{"idp.example.com": "10.0.0.1:443"}"#,
                "egress.hostOverrides.idp.example.com",
                "host:port",
            ),
        ],
    );
    assert_eq!(problems(EXTERNAL, at, Some("\"http://127.0.0.1:8080\""), Profile::Production), []);
    let insecure = format!("{EXTERNAL}\ninsecureAllowHTTP: true");
    check(
        Severity::Warning,
        &[(insecure.leak(), at, "\"http://mcp.test\"", "insecureAllowHTTP", "unencrypted")],
    );
}

#[test]
fn server_rules() {
    let inject = "server.upstreamInject";
    let header = "server.upstreamInject.customHeaderName";
    check(
        Severity::Error,
        &[
            (OIDC, "server.url", "", "server.url", "is required"),
            (OIDC, "server.url", "\"127.0.0.1:3001\"", "server.url", "absolute"),
            (OIDC, "server.url", "\"http://u:p@host/mcp\"", "server.url", "user name"),
            (OIDC, "server.path", "\"mcp\"", "server.path", "plain absolute path"),
            (OIDC, "server.path", "\"/a/../b\"", "server.path", "plain absolute path"),
            (OIDC, "server.path", "\"/a b\"", "server.path", "plain absolute path"),
            (OIDC, "server.path", "\"/a?b\"", "server.path", "plain absolute path"),
            (OIDC, "server.path", "\"//a\"", "server.path", "plain absolute path"),
            (OIDC, "server.path", "\"/mcp/\"", "server.path", "slash"),
            (OIDC, "server.path", "\"/oauth/mcp\"", "server.path", "gateway itself"),
            (OIDC, "server.path", "\"/health\"", "server.path", "gateway itself"),
            (OIDC, "server.requiredScopes", "[\"a b\"]", "server.requiredScopes[0]", "a scope token"),
            (OIDC, inject, r#"{"headerStrategy": "custom"}"#, header, "is required"),
            (OIDC, inject, r#"{"customHeaderName": "X-T"}"#, header, "only for headerStrategy"),
            (
                OIDC,
                inject,
                r#"{"headerStrategy": "custom", "customHeaderName": "a b"}"#,
                header,
                "not a header",
            ),
            (
                OIDC,
                inject,
                r#"{"headerStrategy": "custom", "customHeaderName": "Cookie"}"#,
                header,
                "its own",
            ),
            (
                OIDC,
                inject,
                r#"{"headerStrategy": "custom", "customHeaderName": "Mcp-Session-Id"}"#,
                header,
                "its own",
            ),
            (
                OIDC,
                inject,
                r#"{"providerName": "other"}"#,
                "server.upstreamInject.providerName",
                "not the name",
            ),
            (EXTERNAL, inject, r#"{"providerName": "corp"}"#, inject, "needs authServer"),
            (
                OIDC,
                "server.transport",
                "\"sse\"",
                "server.transport",
                "streamable-http carries SSE responses",
            ),
        ],
    );
    assert_eq!(problems(OIDC, "server.path", Some("\"/health-records\""), Profile::Production), []);
    assert_eq!(problems(OIDC, "server.path", Some("\"/\""), Profile::Production), []);
    let found = problems(OIDC, "server.requiredScopes", Some("[\"mcp\"]"), Profile::Production);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].message, "requiredScopes contains \"mcp\" which is not in scopesSupported");
}

#[test]
fn exactly_one_authorization_server_is_configured() {
    let oidc = r#"{"issuer": "https://idp.example.com"}"#;
    check(
        Severity::Error,
        &[
            (OIDC, "oidc", oidc, "oidc", "mutually exclusive"),
            (EXTERNAL, "oidc", "", "authServer", "is required"),
        ],
    );
}

#[test]
fn external_issuer_rules() {
    let endpoint = "oidc.introspectionUrl";
    check(
        Severity::Error,
        &[
            (EXTERNAL, "oidc.issuer", "", "oidc.issuer", "is required"),
            (EXTERNAL, "oidc.issuer", "\"http://idp.example.com\"", "oidc.issuer", "must be an https URL"),
            (EXTERNAL, "oidc.audience", "\"\"", "oidc.audience", "must not be empty"),
            (EXTERNAL, "oidc.jwksUrl", "\"http://idp.example.com\"", "oidc.jwksUrl", "must be https"),
            (EXTERNAL, endpoint, "\"https://idp.example.com/i\"", endpoint, "needs clientId"),
            (EXTERNAL, "oidc.clientId", "\"gw\"", endpoint, "is required with clientId"),
            (EXTERNAL, "oidc.scopes", "[\"a\", \"a\"]", "oidc.scopes[1]", "occurs twice"),
        ],
    );
}

#[test]
fn the_resource_identifier_is_the_public_url_with_the_path() {
    let mut config = Config::parse(OIDC).unwrap();
    assert_eq!(config.resource(), "https://mcp.example.com/mcp");
    assert_eq!(config.audiences(), ["https://mcp.example.com/mcp"]);
    config.auth_server.as_mut().unwrap().allowed_audiences = vec!["https://a.example".to_owned()];
    assert_eq!(config.audiences(), ["https://a.example"]);
}

#[test]
fn all_secret_references_are_found_with_their_paths() {
    let config = Config::load(&crate::examples::directory().join("full.yaml")).unwrap();
    let paths: Vec<String> = thv_config::secret_refs(&config).into_iter().map(|(path, _)| path).collect();
    assert_eq!(
        paths,
        [
            "authServer.upstreamProviders[0].oidcConfig.clientSecretRef",
            "authServer.upstreamProviders[1].oauth2Config.dcrConfig.initialAccessTokenRef",
            "authServer.signingKeySecretRefs[0]",
            "authServer.signingKeySecretRefs[1]",
            "authServer.hmacSecretRefs[0]",
            "authServer.clients[0].clientSecretRef",
            "authServer.storage.encryptionKeySecretRefs[0]",
        ]
    );
}
