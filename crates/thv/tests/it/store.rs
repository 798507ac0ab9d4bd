use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;

use crate::run::{Run, command, thv};

const HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$pYb+cSEwAlDaSzMpiVdNuLpKhGC5kMRZZdJbNQN4hPg";

/// A configuration of a server that listens on a port of the system's choice.
fn configured(directory: &TempDir, storage: &str) -> PathBuf {
    let (file, users) = (directory.path().join("thv.yaml"), directory.path().join("users.yaml"));
    fs::write(&users, format!("users: [{{username: ann, passwordHash: \"{HASH}\"}}]\n")).unwrap();
    let yaml = format!(
        "listen: 127.0.0.1:0\npublicUrl: https://mcp.example.com\nserver: {{url: \"http://127.0.0.1:3001/mcp\"}}\n\
         stateDir: {}\nauthServer:\n  issuer: https://mcp.example.com\n  {storage}\n  upstreamProviders:\n    \
         - {{name: home, type: local, localConfig: {{usersFile: {}}}}}\n",
        directory.path().join("state").display(),
        users.display()
    );
    fs::write(&file, yaml).unwrap();
    file
}

/// Lets the server start and stop once, which makes its store. Returns its log up to when it serves.
fn served(file: &Path) -> Vec<String> {
    let mut server = command(&["--log-format", "json", "serve", "-c", file.to_str().unwrap()])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stderr.take().unwrap()).lines().map(Result::unwrap);
    let mut log = Vec::new();
    while !log.last().is_some_and(|line: &String| line.contains("\"ready\"")) {
        let line = lines.next();
        assert!(line.is_some(), "it does not serve: {log:#?}");
        log.extend(line);
    }
    let told = std::process::Command::new("kill").arg(server.id().to_string()).status().unwrap();
    assert!(told.success());
    lines.for_each(drop);
    assert_eq!(server.wait().unwrap().code(), Some(0));
    log
}

fn store(file: &Path, arguments: &[&str]) -> Run {
    let (command, rest) = arguments.split_first().unwrap();
    thv(&[&["store", command, "-c", file.to_str().unwrap()], rest].concat())
}

#[test]
fn a_store_is_checked_copied_once_and_exported() {
    let directory = tempfile::tempdir().unwrap();
    let file = configured(&directory, "");
    served(&file);
    let check = store(&file, &["check"]);
    assert_eq!((check.code, check.stderr.as_str()), (Some(0), ""), "{}", check.stdout);
    assert!(check.stdout.contains("everything can be read"), "{}", check.stdout);

    let copy = directory.path().join("copy.db");
    let backup = store(&file, &["backup", "--to", copy.to_str().unwrap()]);
    assert_eq!((backup.code, backup.stderr.as_str()), (Some(0), ""));
    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    let again = store(&file, &["backup", "--to", copy.to_str().unwrap()]);
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.contains("exists already"), "{}", again.stderr);

    let export = store(&file, &["export"]);
    assert_eq!((export.code, export.stderr.as_str()), (Some(0), ""));
    for line in export.stdout.lines() {
        assert!(line.starts_with("{\"kind\":"), "{line}");
    }
}

#[test]
fn a_store_that_is_not_there_is_neither_made_nor_are_its_keys() {
    let directory = tempfile::tempdir().unwrap();
    let file = configured(&directory, "");
    let check = store(&file, &["check"]);
    assert_eq!(check.code, Some(1));
    assert!(check.stderr.contains("error: there is no store at "), "{}", check.stderr);
    assert!(check.stderr.contains("hint: "), "{}", check.stderr);
    assert!(!directory.path().join("state").exists());
}

#[test]
fn a_store_in_redis_is_for_the_tools_of_redis() {
    let directory = tempfile::tempdir().unwrap();
    let file = configured(&directory, "storage: {type: redis, redis: {addr: \"127.0.0.1:1\"}}");
    let check = store(&file, &["check"]);
    assert_eq!(check.code, Some(1));
    assert!(check.stderr.contains("is of type redis"), "{}", check.stderr);
}

#[test]
fn the_log_says_at_the_start_where_records_are() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("state/store.db").display().to_string();
    let password = directory.path().join("password");
    fs::write(&password, "planted-password").unwrap();
    let redis = format!(
        "storage: {{type: redis, redis: {{addr: \"127.0.0.1:1\", aclUserConfig: {{passwordSecretRef: {{file: {}}}}}}}}}",
        password.display()
    );
    for (storage, kind, place) in
        [("", "sqlite", place.as_str()), (&redis, "redis", "127.0.0.1:1, database 0")]
    {
        let log = served(&configured(&directory, storage));
        let starts: Vec<_> =
            log.iter().filter(|line| line.contains("the authorization server starts")).collect();
        let [line] = starts.as_slice() else { panic!("{log:#?}") };
        for part in [kind, place, "\"issuer\":\"https://mcp.example.com\""] {
            assert!(line.contains(part), "{line} lacks {part}");
        }
        assert!(!log.concat().contains("planted-password"));
    }
}

#[test]
fn a_check_names_the_configured_keys_and_the_way_from_derived_to_own_ones_keeps_every_record() {
    let directory = tempfile::tempdir().unwrap();
    served(&configured(&directory, ""));
    let keys = |storage: &str| {
        let check = store(&configured(&directory, storage), &["check"]);
        let (_, keys) = check.stdout.split_once("sealed by key\n").unwrap();
        let lines = keys.lines().filter_map(|line| line.strip_prefix("  "));
        let lines = lines.map(|line| {
            let (id, rest) = line.split_once(' ').unwrap();
            (id.to_owned(), rest.split_whitespace().collect::<Vec<_>>().join(" "))
        });
        (check.code, lines.collect::<Vec<_>>())
    };
    let (code, derived) = keys("");
    let [(derived_id, derived)] = derived.as_slice() else { panic!("{derived:?}") };
    let rows: u64 = derived.strip_suffix(" key 1, in use").unwrap().parse().unwrap();
    assert!(code == Some(0) && rows > 0, "{code:?} {rows}");

    let own = directory.path().join("own.key");
    fs::write(&own, [7; 32]).unwrap();
    fs::set_permissions(&own, fs::Permissions::from_mode(0o600)).unwrap();
    let hmac = directory.path().join("state/hmac-secret");
    let storage = |references: &str| format!("storage: {{encryptionKeySecretRefs: [{references}]}}");
    let own = format!("{{file: {}}}", own.display());
    let (code, both) = keys(&storage(&format!("{own}, {{file: {}}}", hmac.display())));
    let [(own_id, first), second] = both.as_slice() else { panic!("{both:?}") };
    assert_eq!((code, first.as_str()), (Some(0), "0 key 1, in use"));
    assert_eq!(second, &(derived_id.clone(), format!("{rows} key 2")));

    let (code, own_alone) = keys(&storage(&own));
    assert_eq!(code, Some(1), "what the derived key sealed cannot be read");
    let unknown = (derived_id.clone(), format!("{rows} not configured"));
    assert_eq!(own_alone, [(own_id.clone(), "0 key 1, in use".to_owned()), unknown]);
}
