//! Several processes at one file: none undoes what another one stored, and one that is killed leaves a whole file.

use std::io::{BufRead, BufReader, Read};

use thv_secrets::{FileError, SecretsError};

use crate::support::{Place, get, prepared_process, process, run, secret};

const WRITERS: u32 = 4;
const WRITES: u32 = 25;
const ROUNDS: u32 = 12;

#[test]
#[ignore = "runs in a process of its own, several times at once"]
fn stores_secrets_of_its_own() {
    let (place, id) = (Place::given(), std::process::id());
    for n in 0..WRITES {
        // A store each time, as short-lived processes would have.
        place.file().set(&format!("{id}-{n}"), &secret(format!("{id} {n}"))).unwrap();
        assert!(place.file().delete(&format!("{id}-{n}")).unwrap());
        place.file().set(&format!("{id}-{n}"), &secret(format!("{id} {n}"))).unwrap();
    }
}

#[test]
fn processes_that_write_at_once_lose_nothing() {
    let place = Place::new();
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| process("processes::stores_secrets_of_its_own", &place.dir).spawn().unwrap())
        .collect();
    let mut expected = Vec::new();
    for writer in writers {
        expected.extend((0..WRITES).map(|n| format!("{}-{n}", writer.id())));
        let output = writer.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    expected.sort();
    let store = place.file();
    assert_eq!(store.list().unwrap(), expected);
    for name in expected {
        assert_eq!(get(&store, &name).unwrap().replace(' ', "-"), name);
    }
}

#[test]
fn threads_of_one_process_lose_nothing_either() {
    let place = Place::new().with_password("correct horse");
    let store = place.file();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let store = store.clone();
            scope.spawn(move || {
                (0..10).for_each(|n| store.set(&format!("{thread}-{n}"), &secret("x")).unwrap())
            });
        }
    });
    assert_eq!(store.list().unwrap().len(), 40);
}

#[test]
#[ignore = "runs in a process of its own, which is killed"]
fn stores_until_it_is_killed() {
    let place = Place::given();
    let store = place.file();
    let first: u32 = get(&store, "count").map_or(0, |count| count.parse().unwrap());
    for n in first + 1.. {
        store.set("count", &secret(n.to_string())).unwrap();
        println!("kept {n}");
    }
}

#[test]
fn every_acknowledged_write_survives_being_killed() {
    let place = Place::new();
    let mut kept = 0;
    for round in 0..ROUNDS {
        let mut child = process("processes::stores_until_it_is_killed", &place.dir).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut read = String::new();
        let mut seen = 0;
        // Later each time, so that it hits other moments; what is in the pipe then was acknowledged all the same.
        while seen < 3 + 5 * round {
            read.clear();
            assert_ne!(output.read_line(&mut read).unwrap(), 0, "round {round}: it ended by itself");
            seen += u32::from(read.starts_with("kept "));
        }
        child.kill().unwrap();
        let mut rest = String::new();
        output.read_to_string(&mut rest).unwrap();
        assert!(!child.wait().unwrap().success());
        for line in read.lines().chain(rest.split_inclusive('\n').filter(|line| line.ends_with('\n'))) {
            kept = line.trim_end().strip_prefix("kept ").map_or(kept, |n| n.parse().unwrap());
        }
        let count: u32 = get(&place.file(), "count").unwrap().parse().unwrap();
        assert!(count == kept || count == kept + 1, "round {round}: {kept} was kept, {count} is there");
        kept = count;
    }
}

#[test]
#[ignore = "runs in a process of its own, whose files may not grow"]
fn stores_until_it_is_refused() {
    let place = Place::given();
    let store = place.file();
    let refused = (0..).find_map(|n| store.set(&format!("name-{n}"), &secret("x".repeat(1000))).err());
    assert!(matches!(refused, Some(SecretsError::File(FileError::Io { .. }))), "{refused:?}");
    println!("\nkept {}", store.list().unwrap().len());
}

#[test]
fn on_a_full_disk_a_write_is_refused_and_nothing_is_lost() {
    let place = Place::new();
    let limited = "trap '' XFSZ; ulimit -f 32";
    let output = run(prepared_process(limited, "processes::stores_until_it_is_refused", &place.dir));
    let kept: usize = output.lines().find_map(|line| line.strip_prefix("kept ")?.parse().ok()).unwrap();
    let store = place.file();
    assert!(kept > 3 && store.list().unwrap().len() == kept, "{kept}");
    assert!(place.files().iter().all(|name| !name.ends_with(".new")), "{:?}", place.files());
    store.set("after", &secret("x")).unwrap();
}
