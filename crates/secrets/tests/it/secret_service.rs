//! A real Secret Service: GNOME's, on a session bus of its own. The D-Bus library takes the bus's address from the process's
//! environment, so what talks to it runs in processes of its own.

use std::collections::HashMap;
use std::fs;

use dbus_secret_service::{EncryptionType, SecretService};
use thv_secrets::{Choice, Provider, SecretServiceError, SecretStore, SecretsError, Settings, Variables};

use crate::support::session::Session;
use crate::support::{FILE, Place, get, secret};

const SERVICE: Choice = Choice::Named(Provider::SecretService);

/// In a process of its own: the store of the given place, with the environment of the process.
fn open(choice: Choice) -> Result<SecretStore, SecretsError> {
    let settings = Settings { environment: Variables::of_process(), ..Place::given().settings(choice) };
    SecretStore::open(&settings)
}

/// Another client of the service.
fn client() -> SecretService {
    SecretService::connect_with_max_prompt_timeout(EncryptionType::Plain, 5).unwrap()
}

fn named(name: &str) -> HashMap<&str, &str> {
    HashMap::from([("service", "toolhive"), ("name", name)])
}

#[test]
#[ignore = "runs in a process of its own, within a session"]
fn stores_reads_lists_replaces_and_deletes() {
    let store = open(SERVICE).unwrap();
    assert_eq!(store.provider(), Provider::SecretService);
    assert_eq!((get(&store, "a"), store.delete("a").unwrap()), (None, false));
    store.set("b", &secret("two")).unwrap();
    store.set("a", &secret("ünd")).unwrap();
    store.set("b", &secret("three")).unwrap();
    // What others stored for the same program is not ours to list.
    let client = client();
    let collection = client.get_default_collection().unwrap();
    let foreign = HashMap::from([("service", "toolhive"), ("username", "x")]);
    collection.create_item("foreign", foreign, b"x", false, "text/plain").unwrap();
    assert_eq!(store.list().unwrap(), ["a", "b"]);
    assert!(store.delete("a").unwrap() && !store.delete("a").unwrap());

    let items = collection.search_items(named("b")).unwrap();
    assert_eq!(items.len(), 1, "replaced, not added");
    assert_eq!(items[0].get_label().unwrap(), "toolhive: b");
    assert_eq!(items[0].get_secret().unwrap(), b"three");
}

#[test]
#[ignore = "runs in a process of its own, within a session"]
fn finds_what_another_process_stored() {
    let store = open(SERVICE).unwrap();
    assert_eq!(store.list().unwrap(), ["b"]);
    assert_eq!(get(&store, "b").as_deref(), Some("three"));
}

#[test]
fn secrets_are_kept_by_the_service_across_processes() {
    let (session, place) = (Session::unlocked(), Place::new());
    session.run("secret_service::stores_reads_lists_replaces_and_deletes", &place.dir);
    session.run("secret_service::finds_what_another_process_stored", &place.dir);
    session.run_without_address("secret_service::finds_what_another_process_stored", &place.dir);
}

#[test]
#[ignore = "runs in a process of its own, within a session"]
fn auto_takes_the_service() {
    let store = open(Choice::Auto).unwrap();
    assert_eq!(store.provider(), Provider::SecretService);
    store.set("a", &secret("x")).unwrap();
    assert_eq!(get(&open(Choice::Auto).unwrap(), "a").as_deref(), Some("x"));
}

#[test]
#[ignore = "runs in a process of its own, where the session has ended"]
fn auto_says_that_the_service_is_gone() {
    let error = open(Choice::Auto).unwrap_err();
    assert!(
        matches!(&error, SecretsError::Unreachable { source, .. }
            if matches!(**source, SecretsError::SecretService(SecretServiceError::NoService(_)))),
        "{error:?}"
    );
}

#[test]
fn auto_takes_a_service_that_answers_and_no_other_provider_ever_after() {
    let (mut session, place) = (Session::unlocked(), Place::new());
    session.run("secret_service::auto_takes_the_service", &place.dir);
    assert_eq!(fs::read_to_string(place.path("secrets_provider")).unwrap(), "secret-service\n");
    assert!(matches!(place.open(Choice::Auto), Err(SecretsError::Unreachable { .. })), "no bus at all");
    session.end_daemons();
    session.run("secret_service::auto_says_that_the_service_is_gone", &place.dir);
    assert!(!place.path("secrets_encrypted").exists());
}

#[test]
#[ignore = "runs in a process of its own, within a session"]
fn auto_takes_the_file() {
    let store = open(Choice::Auto).unwrap();
    assert_eq!(store.provider(), Provider::File);
}

