//! Rows that were sealed with a key that has been taken away.

use thv_jose::reload::AtRestHandle;
use thv_store::records::SessionId;
use thv_store::table::Kind;
use thv_store::{StoreError, Stores, contract, sealed};

use crate::support::{SharedRows, T0, entry, keys, later, ring, session};

/// Stores whose own secret is sealed with key 2, over rows of which those that `fill` makes are sealed with key 1.
async fn sealed_with_key_one(
    fill: impl AsyncFn(&Stores),
) -> (std::sync::Arc<SharedRows>, Stores, AtRestHandle) {
    let rows = SharedRows::new();
    fill(&sealed::stores(rows.clone(), keys(&[1]))).await;
    let handle = keys(&[2, 1]);
    let stores = sealed::stores(rows.clone(), handle.clone());
    // The secret is sealed anew when it is read.
    assert!(stores.consents.load("nobody", "nothing", T0).await.unwrap().is_none());
    (rows, stores, handle)
}

#[tokio::test]
async fn what_a_new_login_replaces_counts_as_absent_when_its_key_is_gone() {
    let (id, session) = (SessionId::random(), session());
    let (rows, stores, handle) = sealed_with_key_one(async |stores| {
        assert!(stores.upstream_tokens.put(&id, None, entry("old"), later(60), T0).await.unwrap());
        stores.sessions.insert(session.clone(), T0).await.unwrap();
    })
    .await;
    handle.replace(ring(&[2]));
    assert!(stores.sessions.load(&session.id, T0).await.unwrap().is_none());
    assert!(stores.upstream_tokens.load(&id, "corp", T0).await.unwrap().is_none());
    assert_eq!(rows.rows.lock().unwrap().len(), 3, "reading takes nothing away: the key may come back");

    let tokens = &stores.upstream_tokens;
    let (a, b) = tokio::join!(
        tokens.put(&id, None, entry("new"), later(60), T0),
        tokens.put(&id, None, entry("new"), later(60), T0),
    );
    assert!(a.unwrap() != b.unwrap(), "one of them takes the place");
    assert!(tokens.load(&id, "corp", T0).await.unwrap().is_some());
    handle.replace(ring(&[2, 1]));
    assert_eq!(*stores.sessions.load(&session.id, T0).await.unwrap().unwrap().value, session);
}

#[tokio::test]
async fn what_nothing_replaces_stays_an_error_when_its_key_is_gone() {
    let (_rows, stores, handle) = sealed_with_key_one(async |stores| {
        stores.clients.insert(contract::sample_client("c", T0), later(60), T0).await.unwrap();
    })
    .await;
    handle.replace(ring(&[2]));
    let error = stores.clients.load("c", T0).await.unwrap_err();
    assert!(matches!(error, StoreError::Unreadable { noun: "client", .. }));
    handle.replace(ring(&[2, 1]));
    assert!(stores.clients.load("c", T0).await.unwrap().is_some());
}

#[tokio::test]
async fn what_was_used_once_stays_used_when_its_key_is_gone() {
    let (_rows, stores, handle) = sealed_with_key_one(async |stores| {
        assert!(stores.replays.claim([7; 32], later(60), T0).await.unwrap());
        assert!(stores.leases.acquire([8; 32], later(60), T0).await.unwrap().is_some());
    })
    .await;
    handle.replace(ring(&[2]));
    assert!(!stores.replays.claim([7; 32], later(60), T0).await.unwrap());
    assert!(stores.leases.acquire([8; 32], later(60), T0).await.unwrap().is_none());
}

#[tokio::test]
async fn damage_is_an_error_and_never_absence() {
    let (rows, stores, _handle) = sealed_with_key_one(async |_| {}).await;
    let id = SessionId::random();
    stores.upstream_tokens.put(&id, None, entry("secret"), later(60), T0).await.unwrap();
    for (key, row) in rows.rows.lock().unwrap().iter_mut() {
        if key.kind == Kind::UpstreamTokens {
            row.value[30] ^= 1;
        }
    }
    let error = stores.upstream_tokens.load(&id, "corp", T0).await.unwrap_err();
    assert!(matches!(error, StoreError::Unreadable { noun: "upstream", .. }));
    assert!(!stores.upstream_tokens.put(&id, None, entry("new"), later(60), T0).await.unwrap());
}

/// While keys rotate, one replica may seal with a key before another has it.
#[tokio::test]
async fn a_replica_that_lacks_the_newest_key_takes_nothing_for_absent() {
    let rows = SharedRows::new();
    let handle = keys(&[1]);
    let (ahead, behind) =
        (sealed::stores(rows.clone(), keys(&[2, 1])), sealed::stores(rows.clone(), handle.clone()));
    let id = SessionId::random();
    assert!(behind.upstream_tokens.load(&id, "corp", T0).await.unwrap().is_none());
    assert!(ahead.upstream_tokens.put(&id, None, entry("newest"), later(60), T0).await.unwrap());
    let error = behind.upstream_tokens.load(&id, "corp", T0).await.unwrap_err();
    assert!(matches!(error, StoreError::Unreadable { noun: "upstream", .. }));
    assert!(!behind.upstream_tokens.put(&id, None, entry("other"), later(60), T0).await.unwrap());
    handle.replace(ring(&[2, 1]));
    assert!(behind.upstream_tokens.load(&id, "corp", T0).await.unwrap().is_some());
}
