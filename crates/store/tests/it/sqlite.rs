//! The SQLite backend.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Mutex;

use thv_store::records::{GrantId, SessionId};
use thv_store::rows::{Row, RowKey, Rows};
use thv_store::sqlite::{self, SqliteError, SqliteSettings, Synchronous};
use thv_store::table::{Kind, Version, When};
use thv_store::{StoreError, contract, sealed};

use crate::support::{Database, T0, entry, keys, later, open, session};

fn key(number: u16) -> RowKey {
    let mut hash = [0; 32];
    hash[..2].copy_from_slice(&number.to_be_bytes());
    RowKey { kind: Kind::Grant, hash }
}

fn row(version: u8, seconds: u64) -> Row {
    Row { version: Version([version; 16]), until: later(seconds), value: vec![version; 100] }
}

async fn fulfil_the_contract(synchronous: Synchronous) {
    let databases = Mutex::new(Vec::new());
    contract::fulfil(async || {
        let database = Database::new();
        let rows = open(&database.path, synchronous);
        databases.lock().unwrap().push(database);
        sealed::stores(rows, keys(&[1]))
    })
    .await;
}

#[tokio::test]
async fn sqlite_fulfils_the_contract() {
    fulfil_the_contract(Synchronous::Normal).await;
}

#[tokio::test]
async fn sqlite_fulfils_the_contract_when_every_commit_waits_for_the_disk() {
    fulfil_the_contract(Synchronous::Full).await;
}

#[tokio::test]
async fn each_condition_is_judged_against_what_is_there_now() {
    let database = Database::new();
    let rows = database.open();
    let (one, two) = (When::Is(Version([1; 16])), When::Is(Version([2; 16])));
    assert!(!rows.write(&key(1), row(1, 60), one, T0).await.unwrap(), "there is none");
    assert!(!rows.remove(&key(1), When::Always, T0).await.unwrap());
    assert!(rows.write(&key(1), row(1, 60), When::Absent, T0).await.unwrap());
    assert!(!rows.write(&key(1), row(9, 60), When::Absent, T0).await.unwrap());
    assert!(!rows.write(&key(1), row(9, 60), two, T0).await.unwrap());
    assert_eq!(rows.load(&key(1), T0).await.unwrap(), Some(row(1, 60)), "all members come back");
    assert!(rows.write(&key(1), row(2, 90), one, T0).await.unwrap());
    assert!(!rows.remove(&key(1), one, T0).await.unwrap());
    assert!(!rows.remove(&key(1), When::Absent, T0).await.unwrap());
    assert_eq!(rows.load(&key(1), later(90)).await.unwrap(), None, "expired");
    assert!(!rows.remove(&key(1), two, later(90)).await.unwrap());
    assert!(!rows.write(&key(1), row(3, 99), two, later(90)).await.unwrap());
    assert!(rows.write(&key(1), row(3, 99), When::Absent, later(90)).await.unwrap());
    assert!(rows.remove(&key(1), When::Always, later(90)).await.unwrap());
    assert_eq!(rows.load(&key(1), later(90)).await.unwrap(), None);
    assert_eq!(rows.load(&RowKey { kind: Kind::Code, ..key(1) }, T0).await.unwrap(), None);
}

#[tokio::test]
async fn what_was_kept_is_there_after_a_restart() {
    let database = Database::new();
    let rows = database.open();
    let session = session();
    sealed::stores(rows.clone(), keys(&[1])).sessions.insert(session.clone(), T0).await.unwrap();
    rows.close().await;
    drop(rows);
    let loaded = database.stores(&[1]).sessions.load(&session.id, T0).await.unwrap();
    assert_eq!(*loaded.unwrap().value, session);
}

