use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use thv_oauth::token_profile::AccessTokenClaims;
use thv_resource::{Refusal, TokenFault};

use crate::support::{NOW, Setup, claims, ring};

#[tokio::test]
async fn rs_11_a_good_token_says_who_and_what() {
    let setup = Setup::new();
    let verified = setup.verifier.verify(&setup.sign(&claims())).await.unwrap();
    assert_eq!(verified.subject, "alice");
    assert_eq!(verified.client_id, "https://client.example/doc.json");
    assert_eq!(verified.scopes.to_string(), "openid profile");
    assert_eq!(verified.session.as_deref(), Some("session-1"));
    assert_eq!(verified.expires_at.as_secs(), NOW + 3600);
}

#[tokio::test]
async fn rs_10_rs_11_a_token_that_breaks_a_rule_is_refused_with_the_reason() {
    let setup = Setup::new();
    let with = |change: fn(&mut AccessTokenClaims)| {
        let mut claims = claims();
        change(&mut claims);
        setup.sign(&claims)
    };
    let good = setup.sign(&claims());
    let foreign_key = ring().sign("at+jwt", &claims()).unwrap();
    let table = [
        (
            with(|claims| claims.aud = vec!["https://mcp.example.com/mcp/".to_owned()].into()),
            TokenFault::WrongAudience,
        ),
        (with(|claims| claims.aud = Vec::new().into()), TokenFault::WrongAudience),
        (with(|claims| claims.iss.push('/')), TokenFault::WrongIssuer),
        (with(|claims| claims.exp = NOW), TokenFault::Expired),
        (with(|claims| claims.iat = NOW + 60), TokenFault::NotYetValid),
        (setup.keys.load().sign("JWT", &claims()).unwrap(), TokenFault::WrongType),
        (foreign_key, TokenFault::Signature),
        (good.split('.').take(2).collect::<Vec<_>>().join("."), TokenFault::Malformed),
        ("opaque".to_owned(), TokenFault::Malformed),
        (String::new(), TokenFault::Malformed),
    ];
    for (token, fault) in table {
        let refusal = setup.verifier.verify(&token).await.unwrap_err();
        assert_eq!(refusal, Refusal::InvalidToken(fault));
    }
    let mut changed = good.into_bytes();
    let last = changed.len() - 5;
    changed[last] = if changed[last] == b'A' { b'B' } else { b'A' };
    let refusal = setup.verifier.verify(&String::from_utf8(changed).unwrap()).await.unwrap_err();
    assert_eq!(refusal, TokenFault::Signature.into());
}

#[tokio::test]
async fn a_verdict_is_remembered_and_shared() {
    let setup = Setup::new();
    let token = setup.sign(&claims());
    let first = setup.verifier.verify(&token).await.unwrap();
    let second = setup.verifier.verify(&token).await.unwrap();
    assert!(Arc::ptr_eq(&first, &second));
    assert_eq!(setup.asked(), 1);
}

#[tokio::test]
async fn an_observer_is_told_which_tokens_were_known() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let Setup { keys, verifier, .. } = Setup::new();
    let token = keys.load().sign("at+jwt", &claims()).unwrap();
    let told = Arc::clone(&seen);
    let verifier = verifier.observed(move |known| told.lock().unwrap().push(known));
    for token in [token.as_str(), token.as_str(), "unknown"] {
        let _ = verifier.verify(token).await;
    }
    assert_eq!(*seen.lock().unwrap(), [false, true, false]);
}

#[tokio::test]
async fn a_verdict_ends_with_the_tokens_expiry() {
    let setup = Setup::new();
    let token = setup.sign(&claims());
    setup.verifier.verify(&token).await.unwrap();
    setup.clock.advance(Duration::from_millis(3_599_999));
    setup.verifier.verify(&token).await.unwrap();
    setup.clock.advance(Duration::from_millis(1));
    assert_eq!(setup.verifier.verify(&token).await.unwrap_err(), TokenFault::Expired.into());
}

#[tokio::test]
async fn a_verdict_ends_with_the_key_it_rests_on() {
    let setup = Setup::new();
    let token = setup.sign(&claims());
    setup.verifier.verify(&token).await.unwrap();
    setup.keys.replace(ring());
    assert_eq!(setup.verifier.verify(&token).await.unwrap_err(), TokenFault::Signature.into());
    setup.verifier.verify(&setup.sign(&claims())).await.unwrap();
}

#[tokio::test]
async fn a_revocation_here_is_seen_at_once_and_by_that_session_alone() {
    let setup = Setup::new();
    let (revoked, other) = (setup.sign(&claims()), {
        let mut claims = claims();
        claims.tsid = Some("session-2".to_owned());
        setup.sign(&claims)
    });
    setup.verifier.verify(&revoked).await.unwrap();
    let kept = setup.verifier.verify(&other).await.unwrap();
    setup.sessions.ended.store(true, Ordering::SeqCst);
    setup.verifier.session_revoked("session-1");
    assert_eq!(setup.verifier.verify(&revoked).await.unwrap_err(), TokenFault::Revoked.into());
    assert!(Arc::ptr_eq(&kept, &setup.verifier.verify(&other).await.unwrap()));
    setup.verifier.forget_all();
    assert_eq!(setup.verifier.verify(&other).await.unwrap_err(), TokenFault::Revoked.into());
}

#[tokio::test]
async fn a_revocation_elsewhere_is_seen_within_thirty_seconds() {
    let setup = Setup::new();
    let token = setup.sign(&claims());
    setup.verifier.verify(&token).await.unwrap();
    setup.sessions.ended.store(true, Ordering::SeqCst);
    setup.clock.advance(Duration::from_millis(29_999));
    setup.verifier.verify(&token).await.unwrap();
    setup.clock.advance(Duration::from_millis(1));
    assert_eq!(setup.verifier.verify(&token).await.unwrap_err(), TokenFault::Revoked.into());
}

#[tokio::test]
async fn concurrent_requests_ask_about_a_session_once() {
    let setup = Arc::new(Setup::new());
    let token = setup.sign(&claims());
    setup.verifier.verify(&token).await.unwrap();
    setup.clock.advance(Duration::from_secs(30));
    let requests: Vec<_> = (0..50)
        .map(|_| {
            let (setup, token) = (setup.clone(), token.clone());
            tokio::spawn(async move { setup.verifier.verify(&token).await.unwrap() })
        })
        .collect();
    for request in requests {
        request.await.unwrap();
    }
    assert_eq!(setup.asked(), 2);
}

#[tokio::test]
async fn an_outage_of_the_store_refuses_nothing_for_good() {
    let setup = Setup::new();
    let token = setup.sign(&claims());
    setup.sessions.unavailable.store(true, Ordering::SeqCst);
    assert!(matches!(setup.verifier.verify(&token).await, Err(Refusal::Unavailable { .. })));
    setup.sessions.unavailable.store(false, Ordering::SeqCst);
    setup.verifier.verify(&token).await.unwrap();
}

#[tokio::test]
async fn a_token_without_a_session_asks_nobody() {
    let setup = Setup::new();
    let token = setup.sign(&AccessTokenClaims { tsid: None, ..claims() });
    setup.verifier.verify(&token).await.unwrap();
    assert_eq!(setup.asked(), 0);
}
