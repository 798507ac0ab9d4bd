//! A Redis that loses everything under running replicas.

use thv_store::{Stores, sealed};
use thv_testkit::redis::{RedisOptions, RedisServer, eventually};

use super::{connect, standalone};
use crate::support::{T0, keys, later, session};

fn replica(server: &RedisServer) -> Stores {
    sealed::stores(connect(standalone(server.addr())), keys(&[1]))
}

/// The key of the store's own secret.
fn place() -> String {
    format!("thv:store:{}", thv_jose::digest::base64url(&[0; 32]))
}

#[tokio::test]
async fn replicas_agree_again_after_a_flush() {
    let server = RedisServer::start(RedisOptions::default()).await;
    let (one, other) = (replica(&server), replica(&server));
    let before = session();
    one.sessions.insert(before.clone(), T0).await.unwrap();
    assert!(other.sessions.load(&before.id, T0).await.unwrap().is_some());
    server.ask::<()>(&["FLUSHALL"]).await;
    let new = replica(&server);
    let kept = session();
    new.sessions.insert(kept.clone(), T0).await.unwrap();
    for stores in [&one, &other] {
        assert!(stores.sessions.load(&kept.id, later(60)).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn replicas_agree_at_once_after_a_restart_without_persistence() {
    let mut server = RedisServer::start(RedisOptions::default()).await;
    let one = replica(&server);
    one.sessions.insert(session(), T0).await.unwrap();
    server.kill();
    assert!(one.sessions.insert(session(), T0).await.is_err());
    server.start_again().await;
    let kept = session();
    replica(&server).sessions.insert(kept.clone(), T0).await.unwrap();
    let found = async || one.sessions.load(&kept.id, T0).await.ok();
    assert!(eventually("redis answers again", found).await.is_some());
}

#[tokio::test]
async fn the_stores_own_secret_has_no_time_to_live_and_everything_else_has() {
    let server = RedisServer::start(RedisOptions::default()).await;
    let stores = replica(&server);
    stores.sessions.insert(session(), T0).await.unwrap();
    assert_eq!(server.ask::<i64>(&["TTL", &place()]).await, -1);
    let names: Vec<String> = server.ask(&["KEYS", "*"]).await;
    assert_eq!(names.len(), 2);
    for name in names.iter().filter(|name| **name != place()) {
        assert!(server.ask::<i64>(&["TTL", name]).await > 0, "{name}");
    }
}
