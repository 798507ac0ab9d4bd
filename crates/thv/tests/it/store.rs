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

/// Lets the server start and stop once, which makes its store.
fn served(file: &Path) {
    let mut server = command(&["--log-format", "json", "serve", "-c", file.to_str().unwrap()])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stderr.take().unwrap()).lines().map(Result::unwrap);
    let ready = lines.by_ref().any(|line| line.contains("\"ready\""));
    assert!(ready, "it says when it serves");
    let told = std::process::Command::new("kill").arg(server.id().to_string()).status().unwrap();
    assert!(told.success());
    lines.for_each(drop);
    assert_eq!(server.wait().unwrap().code(), Some(0));
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
