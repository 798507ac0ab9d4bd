use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use thv_client::registration::{Registration, RegistrationError, delete, read, update};
use thv_oauth::auth_method::AuthMethod;
use thv_oauth::issuer::AllowHttp;

use crate::provider::{Answer, NOW, Provider, egress};
use crate::registration::request;

const PATH: &str = "/register/abc";

fn registered(url: String) -> Registration {
    Registration {
        client_id: "abc".into(),
        client_secret: Some(SecretString::from("old-s3cret")),
        client_id_issued_at: Some(NOW),
        client_secret_expires_at: Some(NOW),
        registration_access_token: Some(SecretString::from("old-rat")),
        registration_client_uri: Some(url),
        token_endpoint_auth_method: AuthMethod::ClientSecretPost,
        scope: Some("a".into()),
    }
}

#[tokio::test]
async fn rfc_7592_2_2_an_update_sends_all_metadata_and_none_of_the_servers_members() {
    let provider = Provider::start().await;
    provider.on_json(PATH, json!({"client_id": "abc"}));
    let registration = registered(provider.url(PATH));
    update(&egress(), &registration, &request(), AllowHttp::Loopback).await.unwrap();
    let asked = provider.last();
    assert_eq!((asked.method.as_str(), asked.header("authorization")), ("PUT", Some("Bearer old-rat")));
    let sent: Value = serde_json::from_str(&asked.body).unwrap();
    let mut expected = serde_json::to_value(request()).unwrap();
    expected["client_id"] = json!("abc");
    expected["client_secret"] = json!("old-s3cret");
    assert_eq!(sent, expected);
}

#[tokio::test]
async fn rfc_7592_3_what_the_server_exchanges_replaces_the_old_and_the_rest_stays() {
    let provider = Provider::start().await;
    let registration = registered(provider.url(PATH));
    provider.on_json(
        PATH,
        json!({"client_id": "abc", "client_secret": "new-s3cret", "client_secret_expires_at": 0,
               "registration_access_token": "new-rat", "registration_client_uri": "https://as.example/new"}),
    );
    let renewed = update(&egress(), &registration, &request(), AllowHttp::Loopback).await.unwrap();
    assert_eq!(renewed.client_secret.unwrap().expose_secret(), "new-s3cret");
    assert_eq!(renewed.client_secret_expires_at, None);
    assert_eq!(renewed.registration_access_token.unwrap().expose_secret(), "new-rat");
    assert_eq!(renewed.registration_client_uri.as_deref(), Some("https://as.example/new"));
    assert_eq!((renewed.client_id_issued_at, renewed.scope.as_deref()), (Some(NOW), Some("a")));

    provider.on_json(PATH, json!({"client_id": "abc", "client_secret_expires_at": NOW.as_secs() + 60}));
    let read = read(&egress(), &registration, AllowHttp::Loopback).await.unwrap();
    assert_eq!(provider.last().method, "GET");
    assert_eq!(read.client_secret.unwrap().expose_secret(), "old-s3cret");
    assert_eq!(read.client_secret_expires_at.unwrap().as_secs(), NOW.as_secs() + 60);
    assert_eq!(read.registration_access_token.unwrap().expose_secret(), "old-rat");
    assert_eq!(read.token_endpoint_auth_method, AuthMethod::ClientSecretPost);
}

#[tokio::test]
async fn rfc_7592_2_1_another_clients_registration_is_refused() {
    let provider = Provider::start().await;
    provider.on_json(PATH, json!({"client_id": "other", "client_secret": "s"}));
    let registration = registered(provider.url(PATH));
    let error = read(&egress(), &registration, AllowHttp::Loopback).await.unwrap_err();
    assert!(matches!(error, RegistrationError::Malformed { .. }), "{error:?}");
}

#[tokio::test]
async fn rfc_7592_2_3_a_registration_is_deleted() {
    let provider = Provider::start().await;
    provider.on(PATH, |_| Answer::of(204, "text/plain", ""));
    let registration = registered(provider.url(PATH));
    delete(&egress(), &registration, AllowHttp::Loopback).await.unwrap();
    let asked = provider.last();
    assert_eq!((asked.method.as_str(), asked.header("authorization")), ("DELETE", Some("Bearer old-rat")));
    assert_eq!(asked.body, "");
}

#[tokio::test]
async fn rfc_7592_2_1_failures_say_whether_to_register_anew() {
    type Expected = fn(&RegistrationError) -> bool;
    let gone: Expected = |error| matches!(error, RegistrationError::Gone);
    let unsupported: Expected = |error| matches!(error, RegistrationError::ManagementNotSupported { .. });
    let refused: Expected = |error| matches!(error, RegistrationError::Refused { .. });
    let provider = Provider::start().await;
    let registration = registered(provider.url(PATH));
    for (status, expected) in [
        (401, gone),
        (403, unsupported),
        (404, unsupported),
        (405, unsupported),
        (501, unsupported),
        (503, RegistrationError::is_temporary as fn(&RegistrationError) -> bool),
        (307, |error| matches!(error, RegistrationError::Redirected { .. })),
        (400, refused),
    ] {
        provider.on(PATH, move |_| {
            let body = json!({"error": "invalid_client_metadata", "error_description": "old-s3cret old-rat"});
            Answer::of(status, "application/json", body.to_string()).with("location", "https://x.example/")
        });
        for error in [
            read(&egress(), &registration, AllowHttp::Loopback).await.unwrap_err(),
            update(&egress(), &registration, &request(), AllowHttp::Loopback).await.unwrap_err(),
            delete(&egress(), &registration, AllowHttp::Loopback).await.unwrap_err(),
        ] {
            assert!(expected(&error), "{status}: {error:?}");
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("old-s3cret") && !shown.contains("old-rat"), "{shown}");
        }
    }
}

#[tokio::test]
async fn rfc_7592_3_the_registration_access_token_goes_over_https_or_stays_on_this_machine() {
    let provider = Provider::start().await;
    let mut registration = registered("http://as.example/register/abc".into());
    let error = delete(&egress(), &registration, AllowHttp::Loopback).await.unwrap_err();
    assert!(matches!(error, RegistrationError::ClientUri(_)), "{error:?}");
    registration.registration_client_uri = Some(provider.url(PATH));
    let error = delete(&egress(), &registration, AllowHttp::No).await.unwrap_err();
    assert!(matches!(error, RegistrationError::ClientUri(_)), "{error:?}");
    registration.registration_client_uri = None;
    let error = delete(&egress(), &registration, AllowHttp::Loopback).await.unwrap_err();
    assert!(matches!(error, RegistrationError::Unmanaged { lacks: "registration_client_uri" }), "{error:?}");
    registration.registration_client_uri = Some(provider.url(PATH));
    registration.registration_access_token = None;
    let error = delete(&egress(), &registration, AllowHttp::Loopback).await.unwrap_err();
    assert!(
        matches!(error, RegistrationError::Unmanaged { lacks: "registration_access_token" }),
        "{error:?}"
    );
    assert!(provider.asked().is_empty());
}
