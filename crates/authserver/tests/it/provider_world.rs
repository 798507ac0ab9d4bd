//! Authorization servers whose users log in at one or several providers, and the way of a browser through them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use thv_authserver::upstream::local::LocalUsers;
use thv_authserver::upstream::{
    ConfiguredEndpoints, IdentityPaths, OAuth2Settings, PreregisteredClient, ProviderSettings,
    RegistrationSettings, Upstream, UpstreamParts,
};
use thv_authserver::{
    ConsentMode, CredentialFailure, Leg, LoginChain, Parts, Requirement, UpstreamCredential,
};
use thv_clock::{Clock, ManualClock};
use thv_egress::{Client, Policy, Roots};
use thv_oauth::auth_method::AuthMethod;
use thv_oauth::issuer::AllowHttp;
use thv_store::Stores;
use thv_store::memory::{Capacity, stores};
use thv_store::records::{GrantId, SessionId, VaultEntry};

use crate::fixture::{Browser, Fixture, Flow, ISSUER, Page, T0, answer, json, location, text};
use crate::provider::Provider;

/// The name of the leg that is our own login page.
pub(crate) const LOCAL: &str = "local";

/// Providers, and the stores and the clock that all replicas share.
pub(crate) struct World {
    pub(crate) providers: Vec<Arc<Provider>>,
    pub(crate) stores: Stores,
    pub(crate) clock: ManualClock,
    legs: Vec<(String, Requirement)>,
    consent: ConsentMode,
    visits: Mutex<Vec<String>>,
}

/// A finished login.
pub(crate) struct LoggedIn {
    pub(crate) flow: Flow,
    pub(crate) code: String,
    pub(crate) tsid: String,
    pub(crate) tokens: serde_json::Value,
}

impl World {
    /// Legs in order, the first one first; [`LOCAL`] is our own login page, every other one a provider.
    pub(crate) async fn new(legs: &[(&str, Requirement)]) -> Self {
        let mut providers = Vec::new();
        for (name, _) in legs.iter().filter(|(name, _)| *name != LOCAL) {
            providers.push(Provider::start(name).await);
        }
        Self {
            providers,
            stores: stores(Capacity::default()),
            clock: ManualClock::at(T0),
            legs: legs.iter().map(|(name, requirement)| ((*name).to_owned(), *requirement)).collect(),
            consent: ConsentMode::Required,
            visits: Mutex::default(),
        }
    }

    pub(crate) fn with_consent(self, consent: ConsentMode) -> Self {
        Self { consent, ..self }
    }

    pub(crate) fn with_stores(self, stores: Stores) -> Self {
        Self { stores, ..self }
    }

    /// A server; further ones are further replicas.
    pub(crate) fn replica(&self) -> Fixture {
        self.replica_over(self.stores.clone())
    }

    /// A replica that reaches the common rows through `stores`.
    pub(crate) fn replica_over(&self, stores: Stores) -> Fixture {
        let mut fixture = Fixture::with(|parts| {
            parts.clock = self.clock.shared();
            parts.stores = stores;
            parts.settings.consent = self.consent;
            parts.chain = self.chain(parts);
        });
        fixture.clock = self.clock.clone();
        fixture
    }

    fn chain(&self, parts: &Parts) -> LoginChain {
        let mut legs = self.legs.iter().map(|(name, requirement)| {
            let upstream = if name == LOCAL {
                Upstream::local(LOCAL, LocalUsers::development(LOCAL, "dev"))
            } else {
                upstream(&self.provider(name), parts)
            };
            Leg { upstream, label: format!("The {name} account"), requirement: *requirement }
        });
        let identity = legs.next().unwrap();
        LoginChain::new(identity, legs.collect())
    }

    pub(crate) fn provider(&self, name: &str) -> Arc<Provider> {
        Arc::clone(self.providers.iter().find(|provider| provider.name == name).unwrap())
    }

    /// The upstreams that browsers were at since this was asked last, in order.
    pub(crate) fn visits(&self) -> Vec<String> {
        std::mem::take(&mut *self.visits.lock().unwrap())
    }

    /// A login in a fresh browser.
    pub(crate) async fn log_in(&self, server: &Fixture) -> LoggedIn {
        self.log_in_with(&mut Browser::new(server), server, "openid offline_access").await
    }

