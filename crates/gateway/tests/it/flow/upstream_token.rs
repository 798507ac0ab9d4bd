//! The upstream's token on its way to the MCP server.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::Method;
use http_body_util::Full;
use thv_config::config::{HeaderStrategy, UpstreamInject};
use thv_testkit::streaming;

use super::backend::{Backend, Seen};
use super::gate::{Gate, Session, TOOL_CALL, auth_server, clock};
use super::provider::{LIFETIME, Provider};

const LIFE: Duration = Duration::from_secs(LIFETIME);

struct Scene {
    gate: Gate,
    backend: Backend,
    provider: Provider,
    session: Session,
}

/// A user who is logged in through the provider.
async fn scene(change: impl FnOnce(&mut thv_config::Config)) -> Scene {
    let clock = clock();
    let (backend, provider) = (Backend::start().await, Provider::start(&clock).await);
    let gate = Gate::start(&clock, &backend.url(), |config| {
        provider.as_oidc(config);
        change(config);
    })
    .await;
    let session = gate.log_in().await;
    Scene { gate, backend, provider, session }
}

impl Scene {
    /// What arrives at the backend of a request that tries to smuggle things in, also in the header `more`.
    async fn smuggle(&self, more: &str) -> Seen {
        let token = self.session.token();
        let request = self
            .gate
            .to_mcp(Method::POST, token)
            .header("cookie", "session=smuggled")
            .header("proxy-authorization", "Basic smuggled")
            .header("x-thv-subject", "corp:smuggled")
            .header("x-thv-scope", "smuggled")
            .header(more, "smuggled")
            .header("x-forwarded-for", "6.6.6.6")
            .header("x-forwarded-user", "smuggled")
            .header("forwarded", "for=smuggled")
            .header("connection", "x-hop")
            .header("x-hop", "smuggled")
            .header("mcp-protocol-version", "2025-11-25");
        let answer = self.gate.whole(request.body(Full::from(TOOL_CALL)).unwrap()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let seen = self.backend.only();
        let all = format!("{:?} {}", seen.headers, seen.target);
        assert!(!all.contains("smuggled") && !all.contains("6.6.6.6") && !all.contains(token), "{all}");
        assert_eq!(seen.body, TOOL_CALL);
        assert_eq!(seen.header("mcp-protocol-version"), "2025-11-25");
        assert_eq!(seen.header("x-forwarded-for"), "127.0.0.1");
        seen
    }
}

#[tokio::test]
async fn g4_the_upstreams_token_is_injected_and_ours_never_leaves() {
    let scene = scene(|_| {}).await;
    let seen = scene.smuggle("x-thv-client-id").await;
    assert_eq!(seen.header("authorization"), "Bearer upstream-access-1");
    assert_eq!(seen.header("x-thv-subject"), "", "identity is forwarded only when configured");
    assert_eq!(scene.session.claims()["sub"], "corp:alice");
}

#[tokio::test]
async fn g4_the_upstreams_token_goes_into_a_header_of_its_own() {
    let scene = scene(|config| {
        config.server.upstream_inject = UpstreamInject {
            header_strategy: HeaderStrategy::Custom,
            custom_header_name: Some("X-Upstream-Token".to_owned()),
            ..UpstreamInject::default()
        };
        config.server.forward_identity = true;
    })
    .await;
    let seen = scene.smuggle("x-upstream-token").await;
    assert_eq!(seen.header("x-upstream-token"), "Bearer upstream-access-1");
    assert_eq!(seen.header("authorization"), "");
    assert_eq!(seen.header("x-thv-subject"), "corp:alice");
    assert_eq!(seen.header("x-thv-client-id"), scene.session.client_id);
}

#[tokio::test]
async fn g4_injection_that_is_disabled_sends_no_token() {
    let scene = scene(|config| auth_server(config).disable_upstream_token_injection = true).await;
    let seen = scene.smuggle("x-thv-client-id").await;
    assert_eq!(seen.header("authorization"), "");
    let values: Vec<_> = seen.headers.values().filter_map(|value| value.to_str().ok()).collect();
    assert!(!values.iter().any(|value| value.contains("upstream-access")), "{values:?}");
}

#[tokio::test]
async fn g4_an_expired_upstream_token_is_refreshed_once_for_concurrent_requests() {
    let scene = scene(|_| {}).await;
    scene.gate.clock.advance(LIFE);
    scene.provider.hold(true);
    let token = scene.session.token();
    let calls = join_all((0..20).map(|_| scene.gate.call(token)));
    let all_are_here = async {
        scene.provider.refresh_requested().await;
        let enough = |page: &str| {
            let gauge = page.lines().find_map(|line| line.strip_prefix("thv_open_connections ")).unwrap();
            // The page of metrics takes one itself.
            gauge.parse::<u32>().unwrap() > 20
        };
        while !enough(&scene.gate.metrics().await) {
            tokio::task::yield_now().await;
        }
        scene.provider.hold(false);
    };
    let (answers, ()) = tokio::join!(calls, all_are_here);
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    assert_eq!(scene.provider.refresh_requests(), 1);
    let seen = scene.backend.seen();
    assert_eq!(seen.len(), 20);
    assert!(seen.iter().all(|seen| seen.header("authorization") == "Bearer upstream-access-2"));

    // The provider accepts each refresh token once: the next refresh needs the rotated one.
    scene.gate.clock.advance(LIFE);
    assert_eq!(scene.gate.call(token).await.status, 200);
    assert_eq!(scene.backend.only().header("authorization"), "Bearer upstream-access-3");
    assert_eq!(scene.provider.refresh_requests(), 2);
}

#[tokio::test]
async fn g4_a_token_that_still_holds_is_used_while_the_provider_is_down() {
    let scene = scene(|_| {}).await;
    // So near its end that it would be renewed.
    scene.gate.clock.advance(LIFE - Duration::from_secs(10));
    scene.provider.down();
    assert_eq!(scene.gate.call(scene.session.token()).await.status, 200);
    assert_eq!(scene.backend.only().header("authorization"), "Bearer upstream-access-1");
}

#[tokio::test]
async fn g4_an_expired_token_is_unavailable_while_the_provider_is_down_and_nothing_is_lost() {
    let scene = scene(|_| {}).await;
    scene.gate.clock.advance(LIFE);
    scene.provider.down();
    let answer = scene.gate.call(scene.session.token()).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.headers["retry-after"].to_str().unwrap().parse::<u32>().unwrap() > 0);
    assert_eq!(answer.challenge(), "", "the token is not to blame");
    assert!(scene.backend.seen().is_empty());
    scene.provider.up();
    assert_eq!(scene.gate.call(scene.session.token()).await.status, 200);
    assert_eq!(scene.backend.only().header("authorization"), "Bearer upstream-access-2");
}

