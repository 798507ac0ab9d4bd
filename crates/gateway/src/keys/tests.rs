use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use secrecy::ExposeSecret;
use thv_clock::{ManualClock, Timestamp};

use super::*;

struct Place {
    directory: tempfile::TempDir,
    clock: ManualClock,
    /// Files are written faster than file systems tell times apart, so each write gets a time of its own.
    writes: Cell<u64>,
}

impl Place {
    fn new() -> Self {
        let clock = ManualClock::at(Timestamp::from_secs(1_000_000));
        Self { directory: tempfile::tempdir().unwrap(), clock, writes: Cell::new(0) }
    }

    fn write(&self, name: &str, content: &[u8]) {
        let path = self.directory.path().join(name);
        fs::write(&path, content).unwrap();
        self.writes.set(self.writes.get() + 1);
        let written = UNIX_EPOCH + Duration::from_secs(self.writes.get());
        fs::File::options().write(true).open(path).unwrap().set_modified(written).unwrap();
    }

    /// A fresh key in this file; its `kid`.
    fn key(&self, name: &str) -> String {
        let key = SigningKey::generate(Algorithm::ES256).unwrap();
        self.write(name, key.to_pem().unwrap().expose_secret().as_bytes());
        key.kid().to_owned()
    }

    fn copy(&self, from: &str, to: &str) {
        self.write(to, &fs::read(self.directory.path().join(from)).unwrap());
    }

    fn load(&self, names: &[&str]) -> Keys {
        let config = AuthServer {
            signing_key_secret_refs: names
                .iter()
                .map(|name| SecretRef::file(self.directory.path().join(name)))
                .collect(),
            ..AuthServer::default()
        };
        Keys::load(&config, &Unconfigured::Ephemeral, self.clock.shared()).unwrap()
    }
}

/// The default of `authServer.tokenLifespans.accessTokenLifespan`.
const TOKEN_LIFETIME: Duration = Duration::from_secs(3600);

fn active(keys: &Keys) -> String {
    keys.signing().load().active().kid().to_owned()
}

fn published(keys: &Keys, kid: &str) -> bool {
    let document: serde_json::Value = serde_json::from_slice(&keys.signing().load().jwks_json()).unwrap();
    document["keys"].as_array().unwrap().iter().any(|key| key["kid"] == kid)
}

#[test]
fn as_129_a_new_first_key_is_published_before_it_signs() {
    let place = Place::new();
    let old = place.key("first.pem");
    let older = place.key("second.pem");
    let mut keys = place.load(&["first.pem", "second.pem"]);
    assert_eq!(active(&keys), old);

    place.copy("first.pem", "second.pem");
    let new = place.key("first.pem");
    assert!(keys.tick());
    assert_eq!(active(&keys), old);
    assert!(published(&keys, &new));
    assert!(published(&keys, &older), "tokens of a key that is gone verify until they expire");

    place.clock.advance(PUBLISHED_BEFORE_SIGNING - Duration::from_secs(1));
    assert!(!keys.tick());
    assert_eq!(active(&keys), old);
    place.clock.advance(Duration::from_secs(1));
    assert!(keys.tick());
    assert_eq!(active(&keys), new);
    assert!(published(&keys, &old), "tokens of the old key verify until they expire");
    assert!(!keys.tick(), "nothing is left to do");

    place.clock.advance(TOKEN_LIFETIME);
    assert!(keys.tick());
    assert!(!published(&keys, &older), "the last token that it can have signed has expired");
    assert!(published(&keys, &old), "a listed key stays");
}

#[test]
fn as_129_a_key_that_was_published_long_enough_signs_at_once() {
    let place = Place::new();
    let (one, two) = (place.key("first.pem"), place.key("second.pem"));
    let mut keys = place.load(&["first.pem", "second.pem"]);
    assert_eq!(active(&keys), one);
    place.copy("first.pem", "spare.pem");
    place.copy("second.pem", "first.pem");
    place.copy("spare.pem", "second.pem");
    assert!(keys.tick());
    assert_eq!(active(&keys), two);
}

