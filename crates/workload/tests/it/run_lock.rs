use std::fs;

use thv_workload::RunLock;
use thv_workload::run_lock::{Holder, TakeError};

use crate::home::{Home, name, until};
use crate::other_process::Other;

fn holder(home: &Home) -> Option<u32> {
    Holder::of(&home.paths(), &name("w")).unwrap().map(|holder| holder.pid.unwrap())
}

#[test]
fn nobody_holds_what_never_ran() {
    let home = Home::new();
    assert_eq!(holder(&home), None);
    assert!(!home.paths().lock(&name("w")).exists(), "looking makes no files");
}

#[test]
fn who_holds_the_lock_is_told_to_whoever_wants_it() {
    let home = Home::new();
    let mut other = Other::start(&home, "holder");
    assert_eq!(other.says(), "held");
    assert_eq!(holder(&home), Some(other.child.id()));
    let error = RunLock::try_take(&home.paths(), &name("w")).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("the workload w is running already (process {})", other.child.id())
    );
    other.dismiss();
    assert_eq!(holder(&home), None);
    assert!(RunLock::try_take(&home.paths(), &name("w")).is_ok());
}

#[test]
fn a_killed_holder_frees_the_lock_although_its_name_is_still_there() {
    let home = Home::new();
    let mut other = Other::start(&home, "holder");
    assert_eq!(other.says(), "held");
    let pid = other.child.id().to_string();
    other.kill();
    let left = fs::read_to_string(home.paths().lock(&name("w"))).unwrap();
    assert!(left.starts_with(&pid), "{left:?}");
    assert_eq!(holder(&home), None);
    assert!(RunLock::try_take(&home.paths(), &name("w")).is_ok());
}

#[test]
fn of_many_processes_at_once_one_wins_and_the_others_know_who() {
    for _ in 0..5 {
        let home = Home::new();
        let mut others: Vec<Other> = (0..6).map(|_| Other::start(&home, "contender")).collect();
        others.iter_mut().for_each(|other| assert_eq!(other.says(), "ready"));
        others.iter_mut().for_each(|other| other.tell("go"));
        let said: Vec<(u32, String)> =
            others.iter_mut().map(|other| (other.child.id(), other.says())).collect();
        let winners: Vec<u32> = said.iter().filter(|(_, said)| said == "won").map(|(pid, _)| *pid).collect();
        assert_eq!(winners.len(), 1, "{said:?}");
        let lost = format!("lost to {}", winners[0]);
        assert!(said.iter().all(|(pid, said)| *pid == winners[0] || *said == lost), "{said:?}");
        others.into_iter().for_each(Other::dismiss);
    }
}

#[test]
fn a_lock_is_free_again_as_soon_as_its_value_is_dropped() {
    let home = Home::new();
    for _ in 0..20 {
        let lock = RunLock::try_take(&home.paths(), &name("w")).unwrap();
        assert_eq!(holder(&home), Some(std::process::id()));
        // Within one process too.
        assert!(matches!(RunLock::try_take(&home.paths(), &name("w")), Err(TakeError::Running { .. })));
        drop(lock);
        assert_eq!(holder(&home), None);
        let left = fs::read_to_string(home.paths().lock(&name("w"))).unwrap();
        assert_eq!(left, "", "this process lives, so it would still be taken for the holder");
    }
}

#[test]
fn looking_does_not_get_in_the_way_of_taking() {
    let home = Home::new();
    let (paths, name) = (home.paths(), name("w"));
    drop(RunLock::try_take(&paths, &name).unwrap());
    std::thread::scope(|scope| {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let (paths, name) = (&paths, &name);
        scope.spawn(move || {
            while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                Holder::of(paths, name).unwrap();
            }
        });
        for _ in 0..200 {
            drop(RunLock::try_take(paths, name).unwrap());
        }
        drop(stop);
    });
}

#[test]
fn a_holder_out_of_sight_is_a_holder_all_the_same() {
    let home = Home::new();
    let path = home.paths().lock(&name("w"));
    let lock = RunLock::try_take(&home.paths(), &name("w")).unwrap();
    // As it looks from a container that shares the files and not the processes.
    fs::write(&path, "4194305 1\n").unwrap();
    assert_eq!(Holder::of(&home.paths(), &name("w")).unwrap(), Some(Holder { pid: None }));
    let error = RunLock::try_take(&home.paths(), &name("w")).unwrap_err();
    assert_eq!(error.to_string(), "the workload w is running already");
    drop(lock);
}

#[test]
fn a_lock_whose_file_was_removed_meanwhile_is_not_taken_for_one() {
    let home = Home::new();
    let (paths, name) = (home.paths(), name("w"));
    // Takers and removers at once: whoever has taken it is the one that is seen to hold it.
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..100 {
                    let lock = until("the lock", || RunLock::try_take(&paths, &name).ok());
                    let again = RunLock::try_take(&paths, &name);
                    assert!(again.is_err(), "two hold it at once");
                    lock.remove().unwrap();
                }
            });
        }
    });
}

#[test]
fn whoever_takes_the_lock_clears_away_what_a_killed_process_was_writing() {
    let home = Home::new();
    let mut other = Other::start(&home, "holder");
    assert_eq!(other.says(), "held");
    let left = home.paths().status(&name("w")).with_file_name(format!(".w.json.{}-1.tmp", other.child.id()));
    fs::write(&left, "{").unwrap();
    other.kill();
    RunLock::try_take(&home.paths(), &name("w")).unwrap();
    assert!(!left.exists());
}
