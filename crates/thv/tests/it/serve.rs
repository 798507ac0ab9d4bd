use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

use crate::run::{command, thv};

#[test]
fn a_check_prints_all_problems_with_their_key_paths() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("thv.yaml");
    fs::write(
        &file,
        r#"
publicUrl: https://mcp.example.com
tls: {certFile: /nonexistent/tls.crt, keyFile: /nonexistent/tls.key}
server: {url: "http://127.0.0.1:3001/mcp"}
authServer:
  issuer: https://mcp.example.com
  signingKeySecretRefs: [{file: /nonexistent/key.pem}]
  hmacSecretRefs: [{env: THV_TEST_MISSING}]
  upstreamProviders:
    - {name: home, type: local, localConfig: {usersFile: /nonexistent/users.yaml}}
    - {name: corp, type: oidc, oidcConfig: {issuerUrl: "https://idp.example", clientId: thv, clientSecretRef: {env: NONE}}}
  cimd:
    enabled: true
    cacheMaxTtl: 30s
    pinnedDocuments: [{clientId: "https://client.example/m", file: /nonexistent/document.json}]
egress: {caBundle: /nonexistent/ca.pem}
"#,
    )
    .unwrap();
    let run = thv(&["serve", "-c", file.to_str().unwrap(), "--check"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    for path in [
        "tls.certFile",
        "tls.keyFile",
        "egress.caBundle",
        "authServer.signingKeySecretRefs[0]",
        "authServer.hmacSecretRefs[0]",
        "authServer.upstreamProviders[0].localConfig.usersFile",
        "authServer.upstreamProviders[1].oidcConfig.clientSecretRef",
        "authServer.cimd.pinnedDocuments[0].file",
    ] {
        assert!(run.stderr.contains(&format!("error: {path}: ")), "{path} is missing from\n{}", run.stderr);
    }
    assert!(run.stderr.contains("cimd.cache"), "{}", run.stderr);
}

#[test]
fn a_check_reports_mistakes_in_the_shape_together_with_those_in_the_values() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("thv.yaml");
    let yaml =
        "publicUrl: https://mcp.example.com\nserver: {url: \"ftp://x\", trasport: sse}\nlisten: nowhere\n";
    fs::write(&file, yaml).unwrap();
    let run = thv(&["serve", "-c", file.to_str().unwrap(), "--check"]);
    assert_eq!(run.code, Some(1));
    for path in ["server.trasport", "listen", "server.url", "authServer"] {
        assert!(run.stderr.contains(&format!("error: {path}: ")), "{path} is missing from\n{}", run.stderr);
    }
}

#[test]
fn a_check_says_when_the_servers_own_keys_cannot_be_kept() {
    let directory = tempfile::tempdir().unwrap();
    let (file, users) = (directory.path().join("thv.yaml"), directory.path().join("users.yaml"));
    let hash =
        "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$pYb+cSEwAlDaSzMpiVdNuLpKhGC5kMRZZdJbNQN4hPg";
    fs::write(&users, format!("users: [{{username: ann, passwordHash: \"{hash}\"}}]\n")).unwrap();
    let check = |state_dir: &std::path::Path| {
        let yaml = format!(
            "publicUrl: https://mcp.example.com\nserver: {{url: \"http://127.0.0.1:3001/mcp\"}}\nstateDir: {}\n\
             authServer:\n  issuer: https://mcp.example.com\n  upstreamProviders:\n    \
             - {{name: home, type: local, localConfig: {{usersFile: {}}}}}\n",
            state_dir.display(),
            users.display()
        );
        fs::write(&file, yaml).unwrap();
        thv(&["serve", "-c", file.to_str().unwrap(), "--check"])
    };
    let run = check(&directory.path().join("to/be/made"));
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "a check leaves nothing behind");
    let run = check(&users.join("no-directory"));
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("error: stateDir: "), "{}", run.stderr);
}

#[test]
fn a_check_of_an_unknown_key_suggests_the_right_one() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("thv.yaml");
    fs::write(&file, "publicUrls: https://mcp.example.com\n").unwrap();
    let run = thv(&["serve", "-c", file.to_str().unwrap(), "--check"]);
    assert_eq!(run.code, Some(1));
    assert!(
        run.stderr.contains("error: publicUrls: ") && run.stderr.contains("`publicUrl`"),
        "{}",
        run.stderr
    );
}

#[test]
fn the_development_configuration_passes_its_check() {
    let run = thv(&["serve", "--dev", "--check"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    assert_eq!(run.stdout, "the configuration is valid\n");
}

#[test]
fn a_development_server_on_the_network_is_warned_about() {
    let run = thv(&["serve", "--dev", "--check", "--listen", "0.0.0.0:8080"]);
    assert_eq!(run.code, Some(0));
    assert!(run.stderr.starts_with("warning: listen: "), "{}", run.stderr);
    assert!(run.stderr.contains("hint: listen on 127.0.0.1"), "{}", run.stderr);
}

#[cfg(unix)]
#[test]
fn a_development_server_says_where_it_is_and_stops_when_told() {
    let mut child = command(&["serve", "--dev", "--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let url =
        lines.find_map(|line| line.trim().strip_prefix("MCP URL").map(|url| url.trim().to_owned())).unwrap();
    let rest: Vec<String> = lines.by_ref().take_while(|line| !line.contains("Ctrl-C")).collect();
    let rest = rest.join("\n");
    for part in [
        format!("claude mcp add --transport http thv-dev {url}"),
        format!("\"url\": \"{url}\""),
        format!("--cli --server-url {url} --method tools/list"),
        "/.well-known/oauth-authorization-server".to_owned(),
    ] {
        assert!(rest.contains(&part), "{part} is missing from\n{rest}");
    }
    let address = url.strip_prefix("http://").unwrap().strip_suffix("/mcp").unwrap();
    let mut wire = TcpStream::connect(address).unwrap();
    write!(wire, "POST /mcp HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    wire.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    let stopped = std::process::Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(stopped.success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn an_address_that_is_taken_is_said_with_a_hint() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let run = thv(&["serve", "--dev", "--listen", &taken.local_addr().unwrap().to_string()]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    for part in ["error: cannot listen on 127.0.0.1:", "caused by: ", "hint: another program listens there"] {
        assert!(run.stderr.contains(part), "{part} is missing from\n{}", run.stderr);
    }
}