#[tokio::test]
async fn g4_a_login_that_the_provider_ended_is_a_401_with_a_challenge() {
    let scene = scene(|_| {}).await;
    scene.gate.clock.advance(LIFE);
    scene.provider.behave(|manner| manner.refuses_refresh = true);
    let answer = scene.gate.call(scene.session.token()).await;
    assert_eq!(answer.status, 401, "{answer:?}");
    assert!(answer.challenge().starts_with("Bearer error=\"invalid_token\""), "{answer:?}");
    assert!(answer.challenge().contains("resource_metadata="), "{answer:?}");
    assert_eq!(answer.json()["reason"], "upstream_login_ended");
    assert!(scene.backend.seen().is_empty());
    assert_eq!(scene.gate.call(scene.session.token()).await.status, 401);
    assert_eq!(scene.provider.refresh_requests(), 1, "what is void is not tried again");
    // Logging in again is the way out, and the old token stays without a login.
    scene.provider.behave(|manner| manner.refuses_refresh = false);
    let again = scene.gate.log_in().await;
    assert_eq!(scene.gate.call(again.token()).await.status, 200);
}

#[tokio::test]
async fn g4_a_backend_401_refreshes_once_and_retries() {
    let scene = scene(|_| {}).await;
    scene.backend.refuse("Bearer upstream-access-1");
    let answer = scene.gate.call(scene.session.token()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(scene.provider.refresh_requests(), 1);
    let seen = scene.backend.seen();
    let tokens: Vec<String> = seen.iter().map(|seen| seen.header("authorization")).collect();
    assert_eq!(tokens, ["Bearer upstream-access-1", "Bearer upstream-access-2"]);
    assert!(seen.iter().all(|seen| seen.body == TOOL_CALL));
    // Whoever comes next uses the new one at once.
    assert_eq!(scene.gate.call(scene.session.token()).await.status, 200);
    assert_eq!(scene.backend.only().header("authorization"), "Bearer upstream-access-2");
}

#[tokio::test]
async fn g4_a_backend_that_refuses_every_token_causes_one_refresh_and_a_challenge() {
    let scene = scene(|_| {}).await;
    for number in 1..5 {
        scene.backend.refuse(&format!("Bearer upstream-access-{number}"));
    }
    for _ in 0..3 {
        let answer = scene.gate.call(scene.session.token()).await;
        assert_eq!(answer.status, 401, "{answer:?}");
        assert_eq!(answer.json()["reason"], "upstream_login_ended");
        assert!(answer.challenge().contains("resource_metadata=\"http://127.0.0.1:"), "{answer:?}");
        assert!(!answer.challenge().contains("backend"), "the backend's own challenge stays behind");
    }
    assert_eq!(scene.provider.refresh_requests(), 1);
}

#[tokio::test]
async fn g4_a_streamed_request_that_cannot_be_repeated_is_told_to_come_again() {
    let scene = scene(|_| {}).await;
    scene.backend.refuse("Bearer upstream-access-1");
    let (writer, body) = streaming::channel();
    let request = scene.gate.to_mcp(Method::POST, scene.session.token()).body(body).unwrap();
    let write = async {
        assert!(writer.send(Bytes::from_static(TOOL_CALL.as_bytes())).await);
        drop(writer);
    };
    let (answer, ()) = tokio::join!(scene.gate.whole(request), write);
    assert_eq!(answer.status, 401, "{answer:?}");
    assert_eq!(answer.json()["reason"], "upstream_credential_replaced");
    assert_eq!(scene.gate.call(scene.session.token()).await.status, 200);
    assert_eq!(scene.provider.refresh_requests(), 1);
}

#[tokio::test]
async fn g4_a_provider_that_was_down_after_a_backend_401_is_asked_again() {
    let scene = scene(|_| {}).await;
    scene.backend.refuse("Bearer upstream-access-1");
    scene.provider.down();
    for _ in 0..2 {
        let answer = scene.gate.call(scene.session.token()).await;
        assert_eq!(answer.status, 503, "nobody said that the login has ended: {answer:?}");
        assert!(answer.headers.contains_key("retry-after"));
    }
    scene.provider.up();
    assert_eq!(scene.gate.call(scene.session.token()).await.status, 200);
    assert_eq!(scene.provider.refresh_requests(), 1);
}
