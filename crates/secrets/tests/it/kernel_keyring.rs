//! The kernel's user keyring, where the system calls are allowed; elsewhere the error that says that they are not.

use linux_keyutils::{KeyRing, KeyRingIdentifier};
use thv_secrets::{Choice, KernelKeyringError, Provider, SecretStore, SecretsError};

use crate::support::{Place, confined_process, get, run, secret};

const KEYRING: Choice = Choice::Named(Provider::KernelKeyring);

/// Names that are this process's, in a keyring that all processes of the user share; removed at the end.
struct Names {
    store: SecretStore,
    names: Vec<String>,
}

/// The same in this process and in those that it starts.
const OWNER: &str = "THV_SECRETS_TEST_OWNER";

impl Names {
    /// None where keyrings are forbidden: then opening the store must say so.
    fn open(test: &str, count: usize) -> Option<Self> {
        let opened = Place::new().open(KEYRING);
        if KeyRing::from_special_id(KeyRingIdentifier::User, false).is_err() {
            expect_forbidden(&opened.unwrap_err());
            return None;
        }
        let owner = std::env::var(OWNER).unwrap_or_else(|_| std::process::id().to_string());
        let names = (0..count).map(|n| format!("test-{owner}-{test}-{n}")).collect();
        Some(Self { store: opened.unwrap(), names })
    }

    fn listed(&self) -> Vec<String> {
        let mut names = self.store.list().unwrap();
        names.retain(|name| self.names.contains(name));
        names
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = self.store.delete(name);
        }
    }
}

fn expect_forbidden(error: &SecretsError) {
    assert!(matches!(error, SecretsError::KernelKeyring(KernelKeyringError::Forbidden(_))), "{error:?}");
    assert!(error.to_string().contains("`encrypted`"), "{error}");
}

#[test]
fn secrets_are_stored_read_listed_replaced_and_deleted() {
    let Some(test) = Names::open("crud", 2) else { return };
    let (store, names) = (&test.store, &test.names);
    assert_eq!((get(store, &names[0]), store.delete(&names[0]).unwrap()), (None, false));
    store.set(&names[1], &secret("two")).unwrap();
    store.set(&names[0], &secret("one")).unwrap();
    store.set(&names[1], &secret("three")).unwrap();
    assert_eq!(test.listed(), *names);
    // Another thread is not born with our link to the keyring.
    let again = store.clone();
    let name = names[1].clone();
    let seen = std::thread::spawn(move || get(&again, &name)).join().unwrap();
    assert_eq!(seen.as_deref(), Some("three"));
    assert!(store.delete(&names[0]).unwrap() && !store.delete(&names[0]).unwrap());
    assert_eq!(test.listed(), names[1..]);
}

#[test]
fn the_largest_value_fits_and_a_larger_one_is_refused() {
    let Some(test) = Names::open("size", 1) else { return };
    let largest = "x".repeat(32_767);
    match test.store.set(&test.names[0], &secret(largest.clone())) {
        Ok(()) => assert_eq!(get(&test.store, &test.names[0]), Some(largest)),
        // Users other than root may have 20000 bytes by default.
        Err(error) => {
            assert!(matches!(error, SecretsError::KernelKeyring(KernelKeyringError::Full)), "{error}")
        }
    }
    let error = test.store.set(&test.names[0], &secret("x".repeat(32_768))).unwrap_err();
    assert!(matches!(
        error,
        SecretsError::KernelKeyring(KernelKeyringError::TooLarge { length: 32_768, .. })
    ));
}

#[test]
#[ignore = "runs in a process of its own, whose session has no link to the user's keyring"]
fn reads_what_another_session_stored() {
    let test = Names::open("sessions", 1).unwrap();
    assert_eq!(get(&test.store, &test.names[0]).as_deref(), Some("outer"));
    assert_eq!(test.listed(), test.names);
}

#[test]
fn all_sessions_of_the_user_share_the_secrets() {
    let Some(test) = Names::open("sessions", 1) else { return };
    test.store.set(&test.names[0], &secret("outer")).unwrap();
    let place = Place::new();
    let mut other =
        confined_process("new-session", "kernel_keyring::reads_what_another_session_stored", &place.dir);
    other.env(OWNER, std::process::id().to_string());
    run(other);
}

#[test]
#[ignore = "runs in a process of its own, where the system calls are forbidden"]
fn is_told_that_keyrings_are_forbidden() {
    expect_forbidden(&Place::given().open(KEYRING).unwrap_err());
}

#[test]
fn where_the_system_calls_are_forbidden_the_error_says_so() {
    let place = Place::new();
    run(confined_process("forbidden", "kernel_keyring::is_told_that_keyrings_are_forbidden", &place.dir));
}
