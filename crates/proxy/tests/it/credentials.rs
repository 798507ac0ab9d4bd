use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderName};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use secrecy::SecretString;
use thv_clock::{ManualClock, Timestamp};
use thv_proxy::{Inject, ProxyConfig};
use thv_resource::credential::{Credential, CredentialCache, CredentialError, UpstreamCredentials};
use tokio::sync::mpsc;

use crate::support::*;

fn credential(token: &str) -> Arc<Credential> {
    Arc::new(Credential::bearer(&SecretString::from(token), "corp", None).unwrap())
}

/// A credential of a provider that is asked for on demand.
fn on_demand(token: &str) -> Arc<Credential> {
    let credential = Credential::bearer(&SecretString::from(token), "hub", None).unwrap();
    Arc::new(credential.with_login_scope("upstream:hub"))
}

/// A provider whose refresh always gives `fresh`, unless it fails.
#[derive(Default)]
struct Provider {
    refreshes: AtomicU32,
    failure: Option<CredentialError>,
}

#[async_trait]
impl UpstreamCredentials for Provider {
    async fn credential(&self, _session: &str) -> Result<Option<Arc<Credential>>, CredentialError> {
        Ok(Some(credential("stale")))
    }

    async fn refresh(
        &self,
        session: &str,
        refused: &Credential,
    ) -> Result<Option<Arc<Credential>>, CredentialError> {
        assert_eq!(session, "session-1");
        assert!(refused.is_bearer_of(&SecretString::from("stale")));
        self.refreshes.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        match &self.failure {
            Some(failure) => Err(failure.clone()),
            None => Ok(Some(on_demand("fresh"))),
        }
    }
}

/// A backend that accepts `accepted` alone, and answers with the body it was sent.
async fn demanding(accepted: &'static str) -> SocketAddr {
    serve(move |request: Request<Incoming>| async move {
        let sent = request.headers().get(AUTHORIZATION).cloned();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        if sent.is_some_and(|sent| sent == accepted) {
            return Response::new(full(body));
        }
        let builder = Response::builder().status(StatusCode::UNAUTHORIZED);
        builder.header("www-authenticate", "Bearer realm=\"backend\"").body(full("")).unwrap()
    })
    .await
}

async fn gateway(backend: SocketAddr, provider: &Arc<Provider>) -> SocketAddr {
    let clock = ManualClock::at(Timestamp::from_secs(1_000));
    let credentials = Arc::new(CredentialCache::new(provider.clone(), clock.shared(), 10));
    let gateway = Gateway { credential: Some(credential("stale")), credentials: Some(credentials) };
    gateway.start(config(), &format!("http://{backend}/")).await
}

#[tokio::test]
async fn rs_13_the_upstream_credential_takes_the_place_of_the_clients_token() {
    let backend = demanding("Bearer stale").await;
    let gateway = gateway(backend, &Arc::default()).await;
    let mut request = post(full("{}"));
    request.headers_mut().insert(AUTHORIZATION, "Bearer alice".parse().unwrap());
    assert_eq!(text(send(gateway, request).await).await, "{}");
}

#[tokio::test]
async fn a_credential_goes_into_the_configured_header_or_nowhere() {
    let backend = serve(|request: Request<_>| async move {
        let value = |name: &str| {
            request.headers().get(name).map_or("none", |value| value.to_str().unwrap()).to_owned()
        };
        Response::new(full(format!("{} {}", value("authorization"), value("x-api-key"))))
    })
    .await;
    let api_key = Inject::Header(HeaderName::from_static("x-api-key"));
    for (inject, seen) in [(api_key, "none Bearer stale"), (Inject::None, "none none")] {
        let gateway = Gateway { credential: Some(credential("stale")), credentials: None };
        let gateway = gateway.start(ProxyConfig { inject, ..config() }, &format!("http://{backend}/")).await;
        assert_eq!(text(send(gateway, post(full("{}"))).await).await, seen);
    }
}

