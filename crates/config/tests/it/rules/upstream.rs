//! Upstream providers.

use thv_config::{Profile, Severity};

use super::{LOCAL, OAUTH2, OIDC, check, problems};

const PROVIDER: &str = "authServer.upstreamProviders[0]";

#[test]
fn provider_rules() {
    let name = "authServer.upstreamProviders[0].name";
    let kind = "authServer.upstreamProviders[0].type";
    let block = "authServer.upstreamProviders[0].localConfig";
    let primary = "authServer.primaryUpstreamProvider";
    let list = "authServer.upstreamProviders";
    check(
        Severity::Error,
        &[
            (OIDC, list, "[]", list, "at least one"),
            (OIDC, name, "", name, "is required"),
            (OIDC, name, "\"Corp\"", name, "lower-case"),
            (OIDC, name, "\"corp-\"", name, "lower-case"),
            (OIDC, name, "\"urn\"", name, "reserved"),
            (
                OIDC,
                name,
                "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"",
                name,
                "at most 63",
            ),
            (OIDC, kind, "", kind, "one of oidc, oauth2, local"),
            (OIDC, block, r#"{"usersFile": "/f"}"#, block, "does not belong to type oidc"),
            (
                OIDC,
                "authServer.upstreamProviders[0].oidcConfig",
                "",
                "authServer.upstreamProviders[0].oidcConfig",
                "is required for type oidc",
            ),
            (OIDC, primary, "\"other\"", primary, "not the name"),
        ],
    );
    let local = r#"{"name": "corp", "type": "local", "localConfig": {"usersFile": "/f"}}"#;
    let found = problems(OIDC, list, Some(&format!("[{local}, {local}]")), Profile::Production);
    let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "authServer.upstreamProviders: has 2 entries: several upstreams in one login are not available yet; keep one",
            "authServer.upstreamProviders[1].name: \"corp\" occurs twice",
        ]
    );
}

#[test]
fn oidc_provider_rules() {
    let at = |key: &str| -> &'static str { format!("{PROVIDER}.oidcConfig.{key}").leak() };
    let (issuer, params, redirect) =
        (at("issuerUrl"), at("additionalAuthorizationParams"), at("redirectUri"));
    let many: String = (0..17).map(|index| format!("\"p{index}\": \"x\",")).collect();
    let many: &str = format!("{{{}}}", many.trim_end_matches(',')).leak();
    check(
        Severity::Error,
        &[
            (OIDC, issuer, "", issuer, "is required"),
            (OIDC, issuer, "\"http://idp.example.com\"", issuer, "must be an https URL"),
            (OIDC, issuer, "\"https://github.com\"", issuer, "write instead:\n    type: oauth2\n"),
            (OIDC, issuer, "\"https://GitHub.com/login/oauth\"", issuer, "not an OpenID Connect provider"),
            (
                OIDC,
                issuer,
                "\"https://idp.example.com/.well-known/openid-configuration\"",
                issuer,
                "write the issuer alone: https://idp.example.com",
            ),
            (OIDC, at("clientId"), "", at("clientId"), "is required"),
            (OIDC, redirect, "\"https://mcp.example.com/callback\"", redirect, "/oauth/callback"),
            (OIDC, redirect, "\"http://mcp.example.com/oauth/callback\"", redirect, "must be https"),
            (OIDC, at("scopes"), "[\"profile\"]", at("scopes"), "must contain openid"),
            (OIDC, at("subjectClaim"), "\"a-b\"", at("subjectClaim"), "not a claim name"),
            (OIDC, params, r#"{"state": "x"}"#, at("additionalAuthorizationParams.state"), "itself"),
            (OIDC, params, r#"{"nonce": "x"}"#, at("additionalAuthorizationParams.nonce"), "itself"),
            (OIDC, params, many, params, "more than 16"),
            (OIDC, at("userInfoOverride"), "{}", at("userInfoOverride.endpointUrl"), "is required"),
        ],
    );
    let google: &str = OIDC.replace("https://idp.example.com", "https://accounts.google.com").leak();
    check(
        Severity::Error,
        &[(google, at("scopes"), "[\"openid\", \"offline_access\"]", at("scopes"), "access_type: offline")],
    );
    let loopback = problems(OIDC, issuer, Some("\"http://127.0.0.1:9000\""), Profile::Production);
    assert_eq!(loopback, []);
}

#[test]
fn oauth2_provider_rules() {
    let at = |key: &str| -> &'static str { format!("{PROVIDER}.oauth2Config.{key}").leak() };
    let info = at("userInfo");
    check(
        Severity::Error,
        &[
            (OAUTH2, at("authorizationEndpoint"), "", at("authorizationEndpoint"), "is required"),
            (OAUTH2, at("tokenEndpoint"), "\"http://a.example/t\"", at("tokenEndpoint"), "must be https"),
            (OAUTH2, at("clientId"), "\"\"", at("clientId"), "is required"),
            (OAUTH2, info, "{}", at("userInfo.endpointUrl"), "is required"),
            (
                OAUTH2,
                at("userInfo.additionalHeaders"),
                r#"{"Authorization": "x"}"#,
                at("userInfo.additionalHeaders.Authorization"),
                "itself",
            ),
            (
                OAUTH2,
                at("userInfo.additionalHeaders"),
                r#"{"X-A": "a\nb"}"#,
                at("userInfo.additionalHeaders.X-A"),
                "cannot carry",
            ),
            (
                OAUTH2,
                at("userInfo.fieldMapping.subjectFields"),
                "[]",
                at("userInfo.fieldMapping.subjectFields"),
                "must not be empty",
            ),
            (
                OAUTH2,
                at("tokenResponseMapping"),
                "{}",
                at("tokenResponseMapping.accessTokenPath"),
                "is required",
            ),
            (
                OAUTH2,
                at("tokenResponseMapping.scopePath"),
                "\"a.@upstreamjwt\"",
                at("tokenResponseMapping.scopePath"),
                "not a dot path",
            ),
            (OAUTH2, at("identityFromToken"), "{}", at("identityFromToken.subjectPath"), "is required"),
            (
                OAUTH2,
                at("identityFromToken.namePath"),
                "\"a.@keys\"",
                at("identityFromToken.namePath"),
                "the only modifier is @upstreamjwt",
            ),
            (
                OAUTH2,
                at("additionalAuthorizationParams"),
                r#"{"scope": "x"}"#,
                at("additionalAuthorizationParams.scope"),
                "itself",
            ),
        ],
    );
    let anonymous = r#"{"authorizationEndpoint": "https://a.example/a", "tokenEndpoint": "https://a.example/t", "clientId": "x"}"#;
    check(
        Severity::Warning,
        &[(
            OAUTH2,
            "authServer.upstreamProviders[0].oauth2Config",
            anonymous,
            "authServer.upstreamProviders[0].oauth2Config",
            "new user",
        )],
    );
}

#[test]
fn local_provider_rules() {
    let at = "authServer.upstreamProviders[0].localConfig";
    let developer = "authServer.upstreamProviders[0].localConfig.developmentUser";
    check(
        Severity::Error,
        &[
            (LOCAL, at, "{}", "authServer.upstreamProviders[0].localConfig.usersFile", "is required"),
            (LOCAL, at, r#"{"developmentUser": "dev"}"#, developer, "--dev only"),
            (LOCAL, developer, "\"dev\"", developer, "cannot be combined"),
        ],
    );
    assert_eq!(problems(LOCAL, at, Some(r#"{"developmentUser": "dev"}"#), Profile::Development), []);
}
