use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::grant_type::GrantType;

fn policy() -> RegistrationPolicy {
    RegistrationPolicy {
        confidential_allowed: false,
        scopes_supported: ScopeSet::parse("openid profile offline_access").unwrap(),
        baseline: ScopeSet::parse("base").unwrap(),
        supported_auth_methods: AuthMethod::ALL.to_vec(),
    }
}

/// A request with one https redirect URI and these members.
fn request(members: Value) -> Value {
    let mut request = json!({"redirect_uris": ["https://c.example/cb"]});
    request.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    request
}

fn granted_under(policy: &RegistrationPolicy, members: Value) -> ClientMetadata {
    examine(request(members.clone()).to_string().as_bytes(), policy)
        .unwrap_or_else(|e| panic!("{members}: {e:?}"))
}

fn granted(members: Value) -> ClientMetadata {
    granted_under(&policy(), members)
}

fn refused(members: Value) -> (ErrorCode, &'static str) {
    let refusal =
        examine(request(members.clone()).to_string().as_bytes(), &policy()).expect_err(&members.to_string());
    assert!(!refusal.description.is_empty());
    (refusal.code, refusal.reason)
}

#[test]
fn as_105_defaults_suit_mcp_clients() {
    let metadata = granted(json!({}));
    assert_eq!(metadata.token_endpoint_auth_method, AuthMethod::None);
    assert_eq!(metadata.grant_types, GrantType::ALL);
    assert_eq!(metadata.response_types, ["code"]);
    assert_eq!(metadata.scope.unwrap().to_string(), "openid profile offline_access base");
    assert_eq!((metadata.client_id, metadata.client_name, metadata.application_type), (None, None, None));
}

#[test]
fn as_103_bodies_that_are_not_an_object_are_invalid_client_metadata() {
    for body in [&b""[..], b"[]", b"{", b"\xef\xbb\xbf{}", b"redirect_uris=x"] {
        let refusal = examine(body, &policy()).unwrap_err();
        assert_eq!((refusal.code, refusal.reason), (ErrorCode::InvalidClientMetadata, "not_a_json_object"));
    }
    let duplicate = br#"{"redirect_uris":["https://c.example/cb"],"redirect_uris":["https://d.example/cb"]}"#;
    assert_eq!(examine(duplicate, &policy()).unwrap_err().reason, "duplicate_member");
}

#[test]
fn as_103_as_104_redirect_uris() {
    let long = format!("https://c.example/{}", "c".repeat(2048));
    for (uris, reason) in [
        (json!(null), "redirect_uris_missing"),
        (json!([]), "redirect_uris_missing"),
        (json!("https://c.example/cb"), "redirect_uris_missing"),
        (json!([1]), "redirect_uris_missing"),
        (json!(vec!["https://c.example/cb"; 11]), "redirect_uris_missing"),
        (json!(["http://c.example/cb"]), "redirect_uri_not_allowed"),
        (json!(["javascript:alert(1)"]), "redirect_uri_not_allowed"),
        (json!(["https://c.example/cb#f"]), "redirect_uri_not_allowed"),
        (json!([long]), "redirect_uri_not_allowed"),
    ] {
        assert_eq!(
            refused(json!({"redirect_uris": uris})),
            (ErrorCode::InvalidRedirectUri, reason),
            "{uris}"
        );
    }
    let uris = json!(["http://localhost/cb", "cursor://anysphere.cursor-mcp/oauth/callback"]);
    assert_eq!(granted(json!({"redirect_uris": uris})).redirect_uris.len(), 2);
    assert_eq!(granted(json!({"redirect_uris": vec!["https://c.example/cb"; 10]})).redirect_uris.len(), 10);
}

