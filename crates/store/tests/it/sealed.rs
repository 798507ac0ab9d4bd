//! Sealing, keys and their rotation.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use secrecy::ExposeSecret;
use thv_jose::at_rest;
use thv_store::records::SessionId;
use thv_store::rows::Rows;
use thv_store::table::Kind;
use thv_store::{StoreError, Stores, contract, sealed};

use crate::support::{Database, SharedRows, T0, entry, keys, later, ring, session};

/// Everything that is wrong, from the outside in.
fn chain(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text = format!("{text}: {error}");
        next = error.source();
    }
    text
}

async fn kept(stores: &Stores, id: &SessionId) -> String {
    let row = stores.upstream_tokens.load(id, "corp", T0).await.unwrap().unwrap();
    row.value.tokens.access_token.expose_secret().to_owned()
}

#[tokio::test]
async fn sealed_rows_fulfil_the_contract() {
    contract::fulfil(async || sealed::stores(SharedRows::new(), keys(&[1]))).await;
}

#[tokio::test]
async fn a_row_is_sealed_anew_when_it_is_read_and_then_the_old_key_can_go() {
    let database = Database::new();
    let id = SessionId::random();
    let old = database.stores(&[1]);
    old.upstream_tokens.put(&id, None, entry("secret"), later(60), T0).await.unwrap();
    let first = database.raw();
    let ids = || -> Vec<String> {
        let mut statement = first.prepare("SELECT value FROM rows").unwrap();
        let values = statement.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap();
        values.map(|value| at_rest::key_id(&value.unwrap()).unwrap().to_string()).collect()
    };
    let (one, two) = (ring(&[1]).key_ids().next().unwrap(), ring(&[2]).key_ids().next().unwrap());
    assert_eq!(ids(), [one.to_string(), one.to_string()], "the tokens and the secret of the store");

    assert_eq!(kept(&database.stores(&[2, 1]), &id).await, "secret");
    assert_eq!(ids(), [two.to_string(), two.to_string()]);
    assert_eq!(kept(&database.stores(&[2]), &id).await, "secret");
}

#[tokio::test]
async fn sealing_anew_takes_nobodys_conditional_write_away() {
    let rows = SharedRows::new();
    let (old, new) = (sealed::stores(rows.clone(), keys(&[1, 2])), sealed::stores(rows, keys(&[2, 1])));
    let id = SessionId::random();
    old.upstream_tokens.put(&id, None, entry("before"), later(60), T0).await.unwrap();
    let loaded = old.upstream_tokens.load(&id, "corp", T0).await.unwrap().unwrap();
    assert_eq!(kept(&new, &id).await, "before");
    assert!(old.upstream_tokens.replace(&id, &loaded, entry("after"), T0).await.unwrap());
    assert_eq!(kept(&new, &id).await, "after");
    assert!(!old.upstream_tokens.replace(&id, &loaded, entry("late"), T0).await.unwrap());
}

#[tokio::test]
async fn a_backend_that_refuses_to_be_written_does_not_fail_reads() {
    let database = Database::new();
    let id = SessionId::random();
    database.stores(&[1]).upstream_tokens.put(&id, None, entry("secret"), later(60), T0).await.unwrap();
    database
        .raw()
        .execute_batch("CREATE TRIGGER t BEFORE UPDATE ON rows BEGIN SELECT RAISE(ABORT, 'no'); END")
        .unwrap();
    assert_eq!(kept(&database.stores(&[2, 1]), &id).await, "secret");
}

#[tokio::test]
async fn with_other_keys_the_store_says_what_to_configure_and_loses_nothing() {
    let database = Database::new();
    let session = session();
    let id = session.id;
    database.stores(&[1]).sessions.insert(session.clone(), T0).await.unwrap();

    let wrong = database.stores(&[2]);
    let error = wrong.sessions.load(&id, T0).await.unwrap_err();
    assert!(matches!(error, StoreError::Unreadable { noun: "store", .. }));
    let text = chain(&error);
    assert!(text.contains("authServer.storage.encryptionKeySecretRefs"), "{text}");
    assert!(text.contains("hmacSecretRefs"), "{text}");
    assert!(text.contains(&ring(&[1]).key_ids().next().unwrap().to_string()), "{text}");
    assert!(wrong.sessions.insert(session.clone(), T0).await.is_err(), "nothing is written beside it");

    let loaded = database.stores(&[1]).sessions.load(&id, T0).await.unwrap().unwrap();
    assert_eq!(*loaded.value, session);
}

