use serde_json::json;
use thv_client::protected_resource::{Place, ResourceMetadataError, discover, search};
use thv_oauth::issuer::AllowHttp;

use crate::provider::{Answer, Provider, egress};

const PRM: &str = "/.well-known/oauth-protected-resource";

async fn found(provider: &Provider, named: Option<&str>) -> Result<Option<String>, ResourceMetadataError> {
    let found = discover(&egress(), &provider.url("/mcp"), named, AllowHttp::Loopback).await?;
    Ok(found.map(|found| found.url))
}

#[tokio::test]
async fn cl_2_the_named_place_wins_then_the_path_then_the_root() {
    let provider = Provider::start().await;
    let (resource, origin) = (provider.url("/mcp"), provider.url(""));
    provider.on_json(PRM, json!({"resource": origin}));
    assert_eq!(found(&provider, None).await.unwrap(), Some(provider.url(PRM)));
    assert_eq!(provider.paths(), [&format!("{PRM}/mcp"), PRM]);
    provider.on_json(&format!("{PRM}/mcp"), json!({"resource": resource}));
    assert_eq!(found(&provider, None).await.unwrap(), Some(provider.url(&format!("{PRM}/mcp"))));
    provider.on_json("/odd", json!({"resource": resource}));
    let before = provider.asked().len();
    assert_eq!(found(&provider, Some(&provider.url("/odd"))).await.unwrap(), Some(provider.url("/odd")));
    assert_eq!(provider.paths()[before..], ["/odd"]);
    assert_eq!(provider.last().header("accept"), Some("application/json"));
}

#[tokio::test]
async fn cl_2_a_server_without_metadata_has_none() {
    let provider = Provider::start().await;
    for (status, kind, body) in [
        (404, "text/plain", ""),
        (401, "application/json", "{}"),
        (302, "text/plain", ""),
        (200, "text/html", "<h1>Hi</h1>"),
    ] {
        for path in [PRM.to_owned(), format!("{PRM}/mcp")] {
            provider.on(&path, move |_| Answer::of(status, kind, body).with("location", "/trap"));
        }
        assert_eq!(found(&provider, None).await.unwrap(), None, "{status}");
    }
    assert!(!provider.paths().contains(&"/trap".to_owned()));
}

#[tokio::test]
async fn cl_2_a_named_place_that_has_none_is_an_error() {
    let provider = Provider::start().await;
    let resource = provider.url("/mcp");
    provider.on_json(PRM, json!({"resource": resource}));
    provider.on("/page", |_| Answer::of(200, "text/html", "<h1>Hi</h1>"));
    for (named, is_expected) in [
        (
            provider.url("/gone"),
            (|error| matches!(error, ResourceMetadataError::Status { status: 404, .. })) as fn(&_) -> bool,
        ),
        (provider.url("/page"), |error| matches!(error, ResourceMetadataError::Invalid { .. })),
        ("http://r.example/m".to_owned(), |error| matches!(error, ResourceMetadataError::Url { .. })),
        ("javascript:alert(1)".to_owned(), |error| matches!(error, ResourceMetadataError::Url { .. })),
    ] {
        let error = found(&provider, Some(&named)).await.unwrap_err();
        assert!(is_expected(&error), "{named}: {error:?}");
    }
    assert!(!provider.paths().contains(&PRM.to_owned()), "nothing else is guessed");
}

#[tokio::test]
async fn cl_3_a_document_about_something_else_ends_the_search() {
    let provider = Provider::start().await;
    let resource = provider.url("/mcp");
    provider.on_json(PRM, json!({"resource": resource}));
    for other in [
        "https://evil.example/mcp",
        "",
        "no url",
        &provider.url("/mcp/x"),
        &resource.replace("http:", "https:"),
    ] {
        provider.on_json(&format!("{PRM}/mcp"), json!({"resource": other}));
        let error = found(&provider, None).await.unwrap_err();
        assert!(
            matches!(&error, ResourceMetadataError::Mismatch { found, .. } if found == other),
            "{error:?}"
        );
    }
    for broken in ["", "[]", "{\"resource\":1}", "{}"] {
        provider.on(&format!("{PRM}/mcp"), move |_| Answer::of(200, "application/json", broken));
        let error = found(&provider, None).await.unwrap_err();
        assert!(matches!(error, ResourceMetadataError::Invalid { .. }), "{broken}: {error:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_down_is_not_one_without_metadata() {
    let provider = Provider::start().await;
    for status in [429, 500, 503] {
        provider.on(&format!("{PRM}/mcp"), move |_| Answer::of(status, "text/plain", ""));
        let error = found(&provider, None).await.unwrap_err();
        assert!(
            matches!(error, ResourceMetadataError::Status { status: got, .. } if got == status),
            "{error:?}"
        );
    }
    provider.set_down(true);
    assert!(matches!(found(&provider, None).await, Err(ResourceMetadataError::Unreachable { .. })));
    let error = discover(&egress(), "ftp://r.example", None, AllowHttp::Any).await.unwrap_err();
    assert!(matches!(error, ResourceMetadataError::Server(_)));
}

#[tokio::test]
async fn every_place_that_was_looked_at_is_noted() {
    let provider = Provider::start().await;
    provider.on(&format!("{PRM}/mcp"), |_| Answer::of(200, "text/html", "<h1>Hi</h1>"));
    provider.on_json(PRM, json!({"resource": "https://evil.example"}));
    let mut places = Vec::new();
    let outcome = search(&egress(), &provider.url("/mcp"), None, AllowHttp::Loopback, &mut places).await;
    assert!(outcome.is_err());
    let first = Place {
        url: provider.url(&format!("{PRM}/mcp")),
        is_found: false,
        outcome: "a page for browsers".into(),
    };
    assert_eq!(places[0], first);
    assert!(!places[1].is_found && places[1].outcome.contains("evil.example"), "{:?}", places[1]);
    places.clear();
    provider.set_down(true);
    let _ = search(&egress(), &provider.url("/mcp"), None, AllowHttp::Loopback, &mut places).await;
    assert_eq!(places.len(), 1);
    assert!(places[0].outcome.contains("refused"), "with its causes: {:?}", places[0]);
}
