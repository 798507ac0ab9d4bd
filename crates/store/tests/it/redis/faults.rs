//! Redis down, slow, full, read-only, forgetful.

use std::time::Duration;

use thv_store::StoreError;
use thv_store::redis::{BreakerState, RedisSettings};
use thv_store::rows::Rows;
use thv_store::table::When;
use thv_testkit::redis::{RedisOptions, RedisServer, eventually};
use thv_testkit::stalling_proxy::{StallingProxy, Traffic};

use super::{chain, connect, credentials, impatient, key, row, standalone};
use crate::support::T0;

fn durable() -> RedisOptions<'static> {
    let config = vec!["appendonly yes".to_owned(), "appendfsync always".to_owned()];
    RedisOptions { config, ..RedisOptions::default() }
}

#[tokio::test]
async fn a_redis_that_is_down_at_first_is_found_when_it_starts() {
    let mut server = RedisServer::start(RedisOptions::default()).await;
    server.kill();
    let rows = connect(standalone(server.addr()));
    let error = rows.load(&key(1), T0).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)));
    let told = chain(&error);
    assert!(told.contains(&format!("redis at {} cannot be reached", server.addr())), "{told}");
    assert!(rows.ping().await.is_err());
    server.start_again().await;
    eventually("redis is found", async || rows.load(&key(1), T0).await.ok()).await;
    assert!(rows.ping().await.is_ok());
}

#[tokio::test]
async fn acknowledged_writes_survive_a_crash_of_redis_and_the_connection_heals() {
    let mut server = RedisServer::start(durable()).await;
    let rows = connect(standalone(server.addr()));
    let mut kept = Vec::new();
    for number in 0..50 {
        let row = row();
        assert!(rows.write(&key(number), row.clone(), When::Absent, T0).await.unwrap());
        kept.push(row);
    }
    server.kill();
    assert!(rows.load(&key(0), T0).await.is_err());
    eventually("the breaker opens", async || {
        assert!(rows.load(&key(0), T0).await.is_err());
        (rows.breaker_state() != BreakerState::Closed).then_some(())
    })
    .await;
    server.start_again().await;
    eventually("redis answers again", async || rows.load(&key(0), T0).await.ok()).await;
    assert_eq!(rows.breaker_state(), BreakerState::Closed);
    for (number, row) in kept.into_iter().enumerate() {
        assert_eq!(rows.load(&key(number as u8), T0).await.unwrap(), Some(row));
    }
}

