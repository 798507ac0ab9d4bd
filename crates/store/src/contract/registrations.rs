//! Our registrations at upstreams.

use secrecy::{ExposeSecret, SecretString};
use thv_oauth::auth_method::AuthMethod;

use super::samples::T0;
use crate::Stores;
use crate::records::{RegistrationKey, UpstreamEndpoints, UpstreamRegistration, UpstreamRegistrations};

fn sample_registrations(client_id: &str) -> UpstreamRegistrations {
    UpstreamRegistrations {
        key: RegistrationKey {
            issuer: "https://gateway.example".to_owned(),
            upstream: "https://idp.example".to_owned(),
            redirect_uri: "https://gateway.example/oauth/callback".to_owned(),
            scopes_hash: [3; 32],
        },
        generations: vec![UpstreamRegistration {
            client_id: client_id.to_owned(),
            client_secret: Some(SecretString::from("client-secret")),
            auth_method: AuthMethod::ClientSecretBasic,
            registered_at: T0,
            client_secret_expires_at: Some(T0),
            registration_access_token: Some(SecretString::from("manage")),
            registration_client_uri: Some("https://idp.example/reg/1".to_owned()),
            scope: None,
            refused: false,
        }],
        endpoints: UpstreamEndpoints {
            token: Some("https://idp.example/token".to_owned()),
            ..UpstreamEndpoints::default()
        },
        delete_on_removal: true,
    }
}

pub(super) async fn of_two_that_register_first_one_is_kept(stores: &Stores) {
    let rows = &stores.registrations;
    let key = sample_registrations("a").key;
    let (a, b) = tokio::join!(
        rows.save(None, sample_registrations("a"), T0),
        rows.save(None, sample_registrations("b"), T0),
    );
    let (a, b) = (a.unwrap(), b.unwrap());
    assert!(a != b, "one of them");
    let kept = rows.load(&key, T0).await.unwrap().unwrap();
    let current = &kept.value.generations[0];
    assert_eq!(current.client_id, if a { "a" } else { "b" });
    assert_eq!(current.client_secret.as_ref().unwrap().expose_secret(), "client-secret");
    assert_eq!(current.registration_access_token.as_ref().unwrap().expose_secret(), "manage");
    assert_eq!(kept.value.endpoints, sample_registrations("a").endpoints);
    let elsewhere = RegistrationKey { redirect_uri: "https://other.example/cb".to_owned(), ..key.clone() };
    assert!(rows.load(&elsewhere, T0).await.unwrap().is_none());
    assert!(rows.save(Some(&kept), sample_registrations("c"), T0).await.unwrap());
    assert!(!rows.save(Some(&kept), sample_registrations("d"), T0).await.unwrap());
    assert!(rows.delete(&key, T0).await.unwrap());
    assert!(rows.load(&key, T0).await.unwrap().is_none());
}

pub(super) async fn the_index_has_every_registration_of_a_deployment(stores: &Stores) {
    let rows = &stores.registrations;
    let one = sample_registrations("a").key;
    let other = RegistrationKey { upstream: "https://other.example".to_owned(), ..one.clone() };
    let foreign = RegistrationKey { issuer: "https://another.example".to_owned(), ..one.clone() };
    assert!(rows.index(&one.issuer, T0).await.unwrap().is_empty());
    let (first, second) = tokio::join!(rows.note(&one, T0), rows.note(&other, T0));
    first.unwrap();
    second.unwrap();
    rows.note(&one, T0).await.unwrap();
    rows.note(&foreign, T0).await.unwrap();
    let mut keys = rows.index(&one.issuer, T0).await.unwrap();
    keys.sort_by(|a, b| a.upstream.cmp(&b.upstream));
    assert_eq!(keys, [one.clone(), other.clone()]);
    rows.unnote(&one, T0).await.unwrap();
    assert_eq!(rows.index(&one.issuer, T0).await.unwrap(), [other]);
}
