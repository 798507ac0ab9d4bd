mod known_clients;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::error::ErrorCode;
use crate::grant_type::GrantType;

const URL: &str = "https://c.example/client.json";

fn policy() -> DocumentPolicy {
    DocumentPolicy {
        supported_auth_methods: vec![AuthMethod::None, AuthMethod::PrivateKeyJwt],
        scopes_supported: ScopeSet::parse("openid profile offline_access").unwrap(),
    }
}

fn document() -> Value {
    json!({"client_id": URL, "client_name": "C", "redirect_uris": ["https://c.example/cb"]})
}

/// The smallest valid document with members replaced, added, or (by `null`) removed.
fn with(changes: Value) -> Value {
    let mut document = document();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            document.as_object_mut().unwrap().remove(name);
        } else {
            document[name] = value.clone();
        }
    }
    document
}

fn examined(document: &Value) -> Report {
    examine_bytes(URL, document.to_string().as_bytes())
}

fn examine_bytes(url: &str, body: &[u8]) -> Report {
    examine(&MetadataUrl::parse(url, true).unwrap(), body, &policy())
}

fn accepted(document: &Value) -> ClientMetadata {
    examined(document).into_result().unwrap_or_else(|refusal| panic!("{document}: {refusal:?}"))
}

fn refused(document: &Value) -> Rule {
    let refusal = examined(document).into_result().expect_err(&document.to_string());
    assert!(!refusal.detail.is_empty() && !refusal.fix.is_empty());
    refusal.rule
}

