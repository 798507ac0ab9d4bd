use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use thv_client::jwks::{JwksCache, JwksFetchError};
use thv_clock::ManualClock;
use thv_jose::algorithm::Algorithm;
use thv_jose::key::SigningKey;

use crate::provider::{Answer, Provider, clock, egress};

fn cache(clock: &ManualClock) -> JwksCache {
    JwksCache::new(egress(), clock.shared(), 16)
}

fn key() -> SigningKey {
    SigningKey::generate(Algorithm::ES256).unwrap()
}

fn token(key: &SigningKey) -> String {
    key.sign("JWT", &json!({})).unwrap()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test]
async fn u1_a_rotated_key_is_found_by_its_kid() {
    let provider = Provider::start().await;
    let (old, new) = (key(), key());
    provider.publish(&[&old]);
    let (clock, url) = (clock(), provider.url("/jwks"));
    let cache = cache(&clock);
    let set = cache.load_for(&url, &token(&old)).await.unwrap();
    assert_eq!(set.document["keys"][0]["kid"], old.kid());
    provider.publish(&[&new, &old]);
    clock.advance(seconds(10));
    assert!(
        Arc::ptr_eq(&cache.load_for(&url, &token(&old)).await.unwrap(), &set),
        "a known kid costs nothing"
    );
    let set = cache.load_for(&url, &token(&new)).await.unwrap();
    assert!(set.keys.keys().iter().any(|found| found.kid() == Some(new.kid())));
    assert_eq!(provider.asked().len(), 2);
}

#[tokio::test]
async fn u1_made_up_kids_cause_one_fetch_in_ten_seconds() {
    let provider = Provider::start().await;
    provider.publish(&[&key()]);
    let (clock, url) = (clock(), provider.url("/jwks"));
    let cache = cache(&clock);
    for (advance, requests) in [(0, 1), (9, 1), (1, 2), (9, 2), (1, 3)] {
        clock.advance(seconds(advance));
        for _ in 0..3 {
            cache.load_for(&url, &token(&key())).await.unwrap();
        }
        assert_eq!(provider.asked().len(), requests);
    }
    cache.load_for(&url, "not a token").await.unwrap();
    cache.load(&url).await.unwrap();
    assert_eq!(provider.asked().len(), 3);
}

#[tokio::test]
async fn u1_keys_are_served_stale_for_a_day_while_the_host_is_down() {
    let provider = Provider::start().await;
    let first = key();
    provider.publish(&[&first]);
    let (clock, url) = (clock(), provider.url("/jwks"));
    let cache = cache(&clock);
    let set = cache.load(&url).await.unwrap();
    provider.set_down(true);
    clock.advance(seconds(301));
    assert!(Arc::ptr_eq(&cache.load(&url).await.unwrap(), &set));
    assert!(Arc::ptr_eq(&cache.load_for(&url, &token(&key())).await.unwrap(), &set));
    clock.advance(seconds(24 * 3600));
    assert!(matches!(cache.load(&url).await, Err(JwksFetchError::Unreachable(_))));
}

#[tokio::test]
async fn u1_a_set_that_has_become_invalid_is_not_served_on() {
    let provider = Provider::start().await;
    provider.publish(&[&key()]);
    let (clock, url) = (clock(), provider.url("/jwks"));
    let cache = cache(&clock);
    cache.load(&url).await.unwrap();
    provider.on_json("/jwks", json!({"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}));
    clock.advance(seconds(301));
    assert!(matches!(cache.load(&url).await, Err(JwksFetchError::Invalid(_))));
}

#[tokio::test]
async fn as_71_errors_are_not_kept_but_asked_about_once_in_five_seconds() {
    let provider = Provider::start().await;
    let (clock, url) = (clock(), provider.url("/jwks"));
    let cache = cache(&clock);
    for (advance, requests) in [(0, 1), (4, 1), (1, 2), (4, 2), (1, 3), (5, 4)] {
        clock.advance(seconds(advance));
        assert!(matches!(cache.load(&url).await, Err(JwksFetchError::Status(404))));
        assert_eq!(provider.asked().len(), requests);
    }
    provider.publish(&[&key()]);
    clock.advance(seconds(5));
    cache.load(&url).await.unwrap();
}

#[tokio::test]
async fn u1_only_200_with_a_small_key_set_is_accepted() {
    let provider = Provider::start().await;
    let url = provider.url("/jwks");
    let set = json!({"keys": [key().public().to_jwk()]}).to_string();
    for (answer, ok) in [
        ((200, set.clone()), true),
        ((201, set.clone()), false),
        ((302, set.clone()), false),
        ((200, "{}".to_owned()), false),
        ((200, "keys".to_owned()), false),
        ((200, format!("{set}{}", " ".repeat(64 * 1024))), false),
    ] {
        let (status, body) = answer.clone();
        provider.on("/jwks", move |_| {
            Answer::of(status, "application/json", body.clone()).with("location", "/elsewhere")
        });
        let outcome = cache(&clock()).load(&url).await;
        assert_eq!(outcome.is_ok(), ok, "{}", answer.0);
    }
    assert!(!provider.paths().contains(&"/elsewhere".to_owned()));
}

#[tokio::test]
async fn u1_a_caller_that_goes_away_does_not_make_the_next_one_fetch_again() {
    let provider = Provider::start().await;
    provider.publish(&[&key()]);
    let url = provider.url("/jwks");
    let cache = Arc::new(cache(&clock()));
    let (impatient, wanted) = (Arc::clone(&cache), url.clone());
    let caller = tokio::spawn(async move { impatient.load(&wanted).await.map(drop) });
    while provider.asked().is_empty() && !caller.is_finished() {
        tokio::task::yield_now().await;
    }
    caller.abort();
    cache.load(&url).await.unwrap();
    assert_eq!(provider.asked().len(), 1);
}

#[tokio::test]
async fn u11_keys_that_are_at_hand_are_given_without_a_request() {
    let provider = Provider::start().await;
    let (first, other) = (key(), key());
    provider.publish(&[&first]);
    let (clock, url) = (clock(), provider.url("/jwks"));
    let cache = cache(&clock);
    assert!(cache.kept_for(&url, &token(&first)).is_none(), "nothing is kept yet");
    let set = cache.load(&url).await.unwrap();
    clock.advance(seconds(301));
    assert!(Arc::ptr_eq(&cache.kept_for(&url, &token(&first)).unwrap(), &set), "old keys do, too");
    assert!(cache.kept_for(&url, &token(&other)).is_none(), "it is of another key");
    clock.advance(seconds(24 * 3600));
    assert!(cache.kept_for(&url, &token(&first)).is_none(), "too old");
    assert_eq!(provider.asked().len(), 1);
}
