//! Mistakes in the shape of a file: all at once, with key paths and suggestions.

use thv_config::{Config, Problems};

fn problems(yaml: &str) -> Problems {
    Config::parse(yaml).expect_err("the text must be refused")
}

#[track_caller]
fn assert_lines(yaml: &str, mut expected: Vec<&str>) {
    let problems = problems(yaml);
    let mut lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    lines.sort();
    expected.sort_unstable();
    assert_eq!(lines, expected);
}

#[test]
fn all_mistakes_are_reported_at_once_with_their_paths() {
    assert_lines(
        "
listen: 8080
publicURL: https://mcp.example.com
server: {url: true, transport: websocket}
trustedProxies: [10.0.0.0/8, 10.0.0.1, x]
allowedOrigins: https://a.example
authServer:
  upstreams: []
  upstreamProviders:
    - {name: a, type: odic}
    - {name: b, typ: oidc, oidcConfig: {client_id: x, subjectClaim: [sub], clientSecret: hunter2}}
    - gh
    - {name: c, type: oauth2, oauth2Config: {clientSecretRef: hunter2, scopes: [a, 1], dcrConfig: {initialAccessTokenFile: /f}}}
    - {name: d, registration: manual, oidcConfig: {allowPrivateIps: true}}
  tokenLifespans: {accessTokenLifespan: 60, authCodeLifespan: 1d}
  cimd: {maxDocumentSize: 5 kibibytes, cacheMaxSize: -1, enabled: yes, allowLoopback: true}
  storage:
    type: postgres
    redisConfig: {}
    redis: {db: -1, addr: [a], sentinelConfig: {sentinelService: {port: 65536}}, aclUserConfig: {password: hunter2}}
    encryptionKeySecretRefs: [hunter2]
  trustedIssuers: []
egress: {hostOverrides: {a.example:443: b.example:443}}
",
        vec![
            "listen: expected text, found a number; put the value into quotes",
            "publicURL: unknown key `publicURL`; did you mean `publicUrl`?",
            "server.url: expected text, found a boolean; put the value into quotes",
            "server.transport: `websocket` is not one of streamable-http, sse",
            "trustedProxies[1]: \"10.0.0.1\" is an address, not a network; write 10.0.0.1/32",
            "trustedProxies[2]: \"x\" is not a network; write one such as 10.0.0.0/8 or fd00::/8",
            "allowedOrigins: expected a list, found text",
            "authServer.upstreams: unknown key `upstreams`; did you mean `upstreamProviders`?",
            "authServer.upstreamProviders[0].type: `odic` is not one of oidc, oauth2, local; did you mean `oidc`?",
            "authServer.upstreamProviders[1].typ: unknown key `typ`; did you mean `type`?",
            "authServer.upstreamProviders[1].oidcConfig.client_id: unknown key `client_id`; did you mean `clientId`?",
            "authServer.upstreamProviders[1].oidcConfig.subjectClaim: expected text, found a list",
            "authServer.upstreamProviders[1].oidcConfig.clientSecret: unknown key `clientSecret`; write \
             clientSecretRef: {file: /run/secrets/name} or {env: NAME}; a secret does not belong here",
            "authServer.upstreamProviders[2]: expected a mapping, found text",
            "authServer.upstreamProviders[3].oauth2Config.clientSecretRef: a secret does not belong into the \
             configuration; refer to it with {file: /run/secrets/name} or {env: NAME}",
            "authServer.upstreamProviders[3].oauth2Config.scopes[1]: expected text, found a number; put the value \
             into quotes",
            "authServer.upstreamProviders[3].oauth2Config.dcrConfig.initialAccessTokenFile: unknown key \
             `initialAccessTokenFile`; write initialAccessTokenRef: {file: …}",
            "authServer.upstreamProviders[4].oidcConfig.allowPrivateIps: unknown key `allowPrivateIps`; did you mean \
             `allowPrivateIPs`?",
            "authServer.upstreamProviders[4].registration: `manual` is not one of auto, preregistered, cimd, dcr",
            "authServer.tokenLifespans.accessTokenLifespan: \"60\" has no unit; write for example 60s or 60m",
            "authServer.tokenLifespans.authCodeLifespan: \"1d\" has the unknown unit \"d\"; use h, m, s, ms, us or ns \
             (a day is 24h)",
            "authServer.cimd.maxDocumentSize: \"5 kibibytes\" has the unknown unit \"kibibytes\"; use B, KiB, MiB, GiB, \
             kB, MB or GB",
            "authServer.cimd.cacheMaxSize: expected a whole number up to 4294967295, found a number",
            "authServer.cimd.enabled: expected true or false, found text",
            "authServer.cimd.allowLoopback: unknown key `allowLoopback`; the keys here are enabled, cacheMaxSize, \
             cacheFallbackTtl, cacheMinTtl, cacheMaxTtl, staleIfError, maxDocumentSize, pinnedDocuments",
            "authServer.storage.type: `postgres` is not one of memory, sqlite, redis",
            "authServer.storage.redisConfig: unknown key `redisConfig`; did you mean `redis`?",
            "authServer.storage.redis.db: expected a whole number up to 4294967295, found a number",
            "authServer.storage.redis.addr: expected text, found a list",
            "authServer.storage.redis.sentinelConfig.sentinelService.port: expected a whole number up to 65535, found a \
             number",
            "authServer.storage.redis.aclUserConfig.password: unknown key `password`; did you mean `passwordSecretRef`?",
            "authServer.storage.encryptionKeySecretRefs[0]: a secret does not belong into the configuration; refer to it \
             with {file: /run/secrets/name} or {env: NAME}",
            "authServer.trustedIssuers: unknown key `trustedIssuers`; token exchange is not available in this build",
            "egress.hostOverrides.a.example:443: \"b.example:443\" is not an IP address with a port; write one such as \
             127.0.0.1:8080 or [::1]:8080",
        ],
    );
}

