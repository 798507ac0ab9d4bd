//! What replicas tell each other.

use thv_store::records::GrantId;
use thv_store::rows::{Announcement, Rows};
use thv_store::{Event, sealed};

use crate::support::{Database, SharedRows, keys};

#[tokio::test]
async fn replicas_hear_each_other_and_not_themselves() {
    let rows = SharedRows::new();
    let (one, other) = (sealed::stores(rows.clone(), keys(&[1])), sealed::stores(rows, keys(&[1])));
    let (first, second) = (Event::GrantRevoked(GrantId::random()), Event::GrantRevoked(GrantId::random()));
    one.events.publish(&first).await;
    other.events.publish(&second).await;
    assert_eq!(one.events.next().await, Some(second));
    assert_eq!(other.events.next().await, Some(first));
}

#[tokio::test]
async fn forged_messages_are_ignored() {
    let rows = SharedRows::new();
    let (one, stranger) =
        (sealed::stores(rows.clone(), keys(&[1])), sealed::stores(rows.clone(), keys(&[2])));
    let (theirs, ours) = (Event::GrantRevoked(GrantId::random()), Event::GrantRevoked(GrantId::random()));
    rows.announce(b"not sealed".to_vec()).await;
    rows.announce(Vec::new()).await;
    stranger.events.publish(&theirs).await;
    sealed::stores(rows, keys(&[1])).events.publish(&ours).await;
    assert_eq!(one.events.next().await, Some(ours), "the first that can be believed");
}

#[tokio::test]
async fn no_event_is_readable_on_its_way() {
    let rows = SharedRows::new();
    let mut wire = rows.announcements().unwrap();
    let id = GrantId::random();
    sealed::stores(rows, keys(&[1])).events.publish(&Event::GrantRevoked(id)).await;
    let Announcement::Message(message) = wire.recv().await.unwrap() else { panic!("a message") };
    assert!(!message.windows(7).any(|window| window == b"Revoked"));
}

#[tokio::test]
async fn where_there_are_no_others_nothing_is_ever_heard() {
    let stores = Database::new().stores(&[1]);
    stores.events.publish(&Event::GrantRevoked(GrantId::random())).await;
    assert_eq!(stores.events.next().await, None);
}

#[tokio::test]
async fn who_may_have_missed_something_is_told() {
    let rows = SharedRows::new();
    let (one, other) = (sealed::stores(rows.clone(), keys(&[1])), sealed::stores(rows.clone(), keys(&[1])));
    rows.interrupt();
    assert_eq!(one.events.next().await, Some(Event::Missed), "after an interruption");
    for _ in 0..100 {
        one.events.publish(&Event::GrantRevoked(GrantId::random())).await;
    }
    assert_eq!(other.events.next().await, Some(Event::Missed), "more than can wait for a slow reader");
    assert!(matches!(other.events.next().await, Some(Event::GrantRevoked(_))));
}

#[tokio::test]
async fn that_something_was_missed_is_told_by_nobody_else() {
    let rows = SharedRows::new();
    let (one, other) = (sealed::stores(rows.clone(), keys(&[1])), sealed::stores(rows, keys(&[1])));
    let ended = Event::GrantRevoked(GrantId::random());
    one.events.publish(&Event::Missed).await;
    one.events.publish(&ended).await;
    assert_eq!(other.events.next().await, Some(ended));
}
