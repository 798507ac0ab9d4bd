//! The embedded authorization server.

use thv_config::{Profile, Severity};

use super::{OIDC, check, problems};

#[test]
fn issuer_rules() {
    let at = "authServer.issuer";
    let base = "authServer.authorizationEndpointBaseUrl";
    check(
        Severity::Error,
        &[
            (OIDC, at, "", at, "usually the same as publicUrl: https://mcp.example.com"),
            (OIDC, at, "\"http://mcp.example.com\"", at, "plain http is for loopback"),
            (OIDC, at, "\"https://mcp.example.com/\"", at, "end with a slash"),
            (OIDC, at, "\"https://mcp.example.com/a/\"", at, "end with a slash"),
            (OIDC, at, "\"https://mcp.example.com/a/%2e%2e/b\"", at, "segment"),
            (OIDC, at, "\"https://mcp.example.com?q\"", at, "a query"),
            (OIDC, at, "\"https://mcp.example.com#f\"", at, "a fragment"),
            (OIDC, at, "\"https://mcp.example.com:443\"", at, "default port"),
            (OIDC, at, "\"https://u@mcp.example.com\"", at, "user name"),
            (OIDC, base, "\"https://login.example.com/\"", base, "end with a slash"),
            (OIDC, base, "\"http://login.example.com\"", base, "must be an https URL"),
        ],
    );
    check(Severity::Warning, &[(OIDC, at, "\"https://login.example.com\"", at, "must be routed")]);
}

