use std::fs::{self, File};
use std::io::Write;
use std::sync::Barrier;

use thv_workload::logs::{self, CAP, Follow};
use tokio::time::timeout;

use crate::home::{Home, PATIENCE, name};

async fn next(follow: &mut Follow) -> String {
    timeout(PATIENCE, follow.next_line()).await.unwrap().unwrap()
}

#[tokio::test]
async fn following_begins_with_the_last_lines_and_goes_on_with_new_ones() {
    let home = Home::new();
    let path = home.paths().log(&name("w"));
    let mut log = logs::open(&path).unwrap();
    log.write_all(b"one\ntwo\nthree\n").unwrap();
    let mut follow = Follow::new(&path, 2).unwrap();
    assert_eq!((next(&mut follow).await, next(&mut follow).await), ("two".into(), "three".into()));
    log.write_all(b"four\n\nsi").unwrap();
    assert_eq!((next(&mut follow).await, next(&mut follow).await), ("four".into(), String::new()));
    // Dropped while it waits for the rest of a line, of which nothing is lost.
    assert!(timeout(std::time::Duration::ZERO, follow.next_line()).await.is_err());
    log.write_all(b"x\n").unwrap();
    assert_eq!(next(&mut follow).await, "six");
}

#[tokio::test]
async fn nothing_of_before_is_given_when_nothing_is_asked_for() {
    let home = Home::new();
    let path = home.paths().log(&name("w"));
    let mut log = logs::open(&path).unwrap();
    log.write_all(b"old\n").unwrap();
    let mut follow = Follow::new(&path, 0).unwrap();
    log.write_all(b"new\n").unwrap();
    assert_eq!(next(&mut follow).await, "new");
}

#[tokio::test]
async fn a_log_that_is_not_there_yet_is_given_from_its_beginning() {
    let home = Home::new();
    let path = home.paths().log(&name("w"));
    let mut follow = Follow::new(&path, 0).unwrap();
    assert!(timeout(std::time::Duration::ZERO, follow.next_line()).await.is_err());
    logs::open(&path).unwrap().write_all(b"first\n").unwrap();
    assert_eq!(next(&mut follow).await, "first");
}

#[tokio::test]
async fn following_survives_rotation_and_loses_no_line() {
    let home = Home::new();
    let path = home.paths().log(&name("w"));
    let mut old = logs::open(&path).unwrap();
    old.write_all(b"before\n").unwrap();
    let mut follow = Follow::new(&path, 1).unwrap();
    assert_eq!(next(&mut follow).await, "before");
    let filling = "x".repeat(usize::try_from(CAP).unwrap() / 8 - 1) + "\n";
    (0..8).for_each(|_| old.write_all(filling.as_bytes()).unwrap());
    old.write_all(b"the last\nno end").unwrap();
    let mut new = logs::open(&path).unwrap();
    new.write_all(b"the first\n").unwrap();
    // A line of 1.25 MiB is given in parts.
    let mut passed = 0;
    let last = loop {
        let line = next(&mut follow).await;
        if !line.starts_with('x') {
            break line;
        }
        passed += line.len();
    };
    assert_eq!(passed, 8 * (filling.len() - 1));
    assert_eq!(last, "the last");
    assert_eq!(next(&mut follow).await, "no end");
    assert_eq!(next(&mut follow).await, "the first");
    assert_eq!(logs::read(&path).unwrap(), "the first\n");
}

#[tokio::test]
async fn following_survives_truncation() {
    let home = Home::new();
    let path = home.paths().log(&name("w"));
    logs::open(&path).unwrap().write_all(b"one\ntwo\n").unwrap();
    let mut follow = Follow::new(&path, 1).unwrap();
    assert_eq!(next(&mut follow).await, "two");
    File::create(&path).unwrap();
    logs::open(&path).unwrap().write_all(b"new\n").unwrap();
    assert_eq!(next(&mut follow).await, "new");
}

#[test]
fn a_large_log_is_put_aside_once_and_a_small_one_is_continued() {
    let home = Home::new();
    let path = home.paths().log(&name("w"));
    logs::open(&path).unwrap().write_all(b"a\n").unwrap();
    logs::open(&path).unwrap().write_all(b"b\n").unwrap();
    assert_eq!(logs::read(&path).unwrap(), "a\nb\n");
    for round in 1..=2 {
        logs::open(&path).unwrap().set_len(CAP + round).unwrap();
        logs::open(&path).unwrap().write_all(b"new\n").unwrap();
        assert_eq!(logs::read(&path).unwrap(), "new\n");
        let aside = path.with_extension("log.1");
        assert_eq!(fs::metadata(aside).unwrap().len(), CAP + round, "the latest one is kept");
    }
}

#[test]
fn of_several_that_open_a_large_log_at_once_one_puts_it_aside() {
    for _ in 0..100 {
        let home = Home::new();
        let path = home.paths().log(&name("w"));
        logs::open(&path).unwrap().set_len(CAP).unwrap();
        let together = Barrier::new(4);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    together.wait();
                    logs::open(&path).unwrap().write_all(b"new\n").unwrap();
                });
            }
        });
        assert_eq!(fs::metadata(path.with_extension("log.1")).unwrap().len(), CAP);
        assert_eq!(logs::read(&path).unwrap(), "new\n".repeat(4));
    }
}

#[tokio::test]
async fn a_large_log_is_emptied_under_its_writer_and_followed_all_the_same() {
    let home = Home::new();
    let path = home.paths().log(&name("w"));
    let mut writer = logs::open(&path).unwrap();
    writer.write_all(b"small\n").unwrap();
    logs::empty_if_large(&path).unwrap();
    assert_eq!(logs::read(&path).unwrap(), "small\n");
    writer.set_len(CAP).unwrap();
    let mut follow = Follow::new(&path, 0).unwrap();
    logs::empty_if_large(&path).unwrap();
    writer.write_all(b"new\n").unwrap();
    assert_eq!(logs::read(&path).unwrap(), "new\n");
    assert_eq!(fs::metadata(path.with_extension("log.1")).unwrap().len(), CAP);
    assert_eq!(next(&mut follow).await, "new");
}
