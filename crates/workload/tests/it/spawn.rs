use std::fs;
use std::path::Path;
use std::time::Duration;

use procfs::process::Process;
use thv_workload::process::{NotReady, SpawnError, Stopped, spawn_detached, stop};
use thv_workload::run_lock::Holder;
use thv_workload::status::State;
use thv_workload::{RunLock, Status, logs};

use crate::home::{Home, PATIENCE, name, until};
use crate::other_process::{Other, go_on, spawn};

#[tokio::test]
async fn a_server_is_ready_when_it_says_so_and_prints_into_its_log() {
    let home = Home::new();
    let mut server = spawn(&home, "server");
    let status = server.ready(&home.store(), &name("w"), PATIENCE).await.unwrap();
    assert_eq!((status.state, status.pid), (State::Running, Some(server.pid())));
    let log = logs::read(&home.paths().log(&name("w"))).unwrap();
    assert!(log.contains("a line in the log\n") && log.contains("another line in the log\n"), "{log}");
    stop(&home.store(), &name("w"), PATIENCE).await.unwrap();
}

#[tokio::test]
async fn a_server_outlives_whoever_started_it_in_a_session_of_its_own() {
    let home = Home::new();
    let mut launcher = Other::start(&home, "launcher");
    let pid: u32 = launcher.says().parse().unwrap();
    launcher.dismiss();
    until("the server", || (home.store().status(&name("w")).unwrap().state == State::Running).then_some(()));
    let stat = Process::new(pid.cast_signed()).unwrap().stat().unwrap();
    assert_eq!((stat.session, stat.pgrp, stat.tty_nr), (stat.pid, stat.pid, 0));
    assert_eq!(Holder::of(&home.paths(), &name("w")).unwrap(), Some(Holder { pid: Some(pid) }));
    assert_eq!(stop(&home.store(), &name("w"), PATIENCE).await.unwrap(), Stopped::Ended);
}

#[tokio::test]
async fn a_server_that_wants_a_login_is_ready_and_one_that_starts_is_not() {
    let home = Home::new();
    let mut server = spawn(&home, "slow-server");
    let error = server.ready(&home.store(), &name("w"), Duration::ZERO).await.unwrap_err();
    assert!(matches!(error, NotReady::TimedOut { .. }), "{error}");
    until("its start", || (home.store().status(&name("w")).unwrap().state == State::Starting).then_some(()));
    fs::write(go_on(&home.paths()), "").unwrap();
    let status = server.ready(&home.store(), &name("w"), PATIENCE).await.unwrap();
    assert_eq!(status.state, State::Unauthenticated);
    fs::remove_file(go_on(&home.paths())).unwrap();
}

#[tokio::test]
async fn a_server_that_cannot_start_says_why() {
    let home = Home::new();
    let mut server = spawn(&home, "failing-server");
    let error = server.ready(&home.store(), &name("w"), PATIENCE).await.unwrap_err();
    assert_eq!(error.to_string(), "the workload w did not start: the port is taken");
    assert!(error.log().iter().any(|line| line == "what led to it"), "{:?}", error.log());
    assert_eq!(home.store().status(&name("w")).unwrap().state, State::Error);
}

#[tokio::test]
async fn a_server_that_crashes_is_shown_by_what_it_printed_last_and_not_by_older_lines() {
    let home = Home::new();
    let log = home.paths().log(&name("w"));
    fs::create_dir_all(log.parent().unwrap()).unwrap();
    fs::write(&log, "an earlier run\n").unwrap();
    let mut server = spawn(&home, "crashing-server");
    let error = server.ready(&home.store(), &name("w"), PATIENCE).await.unwrap_err();
    let NotReady::Ended { exit, log, .. } = &error else { panic!("{error}") };
    assert_eq!(exit.code(), Some(3));
    assert!(log.iter().any(|line| line == "out of luck"), "{log:?}");
    assert!(!log.iter().any(|line| line.contains("earlier")), "{log:?}");
}

#[tokio::test]
async fn what_an_earlier_process_said_is_not_taken_for_readiness() {
    let home = Home::new();
    let lock = RunLock::try_take(&home.paths(), &name("w")).unwrap();
    lock.report(&Status::new(name("w"), State::Running)).unwrap();
    drop(lock);
    let mut server = spawn(&home, "crashing-server");
    let error = server.ready(&home.store(), &name("w"), PATIENCE).await.unwrap_err();
    assert!(matches!(error, NotReady::Ended { .. }), "{error}");
}

#[tokio::test]
async fn the_second_of_two_servers_is_told_that_the_first_runs() {
    let home = Home::new();
    let mut first = spawn(&home, "server");
    first.ready(&home.store(), &name("w"), PATIENCE).await.unwrap();
    let mut second = spawn(&home, "server");
    let error = second.ready(&home.store(), &name("w"), PATIENCE).await.unwrap_err();
    let told = format!("the workload w is running (process {}); stop it first", first.pid());
    assert_eq!(error.to_string(), told);
    assert_eq!(home.store().status(&name("w")).unwrap().pid, Some(first.pid()), "the first is not disturbed");
    stop(&home.store(), &name("w"), PATIENCE).await.unwrap();
}

#[test]
fn a_program_that_does_not_exist_is_named() {
    let home = Home::new();
    let log = home.paths().log(&name("w"));
    let error = spawn_detached(Path::new("/nonexistent/thv"), ["run"], &log, &[]).unwrap_err();
    assert!(matches!(error, SpawnError::Program { .. }));
    assert_eq!(error.to_string(), "/nonexistent/thv cannot be run");
}
