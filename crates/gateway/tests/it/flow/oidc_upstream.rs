//! Logins at an OpenID Connect provider that is down, mistaken or hostile (U1).

use std::time::Duration;

use serde_json::json;
use thv_testkit::oauth_client::Callback;

use super::backend::Backend;
use super::gate::{Gate, REDIRECT_URI, clock};
use super::provider::{Manner, Provider};

#[track_caller]
fn assert_refused(callback: &Callback, error: &str, reason: &str) {
    assert_eq!(callback.get("error"), Some(error), "{callback:?}");
    let description = callback.get("error_description").unwrap();
    assert!(description.starts_with(&format!("{reason}: ")), "{description}");
    assert_eq!(callback.get("code"), None);
}

#[tokio::test]
async fn u1_a_provider_that_is_down_at_the_start_is_waited_for() {
    let clock = clock();
    let (backend, provider) = (Backend::start().await, Provider::start(&clock).await);
    provider.down();
    let gate = Gate::start(&clock, &backend.url(), |config| provider.as_oidc(config)).await;
    let ready = gate.get("/readyz").await;
    assert_eq!(ready.status(), 200, "who is logged in goes on working");
    assert_eq!(ready.json()["status"], "degraded");
    assert_eq!(ready.json()["checks"]["upstream corp"], "unavailable");
    let (mut browser, server) = (gate.browser(), gate.discover().await);
    let client_id = server.register_public(&mut browser, REDIRECT_URI).await;
    let consent = browser.get(&gate.request(&client_id).url(&server)).await;
    let mut forms = consent.forms().into_iter();
    let approve = forms.find_map(|mut form| form.press("decision", "approve").then_some(form)).unwrap();
    let page = browser.submit(&consent, &approve).await;
    assert_eq!(page.status(), 503);
    assert!(
        page.text().contains("upstream_unavailable") && page.text().contains(REDIRECT_URI),
        "{}",
        page.text()
    );

    provider.up();
    // A server that failed is not asked again at once.
    clock.advance(Duration::from_secs(30));
    let session = gate.log_in().await;
    assert_eq!(gate.call(session.token()).await.status, 200);
    assert_eq!(
        gate.get("/readyz").await.json(),
        json!({"status": "ok", "checks": {"store": "ok", "upstream corp": "ok"}})
    );
}

/// The outcome of a login at a provider that behaves in this manner.
async fn login_at(change: impl FnOnce(&mut Manner)) -> Callback {
    let clock = clock();
    let (backend, provider) = (Backend::start().await, Provider::start(&clock).await);
    provider.behave(change);
    let gate = Gate::start(&clock, &backend.url(), |config| provider.as_oidc(config)).await;
    gate.try_log_in().await
}

#[tokio::test]
async fn u1_an_id_token_for_another_request_or_client_is_refused() {
    let refused = login_at(|manner| manner.nonce = Some("another")).await;
    assert_refused(&refused, "server_error", "upstream_unacceptable");
    let refused = login_at(|manner| manner.audience = "another-client").await;
    assert_refused(&refused, "server_error", "upstream_unacceptable");
    let accepted = login_at(|_| {}).await;
    assert_eq!(accepted.get("error"), None, "{accepted:?}");
}

#[tokio::test]
async fn cl_42_an_answer_of_another_issuer_is_not_acted_upon_even_if_it_is_an_error() {
    let other = || Some("https://attacker.example".to_owned());
    for announced in [false, true] {
        for error in [None, Some("access_denied"), Some("login_required")] {
            let refused = login_at(|manner| {
                (manner.announces_iss, manner.iss, manner.error) = (announced, other(), error);
            })
            .await;
            assert_refused(&refused, "server_error", "upstream_unacceptable");
        }
    }
}

#[tokio::test]
async fn cl_42_an_answer_without_the_announced_iss_is_not_acted_upon() {
    for error in [None, Some("access_denied")] {
        let refused = login_at(|manner| (manner.announces_iss, manner.error) = (true, error)).await;
        assert_refused(&refused, "server_error", "upstream_unacceptable");
    }
}

#[tokio::test]
async fn cl_42_an_answer_with_the_right_iss_counts() {
    let ours = || Some("ours".to_owned());
    let accepted = login_at(|manner| (manner.announces_iss, manner.iss) = (true, ours())).await;
    assert_eq!(accepted.get("error"), None, "{accepted:?}");
    for (error, expected) in
        [("access_denied", "access_denied"), ("login_required", "login_required"), ("odd", "access_denied")]
    {
        let refused = login_at(|manner| {
            (manner.announces_iss, manner.iss, manner.error) = (true, ours(), Some(error));
        })
        .await;
        assert_refused(&refused, expected, "upstream_refused");
    }
}
