use std::time::Duration;

use thv_workload::process::{StopError, Stopped, stop};
use thv_workload::run_lock::TakeError;
use thv_workload::status::State;
use thv_workload::{RunLock, Status};

use crate::home::{Home, PATIENCE, name, remote};
use crate::other_process::spawn;

#[tokio::test]
async fn a_workload_that_is_asked_ends_and_has_the_last_word() {
    let home = Home::new();
    let mut server = spawn(&home, "server");
    server.ready(&home.store(), &name("w"), PATIENCE).await.unwrap();
    assert_eq!(stop(&home.store(), &name("w"), PATIENCE).await.unwrap(), Stopped::Ended);
    let status = home.store().status(&name("w")).unwrap();
    assert_eq!((status.state, status.detail.as_deref()), (State::Stopped, Some("as asked")));
}

#[tokio::test]
async fn an_end_without_a_word_was_asked_for_and_not_unexpected() {
    let home = Home::new();
    let mut server = spawn(&home, "rude-server");
    server.ready(&home.store(), &name("w"), PATIENCE).await.unwrap();
    assert_eq!(stop(&home.store(), &name("w"), PATIENCE).await.unwrap(), Stopped::Ended);
    let status = home.store().status(&name("w")).unwrap();
    assert_eq!((status.state, status.detail), (State::Stopped, None));
}

#[tokio::test]
async fn a_workload_that_does_not_end_is_killed() {
    let home = Home::new();
    let mut server = spawn(&home, "stubborn-server");
    server.ready(&home.store(), &name("w"), PATIENCE).await.unwrap();
    let stopped = stop(&home.store(), &name("w"), Duration::from_millis(50)).await.unwrap();
    assert_eq!(stopped, Stopped::Killed);
    let status = home.store().status(&name("w")).unwrap();
    assert_eq!(status.state, State::Stopped);
    assert!(status.detail.unwrap().starts_with("killed, because"));
}

#[tokio::test]
async fn what_does_not_run_needs_no_stopping() {
    let home = Home::new();
    assert_eq!(stop(&home.store(), &name("w"), PATIENCE).await.unwrap(), Stopped::NotRunning);
}

#[tokio::test]
async fn a_process_that_only_has_the_number_is_not_sent_a_signal() {
    let home = Home::new();
    let mut bystander = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let lock = RunLock::try_take(&home.paths(), &name("w")).unwrap();
    lock.report(&Status::new(name("w"), State::Running)).unwrap();
    // Held by a process that is gone, as far as can be seen, and whose number is the bystander's now.
    std::fs::write(home.paths().lock(&name("w")), format!("{} 1\n", bystander.id())).unwrap();
    let error = stop(&home.store(), &name("w"), Duration::ZERO).await.unwrap_err();
    assert!(matches!(error, StopError::OutOfSight(_)), "{error}");
    // And when nobody holds the lock, whatever the files say.
    drop(lock);
    std::fs::write(home.paths().lock(&name("w")), format!("{} 1\n", bystander.id())).unwrap();
    assert_eq!(stop(&home.store(), &name("w"), Duration::ZERO).await.unwrap(), Stopped::NotRunning);
    assert_eq!(bystander.try_wait().unwrap(), None, "the bystander lives");
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}

#[tokio::test]
async fn a_stopped_workload_can_be_removed_at_once() {
    let home = Home::new();
    let store = home.store();
    store.save(&remote("w")).unwrap();
    let mut server = spawn(&home, "server");
    server.ready(&store, &name("w"), PATIENCE).await.unwrap();
    assert!(matches!(RunLock::try_take(store.paths(), &name("w")), Err(TakeError::Running { .. })));
    stop(&store, &name("w"), PATIENCE).await.unwrap();
    store.remove(RunLock::try_take(store.paths(), &name("w")).unwrap()).unwrap();
}
