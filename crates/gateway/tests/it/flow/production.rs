//! A gateway as it is run in production: TLS, a private authority, and clients that nobody registered.

use std::net::SocketAddr;

use argon2::password_hash::{PasswordHasher, SaltString};
use http::Method;
use http_body_util::Full;
use tempfile::TempDir;
use thv_config::Config;
use thv_testkit::certs::TestCa;
use thv_testkit::document_host::DocumentHost;

use super::backend::Backend;
use super::gate::{Gate, REDIRECT_URI, TOOL_CALL, clock};

const GATEWAY: &str = "mcp.corp.test";
const CLIENT: &str = "client.corp.test";
pub(super) const PASSWORD: &str = "correct horse battery staple";

fn password_hash(password: &str) -> String {
    let params = argon2::Params::new(8, 1, 1, None).unwrap();
    let argon = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
    let salt = SaltString::encode_b64(b"somesaltsomesalt").unwrap();
    argon.hash_password(password.as_bytes(), &salt).unwrap().to_string()
}

/// A production gateway on https, its users in a file and its keys in a directory of its own; `egress` is its block of
/// that name.
pub(super) async fn production(directory: &TempDir, ca: &TestCa, backend: &str, egress: &str) -> Gate {
    let path = |name: &str| directory.path().join(name).display().to_string();
    let hash = password_hash(PASSWORD);
    std::fs::write(path("users.yaml"), format!("users: [{{username: ann, passwordHash: '{hash}'}}]\n"))
        .unwrap();
    let (cert, key) = ca.issue(&[GATEWAY]).write(directory.path());
    let bundle = ca.write(directory.path());
    let configure = |address: SocketAddr| {
        let (origin, state) = (format!("https://{GATEWAY}:{}", address.port()), path("state"));
        std::fs::create_dir_all(&state).unwrap();
        let yaml = format!(
            "listen: {address}\npublicUrl: {origin}\ntls: {{certFile: {}, keyFile: {}}}\nstateDir: {state}\n\
             server: {{url: '{backend}', forwardIdentity: true}}\n\
             authServer:\n  issuer: {origin}\n  cimd: {{enabled: true}}\n  disableUpstreamTokenInjection: true\n  \
             upstreamProviders: [{{name: home, type: local, localConfig: {{usersFile: {}}}}}]\n\
             egress: {{caBundle: {}, {egress}}}\n",
            cert.display(),
            key.display(),
            path("users.yaml"),
            bundle.display(),
        );
        Config::parse(&yaml).unwrap()
    };
    Gate::production(&clock(), ca, GATEWAY, configure).await
}

#[tokio::test]
async fn c1_a_client_that_nobody_registered_logs_in_and_calls_a_tool() {
    let (directory, ca, backend) = (tempfile::tempdir().unwrap(), TestCa::new(), Backend::start().await);
    let documents = DocumentHost::start(&ca, &[CLIENT]).await;
    let client_id = documents.publish("/client.json", &[REDIRECT_URI]);
    let egress = format!(
        "allowCidrs: [127.0.0.0/8], hostOverrides: {{'{CLIENT}:{}': '{}'}}",
        documents.addr().port(),
        documents.addr()
    );
    let gate = production(&directory, &ca, &backend.url(), &egress).await;
    let metadata = gate.discover().await.metadata;
    assert_eq!(metadata["client_id_metadata_document_supported"], true);
    let answers = [("username", "ann"), ("password", PASSWORD)];
    let mut session = gate.log_in_as(&client_id, &answers).await;
    assert_eq!(session.claims()["sub"], "home:ann");
    assert_eq!(gate.call(session.token()).await.status, 200);
    let seen = backend.only();
    assert_eq!(seen.header("x-thv-client-id"), client_id);
    assert_eq!(seen.header("authorization"), "");
    assert_eq!(seen.header("x-forwarded-proto"), "https");
    assert_eq!(documents.requests("/client.json"), 1, "one document for the whole login");

    // Who is logged in does not need the document any more.
    documents.down();
    gate.clock.advance(std::time::Duration::from_secs(48 * 3600));
    session.refresh().await;
    assert_eq!(gate.call(session.token()).await.status, 200);
    let request = gate.to_mcp(Method::POST, session.token()).header("host", "evil.example");
    assert_eq!(gate.whole(request.body(Full::from(TOOL_CALL)).unwrap()).await.status, 421);
}

#[tokio::test]
async fn c2_documents_on_special_addresses_are_not_fetched_unless_allowed() {
    let (directory, ca, backend) = (tempfile::tempdir().unwrap(), TestCa::new(), Backend::start().await);
    let documents = DocumentHost::start(&ca, &[CLIENT]).await;
    let client_id = documents.publish("/client.json", &[REDIRECT_URI]);
    let egress = format!("hostOverrides: {{'{CLIENT}:{}': '{}'}}", documents.addr().port(), documents.addr());
    let gate = production(&directory, &ca, &backend.url(), &egress).await;
    let (mut browser, server) = (gate.browser(), gate.discover().await);
    let page = browser.get(&gate.request(&client_id).url(&server)).await;
    assert_eq!(page.status(), 400, "{}", page.text());
    assert_eq!(page.location(), None);
    assert_eq!(documents.total_requests(), 0);
    assert!(!page.text().contains("127.0.0.1:"), "the page does not say where it would have gone");
}

#[tokio::test]
async fn u13_a_wrong_password_is_no_login() {
    let (directory, ca, backend) = (tempfile::tempdir().unwrap(), TestCa::new(), Backend::start().await);
    let gate = production(&directory, &ca, &backend.url(), "").await;
    let (mut browser, server) = (gate.browser(), gate.discover().await);
    let client_id = server.register_public(&mut browser, REDIRECT_URI).await;
    let page = browser.get(&gate.request(&client_id).url(&server)).await;
    let mut forms = page.forms().into_iter();
    let approve = forms.find_map(|mut form| form.press("decision", "approve").then_some(form)).unwrap();
    let next = browser.submit(&page, &approve).await;
    let login = browser.follow(next, 1).await;
    let mut form = login.form();
    form.fill("username", "ann");
    form.fill("password", "not-the-password");
    let refused = browser.submit(&login, &form).await;
    assert_eq!(refused.status(), 403);
    assert_eq!(refused.location(), None);
    assert!(!refused.text().contains("not-the-password"));
}
