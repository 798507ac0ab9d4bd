use std::io::Read;
use std::process::Stdio;

use crate::run::{command, thv};

#[test]
fn the_version_is_data() {
    let run = thv(&["version"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    assert!(run.stdout.starts_with(concat!("thv ", env!("CARGO_PKG_VERSION"))), "{}", run.stdout);
    let json: serde_json::Value = serde_json::from_str(&thv(&["version", "--json"]).stdout).unwrap();
    assert_eq!(json["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn completion_scripts_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let run = thv(&["completion", shell]);
        assert_eq!(run.code, Some(0), "{shell}");
        assert!(run.stdout.contains("cimd") && run.stdout.contains("serve"), "{shell}");
    }
}

#[test]
fn there_is_a_manual_page_for_each_command() {
    assert!(thv(&["man"]).stdout.contains(".TH thv 1"));
    let directory = tempfile::tempdir().unwrap();
    let run = thv(&["man", "--out", directory.path().to_str().unwrap()]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""));
    for page in ["thv.1", "thv-serve.1", "thv-cimd-check.1", "thv-cimd-new.1"] {
        assert!(directory.path().join(page).is_file(), "{page}");
    }
}

#[test]
fn wrong_usage_exits_with_2_and_failure_with_1() {
    assert_eq!(thv(&["serve"]).code, Some(2));
    assert_eq!(thv(&["frobnicate"]).code, Some(2));
    assert_eq!(thv(&["serve", "--dev", "--log-format", "yaml"]).code, Some(2));
    let missing = thv(&["serve", "-c", "/nonexistent/thv.yaml"]);
    assert_eq!((missing.code, missing.stdout.as_str()), (Some(1), ""));
    assert!(missing.stderr.starts_with("error: /nonexistent/thv.yaml cannot be read"), "{}", missing.stderr);
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let mut child =
        command(&["completion", "bash"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!((child.wait().unwrap().code(), stderr.as_str()), (Some(0), ""));
}
