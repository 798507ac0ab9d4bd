//! Upstream providers.

use thv_config::{Profile, Severity};

use super::{LOCAL, OAUTH2, OIDC, check, lines, problems, problems_of};

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
    let twice = r#"{"name": "corp", "type": "oidc", "oidcConfig": {"issuerUrl": "https://a.example", "clientId": "x"}}"#;
    let found = problems(OIDC, list, Some(&format!("[{twice}, {twice}]")), Profile::Production);
    assert_eq!(lines(&found), ["authServer.upstreamProviders[1].name: \"corp\" occurs twice"]);
    let label = "authServer.upstreamProviders[0].label";
    for wrong in [r#""""#, r#"" a""#, r#""a\nb""#, &format!("{:?}", "x".repeat(65))] {
        check(Severity::Error, &[(OIDC, label, wrong.to_owned().leak(), label, "printable characters")]);
    }
    assert_eq!(problems(OIDC, label, Some("\"Größe & Co.\""), Profile::Production), []);
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
            (
                OIDC,
                issuer,
                "\"https://github.com\"",
                issuer,
                "write instead:\n    preset: github\n    oauth2Config:\n",
            ),
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
        &[(google, at("scopes"), "[\"openid\", \"offline_access\"]", at("scopes"), "preset: google")],
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
            (OAUTH2, at("authorizationEndpoint"), "", at("authorizationEndpoint"), "or set discoveryUrl"),
            (
                OAUTH2,
                at("revocationEndpoint"),
                "\"http://a.example/r\"",
                at("revocationEndpoint"),
                "must be https",
            ),
            (OAUTH2, at("scopeParameter"), "\"user scope\"", at("scopeParameter"), "not a parameter name"),
            (OAUTH2, at("scopeParameter"), "\"state\"", at("scopeParameter"), "itself"),
            (OAUTH2, at("scopeSeparator"), "\"\"", at("scopeSeparator"), "a space, a comma and a semicolon"),
            (OAUTH2, at("resource"), "\"https://a.example/#x\"", at("resource"), "without fragment"),
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

#[test]
fn a_parameter_that_another_key_sets_is_refused() {
    let slack = OAUTH2.replace(
        "clientId: gw",
        "clientId: gw\n        scopeParameter: user_scope\n        resource: 'urn:a'",
    );
    let at = "authServer.upstreamProviders[0].oauth2Config.additionalAuthorizationParams";
    let found = problems(
        &slack,
        at,
        Some(r#"{"user_scope": "x", "resource": "y", "team": "z"}"#),
        Profile::Production,
    );
    assert_eq!(
        lines(&found),
        [
            format!("{at}.resource: \"resource\" is what resource sets; remove one of them"),
            format!("{at}.user_scope: \"user_scope\" is what scopeParameter sets; remove one of them"),
        ]
    );
}

#[test]
fn rfc_8707_a_resource_is_any_absolute_uri_and_must_be_sent_to_matter() {
    for base in [OIDC, OAUTH2] {
        let block = if base == OIDC { "oidcConfig" } else { "oauth2Config" };
        let at = format!("{PROVIDER}.{block}.resource");
        for uri in ["\"https://api.example.com/v1\"", "\"urn:example:api\"", "\"api://0-1\""] {
            assert_eq!(problems(base, &at, Some(uri), Profile::Production), [], "{uri}");
        }
        let found = problems(base, &at, Some("\"api\""), Profile::Production);
        assert_eq!((found.len(), found[0].is_error()), (1, true), "{found:#?}");
        let unsent = match block {
            "oidcConfig" => base.replace("clientId: gw", "clientId: gw, sendResource: false"),
            _ => base.replace("clientId: gw", "clientId: gw\n        sendResource: false"),
        };
        assert_eq!(problems_of(&unsent, Profile::Production), []);
        let found = problems(&unsent, &at, Some("\"urn:a\""), Profile::Production);
        assert_eq!((found.len(), found[0].is_error(), &found[0].path), (1, false, &at), "{found:#?}");
    }
}