#[test]
fn as_105_a_shared_secret_is_granted_only_where_it_can_be_kept() {
    use AuthMethod::{ClientSecretBasic, ClientSecretPost, None as Public};
    let open = RegistrationPolicy { confidential_allowed: true, ..policy() };
    let hosted = json!(["https://c.example/cb"]);
    let local = json!(["https://c.example/cb", "http://localhost/cb"]);
    for (policy, uris, method, expected) in [
        (&policy(), &hosted, "client_secret_basic", Public),
        (&policy(), &hosted, "client_secret_post", Public),
        (&policy(), &hosted, "client_secret_jwt", Public),
        (&open, &hosted, "client_secret_basic", ClientSecretBasic),
        (&open, &hosted, "client_secret_post", ClientSecretPost),
        (&open, &hosted, "client_secret_jwt", Public),
        (&open, &local, "client_secret_basic", Public),
        (&open, &json!(["cursor://x/cb"]), "client_secret_post", Public),
        (&open, &json!(["https://localhost/cb"]), "client_secret_post", Public),
        (&open, &hosted, "none", Public),
    ] {
        let metadata =
            granted_under(policy, json!({"redirect_uris": uris, "token_endpoint_auth_method": method}));
        assert_eq!(metadata.token_endpoint_auth_method, expected, "{method} {uris}");
    }
}

#[test]
fn as_103_authentication_methods_that_cannot_be_granted() {
    for (members, reason) in [
        (json!({"token_endpoint_auth_method": "tls_client_auth"}), "auth_method_not_supported"),
        (json!({"token_endpoint_auth_method": "private_key_jwt"}), "client_keys_missing"),
        (json!({"token_endpoint_auth_method": 5}), "member_wrong_type"),
    ] {
        assert_eq!(refused(members), (ErrorCode::InvalidClientMetadata, reason));
    }
    let closed = RegistrationPolicy { supported_auth_methods: vec![AuthMethod::PrivateKeyJwt], ..policy() };
    for method in ["none", "client_secret_basic", "client_secret_jwt"] {
        let body = request(json!({"token_endpoint_auth_method": method})).to_string();
        assert_eq!(examine(body.as_bytes(), &closed).unwrap_err().reason, "auth_method_not_supported");
    }
}

#[test]
fn as_104_keys() {
    let jwks = json!({"keys": [{"kty": "EC"}]});
    for (members, reason) in [
        (json!({"jwks": jwks, "jwks_uri": "https://c.example/jwks"}), "jwks_and_jwks_uri"),
        (json!({"jwks": {"keys": [{"kty": "EC", "d": "x"}]}}), "jwks_not_public"),
        (json!({"jwks": 5}), "jwks_not_public"),
        (json!({"jwks_uri": "http://localhost/jwks"}), "metadata_uri_not_https"),
    ] {
        assert_eq!(refused(members), (ErrorCode::InvalidClientMetadata, reason));
    }
    for keys in [json!({"jwks": jwks}), json!({"jwks_uri": "https://c.example/jwks"})] {
        let mut members = keys;
        members["token_endpoint_auth_method"] = json!("private_key_jwt");
        assert_eq!(granted(members).token_endpoint_auth_method, AuthMethod::PrivateKeyJwt);
    }
}

#[test]
fn as_67_grant_and_response_types_are_filtered_but_keep_the_code_flow() {
    let metadata = granted(
        json!({"grant_types": ["device_code", "authorization_code"], "response_types": ["code", "token"]}),
    );
    assert_eq!(metadata.grant_types, [GrantType::AuthorizationCode]);
    assert_eq!(metadata.response_types, ["code"]);
    for grant_types in [json!([]), json!(["refresh_token"]), json!(["client_credentials"])] {
        assert_eq!(refused(json!({"grant_types": grant_types})).1, "authorization_code_missing");
    }
    for response_types in [json!([]), json!(["token"])] {
        assert_eq!(refused(json!({"response_types": response_types})).1, "response_type_code_missing");
    }
}

#[test]
fn as_105_scopes_are_reduced_to_the_supported_ones_and_united_with_the_baseline() {
    for (scope, expected) in [
        (json!("profile admin"), "profile base"),
        (json!(["profile", "admin", "openid"]), "profile openid base"),
        (json!("admin"), "base"),
        (json!([]), "base"),
        (json!("\u{e9} profile"), "profile base"),
        (json!(""), "openid profile offline_access base"),
        (json!(null), "openid profile offline_access base"),
    ] {
        assert_eq!(granted(json!({"scope": scope})).scope.unwrap().to_string(), expected, "{scope}");
    }
    assert_eq!(refused(json!({"scope": 5})).1, "member_wrong_type");
    assert_eq!(refused(json!({"scope": ["a", 5]})).1, "member_wrong_type");
}

