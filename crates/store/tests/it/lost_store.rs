//! A backend that loses everything under running replicas.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use thv_clock::Timestamp;
use thv_store::records::Session;
use thv_store::table::Kind;
use thv_store::{Stores, sealed};

use crate::support::{SharedRows, T0, keys, later, session};

fn replica(rows: &Arc<SharedRows>) -> Stores {
    sealed::stores(rows.clone(), keys(&[1]))
}

fn lose_all(rows: &SharedRows) {
    rows.rows.lock().unwrap().clear();
}

async fn keeps(stores: &Stores, now: Timestamp) -> Session {
    let session = session();
    stores.sessions.insert(session.clone(), now).await.unwrap();
    session
}

async fn finds(stores: &Stores, session: &Session, now: Timestamp) -> bool {
    stores.sessions.load(&session.id, now).await.unwrap().is_some()
}

#[tokio::test]
async fn replicas_agree_within_a_minute_when_a_new_one_makes_another_secret() {
    let rows = SharedRows::new();
    let (one, other) = (replica(&rows), replica(&rows));
    let before = keeps(&one, T0).await;
    assert!(finds(&other, &before, T0).await);
    lose_all(&rows);
    let new = replica(&rows);
    let kept = keeps(&new, T0).await;
    for stores in [&one, &other] {
        assert!(finds(stores, &kept, later(60)).await);
        let again = keeps(stores, later(60)).await;
        assert!(finds(&new, &again, later(60)).await && finds(&one, &again, later(60)).await);
    }
    assert_eq!(rows.rows.lock().unwrap().keys().filter(|key| key.kind == Kind::Store).count(), 1);
}

#[tokio::test]
async fn a_running_replica_puts_its_secret_back_and_a_new_one_goes_by_it() {
    let rows = SharedRows::new();
    let (one, other) = (replica(&rows), replica(&rows));
    let before = keeps(&one, T0).await;
    assert!(finds(&other, &before, T0).await);
    lose_all(&rows);
    let after_the_loss = keeps(&one, T0).await;
    assert!(finds(&one, &after_the_loss, later(60)).await, "the secret is the same");
    assert!(finds(&replica(&rows), &after_the_loss, later(60)).await);
    assert!(finds(&other, &after_the_loss, later(60)).await);
}

#[tokio::test]
async fn after_an_outage_the_secret_is_looked_at_at_once() {
    let rows = SharedRows::new();
    let one = replica(&rows);
    keeps(&one, T0).await;
    rows.down.store(true, Ordering::SeqCst);
    assert!(one.sessions.insert(session(), T0).await.is_err());
    lose_all(&rows);
    rows.down.store(false, Ordering::SeqCst);
    let kept = keeps(&replica(&rows), T0).await;
    assert!(finds(&one, &kept, T0).await);
}

#[tokio::test]
async fn after_an_interruption_of_announcements_the_secret_is_looked_at_at_once() {
    let rows = SharedRows::new();
    let one = replica(&rows);
    keeps(&one, T0).await;
    lose_all(&rows);
    let kept = keeps(&replica(&rows), T0).await;
    rows.interrupt();
    assert_eq!(one.events.next().await, Some(thv_store::Event::Missed));
    assert!(finds(&one, &kept, T0).await);
}

#[tokio::test]
async fn a_clock_that_is_set_back_keeps_nobody_from_looking() {
    let rows = SharedRows::new();
    let one = replica(&rows);
    keeps(&one, later(7200)).await;
    lose_all(&rows);
    let kept = keeps(&replica(&rows), T0).await;
    assert!(finds(&one, &kept, T0).await);
}