#[tokio::test]
async fn a_connection_that_ended_while_idle_fails_no_request() {
    let server = RedisServer::start(RedisOptions::default()).await;
    let rows = connect(standalone(server.addr()));
    rows.write(&key(1), row(), When::Always, T0).await.unwrap();
    for _ in 0..5 {
        server.ask::<u64>(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
        // A read may be repeated; afterwards there is a new connection.
        rows.load(&key(1), T0).await.unwrap();
        assert!(rows.write(&key(1), row(), When::Always, T0).await.unwrap());
    }
    assert_eq!(rows.breaker_state(), BreakerState::Closed);
}

#[tokio::test]
async fn a_partition_is_an_error_in_time_then_at_once_and_heals() {
    let server = RedisServer::start(RedisOptions::default()).await;
    let proxy = StallingProxy::start(server.addr()).await;
    let rows = connect(impatient(standalone(proxy.addr())));
    rows.write(&key(1), row(), When::Absent, T0).await.unwrap();
    proxy.set(Traffic::Stalls);
    let error = rows.load(&key(1), T0).await.unwrap_err();
    assert!(chain(&error).contains("did not answer within 300 ms"), "{}", chain(&error));
    let told = eventually("redis is left alone", async || {
        let told = chain(&rows.write(&key(1), row(), When::Absent, T0).await.unwrap_err());
        told.contains("left alone").then_some(told)
    })
    .await;
    assert!(told.contains("within 300 ms"), "and why: {told}");
    assert!(rows.counters().opened == 1 && rows.counters().rejected >= 1);
    assert_ne!(rows.breaker_state(), BreakerState::Closed);
    proxy.set(Traffic::Flows);
    proxy.reset();
    eventually("the partition is over", async || rows.load(&key(1), T0).await.ok()).await;
    assert_eq!(rows.breaker_state(), BreakerState::Closed);
}

#[tokio::test]
async fn while_it_is_left_alone_redis_gets_one_request_at_a_time() {
    let server = RedisServer::start(RedisOptions::default()).await;
    let proxy = StallingProxy::start(server.addr()).await;
    let rows = connect(impatient(standalone(proxy.addr())));
    rows.ping().await.unwrap();
    proxy.set(Traffic::Stalls);
    let before = rows.counters();
    // All go out while nothing is known, then nobody but probes.
    let burst = (0..200).map(|_| {
        let rows = rows.clone();
        tokio::spawn(async move { rows.load(&key(1), T0).await.is_err() })
    });
    for task in burst.collect::<Vec<_>>() {
        assert!(task.await.unwrap());
    }
    for _ in 0..200 {
        assert!(rows.load(&key(1), T0).await.is_err());
    }
    let counters = rows.counters();
    assert!(counters.rejected - before.rejected > 150, "{counters:?}");
    assert!(counters.requests - before.requests < 250, "{counters:?}");
}

#[tokio::test]
async fn a_paused_redis_is_an_error_in_time_and_goes_on_later() {
    let server = RedisServer::start(RedisOptions::default()).await;
    let rows = connect(impatient(standalone(server.addr())));
    rows.write(&key(1), row(), When::Absent, T0).await.unwrap();
    server.pause();
    assert!(rows.load(&key(1), T0).await.is_err());
    assert!(rows.write(&key(1), row(), When::Always, T0).await.is_err());
    server.resume();
    eventually("redis answers again", async || rows.load(&key(1), T0).await.ok()).await;
}

#[tokio::test]
async fn a_slow_redis_serves_many_at_once() {
    let server = RedisServer::start(RedisOptions::default()).await;
    let proxy = StallingProxy::start(server.addr()).await;
    proxy.set(Traffic::Delayed(Duration::from_millis(30)));
    let rows = connect(standalone(proxy.addr()));
    let tasks = (0..100).map(|number| {
        let rows = rows.clone();
        tokio::spawn(async move {
            let row = row();
            assert!(rows.write(&key(number), row.clone(), When::Absent, T0).await.unwrap());
            assert_eq!(rows.load(&key(number), T0).await.unwrap(), Some(row));
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert_eq!(rows.counters().connections, 1);
}

#[tokio::test]
async fn a_full_memory_refuses_writes_whole_and_still_reads_and_removes() {
    let server = RedisServer::start(RedisOptions::default()).await;
    let rows = connect(standalone(server.addr()));
    let (kept, doomed) = (row(), row());
    rows.write(&key(1), kept.clone(), When::Absent, T0).await.unwrap();
    rows.write(&key(2), doomed, When::Absent, T0).await.unwrap();
    server.ask::<()>(&["CONFIG", "SET", "maxmemory", "1"]).await;
    for _ in 0..10 {
        for (number, when) in [(1, When::Is(kept.version)), (1, When::Always), (3, When::Absent)] {
            let error = rows.write(&key(number), row(), when, T0).await.unwrap_err();
            assert!(matches!(error, StoreError::Unavailable(_)));
            assert!(chain(&error).contains("OOM, its memory is full"), "{}", chain(&error));
        }
    }
    assert_eq!(rows.load(&key(1), T0).await.unwrap(), Some(kept), "nothing half-done");
    assert_eq!(rows.load(&key(3), T0).await.unwrap(), None);
    assert!(rows.remove(&key(2), When::Always, T0).await.unwrap());
    server.ask::<()>(&["CONFIG", "SET", "maxmemory", "0"]).await;
    assert!(rows.write(&key(3), row(), When::Absent, T0).await.unwrap(), "at once: it was never unreachable");
}

#[tokio::test]
async fn a_replica_refuses_writes_until_it_is_the_master() {
    let server = RedisServer::start(RedisOptions::default()).await;
    let rows = connect(standalone(server.addr()));
    rows.write(&key(1), row(), When::Absent, T0).await.unwrap();
    server.ask::<()>(&["REPLICAOF", "127.0.0.1", "1"]).await;
    for when in [When::Absent, When::Always] {
        let error = rows.write(&key(2), row(), when, T0).await.unwrap_err();
        assert!(chain(&error).contains("READONLY, it is a replica"), "{}", chain(&error));
    }
    assert_eq!(rows.counters().connections, 3, "each time a new connection may lead to the new master");
    server.ask::<()>(&["REPLICAOF", "NO", "ONE"]).await;
    assert!(rows.write(&key(2), row(), When::Absent, T0).await.unwrap());
}

#[tokio::test]
async fn scripts_that_redis_forgot_are_sent_again() {
    let server = RedisServer::start(RedisOptions::default()).await;
    let rows = connect(standalone(server.addr()));
    let first = row();
    assert!(rows.write(&key(1), first.clone(), When::Absent, T0).await.unwrap());
    server.ask::<()>(&["SCRIPT", "FLUSH"]).await;
    assert!(rows.write(&key(1), row(), When::Is(first.version), T0).await.unwrap());
    assert!(rows.remove(&key(1), When::Always, T0).await.unwrap());
    assert_eq!(server.command_stats().await["eval"], 3);
}

#[tokio::test]
async fn what_the_acl_or_the_login_refuses_is_told() {
    let users = vec!["thv on >secret ~other:* +get +ping".to_owned(), "off off >secret +@all".to_owned()];
    let server = RedisServer::start(RedisOptions { users, ..RedisOptions::default() }).await;
    let settings = standalone(server.addr());
    let told = async |settings: RedisSettings| chain(&connect(settings).load(&key(1), T0).await.unwrap_err());
    let nobody = told(settings.clone()).await;
    assert!(nobody.contains("NOAUTH, it wants credentials"), "{nobody}");
    let wrong =
        told(RedisSettings { credentials: Some(credentials("planted-password")), ..settings.clone() }).await;
    assert!(wrong.contains("WRONGPASS") && !wrong.contains("planted-password"), "{wrong}");
    let user = RedisSettings { credentials: Some(credentials("secret")), ..settings };
    let denied = told(user.clone()).await;
    assert!(denied.contains("NOPERM"), "{denied}");
    let rows = connect(user);
    assert!(chain(&rows.write(&key(1), row(), When::Absent, T0).await.unwrap_err()).contains("evalsha"));
    rows.ping().await.unwrap();
}