#[tokio::test]
async fn nobody_else_may_read_the_files() {
    let database = Database::new();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let rows = database.open();
    rows.write(&key(1), row(1, 60), When::Always, T0).await.unwrap();
    assert_eq!(mode(database.path.parent().unwrap()), 0o700);
    for path in [database.path.clone(), database.beside("-wal"), database.beside("-shm")] {
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    rows.close().await;
    drop(rows);
    std::fs::set_permissions(&database.path, std::fs::Permissions::from_mode(0o644)).unwrap();
    database.open();
    assert_eq!(mode(&database.path), 0o600, "tightened");
}

fn refusal(path: &Path) -> SqliteError {
    let settings = SqliteSettings { path: path.to_owned(), synchronous: Synchronous::Normal };
    sqlite::open(&settings).err().unwrap()
}

#[tokio::test]
async fn an_empty_database_is_migrated_and_a_later_one_refused() {
    let database = Database::new();
    std::fs::create_dir_all(database.path.parent().unwrap()).unwrap();
    database.raw().pragma_update(None, "user_version", 0).unwrap();
    let rows = database.open();
    rows.write(&key(1), row(1, 60), When::Always, T0).await.unwrap();
    assert_eq!(database.count("PRAGMA user_version"), 1);
    drop(rows);
    database.raw().pragma_update(None, "user_version", 2).unwrap();
    let error = refusal(&database.path);
    assert!(matches!(error, SqliteError::Newer { found: 2, known: 1, .. }), "{error}");
    database.raw().pragma_update(None, "user_version", 1).unwrap();
    assert!(database.open().load(&key(1), T0).await.unwrap().is_some(), "untouched by the refusal");
}

#[tokio::test]
async fn a_migration_goes_on_where_an_interrupted_one_left_nothing() {
    let database = Database::new();
    drop(database.open());
    // As after a crash between making the file and the first migration.
    let raw = database.raw();
    raw.execute_batch("DROP TABLE rows; PRAGMA user_version = 0;").unwrap();
    let rows = database.open();
    assert!(rows.write(&key(1), row(1, 60), When::Absent, T0).await.unwrap());
}

#[test]
fn files_of_others_are_refused_and_left_alone() {
    let database = Database::new();
    std::fs::create_dir_all(database.path.parent().unwrap()).unwrap();
    database.raw().execute_batch("CREATE TABLE theirs (a); PRAGMA user_version = 1;").unwrap();
    let error = refusal(&database.path);
    assert!(matches!(error, SqliteError::Foreign { .. }), "{error}");
    assert_eq!(database.count("SELECT count(*) FROM sqlite_schema"), 1);

    let text = database.path.with_extension("txt");
    std::fs::write(&text, "some text, certainly no database, but long enough to be looked at in earnest")
        .unwrap();
    let error = refusal(&text);
    assert!(matches!(error, SqliteError::Database { .. }), "{error}");
    let directory = database.path.parent().unwrap();
    assert!(matches!(refusal(directory), SqliteError::Database { .. } | SqliteError::File { .. }));
    assert!(matches!(refusal(&text.join("below")), SqliteError::File { .. }));
}

#[tokio::test]
async fn expired_rows_are_dropped_and_their_space_is_given_back() {
    let database = Database::new();
    let rows = database.open();
    for number in 0..600 {
        let row = Row { value: vec![7; 2000], ..row(1, 60) };
        rows.write(&key(number), row, When::Always, T0).await.unwrap();
    }
    let pages = database.count("PRAGMA page_count");
    rows.write(&key(1000), row(1, 600), When::Always, later(60)).await.unwrap();
    // Between two answers of the thread that writes lies a step of the sweep.
    for _ in 0..10 {
        rows.ping().await.unwrap();
    }
    assert_eq!(database.count("SELECT count(*) FROM rows"), 1);
    for seconds in [70, 80, 90, 100, 110, 120] {
        rows.write(&key(1001), row(1, 600), When::Always, later(seconds)).await.unwrap();
    }
    assert!(rows.load(&key(1000), later(120)).await.unwrap().is_some());
    assert!(database.count("PRAGMA page_count") < pages / 2, "{pages} before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_changes_at_once_none_gets_lost() {
    let database = Database::new();
    let stores = database.stores(&[1]);
    let session = session();
    let id = session.id;
    stores.sessions.insert(session, T0).await.unwrap();
    let tasks: Vec<_> = (0..64)
        .map(|_| {
            let stores = stores.clone();
            tokio::spawn(async move {
                let grant = GrantId::random();
                assert!(stores.sessions.attach(&id, grant, later(60), T0).await.unwrap().is_some());
                for number in 0..20_u32 {
                    let other = SessionId::random();
                    stores
                        .upstream_tokens
                        .put(&other, None, entry(&number.to_string()), later(60), T0)
                        .await
                        .unwrap();
                    assert!(stores.upstream_tokens.load(&other, "corp", T0).await.unwrap().is_some());
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(stores.sessions.load(&id, T0).await.unwrap().unwrap().value.grants.len(), 64);
    assert_eq!(database.count("SELECT count(*) FROM rows WHERE kind = 'upstream'"), 64 * 20);
}

#[test]
fn servers_that_start_at_once_on_a_new_file_all_open_it() {
    for _ in 0..20 {
        let database = Database::new();
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| database.open());
            }
        });
        assert_eq!(database.count("PRAGMA user_version"), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_servers_may_share_the_file_while_one_replaces_the_other() {
    let database = Database::new();
    let opening = [(); 2].map(|()| {
        let path = database.path.clone();
        tokio::task::spawn_blocking(move || open(&path, Synchronous::Normal))
    });
    let [old, new] = opening;
    let (old, new) = (old.await.unwrap(), new.await.unwrap());
    let writers = [(0, old.clone()), (1000, new.clone())].map(|(first, rows)| {
        tokio::spawn(async move {
            for number in first..first + 200 {
                assert!(rows.write(&key(number), row(1, 60), When::Absent, T0).await.unwrap());
                assert!(rows.load(&key(number), T0).await.unwrap().is_some());
            }
        })
    });
    for writer in writers {
        writer.await.unwrap();
    }
    let contested: Vec<_> = [old.clone(), new.clone()]
        .into_iter()
        .map(|rows| tokio::spawn(async move { rows.write(&key(5000), row(1, 60), When::Absent, T0).await }))
        .collect();
    let mut won = 0;
    for attempt in contested {
        won += u32::from(attempt.await.unwrap().unwrap());
    }
    assert_eq!(won, 1);
    old.close().await;
    drop(old);
    for number in (0..200).chain(1000..1200) {
        assert!(new.load(&key(number), T0).await.unwrap().is_some(), "{number}");
    }
}

#[tokio::test]
async fn when_it_cannot_be_written_reads_go_on_and_it_recovers() {
    let database = Database::new();
    let rows = database.open();
    rows.write(&key(1), row(1, 60), When::Always, T0).await.unwrap();
    let raw = database.raw();
    raw.execute_batch("CREATE TRIGGER t BEFORE INSERT ON rows BEGIN SELECT RAISE(ABORT, 'broken'); END")
        .unwrap();
    let error = rows.write(&key(2), row(1, 60), When::Always, T0).await.unwrap_err();
    let StoreError::Unavailable(cause) = &error else { panic!("{error}") };
    assert!(cause.source().unwrap().to_string().contains("broken"));
    assert!(rows.load(&key(1), T0).await.unwrap().is_some());
    raw.execute_batch("DROP TRIGGER t").unwrap();
    assert!(rows.write(&key(2), row(1, 60), When::Always, T0).await.unwrap());
}

#[tokio::test]
async fn closing_waits_for_writes_and_moves_the_log() {
    let database = Database::new();
    let rows = database.open();
    let writes: Vec<_> = (0..50)
        .map(|number| {
            let rows = rows.clone();
            tokio::spawn(async move { rows.write(&key(number), row(1, 60), When::Always, T0).await })
        })
        .collect();
    // Lets each of them ask before the store is closed.
    tokio::task::yield_now().await;
    rows.close().await;
    for write in writes {
        assert!(write.await.unwrap().unwrap());
    }
    rows.close().await;
    assert_eq!(std::fs::metadata(database.beside("-wal")).map_or(0, |log| log.len()), 0);
    let error = rows.write(&key(51), row(1, 60), When::Always, T0).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)));
    assert!(rows.ping().await.is_err());
    assert_eq!(database.count("SELECT count(*) FROM rows"), 50);
}
