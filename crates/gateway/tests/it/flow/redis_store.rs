//! A gateway whose records are in Redis, configured as in production.

use std::net::SocketAddr;
use std::path::Path;

use thv_config::Config;
use thv_testkit::certs::TestCa;
use thv_testkit::redis::{RedisOptions, RedisServer, eventually};

use super::backend::Backend;
use super::gate::{Gate, clock};
use super::provider::Provider;

/// What the user at Redis needs, as it is documented.
const RIGHTS: &str = "~thv:* &thv:* +get +set +getrange +del +eval +evalsha +publish +subscribe +ping +info";
const DOCUMENTED: &str = include_str!("../../../../../docs/stores.md");

/// A development gateway whose store is this block `storage`.
async fn gate(backend: &Backend, provider: &Provider, storage: &str) -> Gate {
    let configure = |config: &mut Config| {
        provider.as_oidc(config);
        let address: SocketAddr = config.listen;
        let yaml = format!("authServer: {{storage: {storage}}}");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), yaml).unwrap();
        let read = Config::load_development(address, None, file.path()).unwrap();
        super::gate::auth_server(config).storage = read.auth_server.unwrap().storage;
    };
    Gate::start(&clock(), &backend.url(), configure).await
}

fn secret(directory: &Path, name: &str, content: &str) -> String {
    let path = directory.join(name);
    std::fs::write(&path, content).unwrap();
    format!("{{file: {}}}", path.display())
}

#[tokio::test]
async fn o2_a_login_and_a_refresh_over_redis_with_tls_a_client_certificate_and_an_acl_user() {
    let (ca, clients, directory) = (TestCa::new(), TestCa::new(), tempfile::tempdir().unwrap());
    let redis = RedisServer::start(RedisOptions {
        tls: Some((&ca, &clients)),
        users: vec![format!("user-of-thv on >user-password {RIGHTS}")],
        ..RedisOptions::default()
    })
    .await;
    let identity = clients.issue_to_client("thv");
    let secret = |name: &str, content: &str| secret(directory.path(), name, content);
    let storage = format!(
        "{{type: redis, redis: {{addr: '{}', \
         aclUserConfig: {{usernameSecretRef: {}, passwordSecretRef: {}}}, \
         tls: {{caCertSecretRef: {}, clientCertSecretRef: {}, clientKeySecretRef: {}}}}}}}",
        redis.addr(),
        secret("user", "user-of-thv"),
        secret("password", "user-password"),
        secret("ca.pem", &ca.ca_pem()),
        secret("cert.pem", &identity.cert_pem),
        secret("key.pem", &identity.key_pem)
    );
    let clock = clock();
    let (backend, provider) = (Backend::start().await, Provider::start(&clock).await);
    let gate = gate(&backend, &provider, &storage).await;
    assert_eq!(gate.get("/readyz").await.status(), 200);
    let mut session = gate.log_in().await;
    assert_eq!(gate.call(session.token()).await.status, 200);
    session.refresh().await;
    assert_eq!(gate.call(session.token()).await.status, 200);

    assert!(DOCUMENTED.contains(&format!("`{RIGHTS}`")));
    let denied: Vec<Vec<String>> = redis.ask(&["ACL", "LOG"]).await;
    assert_eq!(denied, [[""; 0]; 0], "the documented rights are enough");
    let clients: String = redis.ask(&["CLIENT", "LIST"]).await;
    assert!(clients.contains("user=user-of-thv"), "{clients}");
    let rows: u64 = redis.ask(&["DBSIZE"]).await;
    assert!(rows > 3, "{rows} rows");
}

#[tokio::test]
async fn o2_a_store_that_takes_no_writes_is_not_ready() {
    let redis = RedisServer::start(RedisOptions::default()).await;
    redis.ask::<()>(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let clock = clock();
    let (backend, provider) = (Backend::start().await, Provider::start(&clock).await);
    let gate =
        gate(&backend, &provider, &format!("{{type: redis, redis: {{addr: '{}'}}}}", redis.addr())).await;
    let full = gate.get("/readyz").await;
    assert_eq!(full.status(), 503, "{}", full.text());
    assert_eq!(full.json()["checks"]["store"], "unavailable");
    redis.ask::<()>(&["CONFIG", "SET", "maxmemory", "0"]).await;
    eventually("there is room again", async || (gate.get("/readyz").await.status() == 200).then_some(()))
        .await;

    let writes = async || redis.command_stats().await["set"];
    let before = writes().await;
    for _ in 0..10 {
        assert_eq!(gate.get("/readyz").await.status(), 200);
    }
    assert_eq!(writes().await, before, "a proof is good for a while");
    redis.ask::<()>(&["CONFIG", "SET", "maxmemory", "1"]).await;
    gate.clock.advance(std::time::Duration::from_secs(11));
    assert_eq!(gate.get("/readyz").await.status(), 503);
}
