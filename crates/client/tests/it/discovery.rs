use serde_json::json;
use thv_client::discovery::DiscoveryUrl;
use thv_client::metadata::{MetadataError, MetadataSource};
use thv_oauth::issuer::{AllowHttp, IssuerError};
use thv_oauth::server_metadata::EndpointError;

use crate::provider::{Provider, clock, egress};

const RFC8414: &str = "/.well-known/oauth-authorization-server";
const OPENID: &str = "/.well-known/openid-configuration";

fn source(url: &str) -> MetadataSource {
    let url = DiscoveryUrl::parse(url, AllowHttp::Loopback).unwrap();
    MetadataSource::discover(egress(), url, clock().shared())
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
        // It makes no difference that the issuer itself is configured.
        let by_issuer =
            |allow_http| MetadataSource::new(egress(), issuer.clone(), allow_http, clock().shared());
        let error = by_issuer(AllowHttp::Loopback).load().await.unwrap_err();
        assert!(
            matches!(error, MetadataError::Endpoint { source: EndpointError::NotHttps, .. }),
            "{error:?}"
        );
        by_issuer(AllowHttp::Any).load().await.unwrap();
        provider.on_json(RFC8414, json!({"issuer": issuer, member: provider.url("/x")}));
        source(&issuer).load().await.unwrap();
        by_issuer(AllowHttp::Loopback).load().await.unwrap();
    }
    let error =
        MetadataSource::new(egress(), issuer, AllowHttp::No, clock().shared()).load().await.unwrap_err();
    assert!(matches!(error, MetadataError::Issuer(IssuerError::NotHttps)), "{error:?}");
}
