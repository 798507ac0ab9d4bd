use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use thv_client::metadata::{MetadataError, MetadataSource};
use thv_clock::ManualClock;
use thv_oauth::issuer::AllowHttp;

use crate::provider::{Answer, Provider, clock, egress};

const RFC8414: &str = "/.well-known/oauth-authorization-server";
const OPENID: &str = "/.well-known/openid-configuration";

fn source(issuer: String, clock: &ManualClock) -> MetadataSource {
    MetadataSource::new(egress(), issuer, AllowHttp::Loopback, clock.shared())
}

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

#[tokio::test]
async fn u1_both_documents_are_merged_and_the_first_wins() {
    let provider = Provider::start().await;
    let issuer = provider.url("");
    provider.on_json(
        RFC8414,
        json!({"issuer": issuer, "token_endpoint": "https://t/1", "jwks_uri": null, "scopes_supported": ["a"]}),
    );
    provider.on_json(
        OPENID,
        json!({"issuer": issuer, "token_endpoint": "https://t/2", "jwks_uri": "https://k", "scopes_supported": ["b"],
               "userinfo_endpoint": "https://u"}),
    );
    let metadata = source(issuer, &clock()).load().await.unwrap();
    assert_eq!(metadata.token_endpoint.as_deref(), Some("https://t/1"));
    assert_eq!(metadata.jwks_uri.as_deref(), Some("https://k"));
    assert_eq!(metadata.userinfo_endpoint.as_deref(), Some("https://u"));
    assert_eq!(metadata.scopes_supported, ["a"]);
}

#[tokio::test]
async fn cl_5_an_issuer_with_a_path_is_looked_for_inserted_then_appended_and_never_at_the_root() {
    let provider = Provider::start().await;
    let issuer = provider.url("/realms/x");
    provider.on_json("/realms/x/.well-known/openid-configuration", json!({"issuer": issuer}));
    assert_eq!(source(issuer.clone(), &clock()).load().await.unwrap().issuer, issuer);
    assert_eq!(
        provider.paths(),
        [
            "/.well-known/oauth-authorization-server/realms/x",
            "/.well-known/openid-configuration/realms/x",
            "/realms/x/.well-known/openid-configuration"
        ]
    );
}

#[tokio::test]
async fn cl_6_a_document_of_another_issuer_is_never_used() {
    let provider = Provider::start().await;
    let issuer = provider.url("");
    for other in [format!("{issuer}/"), issuer.replace("http:", "HTTP:"), "https://other.example".to_owned()]
    {
        provider.on_json(RFC8414, json!({"issuer": other, "token_endpoint": "https://evil/t"}));
        let error = source(issuer.clone(), &clock()).load().await.unwrap_err();
        assert!(
            matches!(&error, MetadataError::IssuerMismatch { found, .. } if *found == other),
            "{error:?}"
        );
    }
    provider.on_json(OPENID, json!({"issuer": issuer, "jwks_uri": "https://k"}));
    let metadata = source(issuer, &clock()).load().await.unwrap();
    assert_eq!(metadata.jwks_uri.as_deref(), Some("https://k"));
    assert_eq!(metadata.token_endpoint, None, "nothing is taken from the other issuer's document");
}

#[tokio::test]
async fn u1_metadata_is_fresh_as_long_as_its_server_says() {
    let provider = Provider::start().await;
    let issuer = provider.url("");
    let document = json!({"issuer": issuer});
    provider.on(OPENID, move |_| Answer::json(&document).with("cache-control", "max-age=600"));
    let clock = clock();
    let source = source(issuer, &clock);
    for (advance, requests) in [(0, 2), (9, 2), (2, 4), (9, 4)] {
        clock.advance(minutes(advance));
        source.load().await.unwrap();
        assert_eq!(provider.asked().len(), requests, "after {advance} more minutes");
    }
}

