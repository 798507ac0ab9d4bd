//! A server that is killed, or whose disk is full: what was acknowledged is there afterwards.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use secrecy::ExposeSecret;
use thv_store::records::{RefreshIntent, SessionId};
use thv_store::sqlite::admin;

use crate::support::{Database, T0, entry, keys, later, open, ring};

/// Tells the process where to write; set by the tests that start it.
const PATH: &str = "THV_STORE_TEST_DATABASE";
const TASKS: u8 = 16;
const ROUNDS: usize = 12;

/// This test binary, running only the ignored test `name`.
fn process(name: &str, path: &std::path::Path, limit: Option<&str>) -> Command {
    let binary = std::env::current_exe().unwrap();
    let mut command = match limit {
        None => Command::new(binary),
        Some(limit) => {
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(format!("trap '' XFSZ; {limit}; exec \"$0\" \"$@\"")).arg(binary);
            shell
        }
    };
    command.args(["--exact", name, "--ignored", "--nocapture", "--test-threads=1"]);
    command.env(PATH, path).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

fn given_path() -> PathBuf {
    std::env::var_os(PATH).expect("started by another test").into()
}

/// The session that a task writes to: a new one for every 50 writes.
fn name(task: u8, number: u32) -> SessionId {
    let mut id = [task; 16];
    id[..4].copy_from_slice(&(number / 50).to_be_bytes());
    SessionId(id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs in a process of its own, which is killed"]
async fn writes_until_it_is_killed() {
    let stores = thv_store::sealed::stores(open(&given_path(), <_>::default()), keys(&[1]));
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let stores = stores.clone();
            tokio::spawn(async move {
                for number in next_number(&stores, task).await.. {
                    write(&stores, task, number).await;
                    println!("kept {task} {number}");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

/// Where an earlier process had got to.
async fn next_number(stores: &thv_store::Stores, task: u8) -> u32 {
    let mut next = 0;
    while let Some(row) = stores.upstream_tokens.load(&name(task, next), "corp", T0).await.unwrap() {
        next = row.value.login + 1;
        if name(task, next) == name(task, row.value.login) {
            break;
        }
    }
    next
}

/// A row that is made, then changed under the condition that nobody else did.
async fn write(stores: &thv_store::Stores, task: u8, number: u32) {
    let (id, rows) = (name(task, number), &stores.upstream_tokens);
    let mut record = entry(&format!("{task} {number}"));
    record.login = number;
    record.intent = Some(RefreshIntent { by: [task; 16], at: T0 + Duration::from_secs(number.into()) });
    match rows.load(&id, "corp", T0).await.unwrap() {
        Some(loaded) => assert!(rows.replace(&id, &loaded, record, T0).await.unwrap()),
        None => assert!(rows.put(&id, None, record, later(60), T0).await.unwrap()),
    }
}

#[tokio::test]
async fn every_acknowledged_write_survives_being_killed() {
    let database = Database::new();
    let mut kept: BTreeMap<u8, u32> = BTreeMap::new();
    for round in 0..ROUNDS {
        let mut child = process("kill::writes_until_it_is_killed", &database.path, None).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut seen = 0;
        for line in lines.map_while(Result::ok) {
            // A line that was cut off by the end of the process says nothing.
            let Some(numbers) = line.strip_prefix("kept ") else { continue };
            if let Some((task, number)) = numbers.split_once(' ')
                && let (Ok(task), Ok(number)) = (task.parse(), number.parse::<u32>())
            {
                kept.entry(task).and_modify(|kept| *kept = number.max(*kept)).or_insert(number);
            }
            seen += 1;
            // Later each time, so that it hits other moments; what is in the pipe then was acknowledged all the same.
            if seen == 40 + 61 * round {
                child.kill().unwrap();
            }
        }
        assert!(!child.wait().unwrap().success());
        assert!(seen >= 40 + 61 * round, "round {round}: it ended by itself after {seen}");

        let check = admin::check(&database.path, &ring(&[1]), T0).unwrap();
        assert!(check.is_sound(), "round {round}: {check:?}");
        let stores = database.stores(&[1]);
        for (task, number) in &kept {
            let row = stores.upstream_tokens.load(&name(*task, *number), "corp", T0).await.unwrap();
            let record = row.unwrap_or_else(|| panic!("round {round}: {task} {number} is lost")).value;
            assert!(record.login >= *number, "round {round}: {task} {number} was undone");
            // All members are of one write.
            assert_eq!(record.tokens.access_token.expose_secret(), format!("{task} {}", record.login));
            assert_eq!(record.intent.unwrap().at, T0 + Duration::from_secs(record.login.into()));
        }
    }
    assert_eq!(kept.len(), usize::from(TASKS), "every task was at it");
}

#[tokio::test]
#[ignore = "runs in a process of its own, whose files may not grow"]
async fn writes_until_it_is_refused() {
    let stores = thv_store::sealed::stores(open(&given_path(), <_>::default()), keys(&[1]));
    let mut number = 0;
    let refused = loop {
        let mut record = entry(&"x".repeat(20_000));
        record.login = number;
        let id = SessionId([7; 16]);
        match stores
            .upstream_tokens
            .put(&SessionId(u128::from(number).to_be_bytes()), None, record, later(60), T0)
            .await
        {
            Ok(written) => {
                assert!(written);
                number += 1;
                assert!(stores.upstream_tokens.load(&id, "corp", T0).await.unwrap().is_none());
            }
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, thv_store::StoreError::Unavailable(_)));
    assert!(number > 0);
    for earlier in 0..number {
        let id = SessionId(u128::from(earlier).to_be_bytes());
        let row = stores.upstream_tokens.load(&id, "corp", T0).await.unwrap().unwrap();
        assert_eq!(row.value.login, earlier, "reads go on");
    }
    // The test runner has begun a line.
    println!("\nkept {number}");
}

#[tokio::test]
async fn on_a_full_disk_writes_are_refused_and_nothing_is_lost() {
    let database = Database::new();
    let output =
        process("kill::writes_until_it_is_refused", &database.path, Some("ulimit -f 4096")).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    let kept: u32 = text.lines().find_map(|line| line.strip_prefix("kept ")?.parse().ok()).unwrap();
    assert!(kept > 10, "{kept}");
    let check = admin::check(&database.path, &ring(&[1]), T0).unwrap();
    assert!(check.is_sound(), "{check:?}");
    assert!(check.kinds["upstream"].live >= u64::from(kept));
    let stores = database.stores(&[1]);
    stores.upstream_tokens.put(&SessionId([9; 16]), None, entry("after"), later(60), T0).await.unwrap();
}