#[tokio::test]
async fn keys_that_change_while_serving_also_seal_the_stores_own_secret() {
    let rows = SharedRows::new();
    let handle = keys(&[1]);
    let stores = sealed::stores(rows.clone(), handle.clone());
    let id = SessionId::random();
    stores.upstream_tokens.put(&id, None, entry("before"), later(60), T0).await.unwrap();
    handle.replace(ring(&[2, 1]));
    assert_eq!(kept(&stores, &id).await, "before");
    let restarted = sealed::stores(rows.clone(), keys(&[2]));
    assert_eq!(kept(&restarted, &id).await, "before");

    // The backend is away just when the keys change: it is made up for.
    rows.down.store(true, Ordering::SeqCst);
    handle.replace(ring(&[3, 2]));
    assert!(stores.upstream_tokens.load(&id, "corp", T0).await.is_err());
    rows.down.store(false, Ordering::SeqCst);
    assert_eq!(kept(&stores, &id).await, "before");
    assert_eq!(kept(&sealed::stores(rows, keys(&[3])), &id).await, "before");
}

#[tokio::test]
async fn replicas_that_start_at_once_agree_on_the_secret_of_the_store() {
    let database = Database::new();
    let replicas: Vec<Stores> = (0..4).map(|_| database.stores(&[1])).collect();
    let sessions: Vec<_> = (0..4).map(|_| session()).collect();
    let writes: Vec<_> = replicas
        .iter()
        .cloned()
        .zip(sessions.clone())
        .map(|(stores, session)| tokio::spawn(async move { stores.sessions.insert(session, T0).await }))
        .collect();
    for write in writes {
        write.await.unwrap().unwrap();
    }
    for stores in &replicas {
        for session in &sessions {
            assert_eq!(*stores.sessions.load(&session.id, T0).await.unwrap().unwrap().value, *session);
        }
    }
    assert_eq!(database.count("SELECT count(*) FROM rows WHERE kind = 'store'"), 1);
}

#[tokio::test]
async fn a_backend_may_be_down_at_the_start() {
    let rows = SharedRows::new();
    rows.down.store(true, Ordering::SeqCst);
    let stores = sealed::stores(rows.clone(), keys(&[1]));
    let session = session();
    let error = stores.sessions.insert(session.clone(), T0).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)));
    rows.down.store(false, Ordering::SeqCst);
    stores.sessions.insert(session.clone(), T0).await.unwrap();
    assert!(stores.sessions.load(&session.id, T0).await.unwrap().is_some());
}

#[tokio::test]
async fn a_row_is_bound_to_its_place_and_its_end() {
    let rows = SharedRows::new();
    let stores = sealed::stores(rows.clone(), keys(&[1]));
    let (mine, theirs) = (SessionId::random(), SessionId::random());
    for (id, token) in [(&mine, "mine"), (&theirs, "theirs")] {
        stores.upstream_tokens.put(id, None, entry(token), later(60), T0).await.unwrap();
    }
    let untouched = rows.rows.lock().unwrap().clone();
    let places: Vec<_> = untouched.keys().filter(|key| key.kind == Kind::UpstreamTokens).copied().collect();
    let unreadable = async |what: &str| {
        for id in [&mine, &theirs] {
            let error = stores.upstream_tokens.load(id, "corp", T0).await.unwrap_err();
            assert!(matches!(error, StoreError::Unreadable { .. }), "{what}");
        }
        *rows.rows.lock().unwrap() = untouched.clone();
    };

    {
        let mut rows = rows.rows.lock().unwrap();
        rows.insert(places[0], untouched[&places[1]].clone());
        rows.insert(places[1], untouched[&places[0]].clone());
    }
    unreadable("exchanged").await;
    rows.rows.lock().unwrap().values_mut().for_each(|row| row.until = later(61));
    unreadable("prolonged").await;
    rows.rows.lock().unwrap().values_mut().for_each(|row| row.value[30] ^= 1);
    unreadable("altered").await;
    rows.rows.lock().unwrap().values_mut().for_each(|row| row.value.truncate(20));
    unreadable("cut off").await;
    assert_eq!((kept(&stores, &mine).await, kept(&stores, &theirs).await), ("mine".into(), "theirs".into()));
}

#[tokio::test]
async fn a_life_without_end_is_kept_until_the_year_9999() {
    let database = Database::new();
    let stores = database.stores(&[1]);
    let id = SessionId::random();
    let forever = thv_clock::Timestamp::from_millis(u64::MAX);
    stores.upstream_tokens.put(&id, None, entry("secret"), forever, T0).await.unwrap();
    let row = stores.upstream_tokens.load(&id, "corp", T0).await.unwrap().unwrap();
    assert_eq!(row.until.as_secs(), 253_402_300_799);
    assert!(stores.upstream_tokens.replace(&id, &row, entry("next"), T0).await.unwrap());
}

#[tokio::test]
async fn the_same_record_is_kept_under_another_hash_in_another_store() {
    let hashes = async || {
        let rows = SharedRows::new();
        let stores = sealed::stores(Arc::clone(&rows) as Arc<dyn Rows>, keys(&[1]));
        stores.replays.claim([7; 32], later(60), T0).await.unwrap();
        let rows = rows.rows.lock().unwrap();
        rows.keys().find(|key| key.kind == Kind::Replay).unwrap().hash
    };
    assert_ne!(hashes().await, hashes().await);
}