#[test]
fn every_rule_has_its_own_reason_and_title() {
    for (at, rule) in Rule::ALL.into_iter().enumerate() {
        assert!(rule.row().starts_with("AS-") && !rule.title().is_empty());
        assert!(rule.reason().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'));
        assert!(
            Rule::ALL[..at]
                .iter()
                .all(|other| other.reason() != rule.reason() && other.title() != rule.title())
        );
    }
}

#[test]
fn as_59_the_smallest_document_is_a_public_client_with_both_grant_types() {
    let metadata = accepted(&document());
    assert_eq!(metadata.client_id.as_deref(), Some(URL));
    assert_eq!(metadata.client_name.as_deref(), Some("C"));
    assert_eq!(metadata.token_endpoint_auth_method, AuthMethod::None);
    assert_eq!(metadata.grant_types, GrantType::ALL);
    assert_eq!(metadata.response_types, ["code"]);
    assert_eq!((metadata.scope, metadata.application_type), (None, None));
}

#[test]
fn a_report_has_every_rule_in_order() {
    for body in ["", "\u{feff}{}", "[]", "{}", &document().to_string()] {
        let rules: Vec<Rule> =
            examine_bytes(URL, body.as_bytes()).checks.iter().map(|check| check.rule).collect();
        assert_eq!(rules, Rule::ALL);
    }
}

#[test]
fn a_report_names_every_failure_and_the_refusal_is_the_first() {
    let report = examined(&with(json!({"client_name": null, "client_secret": "s", "grant_types": []})));
    let failed: Vec<Rule> = report
        .checks
        .iter()
        .filter(|check| matches!(check.outcome, Outcome::Failed { .. }))
        .map(|check| check.rule)
        .collect();
    assert_eq!(failed, [Rule::ClientName, Rule::NoClientSecret, Rule::GrantTypes]);
    assert!(!report.is_accepted());
    assert_eq!(report.into_result().unwrap_err().rule, Rule::ClientName);
}

#[test]
fn as_58_the_body_is_one_json_object_without_byte_order_mark() {
    let bom = [b"\xef\xbb\xbf", document().to_string().as_bytes()].concat();
    assert_eq!(examine_bytes(URL, &bom).into_result().unwrap_err().rule, Rule::NoByteOrderMark);
    for body in [&b""[..], b"[]", b"\"x\"", b"null", b"{", b"{}{}", b"{\"a\":\"\xff\"}", b"<html>"] {
        assert_eq!(examine_bytes(URL, body).into_result().unwrap_err().rule, Rule::JsonObject, "{body:?}");
    }
}

#[test]
fn as_58_duplicates_of_members_that_are_read_are_refused_and_others_ignored() {
    let base = document().to_string();
    for member in
        [r#""client_id":"https://evil.example/c""#, r#""redirect_uris":[]"#, r#""client_\u0069d":1"#]
    {
        let body = base.replacen('{', &format!("{{{member},"), 1);
        assert_eq!(
            examine_bytes(URL, body.as_bytes()).into_result().unwrap_err().rule,
            Rule::UniqueMembers,
            "{body}"
        );
    }
    let body = base.replacen('{', r#"{"x":1,"x":2,"#, 1);
    assert!(examine_bytes(URL, body.as_bytes()).is_accepted());
}

#[test]
fn as_58_client_id_equals_the_url_byte_for_byte() {
    for client_id in [
        "https://c.example/client.jsoN",
        "https://c.example/client.json/",
        "https://c.example:443/client.json",
        "https://C.example/client.json",
        "https://c.example/%63lient.json",
        "http://c.example/client.json",
        " https://c.example/client.json",
    ] {
        assert_eq!(refused(&with(json!({"client_id": client_id}))), Rule::ClientIdMatches, "{client_id}");
    }
    for client_id in [json!(null), json!(""), json!(5), json!([URL])] {
        assert_eq!(refused(&with(json!({"client_id": client_id}))), Rule::ClientIdPresent);
    }
}

#[test]
fn as_59_required_members() {
    for (changes, rule) in [
        (json!({"client_name": null}), Rule::ClientName),
        (json!({"client_name": 5}), Rule::ClientName),
        (json!({"client_name": "  "}), Rule::ClientName),
        (json!({"client_name": "é".repeat(257)}), Rule::ClientName),
        (json!({"client_name": "a\u{202e}b"}), Rule::ClientName),
        (json!({"client_name": "a\u{7}b"}), Rule::ClientName),
        (json!({"redirect_uris": null}), Rule::RedirectUrisPresent),
        (json!({"redirect_uris": []}), Rule::RedirectUrisPresent),
        (json!({"redirect_uris": "https://c.example/cb"}), Rule::RedirectUrisPresent),
        (json!({"redirect_uris": ["https://c.example/cb", 5]}), Rule::RedirectUrisPresent),
        (json!({"redirect_uris": vec!["https://c.example/cb"; 33]}), Rule::RedirectUrisPresent),
    ] {
        assert_eq!(refused(&with(changes.clone())), rule, "{changes}");
    }
    assert_eq!(
        accepted(&with(json!({"redirect_uris": vec!["https://c.example/cb"; 32]}))).redirect_uris.len(),
        32
    );
    assert_eq!(accepted(&with(json!({"client_name": " é\n"}))).client_name.as_deref(), Some("é"));
}

#[test]
fn as_40_redirect_uris_follow_the_strict_policy() {
    for uri in [
        "http://c.example/cb",
        "javascript:alert(1)",
        "data:text/html,x",
        "cursor://x/cb",
        "https://c.example/cb#",
        "https://u@c.example/cb",
        "https://c.example/*",
        "",
    ] {
        let document = with(json!({"redirect_uris": ["https://c.example/cb", uri]}));
        assert_eq!(refused(&document), Rule::RedirectUrisAllowed, "{uri}");
    }
}

#[test]
fn as_61_client_secrets_are_refused_whatever_they_hold() {
    for name in ["client_secret", "client_secret_expires_at"] {
        for value in ["\"s\"", "\"\"", "null", "0"] {
            let body = document().to_string().replacen('{', &format!("{{\"{name}\":{value},"), 1);
            let refusal = examine_bytes(URL, body.as_bytes()).into_result().unwrap_err();
            assert_eq!(refusal.rule, Rule::NoClientSecret, "{body}");
        }
    }
}

#[test]
fn as_62_shared_secret_methods_are_refused_wherever_they_are_declared() {
    for method in ["client_secret_basic", "client_secret_post", "client_secret_jwt"] {
        for changes in [
            json!({"token_endpoint_auth_method": method}),
            json!({"token_endpoint_auth_methods_supported": ["none", method]}),
            json!({"token_endpoint_auth_method": "none", "token_endpoint_auth_methods_supported": [method]}),
        ] {
            assert_eq!(refused(&with(changes.clone())), Rule::NoSharedSecretMethod, "{changes}");
        }
    }
}

#[test]
fn as_62_a_software_statement_must_not_declare_a_shared_secret() {
    use base64::Engine as _;
    let statement = |claims: Value| {
        let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(claims.to_string());
        json!({"software_statement": format!("e30.{payload}.c2ln")})
    };
    for claims in [
        json!({"token_endpoint_auth_method": "client_secret_basic"}),
        json!({"token_endpoint_auth_methods_supported": ["none", "client_secret_jwt"]}),
        json!({"client_secret": "s"}),
    ] {
        assert_eq!(refused(&with(statement(claims.clone()))), Rule::NoSharedSecretInStatement, "{claims}");
    }
    accepted(&with(statement(json!({"software_id": "x", "token_endpoint_auth_method": "none"}))));
    accepted(&with(json!({"software_statement": "not a jwt"})));
}

#[test]
fn as_63_as_104_keys_are_public_and_in_one_place() {
    let public = json!({"keys": [{"kty": "EC", "crv": "P-256", "x": "x", "y": "y"}]});
    for (changes, rule) in [
        (json!({"jwks": {"keys": [{"kty": "EC", "d": "d"}]}}), Rule::NoPrivateKeys),
        (json!({"jwks": {"keys": [{"kty": "oct", "k": "k"}]}}), Rule::NoPrivateKeys),
        (json!({"jwks": {"keys": []}}), Rule::NoPrivateKeys),
        (json!({"jwks": [1]}), Rule::NoPrivateKeys),
        (json!({"jwks": public, "jwks_uri": "https://c.example/jwks"}), Rule::OneKeySource),
        (json!({"token_endpoint_auth_method": "private_key_jwt"}), Rule::ClientKeys),
        (json!({"token_endpoint_auth_methods_supported": ["private_key_jwt"]}), Rule::ClientKeys),
    ] {
        assert_eq!(refused(&with(changes.clone())), rule, "{changes}");
    }
    let metadata = accepted(&with(json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": public})));
    assert_eq!(
        (metadata.token_endpoint_auth_method, metadata.jwks),
        (AuthMethod::PrivateKeyJwt, Some(public))
    );
}

#[test]
fn as_64_as_66_the_authentication_method_is_chosen_from_what_is_declared() {
    use AuthMethod::{None as Public, PrivateKeyJwt};
    let keys = "https://c.example/jwks";
    for (method, methods, has_keys, expected) in [
        (json!(null), json!(null), false, Some(Public)),
        (json!(null), json!(null), true, Some(Public)),
        (json!("none"), json!(null), false, Some(Public)),
        (json!("private_key_jwt"), json!(null), true, Some(PrivateKeyJwt)),
        (json!("tls_client_auth"), json!(null), false, None),
        (json!(null), json!(["none"]), false, Some(Public)),
        (json!(null), json!(["private_key_jwt"]), true, Some(PrivateKeyJwt)),
        (json!(null), json!(["none", "private_key_jwt"]), true, Some(PrivateKeyJwt)),
        (json!(null), json!(["none", "private_key_jwt"]), false, Some(Public)),
        (json!(null), json!(["tls_client_auth", "none"]), false, Some(Public)),
        (json!(null), json!(["tls_client_auth"]), false, None),
        (json!(null), json!([]), false, None),
        (json!("none"), json!(["none", "private_key_jwt"]), true, Some(Public)),
        (json!("private_key_jwt"), json!(["none", "private_key_jwt"]), true, Some(PrivateKeyJwt)),
        (json!("private_key_jwt"), json!(["none", "private_key_jwt"]), false, Some(Public)),
        (json!("tls_client_auth"), json!(["tls_client_auth", "private_key_jwt"]), true, Some(PrivateKeyJwt)),
        (json!("none"), json!(["private_key_jwt"]), true, Some(PrivateKeyJwt)),
        (json!("none"), json!(["tls_client_auth"]), false, None),
    ] {
        let mut changes =
            json!({"token_endpoint_auth_method": method, "token_endpoint_auth_methods_supported": methods});
        if has_keys {
            changes["jwks_uri"] = json!(keys);
        }
        match expected {
            Some(expected) => {
                assert_eq!(
                    accepted(&with(changes.clone())).token_endpoint_auth_method,
                    expected,
                    "{changes}"
                );
            }
            None => assert_eq!(refused(&with(changes.clone())), Rule::AuthMethodSupported, "{changes}"),
        }
    }
    assert_eq!(Rule::AuthMethodSupported.error_code(), ErrorCode::UnauthorizedClient);
    assert_eq!(Rule::ClientIdMatches.error_code(), ErrorCode::InvalidClient);
}

#[test]
fn as_66_a_method_that_the_policy_does_not_support_is_not_chosen() {
    let policy = DocumentPolicy { supported_auth_methods: vec![AuthMethod::ClientSecretBasic], ..policy() };
    let url = MetadataUrl::parse(URL, false).unwrap();
    let report = examine(&url, document().to_string().as_bytes(), &policy);
    assert_eq!(report.into_result().unwrap_err().rule, Rule::AuthMethodSupported);
}

#[test]
fn as_67_unsupported_grant_and_response_types_are_filtered() {
    let document = with(json!({
        "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
        "response_types": ["token", "code"],
    }));
    let report = examined(&document);
    assert_eq!(report.notes.len(), 2);
    let metadata = report.into_result().unwrap();
    assert_eq!(metadata.grant_types, GrantType::ALL);
    assert_eq!(metadata.response_types, ["code"]);
    let only_code = accepted(&with(json!({"grant_types": ["authorization_code", "authorization_code"]})));
    assert_eq!(only_code.grant_types, [GrantType::AuthorizationCode]);
    for grant_types in [json!([]), json!(["refresh_token"]), json!(["client_credentials"])] {
        assert_eq!(refused(&with(json!({"grant_types": grant_types}))), Rule::GrantTypes);
    }
    for response_types in [json!([]), json!(["token"]), json!(["code id_token"])] {
        assert_eq!(refused(&with(json!({"response_types": response_types}))), Rule::ResponseTypes);
    }
}

#[test]
fn as_77_every_other_uri_is_https() {
    for name in ["client_uri", "logo_uri", "tos_uri", "policy_uri", "jwks_uri"] {
        for uri in [
            "http://c.example/x",
            "javascript:alert(1)",
            "data:image/png;base64,x",
            "//c.example/x",
            "x",
            "https://u@c.example/",
        ] {
            assert_eq!(refused(&with(json!({name: uri}))), Rule::HttpsUris, "{name} {uri}");
        }
        accepted(&with(json!({name: "https://c.example/x"})));
        accepted(&with(json!({name: ""})));
    }
}

#[test]
fn as_74_loopback_jwks_uri_only_for_a_loopback_document() {
    let url = "http://localhost:3000/client.json";
    let document = with(json!({
        "client_id": url, "jwks_uri": "http://127.0.0.1:3000/jwks", "token_endpoint_auth_method": "private_key_jwt",
    }));
    assert!(examine_bytes(url, document.to_string().as_bytes()).is_accepted());
    assert_eq!(refused(&with(json!({"jwks_uri": "http://127.0.0.1:3000/jwks"}))), Rule::HttpsUris);
    let logo = with(json!({"client_id": url, "logo_uri": "http://127.0.0.1:3000/logo"}));
    assert!(!examine_bytes(url, logo.to_string().as_bytes()).is_accepted());
}

#[test]
fn as_58_members_with_the_wrong_type_are_refused_and_unknown_ones_ignored() {
    for changes in [
        json!({"scope": ["a"]}),
        json!({"token_endpoint_auth_method": 1}),
        json!({"token_endpoint_auth_methods_supported": "none"}),
        json!({"grant_types": "authorization_code"}),
        json!({"response_types": [1]}),
        json!({"logo_uri": {}}),
        json!({"software_statement": 1}),
    ] {
        assert_eq!(refused(&with(changes.clone())), Rule::MemberTypes, "{changes}");
    }
    accepted(&with(json!({"x": 1, "contacts": "a", "software_id": 5, "application_type": "other"})));
}

#[test]
fn declared_scopes_are_reduced_to_the_supported_ones() {
    let report = examined(&with(json!({"scope": "profile admin openid \u{e9}"})));
    assert_eq!(report.notes.len(), 2);
    assert_eq!(report.into_result().unwrap().scope.unwrap().to_string(), "profile openid");
    assert!(accepted(&with(json!({"scope": "admin"}))).scope.unwrap().is_empty());
}

#[test]
fn descriptive_members_are_kept_when_they_are_short_and_printable() {
    let metadata = accepted(&with(json!({
        "client_uri": "https://c.example/", "logo_uri": "https://c.example/l", "tos_uri": "https://c.example/t",
        "policy_uri": "https://c.example/p", "contacts": ["a@c.example", "\u{7}"], "software_id": "id",
        "software_version": "x".repeat(257), "application_type": "native",
    })));
    assert_eq!(metadata.client_uri.as_deref(), Some("https://c.example/"));
    assert_eq!(metadata.logo_uri.as_deref(), Some("https://c.example/l"));
    assert_eq!(metadata.tos_uri.as_deref(), Some("https://c.example/t"));
    assert_eq!(metadata.policy_uri.as_deref(), Some("https://c.example/p"));
    assert_eq!(metadata.contacts, ["a@c.example"]);
    assert_eq!((metadata.software_id.as_deref(), metadata.software_version), (Some("id"), None));
    assert_eq!(metadata.application_type.as_deref(), Some("native"));
}

#[test]
fn messages_shorten_and_escape_what_they_quote() {
    let refusal =
        examined(&with(json!({"client_id": format!("\u{202e}{}", "x".repeat(5000))}))).into_result();
    let detail = refusal.unwrap_err().detail;
    assert!(detail.len() < 300 && !detail.contains('\u{202e}'), "{detail}");
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        prop::sample::select(vec!["none", "private_key_jwt", "code", URL, "https://c.example/cb"])
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("keys|kty|d|x", inner, 0..4)
                .prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn any_bytes_are_examined_without_a_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(!examine_bytes(URL, &body).is_accepted());
    }

    #[test]
    fn any_member_values_are_examined_and_acceptance_means_no_failure(
        name in prop::sample::select(vec![
            "client_id", "client_name", "redirect_uris", "grant_types", "response_types", "scope", "jwks", "jwks_uri",
            "token_endpoint_auth_method", "token_endpoint_auth_methods_supported", "client_secret", "software_statement",
            "logo_uri", "contacts", "application_type",
        ]),
        value in any_json(),
    ) {
        let mut document = document();
        document[name] = value;
        let report = examined(&document);
        let failed = report.checks.iter().any(|check| matches!(check.outcome, Outcome::Failed { .. }));
        prop_assert_eq!(report.is_accepted(), !failed);
        if let Some(metadata) = report.metadata {
            let stored = serde_json::to_string(&metadata).unwrap();
            prop_assert_eq!(serde_json::from_str::<ClientMetadata>(&stored).unwrap(), metadata);
        }
    }
}