#[test]
fn as_129_a_key_replaced_in_its_file_hands_over_as_if_it_were_still_listed() {
    let place = Place::new();
    let old = place.key("only.pem");
    let mut keys = place.load(&["only.pem"]);
    let new = place.key("only.pem");
    assert!(keys.tick());
    assert_eq!(active(&keys), old);
    assert!(published(&keys, &new));
    place.clock.advance(PUBLISHED_BEFORE_SIGNING);
    assert!(keys.tick());
    assert_eq!(active(&keys), new);
    assert!(published(&keys, &old));
    place.clock.advance(TOKEN_LIFETIME);
    assert!(keys.tick());
    assert!(!published(&keys, &old));
}

#[test]
fn a_damaged_file_leaves_the_keys_in_force() {
    let place = Place::new();
    let old = place.key("first.pem");
    let mut keys = place.load(&["first.pem"]);
    place.write("first.pem", b"garbage");
    assert!(!keys.tick());
    assert_eq!(active(&keys), old);
    let new = place.key("first.pem");
    assert!(keys.tick());
    assert!(published(&keys, &new));
}

#[test]
fn an_hmac_secret_is_read_again_when_it_changes() {
    let place = Place::new();
    let file = place.directory.path().join("hmac");
    place.write("hmac", &[7; 32]);
    let config = AuthServer { hmac_secret_refs: vec![SecretRef::file(&file)], ..AuthServer::default() };
    let mut keys = Keys::load(&config, &Unconfigured::Ephemeral, place.clock.shared()).unwrap();
    let before = keys.hmac().load().tag("test", b"message");
    place.write("hmac", &[8; 32]);
    assert!(keys.tick());
    assert_ne!(keys.hmac().load().tag("test", b"message"), before);
}

#[test]
fn every_unusable_key_is_reported_with_its_path() {
    let place = Place::new();
    let file = |name: &str, content: &[u8]| {
        let path = place.directory.path().join(name);
        fs::write(&path, content).unwrap();
        SecretRef::file(path)
    };
    let config = AuthServer {
        signing_key_secret_refs: vec![file("a.pem", b"garbage"), SecretRef::file("/nonexistent/key.pem")],
        hmac_secret_refs: vec![file("short", &[1; 8])],
        ..AuthServer::default()
    };
    let problems = check(&config);
    let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "authServer.signingKeySecretRefs[0]",
            "authServer.signingKeySecretRefs[1]",
            "authServer.hmacSecretRefs"
        ]
    );
    let Err(Problems(at_start)) = Keys::load(&config, &Unconfigured::Ephemeral, place.clock.shared()) else {
        panic!("the same keys are refused at start");
    };
    assert_eq!(at_start, problems);
}

#[test]
fn a13_a_standalone_server_creates_its_keys_once_and_keeps_them() {
    let place = Place::new();
    let state = place.directory.path().join("state/toolhive-rs");
    let load = |directory: &Path| {
        let unconfigured = Unconfigured::Keep(directory.to_owned());
        Keys::load(&AuthServer::default(), &unconfigured, place.clock.shared()).unwrap()
    };
    let (first, again) = (load(&state), load(&state));
    assert_eq!(active(&first), active(&again));
    let tag = first.hmac().load().tag("test", b"message");
    assert!(again.hmac().load().verify("test", b"message", &tag));
    let mut names: Vec<_> = fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["hmac-secret", "signing-key.pem"]);
}

#[cfg(unix)]
#[test]
fn a13_own_keys_are_readable_by_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let state = place.directory.path().join("state");
    let file = own::signing_key(&state).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&state), 0o700);
    assert_eq!(mode(&file), 0o600);
}

#[test]
fn an_unwritable_state_directory_says_what_to_do() {
    let place = Place::new();
    let occupied = place.directory.path().join("file");
    fs::write(&occupied, "").unwrap();
    let unconfigured = Unconfigured::Keep(occupied.join("state"));
    let Err(Problems(problems)) = Keys::load(&AuthServer::default(), &unconfigured, place.clock.shared())
    else {
        panic!("the directory cannot exist");
    };
    assert!(
        problems.iter().any(|problem| problem.path == "stateDir" && problem.hint.is_some()),
        "{problems:?}"
    );
}
