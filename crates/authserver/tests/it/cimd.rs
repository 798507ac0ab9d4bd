//! Client ID metadata documents, from a real https host with a throw-away authority.

mod cache;
mod document;
mod fetch;
mod grant;
mod guard;
mod shared;
mod url;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::Value;
use thv_authserver::Parts;
use thv_authserver::cimd::CimdSettings;
use thv_egress::freshness::Bounds;
use thv_egress::{Client, Policy, Roots};
use thv_oauth::auth_method::AuthMethod;
use thv_oauth::metadata_document::DocumentPolicy;
use thv_testkit::certs::TestCa;
use thv_testkit::document_host::{DocumentHost, public_client_document};
use tokio_util::task::TaskTracker;

use crate::fixture::{Browser, Fixture, Flow, REDIRECT, assert_page, text};

/// The names of the document host; it answers for each of them with the same documents.
const NAMES: [&str; 2] = ["docs.example", "keys.example"];
const PORTS: [u16; 2] = [443, 8443];

/// An authorization server, and the host of the documents that it is asked to fetch.
pub(crate) struct World {
    pub(crate) fixture: Fixture,
    pub(crate) host: DocumentHost,
    tasks: TaskTracker,
    shared: Shared,
}

/// What a restarted server, or a replica, has in common with the first.
struct Shared {
    egress: Client,
    stores: thv_store::Stores,
    keys: thv_jose::reload::KeyHandle,
    hmac: thv_jose::reload::HmacHandle,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Parts)) -> Self {
        let ca = TestCa::new();
        let host = DocumentHost::start(&ca, &NAMES).await;
        let egress = egress_to(&ca, host.addr());
        let (mut tasks, mut shared) = (None, None);
        let fixture = Fixture::with(|parts| {
            parts.egress = egress;
            parts.settings.cimd = Some(cimd(parts));
            change(parts);
            tasks = Some(parts.tasks.clone());
            shared = Some(Shared {
                egress: parts.egress.clone(),
                stores: parts.stores.clone(),
                keys: parts.keys.clone(),
                hmac: parts.hmac.clone(),
            });
        });
        Self { fixture, host, tasks: tasks.unwrap(), shared: shared.unwrap() }
    }

    /// A server with the same stores, keys and time that has never fetched anything.
    pub(crate) fn restarted(&self) -> Fixture {
        let mut restarted = Fixture::with(|parts| {
            parts.egress = self.shared.egress.clone();
            parts.stores = self.shared.stores.clone();
            parts.keys = self.shared.keys.clone();
            parts.hmac = self.shared.hmac.clone();
            parts.clock = self.fixture.clock.shared();
            parts.settings.cimd = Some(cimd(parts));
        });
        restarted.clock = self.fixture.clock.clone();
        restarted
    }

    /// What its replicas share.
    pub(crate) fn stores(&self) -> thv_store::Stores {
        self.shared.stores.clone()
    }

    /// Publishes a valid document, changed by `change`; its client_id.
    pub(crate) fn publish(&self, path: &str, change: impl FnOnce(&mut Value)) -> String {
        let client_id = client_id(path);
        let mut document = public_client_document(&client_id, &[REDIRECT]);
        change(&mut document);
        self.host.set(path, &document);
        client_id
    }

    /// Publishes a document that is refused for `client_secret_present`.
    pub(crate) fn publish_invalid(&self, path: &str) -> String {
        self.publish(path, |document| document["client_secret"] = "hunter2".into())
    }

    /// The answer to an authorization request of the client.
    pub(crate) async fn ask(&self, client_id: &str) -> Response<Bytes> {
        self.ask_with(&Flow::new(client_id), &[]).await
    }

    pub(crate) async fn ask_with(&self, flow: &Flow, change: &[(&str, &str)]) -> Response<Bytes> {
        Browser::new(&self.fixture).get(&format!("/oauth/authorize?{}", flow.query(change))).await
    }

    pub(crate) async fn accepts(&self, client_id: &str) {
        assert_accepted(&self.ask(client_id).await, client_id);
    }

    /// The client is refused with a page that names `reason`.
    pub(crate) async fn refuses(&self, client_id: &str, reason: &str) {
        assert_page(&self.ask(client_id).await, 400, reason);
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.fixture.clock.advance(Duration::from_secs(seconds));
    }

    /// Waits until no fetch is under way.
    pub(crate) async fn settled(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

pub(crate) fn client_id(path: &str) -> String {
    format!("https://docs.example{path}")
}

/// Asserts that this is a consent page.
pub(crate) fn assert_accepted(response: &Response<Bytes>, what: &str) {
    assert_eq!(response.status(), StatusCode::OK, "{what}: {}", text(response));
    assert!(text(response).contains("name=\"ticket\""), "{what}");
}

/// The settings of an authorization server with documents, as the configuration's defaults make them.
pub(crate) fn cimd(parts: &Parts) -> CimdSettings {
    CimdSettings {
        cache_max_size: 256,
        freshness: Bounds {
            fallback: Duration::from_secs(300),
            min: Duration::from_secs(60),
            max: Duration::from_secs(24 * 3600),
        },
        stale_if_error: Duration::from_secs(168 * 3600),
        max_document_size: 5 * 1024,
        allow_loopback: false,
        policy: DocumentPolicy {
            supported_auth_methods: vec![AuthMethod::None, AuthMethod::PrivateKeyJwt],
            scopes_supported: parts.settings.scopes_supported.clone(),
        },
    }
}

/// A way out on which the host's names lead to `addr`, and which trusts `ca`. Nothing else of this machine may be dialled.
pub(crate) fn egress_to(ca: &TestCa, addr: SocketAddr) -> Client {
    let dir = tempfile::tempdir().unwrap();
    let names = NAMES.iter().flat_map(|name| PORTS.map(|port| format!("{name}:{port}")));
    let policy = Policy {
        allow_cidrs: vec!["127.0.0.1/32".parse().unwrap()],
        host_overrides: names.map(|name| (name, addr)).collect(),
        ..Policy::public()
    };
    Client::new(policy, &Roots::load(Some(&ca.write(dir.path()))).unwrap())
}

/// A listener on a loopback address that notices every attempt to reach it.
pub(crate) struct Tripwire(std::net::TcpListener);

impl Tripwire {
    pub(crate) fn on(addr: IpAddr) -> Self {
        let listener = std::net::TcpListener::bind((addr, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    pub(crate) fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    /// The kernel completes a connection on loopback before `connect` returns, so there is nothing to wait for.
    pub(crate) fn assert_untouched(&self) {
        let error = self.0.accept().map(|(_, peer)| peer).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    }
}

#[tokio::test]
async fn c1_documents_are_advertised_in_both_discovery_documents_only_when_enabled() {
    let (enabled, disabled) = (World::start().await.fixture, Fixture::new());
    for (fixture, expected) in [(&enabled, true), (&disabled, false)] {
        let documents = fixture.server.documents();
        for bytes in [&documents.authorization_server, &documents.openid] {
            let document: Value = serde_json::from_slice(bytes).unwrap();
            let advertised =
                document.get("client_id_metadata_document_supported") == Some(&Value::Bool(true));
            assert_eq!(advertised, expected, "{document}");
            let methods = document["token_endpoint_auth_methods_supported"].as_array().unwrap();
            assert!(
                methods.contains(&"none".into()) && methods.contains(&"private_key_jwt".into()),
                "{document}"
            );
        }
    }
}

#[tokio::test]
async fn c1_a_url_is_no_client_where_documents_are_not_enabled() {
    let world = World::with(|parts| parts.settings.cimd = None).await;
    let client_id = world.publish("/client", |_| {});
    world.refuses(&client_id, "cimd_disabled").await;
    assert_eq!(world.host.total_requests(), 0);
}

#[tokio::test]
async fn c6_a_pinned_document_needs_no_fetch() {
    let client_id = client_id("/pinned");
    let url = thv_oauth::client_id::MetadataUrl::parse(&client_id, false).unwrap();
    let world = World::with(|parts| {
        let document = public_client_document(&client_id, &[REDIRECT]).to_string();
        let policy = cimd(parts).policy;
        let metadata =
            thv_oauth::metadata_document::examine(&url, document.as_bytes(), &policy).into_result().unwrap();
        parts.pinned_documents.insert(client_id.clone(), metadata);
    })
    .await;
    world.host.down();
    let flow = Flow::new(&client_id);
    let code = Browser::new(&world.fixture).authorize(&flow.query(&[])).await;
    assert_eq!(world.fixture.redeem(&flow, &code).await.status(), StatusCode::OK);
    assert_eq!(world.host.total_requests(), 0);
}