    /// A login of a new client in `browser`.
    pub(crate) async fn log_in_with(
        &self,
        browser: &mut Browser<'_>,
        server: &Fixture,
        scope: &str,
    ) -> LoggedIn {
        let flow = Flow::new(&server.register().await);
        let response = self.approve(browser, &flow, scope).await;
        let response = self.walk(browser, response).await;
        self.redeem(server, flow, &response).await
    }

    /// Redeems the code in the redirect to the client.
    pub(crate) async fn redeem(&self, server: &Fixture, flow: Flow, end: &Response<Bytes>) -> LoggedIn {
        let code = answer(end).remove("code").unwrap_or_else(|| panic!("no code: {}", location(end)));
        let redeemed = server.redeem(&flow, &code).await;
        assert_eq!(redeemed.status(), StatusCode::OK, "{}", text(&redeemed));
        let tokens = json(&redeemed);
        let claims = tokens["access_token"].as_str().unwrap().split('.').nth(1).unwrap().to_owned();
        let claims: serde_json::Value =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
        LoggedIn { tsid: claims["tsid"].as_str().unwrap().to_owned(), flow, code, tokens }
    }

    /// An authorization request that the user approves: where the browser goes next.
    pub(crate) async fn approve(
        &self,
        browser: &mut Browser<'_>,
        flow: &Flow,
        scope: &str,
    ) -> Response<Bytes> {
        let page = browser.consent_page(&flow.query(&[("scope", scope)])).await;
        browser.decide(&page, "approve").await
    }

    /// Logs in wherever the browser is sent, and goes on from every page between legs, until it is sent to the client.
    pub(crate) async fn walk(&self, browser: &mut Browser<'_>, response: Response<Bytes>) -> Response<Bytes> {
        self.walk_until(browser, response, |_| false).await
    }

    /// As [`Self::walk`], until it is sent to a URL for which `stop` holds, or to the client.
    pub(crate) async fn walk_until(
        &self,
        browser: &mut Browser<'_>,
        mut response: Response<Bytes>,
        stop: impl Fn(&str) -> bool,
    ) -> Response<Bytes> {
        loop {
            let to = location(&response);
            if stop(&to) {
                return response;
            }
            let at = |provider: &&Arc<Provider>| to.starts_with(&provider.server.url("/"));
            response = if to.starts_with("/oauth/login") {
                self.visits.lock().unwrap().push(LOCAL.to_owned());
                browser.sign_in(&response).await
            } else if to.starts_with("/oauth/continue") {
                let page = between(browser, &response).await;
                go_on(browser, &page, "connect").await
            } else if let Some(provider) = self.providers.iter().find(at) {
                self.visits.lock().unwrap().push(provider.name.clone());
                browser.get(&provider.log_in(&to)).await
            } else {
                return response;
            };
        }
    }

    /// As [`Self::walk`], as far as the first page between legs.
    pub(crate) async fn walk_to_page(&self, browser: &mut Browser<'_>, response: Response<Bytes>) -> Page {
        let response = self.walk_until(browser, response, |to| to.starts_with("/oauth/continue")).await;
        between(browser, &response).await
    }

    /// As [`Self::walk`], as far as an upstream, whose authorization request this is.
    pub(crate) async fn walk_to(
        &self,
        browser: &mut Browser<'_>,
        response: Response<Bytes>,
        name: &str,
    ) -> String {
        let url = self.provider(name).server.url("/");
        location(&self.walk_until(browser, response, |to| to.starts_with(&url)).await)
    }

    pub(crate) async fn session(&self, tsid: &str) -> SessionId {
        let grant = self.stores.grants.load(&GrantId::parse(tsid).unwrap(), self.clock.now()).await.unwrap();
        grant.unwrap().value.session
    }

    /// What the vault keeps.
    pub(crate) async fn entry(&self, session: &SessionId, upstream: &str) -> Option<VaultEntry> {
        let row = self.stores.upstream_tokens.load(session, upstream, self.clock.now()).await.unwrap();
        row.map(|row| (*row.value).clone())
    }

    /// Changes what the vault keeps, as another replica would.
    pub(crate) async fn change_entry(
        &self,
        session: &SessionId,
        upstream: &str,
        change: impl FnOnce(&mut VaultEntry),
    ) {
        let (rows, now) = (&self.stores.upstream_tokens, self.clock.now());
        let row = rows.load(session, upstream, now).await.unwrap().unwrap();
        let mut entry = (*row.value).clone();
        change(&mut entry);
        assert!(rows.replace(session, &row, entry, now).await.unwrap());
    }
}