#[test]
fn as_106_application_type() {
    let local = json!(["http://localhost/cb"]);
    let mixed = json!(["https://vscode.dev/redirect", "http://127.0.0.1:33418/"]);
    for (kind, uris, ok) in [
        ("native", &local, true),
        ("native", &mixed, true),
        ("native", &json!(["cursor://x/cb"]), true),
        ("web", &json!(["https://c.example/cb"]), true),
        ("web", &local, false),
        ("web", &mixed, false),
        ("web", &json!(["cursor://x/cb"]), false),
        ("web", &json!(["https://localhost/cb"]), false),
    ] {
        let members = json!({"application_type": kind, "redirect_uris": uris});
        if ok {
            assert_eq!(granted(members).application_type.as_deref(), Some(kind));
        } else {
            assert_eq!(refused(members), (ErrorCode::InvalidRedirectUri, "redirect_uri_not_for_web"));
        }
    }
    assert_eq!(refused(json!({"application_type": "desktop"})).1, "application_type_unknown");
    assert_eq!(granted(json!({"redirect_uris": local})).application_type, None);
}

#[test]
fn as_77_as_107_what_people_read_is_limited() {
    for (members, reason) in [
        (json!({"client_name": "x".repeat(257)}), "client_name_invalid"),
        (json!({"client_name": "a\u{202e}"}), "client_name_invalid"),
        (json!({"client_name": 5}), "member_wrong_type"),
        (json!({"software_id": "é"}), "software_text_invalid"),
        (json!({"software_version": "x".repeat(257)}), "software_text_invalid"),
        (json!({"contacts": vec!["a"; 11]}), "contacts_invalid"),
        (json!({"contacts": ["a\n"]}), "contacts_invalid"),
        (json!({"contacts": "a"}), "member_wrong_type"),
        (json!({"logo_uri": "javascript:alert(1)"}), "metadata_uri_not_https"),
        (json!({"client_uri": "x"}), "metadata_uri_not_https"),
        (json!({"tos_uri": "data:text/html,x"}), "metadata_uri_not_https"),
    ] {
        assert_eq!(refused(members), (ErrorCode::InvalidClientMetadata, reason));
    }
    let metadata = granted(json!({
        "client_name": " C ", "client_uri": "http://localhost:6274", "logo_uri": "", "tos_uri": null,
        "policy_uri": "https://c.example/p", "software_id": "s", "contacts": ["a@c.example"],
    }));
    assert_eq!(metadata.client_name.as_deref(), Some("C"));
    assert_eq!((metadata.client_uri, metadata.logo_uri, metadata.tos_uri), (None, None, None));
    assert_eq!(metadata.policy_uri.as_deref(), Some("https://c.example/p"));
    assert_eq!((metadata.software_id.as_deref(), metadata.contacts.len()), (Some("s"), 1));
    assert_eq!(granted(json!({"client_name": " "})).client_name, None);
}

#[test]
fn as_102_unknown_members_are_ignored() {
    granted(json!({"x": 1, "client_id": "mine", "client_secret": "s", "software_statement": "x.y.z"}));
}

proptest! {
    #[test]
    fn any_bytes_are_judged_without_a_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(examine(&body, &policy()).is_err());
    }

    #[test]
    fn what_is_granted_is_never_more_than_the_policy(
        scope in "[a-z_ \"é]{0,40}", method in "none|private_key_jwt|client_secret_(basic|post|jwt)|x", uri in "\\PC{0,30}|https?://[!-~]{0,30}",
    ) {
        let body = json!({"redirect_uris": [uri], "scope": scope, "token_endpoint_auth_method": method}).to_string();
        if let Ok(metadata) = examine(body.as_bytes(), &policy()) {
            let allowed = policy().scopes_supported.union(&policy().baseline);
            prop_assert!(metadata.scope.as_ref().unwrap().is_subset_of(&allowed));
            prop_assert_eq!(metadata.token_endpoint_auth_method, AuthMethod::None);
            let stored = serde_json::to_string(&metadata).unwrap();
            prop_assert_eq!(serde_json::from_str::<ClientMetadata>(&stored).unwrap(), metadata);
        }
    }
}
