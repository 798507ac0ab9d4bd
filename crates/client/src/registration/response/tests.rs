use proptest::prelude::*;
use secrecy::ExposeSecret;
use serde_json::json;

use super::*;

const POST: Fallback<'_> = Fallback { asked: AuthMethod::ClientSecretPost, previous: None };

fn read_json(value: Value, asked: AuthMethod) -> Result<Registration, RegistrationError> {
    parse(value.to_string().as_bytes(), Fallback { asked, previous: None })
}

#[test]
fn rfc_7591_3_2_1_a_secret_that_never_expires_has_no_expiry() {
    for (expires_at, expected) in [
        (json!(0), Some(None)),
        (json!("0"), Some(None)),
        (json!(null), Some(None)),
        (json!(17), Some(Some(17))),
        (json!("17"), Some(Some(17))),
        (json!(17.9), Some(Some(17))),
        (json!(-1), None),
        (json!("soon"), None),
        (json!([]), None),
    ] {
        let answer = json!({"client_id": "c", "client_secret": "s", "client_secret_expires_at": expires_at});
        let read = read_json(answer, AuthMethod::ClientSecretBasic).ok();
        let found = read.map(|read| read.client_secret_expires_at.map(Timestamp::as_secs));
        assert_eq!(found, expected, "{expires_at}");
    }
}

#[test]
fn rfc_7591_3_2_1_a_method_is_of_no_use_without_its_credential() {
    type Expected = fn(&Result<Registration, RegistrationError>) -> bool;
    let unusable: Expected = |read| matches!(read, Err(RegistrationError::UnusableMethod { .. }));
    let unknown: Expected = |read| matches!(read, Err(RegistrationError::UnknownMethod { .. }));
    let ok: Expected = |read| read.is_ok();
    for (method, secret, asked, expected) in [
        (json!("client_secret_basic"), json!(null), AuthMethod::None, unusable),
        (json!("client_secret_post"), json!(""), AuthMethod::None, unusable),
        (json!(null), json!(null), AuthMethod::ClientSecretBasic, unusable),
        (json!("private_key_jwt"), json!("s"), AuthMethod::ClientSecretBasic, unusable),
        (json!("client_secret_jwt"), json!("s"), AuthMethod::ClientSecretBasic, unknown),
        (json!("private_key_jwt"), json!(null), AuthMethod::PrivateKeyJwt, ok),
        (json!("none"), json!(null), AuthMethod::ClientSecretBasic, ok),
        (json!(null), json!(null), AuthMethod::None, ok),
        (json!(null), json!("s"), AuthMethod::ClientSecretPost, ok),
    ] {
        let answer = json!({"client_id": "c", "client_secret": secret, "token_endpoint_auth_method": method});
        let read = read_json(answer, asked);
        assert!(expected(&read), "{method} {secret} {asked}: {read:?}");
    }
}

#[test]
fn rfc_7591_3_2_1_members_of_wrong_types_are_refused() {
    for answer in [
        json!({}),
        json!([]),
        json!({"client_id": ""}),
        json!({"client_id": 7, "client_secret": "s"}),
        json!({"client_id": "a\nb", "client_secret": "s"}),
        json!({"client_id": "c", "client_secret": ["s"]}),
        json!({"client_id": "c", "client_secret": "s", "registration_client_uri": {}}),
        json!({"client_id": "c", "client_secret": "s", "client_id_issued_at": "today"}),
    ] {
        let read = read_json(answer.clone(), AuthMethod::ClientSecretBasic);
        assert!(matches!(read, Err(RegistrationError::Malformed { .. })), "{answer}: {read:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused_without_a_panic(body in "[\\[\\]{}:,\"a-z_0-9\\\\ ]{0,80}") {
        let _ = parse(body.as_bytes(), POST);
    }

    #[test]
    fn what_is_read_is_what_was_sent_and_is_not_shown(
        client_id in "[!-~]{1,40}",
        secret in "[a-z]{20,40}",
        expires_at in 0_u64..1 << 40,
    ) {
        let answer = json!({
            "client_id": client_id, "client_secret": secret, "client_secret_expires_at": expires_at,
            "registration_access_token": format!("{secret}-rat"),
        });
        let read = parse(answer.to_string().as_bytes(), POST).unwrap();
        prop_assert_eq!(&read.client_id, &client_id);
        prop_assert_eq!(read.client_secret.as_ref().unwrap().expose_secret(), &secret);
        let seconds = read.client_secret_expires_at.map_or(0, Timestamp::as_secs);
        prop_assert_eq!(seconds, expires_at);
        let shown = format!("{read:?}");
        prop_assert!(!shown.contains(&secret));
    }
}
