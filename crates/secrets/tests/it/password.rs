//! The encrypted file with a password.

use std::fs;
use std::time::{Duration, Instant};

use secrecy::SecretString;
use thv_jose::at_rest::AtRestRing;
use thv_jose::digest::{base64url, sha256};
use thv_secrets::{FileError, SecretStore, SecretsError};

use crate::support::{Place, get, mode, secret};

fn error_of(result: Result<Option<SecretString>, SecretsError>) -> FileError {
    match result.unwrap_err() {
        SecretsError::File(error) => error,
        error => panic!("{error}"),
    }
}

#[test]
fn a_password_needs_no_key_file() {
    let place = Place::new().with_password("correct horse");
    place.file().set("a", &secret("x")).unwrap();
    assert!(!place.path("secrets.key").exists());
    assert_eq!(get(&place.file(), "a").as_deref(), Some("x"));
}

#[test]
fn a_wrong_and_a_missing_password_are_told_apart_from_damage() {
    let mut place = Place::new().with_password("correct horse");
    place.file().set("a", &secret("x")).unwrap();
    let whole = fs::read(place.path("secrets_encrypted")).unwrap();
    place.password = Some("battery staple");
    let error = error_of(place.file().get("a"));
    assert!(matches!(error, FileError::WrongPassword { .. }), "{error}");
    assert!(!format!("{error}{error:?}").contains("battery"));
    assert!(place.file().set("a", &secret("y")).is_err());
    for none in [None, Some("")] {
        place.password = none;
        assert!(matches!(error_of(place.file().get("a")), FileError::PasswordNeeded { .. }));
        assert!(place.file().set("a", &secret("y")).is_err());
    }
    assert_eq!(fs::read(place.path("secrets_encrypted")).unwrap(), whole);

    // A damaged salt would make another key, as a wrong password does.
    place.password = Some("correct horse");
    let text = String::from_utf8(whole).unwrap();
    let at = text.find("\"salt\":\"").unwrap() + 8;
    let flipped = if &text[at..=at] == "A" { "B" } else { "A" };
    let damaged = format!("{}{flipped}{}", &text[..at], &text[at + 1..]);
    fs::write(place.path("secrets_encrypted"), damaged).unwrap();
    assert!(matches!(error_of(place.file().get("a")), FileError::Damaged { .. }));
}

#[test]
fn only_the_first_access_of_a_store_pays_for_the_password() {
    let place = Place::new().with_password("correct horse");
    place.file().set("a", &secret("x")).unwrap();
    let store = place.file();
    let timed = |store: &SecretStore| {
        let start = Instant::now();
        assert_eq!(get(store, "a").as_deref(), Some("x"));
        start.elapsed()
    };
    let first = timed(&store);
    let later: Duration = (0..10).map(|_| timed(&store.clone())).min().unwrap();
    assert!(later < first / 3, "first {first:?}, later {later:?}");
}

#[test]
fn a_password_that_comes_later_protects_from_the_next_first_secret_on() {
    let mut place = Place::new();
    place.file().set("a", &secret("x")).unwrap();
    place.password = Some("correct horse");
    let store = place.file();
    assert_eq!(get(&store, "a").as_deref(), Some("x"), "nothing is lost by setting one");
    store.set("b", &secret("y")).unwrap();
    assert!(store.delete("a").unwrap() && store.delete("b").unwrap());
    store.set("a", &secret("z")).unwrap();
    place.password = None;
    assert!(matches!(error_of(place.file().get("a")), FileError::PasswordNeeded { .. }));
}

#[test]
fn a_store_follows_a_file_that_another_process_made_anew() {
    let place = Place::new().with_password("correct horse");
    let (one, other) = (place.file(), place.file());
    one.set("a", &secret("x")).unwrap();
    assert_eq!(get(&other, "a").as_deref(), Some("x"));
    assert!(other.delete("a").unwrap());
    other.set("a", &secret("y")).unwrap();
    assert_eq!(get(&one, "a").as_deref(), Some("y"), "another salt, another key");
}

/// The file as its format's description has it, made without the crate: {"a": "x"} for "correct horse", at a low cost.
fn cheap_file() -> String {
    let (memory_kib, passes, lanes) = (64, 1, 1);
    let mut key = [0; 32];
    let params = argon2::Params::new(memory_kib, passes, lanes, None).unwrap();
    argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params)
        .hash_password_into(b"correct horse", b"sixteen bytes ..", &mut key)
        .unwrap();
    let ring = AtRestRing::new(vec![key.to_vec().into()]).unwrap();
    let sealed = base64url(&ring.seal(b"thv secrets_encrypted 1", br#"{"a":"x"}"#).unwrap());
    let salt = base64url(b"sixteen bytes ..");
    let protection = format!(
        r#"{{"password":{{"salt":"{salt}","memory_kib":{memory_kib},"passes":{passes},"lanes":{lanes}}}}}"#
    );
    let body = format!("thv-secrets 1\n{protection}\n{sealed}\n");
    let digest = base64url(&sha256(body.as_bytes()));
    format!("{body}{digest}\n")
}

#[test]
fn a_file_of_another_cost_is_read_and_written() {
    let place = Place::new().with_password("correct horse");
    fs::create_dir_all(&place.dir).unwrap();
    fs::write(place.path("secrets_encrypted"), cheap_file()).unwrap();
    let store = place.file();
    assert_eq!(get(&store, "a").as_deref(), Some("x"));
    store.set("b", &secret("y")).unwrap();
    assert_eq!(place.file().list().unwrap(), ["a", "b"]);
    assert_eq!(mode(&place.path("secrets_encrypted")), 0o600, "tightened");
}

#[test]
fn a_file_that_asks_for_all_memory_is_refused() {
    let place = Place::new().with_password("correct horse");
    fs::create_dir_all(&place.dir).unwrap();
    let file = cheap_file().replace(r#""memory_kib":64"#, r#""memory_kib":4294967295"#);
    let (body, _) = file.trim_end().rsplit_once('\n').unwrap();
    let body = format!("{body}\n");
    let digest = base64url(&sha256(body.as_bytes()));
    fs::write(place.path("secrets_encrypted"), format!("{body}{digest}\n")).unwrap();
    assert!(matches!(error_of(place.file().get("a")), FileError::Damaged { .. }));
}
