//! `thv run URL --auth-server FILE`: the embedded authorization server before a workload.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Provider, RemoteStage, free_port, of_process};

#[tokio::test]
async fn others_log_in_at_the_embedded_server_and_the_workload_goes_on_with_its_own_login() {
    let stage = RemoteStage::set("run-auth-server", &["--cimd"]).await;
    let (scene, machine) = (&stage.scene, &stage.machine);
    let port = free_port().to_string();
    let origin = format!("http://127.0.0.1:{port}");
    let (client, secret) = ("embedded", "the secret of the embedded authorization server");
    let callback = format!("{origin}/oauth/callback");
    let corp = ["--redirect-uri", &callback, "--client-id", client, "--client-secret", secret];
    let corp = Provider::oidc(scene, "corp", &corp).await;
    let file = scene.write(
        "auth-server.yaml",
        &format!(
            "
publicUrl: {origin}
stateDir: {state}
authServer:
  issuer: {origin}
  upstreamProviders:
    - name: corp
      type: oidc
      oidcConfig: {{issuerUrl: '{issuer}', clientId: {client}, clientSecretRef: {{file: {secret}}}}}
egress: {{allowCidrs: [127.0.0.0/8]}}
",
            state = scene.path("state").display(),
            issuer = corp.issuer,
            secret = scene.write("embedded-client-secret", secret).display(),
        ),
    );
    let url = stage.run(&["--proxy-port", &port, "--auth-server", file.to_str().unwrap()]).await;
    assert_eq!(url, format!("{origin}/mcp"));
    // The workload's own login.
    machine.tabs(1).await;

    let answer = scene.curl(&["--json", "{}", &url]).await;
    let challenge = answer.header("www-authenticate").unwrap_or_default();
    assert_eq!(answer.status, 401);
    assert!(challenge.contains(&format!("resource_metadata=\"{origin}/.well-known/")), "{challenge}");

    let (cert, key) = (scene.pki.cert.to_str().unwrap(), scene.pki.key.to_str().unwrap());
    let sdk = ["--url", &url, "--register", "dcr", "--cert", cert, "--key", key, "--call", "whoami={}"];
    let report = scene.report("sdk-client.mjs", &sdk).await;
    assert_eq!(report["challenged"], true);
    assert_eq!(report["refresh"]["newAccessToken"], true);
    let seen: Value = serde_json::from_str(report["calls"]["whoami"]["text"].as_str().unwrap()).unwrap();
    stage.assert_token_of(&seen, "authorization_code");
    assert_eq!(
        (&seen["subject"], &seen["client"]),
        (&Value::from("alice"), &Value::from(&*stage.document.url))
    );

    // What is behind the authorization server is on a socket that nobody else of this machine can open.
    let [socket] = &sockets(&machine.path("data/toolhive/run"))[..] else { panic!("one socket") };
    assert_eq!(std::fs::metadata(socket).unwrap().mode() & 0o077, 0);
    let pid = machine.pid(RemoteStage::NAME).await;
    assert_eq!(listening(pid), [port.parse::<u16>().unwrap()], "there is no other way in over TCP");

    machine.assert_clean(scene, 8);
    machine.ok(&["stop", RemoteStage::NAME]).await;
    assert!(!socket.exists());
}

/// The sockets in a directory.
fn sockets(directory: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(directory).unwrap().map(|file| file.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "sock")).collect()
}

/// The TCP ports that a process listens on.
fn listening(pid: u32) -> Vec<u16> {
    let descriptors = std::fs::read_dir(Path::new("/proc").join(pid.to_string()).join("fd")).unwrap();
    let links = descriptors.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
    let sockets: Vec<String> = links
        .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let mut ports = Vec::new();
    for table in ["net/tcp", "net/tcp6"] {
        let table = of_process(pid, table).concat();
        for line in table.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (local, state, inode) = (fields[1], fields[3], fields[9]);
            if state == "0A" && sockets.iter().any(|socket| socket == inode) {
                ports.push(u16::from_str_radix(local.rsplit_once(':').unwrap().1, 16).unwrap());
            }
        }
    }
    ports
}
