//! Backup, check and export.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;
use thv_store::sqlite::SqliteError;
use thv_store::sqlite::admin::{self, Count};

use crate::secrecy::{SECRETS, fill};
use crate::support::{Database, T0, entry, later, ring};

const KINDS: [&str; 12] = [
    "client",
    "code",
    "consent",
    "document",
    "grant",
    "lease",
    "pending",
    "registration",
    "replay",
    "session",
    "store",
    "upstream",
];

#[tokio::test]
async fn a_backup_made_while_serving_opens_like_the_store() {
    let database = Database::new();
    let stores = database.stores(&[1]);
    let id = fill(&stores).await;
    let writer = tokio::spawn({
        let stores = stores.clone();
        async move {
            for _ in 0..100 {
                let rows = &stores.upstream_tokens;
                let before = rows.load(&id, "corp", T0).await.unwrap();
                assert!(rows.put(&id, before.as_ref(), entry("newer"), later(3600), T0).await.unwrap());
            }
        }
    });
    let copy = Database::new();
    std::fs::create_dir_all(copy.path.parent().unwrap()).unwrap();
    let (from, to) = (database.path.clone(), copy.path.clone());
    tokio::task::spawn_blocking(move || admin::backup(&from, &to)).await.unwrap().unwrap();
    writer.await.unwrap();
    assert_eq!(std::fs::metadata(&copy.path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!copy.beside("-wal").exists(), "one file");
    assert!(admin::check(&copy.path, &ring(&[1]), T0).unwrap().is_sound());
    let restored = copy.stores(&[1]);
    assert!(restored.sessions.load(&id, T0).await.unwrap().is_some());
    assert!(restored.upstream_tokens.load(&id, "corp", T0).await.unwrap().is_some());
}

#[tokio::test]
async fn a_backup_overwrites_nothing_and_leaves_nothing_when_it_fails() {
    let database = Database::new();
    fill(&database.stores(&[1])).await;
    let to = database.path.with_extension("backup");
    std::fs::write(&to, "precious").unwrap();
    assert!(matches!(admin::backup(&database.path, &to), Err(SqliteError::Exists { .. })));
    assert_eq!(std::fs::read(&to).unwrap(), b"precious");
    let nowhere = database.path.with_extension("none");
    let fresh = database.path.with_extension("fresh");
    assert!(matches!(admin::backup(&nowhere, &fresh), Err(SqliteError::Missing { .. })));
    assert!(!fresh.exists() && !nowhere.exists(), "asking for a store does not make one");
    let below = to.join("below");
    assert!(matches!(admin::backup(&database.path, &below), Err(SqliteError::File { .. })));
}

#[tokio::test]
async fn a_check_counts_kinds_and_keys_and_what_cannot_be_read() {
    let database = Database::new();
    fill(&database.stores(&[1])).await;
    let check = admin::check(&database.path, &ring(&[1]), T0).unwrap();
    assert!(check.is_sound(), "{check:?}");
    assert_eq!(check.kinds.keys().collect::<Vec<_>>(), KINDS);
    assert!(check.kinds.values().all(|count| *count == Count { live: 1, expired: 0 }));
    let one = ring(&[1]).key_ids().next().unwrap();
    assert_eq!(check.keys.into_iter().collect::<Vec<_>>(), [(one, 12)]);

    let late = admin::check(&database.path, &ring(&[2, 1]), later(60)).unwrap();
    assert!(late.is_sound(), "{late:?}");
    assert_eq!(late.kinds["code"], Count { live: 0, expired: 1 });

    let without = admin::check(&database.path, &ring(&[2]), T0).unwrap();
    assert_eq!(without.unreadable.values().sum::<u64>(), 12);
    assert!(without.unreadable.keys().all(|(_, reason)| reason.contains(&one.to_string())));

    let raw = database.raw();
    raw.execute_batch("UPDATE rows SET value = zeroblob(40) WHERE kind = 'grant'").unwrap();
    raw.execute_batch("UPDATE rows SET kind = 'unheard of' WHERE kind = 'lease'").unwrap();
    let damaged = admin::check(&database.path, &ring(&[1]), T0).unwrap();
    assert!(!damaged.is_sound());
    let kinds: Vec<_> = damaged.unreadable.keys().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["grant", "unheard of"]);
}

#[tokio::test]
async fn a_check_finds_a_damaged_file() {
    let database = Database::new();
    let rows = database.open();
    let stores = thv_store::sealed::stores(rows.clone(), crate::support::keys(&[1]));
    for _ in 0..50 {
        fill_tokens(&stores).await;
    }
    rows.close().await;
    drop((rows, stores));
    let mut bytes = std::fs::read(&database.path).unwrap();
    // The pages behind the first few hold rows.
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 64].fill(0xff);
    std::fs::write(&database.path, bytes).unwrap();
    let check = admin::check(&database.path, &ring(&[1]), T0).unwrap();
    assert!(!check.problems.is_empty(), "{check:?}");
    assert!(!check.is_sound());
}

async fn fill_tokens(stores: &thv_store::Stores) {
    let id = thv_store::records::SessionId::random();
    stores.upstream_tokens.put(&id, None, entry("secret"), later(60), T0).await.unwrap();
}

#[tokio::test]
async fn an_export_shows_everything_but_secrets() {
    let database = Database::new();
    let id = fill(&database.stores(&[1])).await;
    let mut out = Vec::new();
    assert_eq!(admin::export(&database.path, &ring(&[1]), T0, &mut out).unwrap(), 12);
    let text = String::from_utf8(out).unwrap();
    for secret in SECRETS {
        assert!(!text.contains(secret), "{secret}");
    }
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |kind: &str| lines.iter().find(|line| line["kind"] == kind).unwrap();
    assert_eq!(of("upstream")["record"]["tokens"]["access_token"], "sealed");
    assert_eq!(of("upstream")["record"]["tokens"]["refresh_token"], "sealed");
    assert_eq!(of("upstream")["record"]["tokens"]["provider"], "corp");
    assert_eq!(of("upstream")["until"], later(3600).as_millis());
    assert_eq!(of("pending")["record"]["upstream_verifier"], "sealed");
    assert_eq!(of("registration")["record"]["generations"][1]["client_secret"], "sealed");
    assert_eq!(of("registration")["record"]["generations"][0]["client_id"], "our-client-id");
    assert_eq!(of("session")["record"]["id"], serde_json::json!(id.0));
    assert_eq!(of("store")["record"], "sealed");

    let mut late = Vec::new();
    admin::export(&database.path, &ring(&[1]), later(60), &mut late).unwrap();
    assert!(!String::from_utf8(late).unwrap().contains(r#""kind":"code""#), "expired");
    let mut without = Vec::new();
    assert_eq!(admin::export(&database.path, &ring(&[2]), T0, &mut without).unwrap(), 12);
    let without = String::from_utf8(without).unwrap();
    assert!(without.lines().all(|line| line.contains("unreadable") && !line.contains("record")));
}
