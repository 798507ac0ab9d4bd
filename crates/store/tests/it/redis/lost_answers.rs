//! Connections that break after a request was carried out and before its answer came.

use std::sync::Arc;

use thv_store::StoreError;
use thv_store::redis::RedisRows;
use thv_store::rows::{Row, Rows};
use thv_store::table::When;
use thv_testkit::redis::{RedisOptions, RedisServer, eventually};
use thv_testkit::stalling_proxy::{StallingProxy, Traffic};
use tokio::task::JoinHandle;

use super::{chain, connect, key, row, standalone};
use crate::support::T0;

struct Scene {
    server: RedisServer,
    proxy: StallingProxy,
    /// Over the proxy.
    rows: Arc<RedisRows>,
    /// Another replica, which reaches the server directly.
    other: Arc<RedisRows>,
}

/// A replica whose connection is about to lose an answer, and the row that is there.
async fn scene() -> (Scene, Row) {
    let server = RedisServer::start(RedisOptions::default()).await;
    let proxy = StallingProxy::start(server.addr()).await;
    let (rows, other) = (connect(standalone(proxy.addr())), connect(standalone(server.addr())));
    let first = row();
    // Scripts are at the server before answers are lost.
    rows.write(&key(0), row(), When::Absent, T0).await.unwrap();
    rows.remove(&key(0), When::Always, T0).await.unwrap();
    rows.write(&key(1), first.clone(), When::Absent, T0).await.unwrap();
    proxy.set(Traffic::KeepsAnswers);
    (Scene { server, proxy, rows, other }, first)
}

impl Scene {
    fn write(&self, row: Row, when: When) -> JoinHandle<Result<bool, StoreError>> {
        let rows = Arc::clone(&self.rows);
        tokio::spawn(async move { rows.write(&key(1), row, when, T0).await })
    }

    /// Waits until the row is what the lost request made it.
    async fn carried_out(&self, version: Option<&Row>) {
        let expected = version.map(|row| row.version);
        eventually("the request is carried out", async || {
            let present = self.other.load(&key(1), T0).await.unwrap();
            (present.map(|row| row.version) == expected).then_some(())
        })
        .await;
    }

    fn lose_the_answer(&self) {
        self.proxy.reset();
        self.proxy.set(Traffic::Flows);
    }
}

#[tokio::test]
async fn a_conditional_write_recognizes_itself() {
    let (scene, first) = scene().await;
    let second = row();
    let under_way = scene.write(second.clone(), When::Is(first.version));
    scene.carried_out(Some(&second)).await;
    scene.lose_the_answer();
    assert!(under_way.await.unwrap().unwrap(), "it was our own");
    assert_eq!(scene.rows.load(&key(1), T0).await.unwrap(), Some(second));
    assert_eq!(scene.rows.counters().repeated, 3, "two scripts sent whole, one request repeated");
    let sets = scene.server.command_stats().await["set"];
    assert_eq!(sets, 4, "written again, so that replicas can be waited for on the new connection");
}

#[tokio::test]
async fn a_conditional_write_that_was_built_upon_meanwhile_is_unknown() {
    let (scene, first) = scene().await;
    let (second, third) = (row(), row());
    let under_way = scene.write(second.clone(), When::Is(first.version));
    scene.carried_out(Some(&second)).await;
    assert!(scene.other.write(&key(1), third.clone(), When::Is(second.version), T0).await.unwrap());
    scene.lose_the_answer();
    let error = under_way.await.unwrap().unwrap_err();
    assert!(chain(&error).contains("it is unknown whether"), "not that it did not happen: {}", chain(&error));
    assert_eq!(scene.rows.load(&key(1), T0).await.unwrap(), Some(third));
}

#[tokio::test]
async fn an_unconditional_write_is_not_repeated_over_a_later_one() {
    let (scene, _) = scene().await;
    let (second, third) = (row(), row());
    let under_way = scene.write(second.clone(), When::Always);
    scene.carried_out(Some(&second)).await;
    assert!(scene.other.write(&key(1), third.clone(), When::Is(second.version), T0).await.unwrap());
    scene.lose_the_answer();
    let error = under_way.await.unwrap().unwrap_err();
    assert!(chain(&error).contains("it is unknown whether"), "{}", chain(&error));
    assert_eq!(scene.rows.load(&key(1), T0).await.unwrap(), Some(third), "the acknowledged write stands");
}

#[tokio::test]
async fn a_removal_whose_answer_is_lost_is_unknown() {
    let (scene, first) = scene().await;
    let rows = Arc::clone(&scene.rows);
    let under_way = tokio::spawn(async move { rows.remove(&key(1), When::Is(first.version), T0).await });
    scene.carried_out(None).await;
    scene.lose_the_answer();
    let error = under_way.await.unwrap().unwrap_err();
    assert!(chain(&error).contains("it is unknown whether"), "{}", chain(&error));
}

#[tokio::test]
async fn a_read_is_repeated() {
    let (scene, first) = scene().await;
    let passed = scene.proxy.passed();
    let rows = Arc::clone(&scene.rows);
    let under_way = tokio::spawn(async move { rows.load(&key(1), T0).await });
    scene.proxy.passed_more_than(passed).await;
    scene.lose_the_answer();
    assert_eq!(under_way.await.unwrap().unwrap(), Some(first));
}