#[tokio::test]
async fn u1_metadata_is_served_stale_while_the_host_is_down_and_renewed_afterwards() {
    let provider = Provider::start().await;
    let issuer = provider.url("");
    provider.on_json(OPENID, json!({"issuer": issuer, "token_endpoint": "https://t/1"}));
    let clock = clock();
    let source = source(issuer.clone(), &clock);
    let first = source.load().await.unwrap();
    provider.set_down(true);
    clock.advance(minutes(61));
    assert!(Arc::ptr_eq(&source.load().await.unwrap(), &first));
    clock.advance(minutes(60 * 24 * 30));
    assert!(Arc::ptr_eq(&source.load().await.unwrap(), &first));

    provider.set_down(false);
    provider.on(OPENID, |_| Answer::of(503, "text/html", "maintenance"));
    clock.advance(minutes(6));
    assert!(Arc::ptr_eq(&source.load().await.unwrap(), &first), "a 503 is an outage, too");
    provider.on_json(OPENID, json!({"issuer": issuer, "token_endpoint": "https://t/2"}));
    clock.advance(minutes(6));
    assert_eq!(source.load().await.unwrap().token_endpoint.as_deref(), Some("https://t/2"));
}

#[tokio::test]
async fn cl_6_stale_metadata_does_not_survive_a_document_of_another_issuer() {
    let provider = Provider::start().await;
    let issuer = provider.url("");
    provider.on_json(OPENID, json!({"issuer": issuer}));
    let clock = clock();
    let source = source(issuer, &clock);
    source.load().await.unwrap();
    provider.on_json(OPENID, json!({"issuer": "https://other.example"}));
    clock.advance(minutes(61));
    assert!(matches!(source.load().await, Err(MetadataError::IssuerMismatch { .. })));
    provider.set_down(true);
    clock.advance(minutes(61));
    assert!(matches!(source.load().await, Err(MetadataError::Unreachable { .. })));
}

#[tokio::test]
async fn u1_a_host_that_is_down_is_not_hammered() {
    let provider = Provider::start().await;
    let issuer = provider.url("");
    provider.on(RFC8414, |_| Answer::of(500, "text/plain", ""));
    provider.on(OPENID, |_| Answer::of(500, "text/plain", ""));
    let clock = clock();
    let source = source(issuer.clone(), &clock);
    let mut attempts = 0;
    for pause in [5, 10, 20, 40, 80, 160, 300, 300] {
        assert!(source.load().await.unwrap_err().is_temporary());
        attempts += 2;
        clock.advance(Duration::from_secs(pause - 1));
        assert!(source.load().await.unwrap_err().is_temporary());
        assert_eq!(provider.asked().len(), attempts, "within {pause} s");
        clock.advance(Duration::from_secs(1));
    }
    provider.on_json(OPENID, json!({"issuer": issuer}));
    source.load().await.unwrap();
}

#[tokio::test]
async fn u1_many_callers_share_one_attempt() {
    let provider = Provider::start().await;
    let issuer = provider.url("");
    provider.on_json(OPENID, json!({"issuer": issuer}));
    let source = Arc::new(source(issuer, &clock()));
    let callers: Vec<_> = (0..50)
        .map(|_| {
            let source = Arc::clone(&source);
            tokio::spawn(async move { source.load().await.map(drop) })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap().unwrap();
    }
    assert_eq!(provider.asked().len(), 2);
}

#[tokio::test]
async fn u1_what_is_no_metadata_is_refused() {
    let provider = Provider::start().await;
    let issuer = provider.url("");
    for body in ["", "[]", "<html>", "{\"issuer\":", "null"] {
        provider.on(OPENID, move |_| Answer::of(200, "application/json", body));
        let error = source(issuer.clone(), &clock()).load().await.unwrap_err();
        assert!(matches!(error, MetadataError::Invalid { .. }), "{body}: {error:?}");
    }
    for not_an_issuer in ["", "x", "https://a.example?b", "file:///etc/passwd"] {
        let error = source(not_an_issuer.to_owned(), &clock()).load().await.unwrap_err();
        assert!(matches!(error, MetadataError::Issuer(_)), "{not_an_issuer}");
    }
}
