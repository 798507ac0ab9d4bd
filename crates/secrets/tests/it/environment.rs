//! Secrets from environment variables.

use std::os::unix::ffi::OsStringExt;

use thv_secrets::{Choice, Provider, SecretsError, system_name};

use crate::support::{Place, get, secret};

const ENVIRONMENT: Choice = Choice::Named(Provider::Environment);

#[test]
fn the_environment_is_read_only_and_not_listed() {
    let place = Place::new().with_variable("TOOLHIVE_SECRET_GIT_HUB_1", "from outside");
    let store = place.open(ENVIRONMENT).unwrap();
    assert_eq!(store.provider(), Provider::Environment);
    assert_eq!(get(&store, "git.hub-1").as_deref(), Some("from outside"));
    assert_eq!(get(&store, "other"), None);
    assert!(store.list().unwrap().is_empty());
    for error in [store.set("git-hub", &secret("x")).unwrap_err(), store.delete("git-hub").unwrap_err()] {
        assert!(matches!(error, SecretsError::ReadOnly { .. }), "{error}");
        assert!(error.to_string().contains("TOOLHIVE_SECRET_GIT_HUB"), "{error}");
    }
    assert!(place.files().is_empty());
}

#[test]
fn every_provider_falls_back_to_the_environment() {
    let place = Place::new()
        .with_variable("TOOLHIVE_SECRET_TOKEN", "from outside")
        .with_variable("TOOLHIVE_SECRET_EMPTY", "");
    let store = place.file();
    assert_eq!(get(&store, "token").as_deref(), Some("from outside"));
    assert_eq!(get(&store, "empty"), None);
    store.set("token", &secret("stored")).unwrap();
    assert_eq!(get(&store, "token").as_deref(), Some("stored"), "what was stored goes first");
    assert_eq!(store.list().unwrap(), ["token"]);
}

#[test]
fn the_fall_back_can_be_switched_off() {
    for (value, falls_back) in [("true", false), ("TRUE", false), ("false", true), ("", true)] {
        let place = Place::new()
            .with_variable("TOOLHIVE_SECRET_TOKEN", "from outside")
            .with_variable("TOOLHIVE_DISABLE_ENV_FALLBACK", value);
        assert_eq!(get(&place.file(), "token").is_some(), falls_back, "{value}");
        assert!(get(&place.open(ENVIRONMENT).unwrap(), "token").is_some(), "it was asked for by name");
    }
}

#[test]
fn the_environment_never_gives_a_secret_of_the_program() {
    let place = Place::new().with_variable("TOOLHIVE_SECRET___THV_WORKLOADS_A", "forged");
    let name = system_name("workloads", "a").unwrap();
    assert_eq!(get(&place.file(), &name), None);
    assert_eq!(get(&place.open(ENVIRONMENT).unwrap(), &name), None);
    // Nor does another spelling of the variable's name: it is not the program's.
    place.file().set(&name, &secret("own")).unwrap();
    assert_eq!(get(&place.file(), &name).as_deref(), Some("own"));
}

#[test]
fn a_variable_that_is_no_text_is_an_error_without_its_value() {
    let value = std::ffi::OsString::from_vec(b"hunter2\xff".to_vec());
    let place = Place::new().with_variable("TOOLHIVE_SECRET_TOKEN", value);
    let error = place.file().get("token").unwrap_err();
    assert!(matches!(error, SecretsError::NotText { .. }));
    assert!(error.to_string().contains("TOOLHIVE_SECRET_TOKEN"), "{error}");
    assert!(!format!("{error:?}{error}").contains("hunter2"));
}
