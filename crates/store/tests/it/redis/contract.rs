//! The contract on every kind of installation.

use std::collections::BTreeSet;
use std::path::PathBuf;

use thv_store::redis::{ClientIdentity, RedisSettings, TlsSettings, Trust};
use thv_store::{Stores, contract, sealed};
use thv_testkit::certs::TestCa;
use thv_testkit::redis::{RedisCluster, RedisOptions, RedisSentinel, RedisServer, valkey};

use super::{cluster, connect, credentials, fresh, sentinel, standalone};
use crate::support::keys;

/// What the documentation says that an ACL user needs.
const RIGHTS: &str = "resetkeys resetchannels -@all ~thv:* &thv:* +get +set +getrange +del +eval +evalsha +publish +subscribe +ping";

async fn fulfil(settings: &RedisSettings) {
    contract::fulfil(async || -> Stores { sealed::stores(connect(fresh(settings)), keys(&[1])) }).await;
}

async fn nothing_was_searched(servers: &[RedisServer]) {
    for server in servers {
        let used: BTreeSet<String> = server.command_stats().await.into_keys().collect();
        for search in ["scan", "keys", "smembers", "hscan", "sscan", "zscan", "randomkey", "dbsize", "sort"] {
            assert!(!used.contains(search), "{used:?}");
        }
    }
}

async fn standalone_fulfils(program: Option<PathBuf>) {
    let server = RedisServer::start(RedisOptions { program, ..RedisOptions::default() }).await;
    fulfil(&standalone(server.addr())).await;
    nothing_was_searched(&[server]).await;
}

async fn cluster_fulfils(program: Option<PathBuf>) {
    let servers = RedisCluster::start(3, 0, program).await;
    let user = format!("ACL SETUSER thv on >secret {RIGHTS} +cluster|slots +asking");
    let user: Vec<&str> = user.split(' ').collect();
    for server in &servers.masters {
        server.ask::<()>(&user).await;
    }
    let settings = RedisSettings { credentials: Some(credentials("secret")), ..cluster(&servers) };
    fulfil(&settings).await;
    nothing_was_searched(&servers.masters).await;
    for server in &servers.masters {
        let rows: u64 = server.ask(&["DBSIZE"]).await;
        assert!(rows > 0, "rows are spread over all nodes");
    }
}

#[tokio::test]
async fn redis_fulfils_the_contract() {
    standalone_fulfils(None).await;
}

#[tokio::test]
async fn valkey_fulfils_the_contract() {
    let Some(program) = valkey() else { return eprintln!("skipped: there is no Valkey") };
    standalone_fulfils(Some(program)).await;
}

#[tokio::test]
async fn redis_cluster_fulfils_the_contract_and_spreads_rows() {
    cluster_fulfils(None).await;
}

#[tokio::test]
async fn valkey_cluster_fulfils_the_contract_and_spreads_rows() {
    let Some(program) = valkey() else { return eprintln!("skipped: there is no Valkey") };
    cluster_fulfils(Some(program)).await;
}

#[tokio::test]
async fn redis_with_sentinels_fulfils_the_contract() {
    let servers = RedisSentinel::start(Some("sentinels-secret")).await;
    let user = format!("ACL SETUSER thv on >secret {RIGHTS} +role +wait");
    for server in &servers.servers {
        server.ask::<()>(&user.split(' ').collect::<Vec<_>>()).await;
    }
    let settings = sentinel(&servers, Some(credentials("sentinels-secret")));
    let settings = RedisSettings { credentials: Some(credentials("secret")), replica_acks: 1, ..settings };
    fulfil(&settings).await;
}

#[tokio::test]
async fn mutual_tls_and_an_acl_user_with_no_more_than_the_documented_rights_fulfil_the_contract() {
    let (ca, clients) = (TestCa::new(), TestCa::new());
    let users = vec![format!("thv on >secret {RIGHTS}")];
    let server =
        RedisServer::start(RedisOptions { tls: Some((&ca, &clients)), users, ..RedisOptions::default() })
            .await;
    let shown = clients.issue_to_client("thv");
    let identity = ClientIdentity { cert_pem: shown.cert_pem, key_pem: shown.key_pem.into() };
    let tls = TlsSettings { trust: Trust::Authorities(ca.ca_pem()), identity: Some(identity) };
    let settings = RedisSettings {
        tls: Some(tls.clone()),
        credentials: Some(credentials("secret")),
        ..standalone(server.addr())
    };
    fulfil(&settings).await;

    let refused = async |tls: TlsSettings, password: &str| {
        let settings =
            RedisSettings { tls: Some(tls), credentials: Some(credentials(password)), ..settings.clone() };
        super::chain(&thv_store::rows::Rows::ping(&*connect(settings)).await.unwrap_err())
    };
    let stranger = TlsSettings { trust: Trust::Authorities(TestCa::new().ca_pem()), ..tls.clone() };
    assert!(refused(stranger, "secret").await.contains("certificate"), "an unknown server");
    let anyone = TlsSettings { trust: Trust::Anything, ..tls.clone() };
    assert!(refused(anyone, "planted-password").await.contains("WRONGPASS"), "trusts anyone");
    assert!(!refused(tls.clone(), "planted-password").await.contains("planted-password"));
    let nobody = TlsSettings { identity: None, ..tls };
    assert!(!refused(nobody, "secret").await.is_empty(), "without a certificate");
}