#[test]
#[ignore = "runs in a process of its own, within a session"]
fn the_service_is_given_a_secret() {
    open(SERVICE).unwrap().set("a", &secret("x")).unwrap();
}

#[test]
fn auto_stays_with_a_file_while_the_service_holds_nothing_of_ours() {
    let (session, place) = (Session::unlocked(), Place::new());
    place.open(FILE).unwrap().set("a", &secret("x")).unwrap();
    session.run("secret_service::auto_takes_the_file", &place.dir);
    fs::remove_file(place.path("secrets_provider")).unwrap();
    session.run("secret_service::auto_takes_the_file", &place.dir);
    session.run("secret_service::the_service_is_given_a_secret", &place.dir);
    fs::remove_file(place.path("secrets_provider")).unwrap();
    session.run("secret_service::auto_takes_the_service", &place.dir);
}

#[test]
fn auto_takes_the_file_where_no_service_answers_or_has_a_keyring() {
    let place = Place::new();
    Session::without_service().run("secret_service::auto_takes_the_file", &place.dir);
    let session = Session::without_keyring();
    session.run("secret_service::auto_takes_the_file", &place.dir);
    session.run("secret_service::a_service_without_a_keyring_is_told", &place.dir);
    let mut ended = Session::without_service();
    ended.end_daemons();
    ended.run("secret_service::auto_takes_the_file", &place.dir);
}

#[test]
#[ignore = "runs in a process of its own, within a session"]
fn a_service_without_a_keyring_is_told() {
    let error = open(SERVICE).unwrap_err();
    assert!(
        matches!(error, SecretsError::SecretService(SecretServiceError::NoDefaultCollection)),
        "{error:?}"
    );
}

#[test]
#[ignore = "runs in a process of its own, within a session"]
fn a_locked_keyring_is_told() {
    let store = open(SERVICE).unwrap();
    store.set("a", &secret("x")).unwrap();
    client().get_default_collection().unwrap().lock().unwrap();
    let refused = [
        store.get("a").map(drop).unwrap_err(),
        store.set("a", &secret("y")).unwrap_err(),
        store.delete("a").map(drop).unwrap_err(),
        store.list().map(drop).unwrap_err(),
    ];
    for error in refused {
        assert!(matches!(error, SecretsError::SecretService(SecretServiceError::Locked)), "{error:?}");
        assert!(error.to_string().contains("unlock the keyring"), "{error}");
    }
    assert_eq!(get(&store, "never-stored"), None, "nothing needs to be unlocked for that");
}

#[test]
#[ignore = "runs in a process of its own, within a session"]
fn auto_takes_a_locked_service_that_holds_ours() {
    assert_eq!(open(Choice::Auto).unwrap().provider(), Provider::SecretService);
}

#[test]
fn a_locked_keyring_that_nobody_unlocks_is_an_error_and_still_ours() {
    let (session, place) = (Session::unlocked(), Place::new());
    session.run("secret_service::a_locked_keyring_is_told", &place.dir);
    place.open(FILE).unwrap().set("a", &secret("x")).unwrap();
    fs::remove_file(place.path("secrets_provider")).unwrap();
    session.run("secret_service::auto_takes_a_locked_service_that_holds_ours", &place.dir);
}

#[test]
#[ignore = "runs in a process of its own, within a session"]
fn an_older_item_of_the_name_is_replaced() {
    let store = open(SERVICE).unwrap();
    store.set("a", &secret("old")).unwrap();
    // As if another collection had been the default one then.
    let client = client();
    let collection = client.get_default_collection().unwrap();
    let ours = collection.search_items(named("a")).unwrap();
    let attributes = ours[0].get_attributes().unwrap();
    let attributes = attributes.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let other = client.get_collection_by_alias("session").unwrap();
    other.create_item("toolhive: a", attributes, b"older", false, "text/plain").unwrap();
    ours[0].delete().unwrap();
    assert_eq!(get(&store, "a").as_deref(), Some("older"), "found wherever it is");
    store.set("a", &secret("new")).unwrap();
    assert_eq!(get(&store, "a").as_deref(), Some("new"));
    assert!(other.search_items(named("a")).unwrap().is_empty());
    assert!(store.delete("a").unwrap());
    assert_eq!(get(&store, "a"), None);
}

#[test]
fn a_secret_is_replaced_in_whatever_keyring_it_was() {
    Session::unlocked().run("secret_service::an_older_item_of_the_name_is_replaced", &Place::new().dir);
}