#[test]
fn key_rules() {
    assert_eq!(problems(OIDC, "stateDir", None, Profile::Production), [], "a13: it has a default");

    let six = r#"[{"env":"A"},{"env":"B"},{"env":"C"},{"env":"D"},{"env":"E"},{"env":"F"}]"#;
    let keys = "authServer.signingKeySecretRefs";
    let form = "exactly one of";
    check(
        Severity::Error,
        &[
            (OIDC, keys, six, keys, "at most 5"),
            (OIDC, keys, "[{}]", "authServer.signingKeySecretRefs[0]", form),
            (OIDC, keys, r#"[{"file": "/a", "env": "A"}]"#, "authServer.signingKeySecretRefs[0]", form),
            (OIDC, "authServer.hmacSecretRefs", r#"[{"name": "a"}]"#, "authServer.hmacSecretRefs[0]", form),
            (
                OIDC,
                "authServer.upstreamProviders[0].oidcConfig.clientSecretRef",
                "{}",
                "authServer.upstreamProviders[0].oidcConfig.clientSecretRef",
                form,
            ),
        ],
    );
    assert_eq!(problems(OIDC, keys, Some(r#"[{"name": "a", "key": "b"}]"#), Profile::Production), []);
}

#[test]
fn lifespan_rules() {
    let at = |key: &str| format!("authServer.tokenLifespans.{key}");
    for (key, good, bad) in [
        ("accessTokenLifespan", ["1m", "24h"], ["59s", "24h0m1s"]),
        ("refreshTokenLifespan", ["1h", "720h"], ["59m", "721h"]),
        ("authCodeLifespan", ["30s", "10m"], ["29s", "10m1s"]),
    ] {
        for value in good {
            assert_eq!(
                problems(OIDC, &at(key), Some(&format!("{value:?}")), Profile::Production),
                [],
                "{key} {value}"
            );
        }
        for value in bad {
            let found = problems(OIDC, &at(key), Some(&format!("{value:?}")), Profile::Production);
            assert_eq!(found.len(), 1, "{key} {value}");
            assert_eq!(found[0].path, at(key));
            assert!(
                found[0].message.contains(&format!("is outside of {} to {}", good[0], good[1])),
                "{}",
                found[0]
            );
        }
    }
}

#[test]
fn scope_and_audience_rules() {
    let baseline = "authServer.baselineClientScopes";
    let audiences = "authServer.allowedAudiences";
    check(
        Severity::Error,
        &[
            (
                OIDC,
                baseline,
                "[\"x\"]",
                baseline,
                "baselineClientScopes contains \"x\" which is not in scopesSupported",
            ),
            (OIDC, "authServer.scopesSupported", "[]", "authServer.scopesSupported", "must not be empty"),
            (OIDC, "authServer.scopesSupported", "[\"\"]", "authServer.scopesSupported[0]", "a scope token"),
            (
                OIDC,
                audiences,
                "[\"https://mcp.example.com/mcp\", \"urn:x\"]",
                "authServer.allowedAudiences[1]",
                "must be an http or https URI",
            ),
            (
                OIDC,
                audiences,
                "[\"https://mcp.example.com/mcp\", \"https://a.example/#x\"]",
                "authServer.allowedAudiences[1]",
                "fragment",
            ),
        ],
    );
    check(
        Severity::Warning,
        &[
            (OIDC, audiences, "[\"https://a.example\"]", audiences, "https://mcp.example.com/mcp"),
            (OIDC, "authServer.consent.mode", "\"off\"", "authServer.consent.mode", "any client"),
        ],
    );
}

#[test]
fn cimd_rules() {
    let at = |key: &'static str| -> &'static str { format!("authServer.cimd.{key}").leak() };
    let (fallback, pinned) = (at("cacheFallbackTtl"), at("pinnedDocuments"));
    check(
        Severity::Error,
        &[
            (OIDC, at("cacheMaxSize"), "0", at("cacheMaxSize"), "at least 1"),
            (OIDC, fallback, "\"0s\"", fallback, "more than 0s"),
            (OIDC, fallback, "\"59s\"", fallback, "less than cacheMinTtl (1m)"),
            (OIDC, fallback, "\"25h\"", fallback, "more than cacheMaxTtl (24h)"),
            (OIDC, at("maxDocumentSize"), "0", at("maxDocumentSize"), "outside of 1B to 10KiB"),
            (OIDC, at("maxDocumentSize"), "10241", at("maxDocumentSize"), "outside of 1B to 10KiB"),
        ],
    );
    let enabled: &str = OIDC.replace("authServer:", "authServer:\n  cimd: {enabled: true}").leak();
    let client_id = "authServer.cimd.pinnedDocuments[0].clientId";
    check(
        Severity::Error,
        &[
            (
                enabled,
                pinned,
                r#"[{"clientId": "https://a.example", "file": "/f"}]"#,
                client_id,
                "must have a path",
            ),
            (enabled, pinned, r#"[{"clientId": "app", "file": "/f"}]"#, client_id, "absolute URI"),
            (
                enabled,
                pinned,
                r#"[{"clientId": "https://a.example/c#x", "file": "/f"}]"#,
                client_id,
                "fragment",
            ),
            (
                enabled,
                pinned,
                r#"[{"clientId": "https://a.example/c"}]"#,
                "authServer.cimd.pinnedDocuments[0].file",
                "required",
            ),
            (
                enabled,
                pinned,
                r#"[{"clientId": "https://a.example/c", "file": "/f"}, {"clientId": "https://a.example/c", "file": "/g"}]"#,
                "authServer.cimd.pinnedDocuments[1].clientId",
                "twice",
            ),
        ],
    );
    check(
        Severity::Warning,
        &[(OIDC, pinned, r#"[{"clientId": "https://a.example/c", "file": "/f"}]"#, pinned, "no effect")],
    );
}

#[test]
fn a_minimum_above_the_maximum_is_one_of_several_problems() {
    let found = problems(OIDC, "authServer.cimd.cacheMinTtl", Some("\"48h\""), Profile::Production);
    let paths: Vec<&str> = found.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(paths, ["authServer.cimd.cacheFallbackTtl", "authServer.cimd.cacheMinTtl"]);
}

#[test]
fn preregistered_client_rules() {
    let at = "authServer.clients";
    check(
        Severity::Error,
        &[
            (
                OIDC,
                at,
                r#"[{"redirectUris": ["https://a.example/"]}]"#,
                "authServer.clients[0].clientId",
                "required",
            ),
            (
                OIDC,
                at,
                r#"[{"clientId": "https://a.example/c", "redirectUris": ["https://a.example/"]}]"#,
                "authServer.clients[0].clientId",
                "pinnedDocuments",
            ),
            (OIDC, at, r#"[{"clientId": "a"}]"#, "authServer.clients[0].redirectUris", "at least one"),
            (
                OIDC,
                at,
                r#"[{"clientId": "a", "redirectUris": ["javascript:alert(1)"]}]"#,
                "authServer.clients[0].redirectUris[0]",
                "scheme that is not accepted",
            ),
            (
                OIDC,
                at,
                r#"[{"clientId": "a", "redirectUris": ["https://a.example/"], "scopes": ["x"]}]"#,
                "authServer.clients[0].scopes",
                "not in scopesSupported",
            ),
            (
                OIDC,
                at,
                r#"[{"clientId": "a", "redirectUris": ["https://a.example/"]}, {"clientId": "a", "redirectUris": ["https://a.example/"]}]"#,
                "authServer.clients[1].clientId",
                "twice",
            ),
        ],
    );
}
