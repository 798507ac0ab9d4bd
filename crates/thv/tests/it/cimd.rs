use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use crate::run::thv;

const URL: &str = "https://client.example/metadata.json";

#[test]
fn c12_a_new_document_says_what_the_flags_say() {
    let run = thv(&[
        "cimd",
        "new",
        URL,
        "--name",
        "Test client",
        "--redirect-uri",
        "http://127.0.0.1/callback",
        "--redirect-uri",
        "http://localhost/callback",
        "--scope",
        "openid",
        "--scope",
        "email",
        "--client-uri",
        "https://client.example/",
    ]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    let document: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(document["client_id"], URL);
    assert_eq!(document["client_name"], "Test client");
    assert_eq!(document["redirect_uris"].as_array().unwrap().len(), 2);
    assert_eq!(document["token_endpoint_auth_method"], "none");
    assert_eq!(document["scope"].as_str().unwrap().split(' ').count(), 2);
    assert!(document.get("jwks_uri").is_none());
}

#[test]
fn c12_a_document_that_would_be_refused_is_not_written() {
    for (broken, reason) in [
        (
            vec![URL, "--name", "Test", "--redirect-uri", "http://client.example/callback"],
            "redirect_uri_not_allowed",
        ),
        (vec![URL, "--name", "", "--redirect-uri", "http://127.0.0.1/callback"], "client_name_invalid"),
    ] {
        let run = thv(&[&["cimd", "new"], broken.as_slice()].concat());
        assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{reason}");
        assert!(run.stderr.contains(reason) && run.stderr.contains("hint: "), "{}", run.stderr);
    }
    let run =
        thv(&["cimd", "new", "https://client.example", "--name", "T", "--redirect-uri", "http://127.0.0.1/"]);
    assert_eq!(run.code, Some(1));
}

/// Serves this document at `/metadata.json` of the returned origin.
fn document_host(document: impl Fn(&str) -> String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let body = document(&origin);
    std::thread::spawn(move || {
        while let Ok((mut wire, _)) = listener.accept() {
            let mut head = BufReader::new(wire.try_clone().unwrap()).lines().map(Result::unwrap);
            let found = head.next().is_some_and(|line| line.starts_with("GET /metadata.json "));
            head.by_ref().take_while(|line| !line.is_empty()).for_each(drop);
            let status = if found { "200 OK" } else { "404 Not Found" };
            let length = body.len();
            write!(
                wire,
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            )
            .unwrap();
        }
    });
    origin
}

fn written(origin: &str) -> String {
    let url = format!("{origin}/metadata.json");
    thv(&["cimd", "new", &url, "--name", "Test", "--redirect-uri", "http://127.0.0.1/callback"]).stdout
}

#[test]
fn c12_a_written_document_passes_every_check() {
    let origin = document_host(written);
    let url = format!("{origin}/metadata.json");
    let run = thv(&["cimd", "check", &url, "--dev"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{}", run.stdout);
    assert!(run.stdout.contains("✓ AS-58") && !run.stdout.contains('✗'), "{}", run.stdout);
    let json: serde_json::Value =
        serde_json::from_str(&thv(&["cimd", "check", &url, "--dev", "--json"]).stdout).unwrap();
    assert_eq!((&json["accepted"], &json["client_id"]), (&true.into(), &url.as_str().into()));
}

#[test]
fn c12_a_broken_document_is_explained() {
    let origin = document_host(|origin| written(origin).replace("metadata.json", "other.json"));
    let run = thv(&["cimd", "check", &format!("{origin}/metadata.json"), "--dev"]);
    assert_eq!(run.code, Some(1));
    for part in ["✗ AS-58", "client_id_mismatch", "change: ", "refused"] {
        assert!(run.stdout.contains(part), "{part} is missing from\n{}", run.stdout);
    }
    let missing = thv(&["cimd", "check", &format!("{origin}/nothing.json"), "--dev"]);
    assert_eq!(missing.code, Some(1));
    assert!(missing.stdout.contains("✗ AS-55"), "{}", missing.stdout);
}

#[test]
fn as_74_loopback_documents_are_refused_outside_of_development() {
    let origin = document_host(written);
    let run = thv(&["cimd", "check", &format!("{origin}/metadata.json")]);
    assert_eq!(run.code, Some(1));
    assert!(run.stdout.contains("✗ AS-74"), "{}", run.stdout);
}

#[test]
fn c12_a_pinned_document_is_judged_instead_of_fetched() {
    let directory = tempfile::tempdir().unwrap();
    let (file, document) = (directory.path().join("thv.yaml"), directory.path().join("client.json"));
    let new = thv(&["cimd", "new", URL, "--name", "Pinned", "--redirect-uri", "http://127.0.0.1/callback"]);
    std::fs::write(&document, new.stdout).unwrap();
    let pinned = format!("[{{clientId: \"{URL}\", file: \"{}\"}}]", document.display());
    let yaml = format!("authServer: {{cimd: {{enabled: true, pinnedDocuments: {pinned}}}}}\n");
    std::fs::write(&file, yaml).unwrap();
    let run = thv(&["cimd", "check", URL, "-c", file.to_str().unwrap()]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{}", run.stdout);
    assert!(run.stdout.contains("pinned in the configuration"), "{}", run.stdout);
}

#[test]
fn c12_with_dev_a_file_is_laid_over_the_development_defaults() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("thv.yaml");
    std::fs::write(&file, "authServer: {consent: {mode: remember}}\n").unwrap();
    let origin = document_host(written);
    let run =
        thv(&["cimd", "check", &format!("{origin}/metadata.json"), "--dev", "-c", file.to_str().unwrap()]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{}", run.stdout);
}
