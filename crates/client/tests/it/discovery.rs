use std::time::Duration;

use serde_json::json;
use thv_client::discovery::DiscoveryUrl;
use thv_client::metadata::{MetadataError, MetadataSource};
use thv_clock::ManualClock;
use thv_oauth::issuer::AllowHttp;
use thv_oauth::server_metadata::{AuthorizationServerMetadata, EndpointError};

use crate::provider::{NOW, Provider, clock, egress};

const RFC8414: &str = "/.well-known/oauth-authorization-server";
const OPENID: &str = "/.well-known/openid-configuration";

fn source_at(url: &str, clock: &ManualClock) -> MetadataSource {
    let url = DiscoveryUrl::parse(url, AllowHttp::Loopback).unwrap();
    MetadataSource::discover(egress(), url, clock.shared())
}

fn source(url: &str) -> MetadataSource {
    source_at(url, &clock())
}

#[tokio::test]
async fn rfc_8414_3_3_the_document_that_was_named_is_looked_at_and_the_other_kind_is_merged() {
    let provider = Provider::start().await;
    let issuer = provider.url("/t");
    for named in [
        "/.well-known/oauth-authorization-server/t",
        "/.well-known/openid-configuration/t",
        "/t/.well-known/openid-configuration",
        // Not where RFC 8414 puts it, but where some servers do.
        "/t/.well-known/oauth-authorization-server",
    ] {
        let provider_url = provider.url(named);
        provider.on_json(named, json!({"issuer": issuer, "token_endpoint": "https://t/t"}));
        let before = provider.paths().len();
        let metadata = source(&provider_url).load().await.unwrap();
        assert_eq!(metadata.issuer, issuer);
        assert!(provider.paths()[before..].iter().any(|path| path == named), "{named}");
        provider.on(named, |_| crate::provider::Answer::of(404, "text/plain", ""));
    }
    provider.on_json("/.well-known/oauth-authorization-server/t", json!({"issuer": issuer}));
    provider.on_json(
        "/t/.well-known/openid-configuration",
        json!({"issuer": issuer, "registration_endpoint": "https://t/register"}),
    );
    let metadata = source(&provider.url("/.well-known/oauth-authorization-server/t")).load().await.unwrap();
    assert_eq!(metadata.registration_endpoint.as_deref(), Some("https://t/register"));
}

#[tokio::test]
async fn rfc_8414_3_1_the_issuer_may_end_with_a_slash_that_its_well_known_url_does_not_show() {
    let provider = Provider::start().await;
    let with_slash = provider.url("/");
    let document = json!({"issuer": with_slash, "jwks_uri": "https://k"});
    provider.on_json(OPENID, document);
    assert_eq!(source(&provider.url(OPENID)).load().await.unwrap().issuer, with_slash);
    // A URL that is the issuer itself says exactly what the issuer is.
    let error = source(&provider.url("")).load().await.unwrap_err();
    assert!(matches!(error, MetadataError::IssuerMismatch { .. }), "{error:?}");

    // Two documents that do not agree are not merged.
    provider.on_json(RFC8414, json!({"issuer": provider.url("")}));
    let metadata = source(&provider.url(OPENID)).load().await.unwrap();
    assert_eq!((metadata.issuer.as_str(), &metadata.jwks_uri), (provider.url("").as_str(), &None));
}

#[tokio::test]
async fn rfc_8414_3_3_any_other_issuer_is_refused() {
    let provider = Provider::start().await;
    for other in [provider.url("/t"), provider.url("//"), "https://evil.example".to_owned()] {
        provider.on_json(RFC8414, json!({"issuer": other, "token_endpoint": "https://evil/t"}));
        let error = source(&provider.url(RFC8414)).load().await.unwrap_err();
        assert!(
            matches!(&error, MetadataError::IssuerMismatch { found, .. } if *found == other),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn u3_every_endpoint_is_https_unless_it_is_on_this_machine() {
    let provider = Provider::start().await;
    let issuer = provider.url("");
    for member in [
        "authorization_endpoint",
        "token_endpoint",
        "registration_endpoint",
        "revocation_endpoint",
        "userinfo_endpoint",
        "jwks_uri",
    ] {
        provider.on_json(RFC8414, json!({"issuer": issuer, member: "http://as.example/x"}));
        let error = source(&issuer).load().await.unwrap_err();
        let MetadataError::Endpoint { member: found, source: reason, .. } = &error else {
            panic!("{error:?}")
        };
        assert_eq!((*found, *reason), (member, EndpointError::NotHttps));
        assert!(!error.is_temporary());
        let anywhere = DiscoveryUrl::parse(&issuer, AllowHttp::Any).unwrap();
        MetadataSource::discover(egress(), anywhere, clock().shared()).load().await.unwrap();
        provider.on_json(RFC8414, json!({"issuer": issuer, member: provider.url("/x")}));
        source(&issuer).load().await.unwrap();
    }
}

#[tokio::test]
async fn u4_stored_metadata_saves_the_fetch_until_it_is_stale_and_outlives_a_server_that_is_down() {
    let provider = Provider::start().await;
    let issuer = provider.url("");
    let clock = clock();
    let source = source_at(&issuer, &clock);
    let stored = AuthorizationServerMetadata {
        issuer: issuer.clone(),
        token_endpoint: Some("https://t/old".into()),
        ..Default::default()
    };
    source.seed(stored.clone(), NOW + Duration::from_secs(60)).unwrap();
    assert_eq!(*source.load().await.unwrap(), stored);
    assert!(provider.asked().is_empty());

    provider.set_down(true);
    clock.advance(Duration::from_secs(61));
    assert_eq!(*source.load().await.unwrap(), stored);
    provider.set_down(false);
    provider.on_json(RFC8414, json!({"issuer": issuer, "token_endpoint": "https://t/new"}));
    clock.advance(Duration::from_secs(60));
    let now = source.load().await.unwrap();
    assert_eq!(now.token_endpoint.as_deref(), Some("https://t/new"));
    source.seed(stored, NOW + Duration::from_secs(3600)).unwrap();
    assert_eq!(source.load().await.unwrap(), now, "what was fetched is newer than what was stored");
}

#[test]
fn u4_stored_metadata_is_judged_like_fetched() {
    let source = source("http://localhost:1/t");
    let stored = |issuer: &str, token_endpoint: &str| AuthorizationServerMetadata {
        issuer: issuer.into(),
        token_endpoint: Some(token_endpoint.into()),
        ..Default::default()
    };
    let error = source.seed(stored("http://localhost:1/u", "https://t"), NOW).unwrap_err();
    assert!(matches!(error, MetadataError::IssuerMismatch { .. }), "{error:?}");
    let error = source.seed(stored("http://localhost:1/t", "http://as.example/t"), NOW).unwrap_err();
    assert!(matches!(error, MetadataError::Endpoint { member: "token_endpoint", .. }), "{error:?}");
}
