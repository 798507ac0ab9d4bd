//! What `auto` takes where there is no session bus, and what is recorded.

use std::fs;

use thv_secrets::{Choice, Provider, SecretServiceError, SecretsError};

use crate::support::{FILE, Place, get, secret};

const SERVICE: Choice = Choice::Named(Provider::SecretService);

#[test]
fn without_a_session_bus_auto_takes_the_file_and_records_it_with_the_first_secret() {
    let place = Place::new();
    let store = place.open(Choice::Auto).unwrap();
    assert_eq!(store.provider(), Provider::File);
    assert!(place.files().is_empty(), "nothing is decided before something is stored");
    store.set("a", &secret("x")).unwrap();
    assert_eq!(fs::read_to_string(place.path("secrets_provider")).unwrap(), "encrypted\n");
    assert_eq!(get(&place.open(Choice::Auto).unwrap(), "a").as_deref(), Some("x"));
}

#[test]
fn auto_fails_rather_than_start_anew_where_the_recorded_provider_is_not() {
    let place = Place::new();
    fs::create_dir_all(&place.dir).unwrap();
    fs::write(place.path("secrets_provider"), "secret-service\n").unwrap();
    let error = place.open(Choice::Auto).unwrap_err();
    assert!(
        matches!(&error, SecretsError::Unreachable { provider: Provider::SecretService, source, .. }
            if matches!(**source, SecretsError::SecretService(SecretServiceError::NoSessionBus))),
        "{error:?}"
    );
    let text = error.to_string();
    assert!(text.contains("secret-service") && text.contains("secrets_provider"), "{text}");
    assert_eq!(place.files(), ["secrets_provider"]);
    // Whoever names a provider gets it, and what auto takes stays.
    place.open(FILE).unwrap().set("a", &secret("x")).unwrap();
    assert!(matches!(place.open(Choice::Auto), Err(SecretsError::Unreachable { .. })));
}

#[test]
fn a_named_service_without_a_bus_says_what_to_do() {
    for place in [
        Place::new(),
        Place::new().with_variable("DBUS_SESSION_BUS_ADDRESS", ""),
        Place::new().with_variable("XDG_RUNTIME_DIR", "/nonexistent"),
    ] {
        let error = place.open(SERVICE).unwrap_err();
        assert!(matches!(error, SecretsError::SecretService(SecretServiceError::NoSessionBus)));
        assert!(error.to_string().contains("`encrypted`"), "{error}");
    }
}

#[test]
fn a_record_that_is_no_provider_is_an_error_that_names_it() {
    let place = Place::new();
    fs::create_dir_all(&place.dir).unwrap();
    for word in ["", "auto", "1password", "encrypted environment"] {
        fs::write(place.path("secrets_provider"), word).unwrap();
        let error = place.open(Choice::Auto).unwrap_err();
        assert!(matches!(error, SecretsError::Record { .. }), "{word}: {error}");
        assert!(error.to_string().contains(place.path("secrets_provider").to_str().unwrap()), "{error}");
    }
    fs::write(place.path("secrets_provider"), "environment").unwrap();
    assert_eq!(place.open(Choice::Auto).unwrap().provider(), Provider::Environment);
}

#[test]
fn a_process_that_chose_otherwise_before_the_first_secret_is_refused() {
    let place = Place::new();
    let early = place.open(Choice::Auto).unwrap();
    fs::create_dir_all(&place.dir).unwrap();
    fs::write(place.path("secrets_provider"), "secret-service\n").unwrap();
    let error = early.set("a", &secret("x")).unwrap_err();
    assert!(
        matches!(
            error,
            SecretsError::ChosenMeanwhile { recorded: Provider::SecretService, provider: Provider::File, .. }
        ),
        "{error}"
    );
    assert_eq!(place.files(), ["secrets_provider"], "nothing was stored where nobody would look for it");
}
