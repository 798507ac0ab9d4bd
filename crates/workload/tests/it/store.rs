use std::fs;
use std::os::unix::fs::PermissionsExt;

use thv_clock::Timestamp;
use thv_workload::status::State;
use thv_workload::store::StoreError;
use thv_workload::{Definition, RunLock, Status, logs};

use crate::home::{Home, name, remote};
use crate::other_process::Other;

fn remove(home: &Home, workload: &str) -> Result<(), StoreError> {
    home.store().remove(RunLock::try_take(&home.paths(), &name(workload))?)
}

#[test]
fn a_workload_is_kept_for_its_user_alone() {
    let home = Home::new();
    home.store().save(&remote("w")).unwrap();
    assert!(home.store().load(&name("w")).unwrap() == remote("w"));
    let mode = fs::metadata(home.paths().definition(&name("w"))).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn another_workload_of_the_same_name_is_refused_and_the_same_one_is_found() {
    let home = Home::new();
    let store = home.store();
    store.save(&remote("w")).unwrap();
    let other = Definition::remote(name("w"), "https://other.example.com/mcp");
    let error = store.save(&other).unwrap_err();
    assert!(matches!(error, StoreError::Exists(_)), "{error}");
    assert!(store.load(&name("w")).unwrap() == remote("w"), "nothing was overwritten");

    let lock = RunLock::try_take(&home.paths(), &name("w")).unwrap();
    let chosen = Definition { proxy_port: Some(4711), ..remote("w") };
    store.replace(&lock, &chosen).unwrap();
    assert_eq!(store.save(&remote("w")).unwrap().proxy_port, Some(4711), "the port stays");
    let elsewhere = Definition { proxy_port: Some(4712), ..remote("w") };
    assert!(matches!(store.save(&elsewhere), Err(StoreError::Exists(_))));
}

#[test]
fn a_lock_is_good_for_its_own_workload_only() {
    let home = Home::new();
    let lock = RunLock::try_take(&home.paths(), &name("w")).unwrap();
    let error = home.store().replace(&lock, &remote("x")).unwrap_err();
    assert!(matches!(error, StoreError::Misplaced { .. }), "{error}");
    assert!(home.store().names().unwrap().is_empty());
}

#[test]
fn what_makes_no_sense_is_not_kept() {
    let home = Home::new();
    let definition = Definition { remote_url: Some("ftp://x".into()), proxy_port: Some(0), ..remote("w") };
    let error = home.store().save(&definition).unwrap_err().to_string();
    assert!(error.contains("remote_url: ") && error.contains("\nproxy_port: "), "{error}");
    assert!(home.store().names().unwrap().is_empty());
}

#[test]
fn a_warning_does_not_keep_a_workload_from_being_kept() {
    let home = Home::new();
    let open =
        Definition { host: "0.0.0.0".parse().unwrap(), allowed_hosts: vec!["mcp.lan".into()], ..remote("w") };
    home.store().save(&open).unwrap();
    assert!(home.store().load(&name("w")).unwrap() == open);
}

#[test]
fn one_broken_workload_does_not_hide_the_others() {
    let home = Home::new();
    let store = home.store();
    for workload in ["b", "a"] {
        store.save(&remote(workload)).unwrap();
    }
    let write = |file: &str, text: &str| fs::write(home.paths().definitions().join(file), text).unwrap();
    write("broken.json", "{");
    write("later.json", r#"{"schema_version": 9}"#);
    write("moved.json", &remote("elsewhere").to_json().unwrap());
    write("Not A Name.json", "{}");
    write("notes.txt", "");
    let listing = store.list().unwrap();
    let names: Vec<&str> =
        listing.workloads.iter().map(|workload| workload.definition.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    let errors: Vec<String> = listing.unreadable.iter().map(ToString::to_string).collect();
    assert_eq!(errors.len(), 3, "{errors:?}");
    for (error, file) in errors.iter().zip(["broken.json", "later.json", "moved.json"]) {
        assert!(error.contains(file), "{error}");
    }
    remove(&home, "broken").unwrap();
    assert_eq!(store.list().unwrap().unreadable.len(), 2, "what is broken can be removed");
}

#[test]
fn what_was_never_started_is_stopped() {
    let home = Home::new();
    home.store().save(&remote("w")).unwrap();
    let status = home.store().get(&name("w")).unwrap().status;
    assert_eq!((status.state, status.pid, status.detail), (State::Stopped, None, None));
    assert!(matches!(home.store().get(&name("x")), Err(StoreError::NotFound(_))));
}

#[test]
fn what_was_killed_is_not_running_although_its_status_says_so() {
    let home = Home::new();
    let store = home.store();
    store.save(&remote("w")).unwrap();
    let mut other = Other::start(&home, "holder");
    assert_eq!(other.says(), "held");
    let status = store.status(&name("w")).unwrap();
    assert_eq!((status.state, status.pid), (State::Running, Some(other.child.id())));
    other.kill();
    assert!(fs::read_to_string(home.paths().status(&name("w"))).unwrap().contains("running"));
    let status = store.status(&name("w")).unwrap();
    assert_eq!((status.state, status.pid), (State::Stopped, None));
    assert_eq!(status.detail.as_deref(), Some("ended unexpectedly"));
}

#[test]
fn what_was_killed_while_it_stopped_is_stopped() {
    let home = Home::new();
    let mut other = Other::start(&home, "stopping");
    assert_eq!(other.says(), "held");
    assert_eq!(home.store().status(&name("w")).unwrap().state, State::Stopping);
    other.kill();
    let status = home.store().status(&name("w")).unwrap();
    assert_eq!((status.state, status.detail), (State::Stopped, None));
}

#[test]
fn a_status_that_cannot_be_read_is_said_to_be_unknown() {
    let home = Home::new();
    let lock = RunLock::try_take(&home.paths(), &name("w")).unwrap();
    lock.report(&Status::new(name("w"), State::Running)).unwrap();
    fs::write(home.paths().status(&name("w")), "{").unwrap();
    let status = home.store().status(&name("w")).unwrap();
    assert_eq!((status.state, status.pid), (State::Unknown, Some(std::process::id())));
    assert!(status.detail.unwrap().contains("w.json"));
}

#[test]
fn a_running_workload_is_not_removed() {
    let home = Home::new();
    let store = home.store();
    store.save(&remote("w")).unwrap();
    let mut other = Other::start(&home, "holder");
    assert_eq!(other.says(), "held");
    let error = remove(&home, "w").unwrap_err().to_string();
    assert_eq!(error, format!("the workload w is running (process {}); stop it first", other.child.id()));
    assert!(store.get(&name("w")).is_ok());
    other.dismiss();
    remove(&home, "w").unwrap();
    assert!(matches!(store.get(&name("w")), Err(StoreError::NotFound(_))));
}

#[test]
fn removing_leaves_nothing_behind() {
    let home = Home::new();
    let (store, paths) = (home.store(), home.paths());
    store.save(&remote("w")).unwrap();
    let lock = RunLock::try_take(&paths, &name("w")).unwrap();
    lock.report(&Status::new(name("w"), State::Stopped)).unwrap();
    drop(lock);
    logs::open(&paths.log(&name("w"))).unwrap();
    fs::write(paths.logs().join("w.log.1"), "").unwrap();
    for file in [paths.socket(&name("w")), paths.login_lock(&name("w"))] {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "").unwrap();
    }
    remove(&home, "w").unwrap();
    for file in [
        paths.definition(&name("w")),
        paths.status(&name("w")),
        paths.lock(&name("w")),
        paths.log(&name("w")),
        paths.socket(&name("w")),
        paths.login_lock(&name("w")),
    ] {
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 0, "{}", file.display());
    }
    let error = remove(&home, "w").unwrap_err();
    assert!(matches!(error, StoreError::NotFound(_)), "{error}");
    assert!(!paths.lock(&name("w")).exists());
}

#[test]
fn a_workload_that_came_up_once_never_looks_like_one_that_did_not() {
    let home = Home::new();
    let store = home.store();
    let started =
        Status { started_at: Some(Timestamp::from_millis(7)), ..Status::new(name("w"), State::Running) };
    RunLock::try_take(&home.paths(), &name("w")).unwrap().report(&started).unwrap();
    let failed = Status::new(name("w"), State::Error).with_detail("the port is taken");
    RunLock::try_take(&home.paths(), &name("w")).unwrap().report(&failed).unwrap();
    let status = store.status(&name("w")).unwrap();
    assert_eq!((status.state, status.started_at), (State::Error, started.started_at));
}
