//! Slots that move and nodes that fail.

use thv_store::redis::{BreakerState, RedisSettings};
use thv_store::rows::Rows;
use thv_store::table::When;
use thv_testkit::redis::{RedisCluster, eventually};

use super::{chain, cluster, connect, impatient, key, row};
use crate::support::T0;

fn name(number: u8) -> String {
    format!("thv:grant:{}", thv_jose::digest::base64url(&key(number).hash))
}

/// Which master has a key: the one that does not send us elsewhere.
async fn owner(servers: &RedisCluster, number: u8) -> usize {
    for (index, server) in servers.masters.iter().enumerate() {
        if server.try_ask::<Option<Vec<u8>>>(&["GET", &name(number)]).await.is_ok() {
            return index;
        }
    }
    panic!("nobody has it");
}

#[tokio::test]
async fn a_slot_that_moves_is_followed() {
    let servers = RedisCluster::start(3, 0, None).await;
    let rows = connect(cluster(&servers));
    let number = 1;
    let from = &servers.masters[owner(&servers, number).await];
    let slot = from.ask::<u16>(&["CLUSTER", "KEYSLOT", &name(number)]).await.to_string();
    let to = servers.masters.iter().find(|server| server.addr() != from.addr()).unwrap();
    let (from_id, to_id): (String, String) =
        (from.ask(&["CLUSTER", "MYID"]).await, to.ask(&["CLUSTER", "MYID"]).await);
    rows.ping().await.unwrap();

    to.ask::<()>(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from_id]).await;
    from.ask::<()>(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to_id]).await;
    let first = row();
    assert!(rows.write(&key(number), first.clone(), When::Absent, T0).await.unwrap(), "ASK is followed");
    assert_eq!(rows.load(&key(number), T0).await.unwrap().as_ref(), Some(&first));
    assert_eq!(to.ask::<u64>(&["DBSIZE"]).await, 1, "at the new place");

    for server in [to, from] {
        server.ask::<()>(&["CLUSTER", "SETSLOT", &slot, "NODE", &to_id]).await;
    }
    let second = row();
    assert!(
        rows.write(&key(number), second.clone(), When::Is(first.version), T0).await.unwrap(),
        "MOVED is followed"
    );
    eventually("the new map is read", async || {
        let before = rows.counters();
        assert_eq!(rows.load(&key(number), T0).await.unwrap().as_ref(), Some(&second));
        (rows.counters().repeated == before.repeated).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_failed_node_fails_its_own_rows_only_and_its_replica_takes_over() {
    let mut servers = RedisCluster::start(3, 1, None).await;
    let rows = connect(impatient(cluster(&servers)));
    let careful = connect(RedisSettings { replica_acks: 1, ..cluster(&servers) });
    let mut kept = Vec::new();
    for number in 0..60 {
        let row = row();
        kept.push((number, row.clone(), owner(&servers, number).await));
        assert!(careful.write(&key(number), row.clone(), When::Absent, T0).await.unwrap());
        assert_eq!(rows.load(&key(number), T0).await.unwrap(), Some(row));
    }
    servers.masters[1].kill();
    let of = |node: usize| kept.iter().filter(move |(_, _, owner)| *owner == node);
    let error = rows.load(&key(of(1).next().unwrap().0), T0).await.unwrap_err();
    assert!(chain(&error).contains(&servers.masters[1].addr().to_string()), "{}", chain(&error));
    eventually("the replica takes over", async || rows.load(&key(of(1).next().unwrap().0), T0).await.ok())
        .await;
    for (number, row, _) in &kept {
        assert_eq!(rows.load(&key(*number), T0).await.unwrap().as_ref(), Some(row));
        let written = rows.write(&key(*number), self::row(), When::Is(row.version), T0).await;
        assert!(written.unwrap(), "writes go on");
    }
    eventually("nothing is left alone any more", async || {
        rows.ping().await.ok()?;
        (rows.breaker_state() == BreakerState::Closed).then_some(())
    })
    .await;
}
