//! Authorization servers with one upstream that they register at, over common stores.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::Response;
use secrecy::SecretString;
use serde_json::Value;
use thv_authserver::upstream::{
    ConfiguredEndpoints, DynamicRegistration, IdentityPaths, OAuth2Settings, ProviderSettings,
    PublishedClient, RegistrationMode, RegistrationSettings, Upstream, UpstreamParts,
};
use thv_authserver::{ConsentMode, CredentialFailure, LoginChain};
use thv_client::discovery::DiscoveryUrl;
use thv_clock::{Clock, ManualClock};
use thv_egress::{Client, Policy, Roots};
use thv_jose::digest::sha256;
use thv_oauth::issuer::AllowHttp;
use thv_oauth::params::append_query;
use thv_store::Stores;
use thv_store::memory::{Capacity, stores};
use thv_store::records::{GrantId, RegistrationKey};
use thv_telemetry::logs::{Format, layer};
use tracing_subscriber::layer::SubscriberExt;

use super::idp::Idp;
use crate::fixture::{Browser, Fixture, Flow, ISSUER, T0, answer, json, location};
use crate::provider::param;

pub(crate) const INITIAL_ACCESS_TOKEN: &str = "initial-access-token-0123456789";
pub(crate) const SOFTWARE_STATEMENT: &str = "eyJhbGciOiJub25lIn0.eyJzb2Z0d2FyZSI6InQifQ.c2lnbmF0dXJl";

/// The upstream, and what replicas share.
pub(crate) struct World {
    pub(crate) idp: Idp,
    pub(crate) stores: Stores,
    pub(crate) clock: ManualClock,
}

impl World {
    pub(crate) async fn new() -> Self {
        let clock = ManualClock::at(T0);
        Self { idp: Idp::start(&clock).await, stores: stores(Capacity::default()), clock }
    }

    /// The settings of an operator who gives nothing but a discovery URL.
    pub(crate) fn settings(&self) -> ProviderSettings {
        ProviderSettings {
            discovery: Some(DiscoveryUrl::parse(&self.idp.issuer(), AllowHttp::Loopback).unwrap()),
            endpoints: ConfiguredEndpoints::default(),
            allow_http: AllowHttp::Loopback,
            registration: RegistrationSettings {
                mode: RegistrationMode::Registration,
                preregistered: None,
                dynamic: DynamicRegistration::default(),
            },
            redirect_uri: format!("{ISSUER}/oauth/callback"),
            scopes: vec!["tools.read".to_owned(), "offline_access".to_owned()],
            scope_parameter: "scope".to_owned(),
            scope_separator: " ".to_owned(),
            resource: None,
            additional_params: BTreeMap::new(),
        }
    }

    /// What the registration is stored under.
    pub(crate) fn key(&self) -> RegistrationKey {
        RegistrationKey {
            issuer: ISSUER.to_owned(),
            upstream: self.idp.issuer(),
            redirect_uri: format!("{ISSUER}/oauth/callback"),
            scopes_hash: sha256(b"offline_access tools.read"),
        }
    }

    /// A server that has just started, and what it resolves once it knows who it is at the upstream.
    pub(crate) fn start(&self, change: impl FnOnce(&mut ProviderSettings)) -> Fixture {
        let mut provider = self.settings();
        change(&mut provider);
        let mut fixture = Fixture::with(|parts| {
            parts.settings.consent = ConsentMode::Off;
            parts.clock = self.clock.shared();
            parts.stores = self.stores.clone();
            parts.egress = egress();
            let settings = OAuth2Settings {
                provider,
                userinfo: None,
                token_paths: None,
                identity_from_token: Some(IdentityPaths {
                    subject: "sub".to_owned(),
                    name: None,
                    email: None,
                }),
            };
            let means = UpstreamParts {
                issuer: ISSUER.to_owned(),
                egress: egress(),
                clock: self.clock.shared(),
                stores: self.stores.clone(),
                published: PublishedClient::of(ISSUER, parts.keys.clone()),
                tasks: parts.tasks.clone(),
            };
            self.idp.state().keys = vec![parts.keys.load().active().public().clone()];
            parts.chain = LoginChain::single(Upstream::oauth2("corp", settings, means));
        });
        fixture.clock = self.clock.clone();
        fixture
    }

