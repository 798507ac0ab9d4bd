//! What the conditions of writes and removals mean.

use thv_store::redis::{RedisSettings, Topology};
use thv_store::rows::{FOREVER, Row, Rows};
use thv_store::table::When;
use thv_testkit::redis::{RedisOptions, RedisServer};

use super::{chain, connect, endpoint, key, row, standalone};
use crate::support::{T0, later};

#[tokio::test]
async fn a_write_happens_only_when_its_condition_holds() {
    let server = RedisServer::start(RedisOptions::default()).await;
    let rows = connect(standalone(server.addr()));
    let (first, second, third) = (row(), row(), row());
    assert!(!rows.write(&key(1), second.clone(), When::Is(first.version), T0).await.unwrap());
    assert_eq!(rows.load(&key(1), T0).await.unwrap(), None);
    assert!(rows.write(&key(1), first.clone(), When::Absent, T0).await.unwrap());
    assert_eq!(rows.load(&key(1), T0).await.unwrap().as_ref(), Some(&first));
    assert!(!rows.write(&key(1), second.clone(), When::Absent, T0).await.unwrap());
    assert!(rows.write(&key(1), second.clone(), When::Is(first.version), T0).await.unwrap());
    assert!(!rows.write(&key(1), third.clone(), When::Is(first.version), T0).await.unwrap());
    assert!(rows.write(&key(1), third.clone(), When::Always, T0).await.unwrap());
    assert_eq!(rows.load(&key(1), T0).await.unwrap().as_ref(), Some(&third));
    assert!(!rows.remove(&key(1), When::Is(second.version), T0).await.unwrap());
    assert!(!rows.remove(&key(1), When::Absent, T0).await.unwrap());
    assert!(rows.remove(&key(1), When::Is(third.version), T0).await.unwrap());
    assert!(!rows.remove(&key(1), When::Always, T0).await.unwrap());
    assert!(rows.write(&key(1), third, When::Always, T0).await.unwrap());
    assert!(rows.remove(&key(1), When::Always, T0).await.unwrap());
    assert_eq!(rows.load(&key(1), T0).await.unwrap(), None);
}

#[tokio::test]
async fn an_expired_row_counts_as_absent_though_redis_still_has_it() {
    let server = RedisServer::start(RedisOptions::default()).await;
    let rows = connect(standalone(server.addr()));
    let old = Row { until: later(10), ..row() };
    rows.write(&key(1), old.clone(), When::Absent, T0).await.unwrap();
    assert!(rows.load(&key(1), later(9)).await.unwrap().is_some());
    let late = later(10);
    assert_eq!(rows.load(&key(1), late).await.unwrap(), None);
    assert!(!rows.remove(&key(1), When::Is(old.version), late).await.unwrap());
    assert!(!rows.remove(&key(1), When::Always, late).await.unwrap());
    assert!(!rows.write(&key(1), row(), When::Is(old.version), late).await.unwrap());
    assert_eq!(server.ask::<u64>(&["DBSIZE"]).await, 1, "redis still has it");
    assert!(rows.write(&key(1), row(), When::Absent, late).await.unwrap());
}

#[tokio::test]
async fn every_key_that_has_an_end_has_a_time_to_live() {
    let server = RedisServer::start(RedisOptions::default()).await;
    let rows = connect(standalone(server.addr()));
    let forever = thv_clock::Timestamp::from_millis(u64::MAX);
    let far = thv_clock::Timestamp::from_millis(FOREVER.as_millis() - 1);
    let (always, absent) = (When::Always, When::Absent);
    let writes =
        [(later(0), always), (later(3600), absent), (far, absent), (forever, absent), (forever, always)];
    for (number, (until, when)) in writes.into_iter().enumerate() {
        rows.write(&key(number as u8), Row { until, ..row() }, when, T0).await.unwrap();
    }
    assert!(rows.load(&key(3), later(1 << 40)).await.unwrap().is_some(), "kept for ever");
    let info: String = server.ask(&["INFO", "keyspace"]).await;
    assert!(info.contains("keys=5,expires=3"), "{info}");
}

#[tokio::test]
async fn of_many_that_write_on_the_same_state_one_wins() {
    let server = RedisServer::start(RedisOptions::default()).await;
    let replicas = [connect(standalone(server.addr())), connect(standalone(server.addr()))];
    for round in 0..20 {
        let base = row();
        assert!(replicas[0].write(&key(round), base.clone(), When::Absent, T0).await.unwrap());
        let tasks = (0..20).map(|number| {
            let rows = replicas[number % 2].clone();
            tokio::spawn(
                async move { rows.write(&key(round), row(), When::Is(base.version), T0).await.unwrap() },
            )
        });
        let mut won = 0;
        for task in tasks.collect::<Vec<_>>() {
            won += usize::from(task.await.unwrap());
        }
        assert_eq!(won, 1);
    }
}

#[tokio::test]
async fn every_operation_is_one_round_trip_on_one_connection() {
    let server = RedisServer::start(RedisOptions::default()).await;
    let rows = connect(standalone(server.addr()));
    // Connects, and leaves both scripts at the server.
    rows.write(&key(0), row(), When::Absent, T0).await.unwrap();
    rows.remove(&key(0), When::Always, T0).await.unwrap();
    let (before, stats) = (rows.counters(), server.command_stats().await);
    let first = row();
    rows.write(&key(1), first.clone(), When::Absent, T0).await.unwrap();
    rows.load(&key(1), T0).await.unwrap();
    rows.write(&key(1), row(), When::Is(first.version), T0).await.unwrap();
    rows.write(&key(1), row(), When::Always, T0).await.unwrap();
    rows.remove(&key(1), When::Always, T0).await.unwrap();
    let after = server.command_stats().await;
    let more = |name: &str| after.get(name).unwrap_or(&0) - stats.get(name).unwrap_or(&0);
    assert_eq!((more("evalsha"), more("get"), more("eval")), (3, 1, 0));
    let counters = rows.counters();
    assert_eq!(counters.requests - before.requests, 5);
    assert_eq!((counters.connections, counters.repeated - before.repeated), (1, 0));
}

#[tokio::test]
async fn rows_are_in_the_database_of_the_settings_and_a_foreign_value_is_no_row() {
    let server = RedisServer::start(RedisOptions::default()).await;
    let topology = Topology::Standalone { addr: endpoint(server.addr()), db: 3 };
    let rows = connect(RedisSettings::new(topology));
    rows.write(&key(1), row(), When::Absent, T0).await.unwrap();
    let info: String = server.ask(&["INFO", "keyspace"]).await;
    assert!(info.contains("db3:keys=1") && !info.contains("db0"), "{info}");

    let rows = connect(standalone(server.addr()));
    rows.write(&key(1), row(), When::Absent, T0).await.unwrap();
    let name = format!("thv:grant:{}", thv_jose::digest::base64url(&key(1).hash));
    server.ask::<()>(&["SET", &name, "foreign"]).await;
    let error = rows.load(&key(1), T0).await.unwrap_err();
    assert!(chain(&error).contains("too short"), "{}", chain(&error));
    assert!(!rows.write(&key(1), row(), When::Absent, T0).await.unwrap(), "something is there");
}