#[tokio::test]
async fn concurrent_requests_that_the_backend_refuses_cause_one_refresh_and_succeed() {
    let backend = demanding("Bearer fresh").await;
    let provider = Arc::new(Provider::default());
    let gateway = gateway(backend, &provider).await;
    let requests: Vec<_> = (0..20)
        .map(|number| {
            tokio::spawn(async move { text(send(gateway, post(full(format!("call {number}")))).await).await })
        })
        .collect();
    for (number, request) in requests.into_iter().enumerate() {
        assert_eq!(request.await.unwrap(), format!("call {number}"));
    }
    assert_eq!(provider.refreshes.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_request_that_cannot_be_repeated_is_challenged_by_us() {
    let backend = demanding("Bearer fresh").await;
    let provider = Arc::new(Provider::default());
    let gateway = gateway(backend, &provider).await;
    let (upload, body) = channel_body();
    upload.send(Bytes::from("of unknown length")).await.unwrap();
    drop(upload);
    let response = send(gateway, post(body)).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let challenge = response.headers()["www-authenticate"].to_str().unwrap();
    let expected = "Bearer error=\"invalid_token\", error_description=\"the upstream credential was replaced, send \
                    the request again (upstream_credential_replaced)\", \
                    resource_metadata=\"https://mcp.example.com/.well-known/oauth-protected-resource/mcp\"";
    assert_eq!(challenge, expected);
}

#[tokio::test]
async fn why_there_is_no_other_credential_is_said_by_us() {
    let on_demand = "upstream:hub".to_owned();
    // The failure of the provider ▶ status, reason code and the challenge's scope; the token has `openid profile`.
    let table = [
        (CredentialError::ReauthenticationNeeded { scope: None }, 401, "upstream_login_ended", None),
        (
            CredentialError::ReauthenticationNeeded { scope: Some(on_demand.clone()) },
            401,
            "upstream_login_ended",
            Some("scope=\"openid profile upstream:hub\""),
        ),
        (
            CredentialError::StepUpNeeded { scope: on_demand },
            403,
            "upstream_login_needed",
            Some("scope=\"openid profile upstream:hub\""),
        ),
    ];
    let backend = demanding("Bearer fresh").await;
    for (failure, status, reason, scope) in table {
        let provider = Arc::new(Provider { failure: Some(failure), ..Provider::default() });
        let response = send(gateway(backend, &provider).await, post(full("{}"))).await;
        assert_eq!(response.status(), status);
        let challenge = response.headers()["www-authenticate"].to_str().unwrap();
        let named = challenge.split(", ").find(|parameter| parameter.starts_with("scope="));
        assert_eq!(named, scope, "{challenge}");
        assert_eq!(json(response).await["reason"], reason);
    }
}

#[tokio::test]
async fn a_provider_that_is_down_is_no_fault_of_the_token() {
    let failure = Some(CredentialError::Unavailable { retry_after: Duration::from_secs(7) });
    let provider = Arc::new(Provider { failure, ..Provider::default() });
    let gateway = gateway(demanding("Bearer fresh").await, &provider).await;
    let response = send(gateway, post(full("{}"))).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()["retry-after"], "7");
    assert!(!response.headers().contains_key("www-authenticate"));
    assert_eq!(json(response).await["reason"], "upstream_unavailable");
}

#[tokio::test]
async fn a_backend_that_refuses_every_credential_is_tried_twice_and_no_more() {
    let (tried, mut tries) = mpsc::unbounded_channel();
    let backend = serve(move |_| {
        tried.send(()).unwrap();
        async { Response::builder().status(StatusCode::UNAUTHORIZED).body(full("")).unwrap() }
    })
    .await;
    let provider = Arc::new(Provider::default());
    let gateway = gateway(backend, &provider).await;
    let response = send(gateway, post(full("{}"))).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let challenge = response.headers()["www-authenticate"].to_str().unwrap();
    assert!(challenge.contains("scope=\"openid profile upstream:hub\""), "{challenge}");
    assert_eq!((tries.try_recv(), tries.try_recv()), (Ok(()), Ok(())));
    assert!(tries.try_recv().is_err());
    assert_eq!(provider.refreshes.load(Ordering::SeqCst), 1);
}
