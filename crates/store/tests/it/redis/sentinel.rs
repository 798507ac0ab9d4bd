//! A failover under load.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use thv_store::redis::{RedisRows, RedisSettings};
use thv_store::rows::{Row, Rows};
use thv_store::table::{Version, When};
use thv_testkit::redis::{RedisSentinel, eventually};
use tokio::task::JoinHandle;

use super::{chain, connect, key, row, sentinel};
use crate::support::T0;

/// A write of a contender.
struct Written {
    base: Version,
    made: Version,
    /// Otherwise its outcome is unknown.
    acknowledged: bool,
}

struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    contenders: Vec<JoinHandle<(u8, Vec<Written>)>>,
}

impl Load {
    /// Two replicas that compete for each of some rows.
    fn start(replicas: [Arc<RedisRows>; 2]) -> Self {
        let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let contender = |(number, rows): (u8, &Arc<RedisRows>)| {
            let (rows, stop, acknowledged) = (Arc::clone(rows), Arc::clone(&stop), Arc::clone(&acknowledged));
            tokio::spawn(async move { (number, contend(number, &rows, &stop, &acknowledged).await) })
        };
        let pairs = (0..8).flat_map(|number| replicas.iter().map(move |rows| (number, rows)));
        let contenders = pairs.map(contender).collect();
        Self { stop, acknowledged, contenders }
    }

    /// Waits for some more acknowledged writes.
    async fn proceeds(&self) {
        let before = self.acknowledged.load(Ordering::Relaxed);
        eventually("writes are acknowledged", async || {
            (self.acknowledged.load(Ordering::Relaxed) > before + 100).then_some(())
        })
        .await;
    }

    async fn end(self) -> Vec<(u8, Written)> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        for contender in self.contenders {
            let (number, written) = contender.await.unwrap();
            all.extend(written.into_iter().map(|written| (number, written)));
        }
        all
    }
}

async fn contend(number: u8, rows: &RedisRows, stop: &AtomicBool, acknowledged: &AtomicU64) -> Vec<Written> {
    let mut all = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let Ok(Some(present)) = rows.load(&key(number), T0).await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let next = row();
        let mut written = Written { base: present.version, made: next.version, acknowledged: false };
        match rows.write(&key(number), next, When::Is(present.version), T0).await {
            Ok(true) => {
                written.acknowledged = true;
                acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Ok(false) => continue,
            Err(_) => {}
        }
        all.push(written);
    }
    all
}

/// The states that led to the present one form a line, and every acknowledged write is on it: none was lost, and no two were
/// made on the same state.
fn judge(first: &Row, written: &[&Written], present: &Row) {
    let base: HashMap<Version, Version> = written.iter().map(|write| (write.made, write.base)).collect();
    let mut line = HashSet::new();
    let mut state = present.version;
    while state != first.version {
        assert!(line.insert(state), "a circle");
        state = *base.get(&state).expect("every state was made by a write");
    }
    let lost = written.iter().filter(|write| write.acknowledged && !line.contains(&write.made)).count();
    assert_eq!(lost, 0, "acknowledged writes that are not in the row's history");
}

#[tokio::test]
async fn a_failover_contradicts_no_acknowledged_write_when_a_replica_confirms_it() {
    let mut servers = RedisSentinel::start(None).await;
    let settings = RedisSettings {
        replica_acks: 1,
        dial_timeout: Duration::from_secs(1),
        read_timeout: Duration::from_secs(1),
        ..sentinel(&servers, None)
    };
    let replicas = [connect(settings.clone()), connect(settings.clone())];
    let mut first = Vec::new();
    for number in 0..8 {
        let row = row();
        assert!(replicas[0].write(&key(number), row.clone(), When::Absent, T0).await.unwrap());
        first.push(row);
    }
    let load = Load::start(replicas.clone());
    load.proceeds().await;
    servers.failover().await;
    eventually("rows are read from the new master", async || replicas[0].load(&key(0), T0).await.ok()).await;
    // On a connection of its own, where no other write waits.
    let told = chain(&connect(settings).write(&key(100), row(), When::Absent, T0).await.unwrap_err());
    assert!(told.contains("0 of 1 replicas confirmed"), "nobody is left to confirm: {told}");
    eventually("reads go on", async || replicas[0].load(&key(0), T0).await.ok()).await;
    servers.servers[0].start_again().await;
    load.proceeds().await;
    let written = load.end().await;
    for (number, first) in first.iter().enumerate() {
        let of_row: Vec<&Written> =
            written.iter().filter(|(of, _)| usize::from(*of) == number).map(|(_, written)| written).collect();
        let load = async || replicas[1].load(&key(number as u8), T0).await.ok();
        let present = eventually("the row is there", load).await.unwrap();
        judge(first, &of_row, &present);
    }
}

#[tokio::test]
async fn sentinels_that_do_not_know_the_master_are_named() {
    let servers = RedisSentinel::start(None).await;
    let mut settings = sentinel(&servers, None);
    let thv_store::redis::Topology::Sentinel(sentinels) = &mut settings.topology else { unreachable!() };
    sentinels.master_name = "nobody".to_owned();
    let told = chain(&connect(settings).ping().await.unwrap_err());
    assert!(
        told.contains("names a master nobody") && told.contains(&servers.addrs()[0].to_string()),
        "{told}"
    );
}