/// How a provider becomes an upstream of a server.
fn upstream(provider: &Provider, parts: &Parts) -> Upstream {
    let client = PreregisteredClient {
        client_id: "us".to_owned(),
        client_secret: Some(SecretString::from("our-secret")),
        auth_method: Some(AuthMethod::ClientSecretBasic),
    };
    let settings = OAuth2Settings {
        provider: ProviderSettings {
            discovery: None,
            endpoints: ConfiguredEndpoints {
                authorization: Some(provider.server.url("/authorize")),
                token: Some(provider.server.url("/token")),
                revocation: Some(provider.server.url("/revoke")),
                registration: None,
            },
            allow_http: AllowHttp::Loopback,
            registration: RegistrationSettings { preregistered: Some(client), ..Default::default() },
            redirect_uri: format!("{ISSUER}/oauth/callback"),
            scopes: Vec::new(),
            scope_parameter: "scope".to_owned(),
            scope_separator: " ".to_owned(),
            resource: None,
            additional_params: BTreeMap::new(),
        },
        userinfo: None,
        token_paths: None,
        identity_from_token: Some(IdentityPaths { subject: "sub".to_owned(), name: None, email: None }),
    };
    let means = UpstreamParts {
        issuer: ISSUER.to_owned(),
        egress: Client::new(Policy::with_loopback(), &Roots::load(None).unwrap()),
        clock: Arc::clone(&parts.clock),
        stores: parts.stores.clone(),
        published: None,
        tasks: parts.tasks.clone(),
    };
    Upstream::oauth2(provider.name.clone(), settings, means)
}

/// The page between two legs that `response` leads to.
pub(crate) async fn between(browser: &mut Browser<'_>, response: &Response<Bytes>) -> Page {
    let page = browser.get(&location(response)).await;
    assert_eq!(page.status(), StatusCode::OK, "{}", text(&page));
    Page(text(&page))
}

/// Presses a button on it.
pub(crate) async fn go_on(browser: &mut Browser<'_>, page: &Page, decision: &str) -> Response<Bytes> {
    browser.submit("/oauth/continue", &[("state", &page.field("state")), ("decision", decision)]).await
}

/// What a credential request gave, for comparison: the access token; `none` when the upstream gives none.
pub(crate) fn token(
    outcome: Result<Option<UpstreamCredential>, CredentialFailure>,
) -> Result<String, Failure> {
    match outcome {
        Ok(Some(credential)) => Ok(credential.access_token.expose_secret().to_owned()),
        Ok(None) => Ok("none".to_owned()),
        Err(CredentialFailure::NeverLoggedIn { scope }) => Err(Failure::Never(scope)),
        Err(CredentialFailure::LoginNeeded { scope }) => Err(Failure::Login(scope)),
        Err(CredentialFailure::Unavailable(_)) => Err(Failure::Unavailable),
    }
}

/// Why there is no credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Never(String),
    Login(Option<String>),
    Unavailable,
}

/// The failure that asks for a login at a further upstream.
pub(crate) fn login_at(upstream: &str) -> Failure {
    Failure::Login(Some(format!("upstream:{upstream}")))
}

/// Asks the vault.
pub(crate) async fn credential(server: &Fixture, tsid: &str, upstream: &str) -> Result<String, Failure> {
    token(server.server.vault().credential(tsid, upstream).await)
}

/// Tells the vault that a backend refused `refused`.
pub(crate) async fn renewed(
    server: &Fixture,
    tsid: &str,
    upstream: &str,
    refused: &str,
) -> Result<String, Failure> {
    let is_refused = |token: &SecretString| token.expose_secret() == refused;
    token(server.server.vault().renewed(tsid, upstream, is_refused).await)
}

/// Signs out on our own page.
pub(crate) async fn sign_out(browser: &mut Browser<'_>) {
    let page = Page(text(&browser.get("/oauth/logout").await));
    let answer = browser.submit("/oauth/logout", &[("ticket", &page.field("ticket"))]).await;
    assert_eq!(answer.status(), StatusCode::OK, "{}", text(&answer));
}

/// Waits until the provider was asked to revoke a token.
pub(crate) async fn is_revoked(provider: &Provider, token: &str) {
    let revoked = async {
        while !provider.state().revoked.iter().any(|revoked| revoked == token) {
            tokio::task::yield_now().await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(20), revoked).await;
    in_time.unwrap_or_else(|_| panic!("{token} is not revoked"));
}