#[test]
fn no_problem_shows_a_value_that_may_be_a_secret() {
    let text = problems(
        "authServer: {signingKeySecretRefs: hunter2, hmacSecretRefs: [hunter2], clients: [{clientSecretRef: [hunter2]}]}\n\
         oidc: hunter2\ntls: hunter2\n",
    )
    .to_string();
    assert_eq!(text.lines().count(), 5, "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn list_indexes_stay_those_of_the_file_after_earlier_mistakes() {
    assert_lines(
        "trustedProxies: [a, 10.0.0.0/8, b, c, 10.1.0.0/16, d]",
        ["a:0", "b:2", "c:3", "d:5"]
            .map(|text| {
                let (text, index) = text.split_once(':').unwrap();
                &*format!(
                    "trustedProxies[{index}]: {text:?} is not a network; write one such as 10.0.0.0/8 or fd00::/8"
                )
                .leak()
            })
            .to_vec(),
    );
}

#[test]
fn a_key_without_a_value_is_like_no_key_but_must_exist() {
    let config = Config::parse("tls:\ntrustedProxies:\npublicUrl:\nserver:\n  transport:\n").unwrap();
    assert_eq!(config, Config::default());
    assert_lines("tsl:\n", vec!["tsl: unknown key `tsl`; did you mean `tls`?"]);
}

#[test]
fn an_empty_file_is_an_empty_configuration() {
    assert_eq!(Config::parse("").unwrap(), Config::default());
    assert_eq!(Config::parse("# nothing\n").unwrap(), Config::default());
}

#[test]
fn texts_that_yaml_1_1_took_for_booleans_stay_texts() {
    let config = Config::parse("authServer: {consent: {mode: off}}").unwrap();
    assert_eq!(config.auth_server.unwrap().consent.mode, thv_config::auth_server::ConsentMode::Off);
}

#[test]
fn yaml_that_cannot_be_read_is_refused_with_its_place() {
    for (yaml, expected) in [
        ("server:\n  url: [a\nlisten: x", "line 3"),
        ("listen: a\npublicUrl: b\nlisten: c\n", "line 3"),
        ("- a\n- b\n", "must be a mapping"),
        ("hello", "must be a mapping"),
        ("a: 1\n---\nb: 2\n", "document"),
    ] {
        let text = problems(yaml).to_string();
        assert!(text.contains(expected), "{yaml:?}: {text}");
    }
    assert!(problems("listen: a\nlisten: b\n").to_string().contains("duplicate"));
}

#[test]
fn texts_that_grow_when_read_are_refused() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    let text = problems(&bomb).to_string();
    assert!(text.contains("cannot be read"), "{text}");
    let deep = "[".repeat(5000);
    assert!(problems(&deep).to_string().contains("cannot be read"));
    let long = format!("publicUrl: {}", "x".repeat(2 << 20));
    assert!(problems(&long).to_string().contains("more than 1048576"));
}

#[test]
fn the_number_of_reported_problems_is_bounded() {
    let yaml: String = (0..5000).map(|index| format!("bad{index}: 1\n")).collect();
    assert_eq!(problems(&yaml).iter().count(), 50);
}

#[test]
fn a_missing_file_is_named() {
    let problems = Config::load(std::path::Path::new("/nonexistent/thv.yaml")).unwrap_err();
    assert!(problems.to_string().starts_with("/nonexistent/thv.yaml cannot be read"), "{problems}");
}
