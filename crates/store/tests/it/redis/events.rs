//! What replicas announce.

use std::sync::Arc;

use thv_store::redis::RedisRows;
use thv_store::rows::{Announcement, Rows};
use thv_testkit::redis::{RedisCluster, RedisOptions, RedisServer, eventually};
use tokio::sync::broadcast::Receiver;

use super::{chain, cluster, connect, standalone};

/// Announces until the other hears it: listening begins a moment after it is asked for.
async fn arrives(from: &Arc<RedisRows>, to: &mut Receiver<Announcement>) {
    eventually("an announcement arrives", async || {
        from.announce(b"\x00changed".to_vec()).await;
        match to.try_recv().ok()? {
            Announcement::Message(_) => Some(()),
            Announcement::Listening => None,
        }
    })
    .await;
}

#[tokio::test]
async fn an_announcement_reaches_other_replicas_also_after_a_restart() {
    let mut server = RedisServer::start(RedisOptions::default()).await;
    let (one, other) = (connect(standalone(server.addr())), connect(standalone(server.addr())));
    let mut heard = other.announcements().unwrap();
    arrives(&one, &mut heard).await;
    server.kill();
    one.announce(b"into the void".to_vec()).await;
    server.start_again().await;
    eventually("the interruption is told", async || {
        (heard.try_recv().ok()? == Announcement::Listening).then_some(())
    })
    .await;
    arrives(&one, &mut heard).await;
    while let Ok(message) = heard.try_recv() {
        assert_eq!(message, Announcement::Message(b"\x00changed".to_vec()));
    }
}

#[tokio::test]
async fn an_announcement_reaches_replicas_at_any_node_of_a_cluster() {
    let servers = RedisCluster::start(3, 0, None).await;
    let (one, other) = (connect(cluster(&servers)), connect(cluster(&servers)));
    let (mut heard_by_one, mut heard_by_other) =
        (one.announcements().unwrap(), other.announcements().unwrap());
    arrives(&one, &mut heard_by_other).await;
    arrives(&other, &mut heard_by_one).await;
    let error = connect(standalone(servers.masters[0].addr()));
    let mut moved = 0;
    for number in 0..20 {
        if let Err(error) = error.load(&super::key(number), crate::support::T0).await {
            assert!(chain(&error).contains("a cluster must be configured as one"), "{}", chain(&error));
            moved += 1;
        }
    }
    assert!(moved > 0, "a cluster that is taken for a single server is told");
}
