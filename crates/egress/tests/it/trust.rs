//! Whom TLS trusts, and under which name.

use std::collections::HashMap;

use http::HeaderMap;
use thv_egress::{Client, EgressError, Policy, Roots, RootsError};

use crate::fixtures::*;

fn finding_idp_at(server: &Server) -> Policy {
    let host_overrides = HashMap::from([("idp.test:443".to_owned(), server.address)]);
    Policy { host_overrides, ..Policy::with_loopback() }
}

#[tokio::test]
async fn a_private_authority_is_trusted_when_its_bundle_is_configured() {
    let authority = Authority::create();
    let server = Server::tls(authority.server.clone(), answer(ok("private"))).await;
    let client = Client::new(finding_idp_at(&server), &authority.roots());
    let response = client.get("https://idp.test/keys", HeaderMap::new(), GENEROUS).await.unwrap();
    assert_eq!(response.body, "private");
    assert!(server.requests()[0].contains("host: idp.test\r\n"));

    let by_address = format!("https://{}/", server.address);
    assert_eq!(client.get(&by_address, HeaderMap::new(), GENEROUS).await.unwrap().body, "private");
    let by_number = format!("https://2130706433:{}/", server.address.port());
    assert_eq!(client.get(&by_number, HeaderMap::new(), GENEROUS).await.unwrap().body, "private");
}

#[tokio::test]
async fn as_75_certificates_are_verified() {
    let authority = Authority::create();
    let server = Server::tls(authority.server.clone(), answer(ok("private"))).await;
    let stranger = Client::new(finding_idp_at(&server), &Authority::create().roots());
    let failure = stranger.get("https://idp.test/", HeaderMap::new(), GENEROUS).await.unwrap_err();
    assert!(matches!(failure, EgressError::Tls { .. }), "{failure:?}");

    let host_overrides = HashMap::from([("other.test:443".to_owned(), server.address)]);
    let client = Client::new(Policy { host_overrides, ..Policy::with_loopback() }, &authority.roots());
    let failure = client.get("https://other.test/", HeaderMap::new(), GENEROUS).await.unwrap_err();
    assert!(matches!(failure, EgressError::Tls { .. }), "{failure:?}");
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn ssl_cert_file_names_the_system_roots() {
    let authority = Authority::create();
    let server = Server::tls(authority.server.clone(), answer(ok("private"))).await;
    let at = ("EGRESS_TEST_SERVER", server.address.to_string());
    let trusting = ("SSL_CERT_FILE", authority.bundle.display().to_string());
    let fetch = "trust::a_fetch_under_ssl_cert_file";
    assert!(passes_with_environment(fetch, vec![at.clone(), trusting]).await);
    assert!(!passes_with_environment(fetch, vec![at]).await);
}

#[tokio::test]
#[ignore = "run by ssl_cert_file_names_the_system_roots, with SSL_CERT_FILE set"]
async fn a_fetch_under_ssl_cert_file() {
    let url = format!("https://{}/", std::env::var("EGRESS_TEST_SERVER").unwrap());
    assert_eq!(loopback_client().get(&url, HeaderMap::new(), GENEROUS).await.unwrap().body, "private");
}

#[test]
fn an_unusable_bundle_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bundle.pem");
    let load = || Roots::load(Some(&path)).unwrap_err();

    assert!(matches!(load(), RootsError::Read { .. }));
    std::fs::write(&path, "no certificate").unwrap();
    assert!(matches!(load(), RootsError::Empty { .. }));
    std::fs::write(&path, "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n").unwrap();
    assert!(matches!(load(), RootsError::Pem { .. }));
    std::fs::write(&path, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    assert!(matches!(load(), RootsError::Certificate { .. }));
    assert!(load().to_string().contains("bundle.pem"));
}