    /// Whether the vault has a refresh token for this login.
    pub(crate) async fn may_refresh(&self, tsid: &str) -> bool {
        let now = self.clock.now();
        let grant = self.stores.grants.load(&GrantId::parse(tsid).unwrap(), now).await.unwrap().unwrap();
        let entry = self.stores.upstream_tokens.load(&grant.value.session, "corp", now).await.unwrap();
        entry.unwrap().value.tokens.refresh_token.is_some()
    }

    /// A server without the upstream, which the configuration named before; when it has looked what that leaves behind.
    pub(crate) async fn start_without(&self, egress: Client) {
        let mut tasks = None;
        let _server = Fixture::with(|parts| {
            parts.clock = self.clock.shared();
            parts.stores = self.stores.clone();
            parts.egress = egress;
            tasks = Some(parts.tasks.clone());
        });
        let tasks = tasks.unwrap();
        tasks.close();
        tasks.wait().await;
    }

    /// A server that is ready.
    pub(crate) async fn ready(&self, change: impl FnOnce(&mut ProviderSettings)) -> Fixture {
        let fixture = self.start(change);
        until(async || readiness(&fixture).await.is_ok()).await;
        fixture
    }
}

pub(crate) fn egress() -> Client {
    Client::pooled(Policy::with_loopback(), &Roots::load(None).unwrap())
}

/// Whether the upstream is ready, or why not.
pub(crate) async fn readiness(fixture: &Fixture) -> Result<(), String> {
    let mut upstreams = fixture.server.upstream_readiness().await;
    upstreams.remove(0).1
}

/// What the vault says.
pub(crate) async fn credential(server: &Fixture, tsid: &str) -> Result<(), CredentialFailure> {
    server.server.vault().credential(tsid, "corp").await.map(|credential| assert!(credential.is_some()))
}

/// Waits for a condition.
pub(crate) async fn until(mut condition: impl AsyncFnMut() -> bool) {
    let met = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), met).await.unwrap();
}

/// A login that has come as far as the upstream.
pub(crate) struct Away<'a> {
    pub(crate) browser: Browser<'a>,
    pub(crate) flow: Flow,
    /// Where the browser was sent.
    pub(crate) url: String,
}

impl<'a> Away<'a> {
    pub(crate) async fn start(fixture: &'a Fixture) -> Self {
        let flow = Flow::new(&fixture.register().await);
        let mut browser = Browser::new(fixture);
        let response = browser.get(&format!("/oauth/authorize?{}", flow.query(&[]))).await;
        Self { browser, flow, url: location(&response) }
    }

    pub(crate) fn client_id(&self) -> String {
        param(&self.url, "client_id")
    }

    /// The user logs in at the upstream: what we answer to that.
    pub(crate) async fn come_back(&mut self) -> Response<Bytes> {
        let state = param(&self.url, "state");
        let code = "upstream-code-0123456789abcdef";
        let path = append_query("/oauth/callback", &[("state", &state), ("code", code)]);
        self.browser.get(&path).await
    }
}

/// A whole login: the `tsid` of the access token, and the token response.
pub(crate) async fn log_in(fixture: &Fixture) -> (String, Value) {
    let mut away = Away::start(fixture).await;
    let end = away.come_back().await;
    let redeemed = json(&fixture.redeem(&away.flow, &answer(&end)["code"]).await);
    let claims = redeemed["access_token"].as_str().unwrap().split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    (claims["tsid"].as_str().unwrap().to_owned(), redeemed)
}

/// What an operator may configure besides.
pub(crate) fn everything() -> DynamicRegistration {
    DynamicRegistration {
        initial_access_token: Some(SecretString::from(INITIAL_ACCESS_TOKEN)),
        software_id: Some("4NRB1-0XZABZI9E6-5SM3R".to_owned()),
        software_statement: Some(SecretString::from(SOFTWARE_STATEMENT)),
        client_name: Some("Gateway of Example Ltd".to_owned()),
        delete_on_removal: true,
    }
}

/// The log of this thread, at every level.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Captures until the guard is dropped.
    pub(crate) fn capture() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let lines = layer(Format::Json, "trace".parse().unwrap(), false, move || writer.clone());
        let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(lines));
        (log, guard)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// The records with this message.
    pub(crate) fn records(&self, message: &str) -> Vec<Value> {
        let records = self.text();
        let records = records.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        records.filter(|record| record["message"] == message).collect()
    }
}
