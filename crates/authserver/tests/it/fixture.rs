//! An authorization server with a development login, and a browser to walk through it.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use http::{Method, Request, Response, StatusCode};
use serde_json::Value;
use thv_authserver::upstream::Upstream;
use thv_authserver::upstream::local::LocalUsers;
use thv_authserver::{AuthServer, ConsentMode, LoginChain, Parts, RegistrationRetention, Settings, Source};
use thv_clock::{ManualClock, Timestamp};
use thv_egress::{Client, Policy, Roots};
use thv_jose::algorithm::Algorithm;
use thv_jose::hmac::HmacRing;
use thv_jose::key::SigningKey;
use thv_jose::keyring::KeyRing;
use thv_jose::reload::Reloadable;
use thv_oauth::issuer::{AllowHttp, Issuer};
use thv_oauth::params::Params;
use thv_oauth::pkce::CodeVerifier;
use thv_oauth::resource::ResourceIndicator;
use thv_oauth::scope::ScopeSet;
use thv_store::memory::{Capacity, stores};
use thv_telemetry::metrics::Metrics;
use tokio_util::task::TaskTracker;

pub(crate) const ISSUER: &str = "https://mcp.example.com";
pub(crate) const RESOURCE: &str = "https://mcp.example.com/mcp";
pub(crate) const REDIRECT: &str = "http://127.0.0.1:7777/callback";
pub(crate) const T0: Timestamp = Timestamp::from_secs(1_800_000_000);

/// A server and its clock.
pub(crate) struct Fixture {
    pub(crate) server: AuthServer,
    pub(crate) clock: ManualClock,
}

pub(crate) fn settings() -> Settings {
    let scopes = ScopeSet::parse("openid profile email offline_access").unwrap();
    Settings {
        issuer: Issuer::parse(ISSUER, AllowHttp::No).unwrap(),
        authorization_endpoint_base: ISSUER.to_owned(),
        audiences: vec![ResourceIndicator::parse(RESOURCE).unwrap()],
        scopes_supported: scopes,
        baseline_scopes: ScopeSet::default(),
        access_token_lifetime: Duration::from_secs(3600),
        refresh_token_lifetime: Duration::from_secs(168 * 3600),
        code_lifetime: Duration::from_secs(60),
        consent: ConsentMode::Required,
        cimd: None,
        preregistered: Vec::new(),
        confidential_registration: false,
        registration_retention: RegistrationRetention::default(),
        registrations_per_minute: 1000,
        development: false,
    }
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Parts)) -> Self {
        let clock = ManualClock::at(T0);
        let key = SigningKey::generate(Algorithm::ES256).unwrap();
        let egress = Client::new(Policy::public(), &Roots::load(None).unwrap());
        let mut parts = Parts {
            settings: settings(),
            pinned_documents: HashMap::new(),
            chain: LoginChain::single(Upstream::local("local", LocalUsers::development("local", "dev"))),
            stores: stores(Capacity::default()),
            keys: Reloadable::new(KeyRing::new(vec![key]).unwrap()),
            hmac: Reloadable::new(HmacRing::new(vec![vec![7; 32].into()]).unwrap()),
            egress,
            clock: clock.shared(),
            metrics: Arc::new(Metrics::new("test")),
            tasks: TaskTracker::new(),
        };
        change(&mut parts);
        Self { server: AuthServer::new(parts), clock }
    }

    pub(crate) async fn call(&self, request: Request<Bytes>) -> Response<Bytes> {
        self.server.handle(request, Source { addr: IpAddr::from([192, 0, 2, 1]) }).await
    }

    pub(crate) async fn post_json(&self, path: &str, body: &Value) -> Response<Bytes> {
        let request =
            Request::builder().method(Method::POST).uri(path).header(CONTENT_TYPE, "application/json");
        self.call(request.body(Bytes::from(body.to_string())).unwrap()).await
    }

    /// Registers a public client with [`REDIRECT`].
    pub(crate) async fn register(&self) -> String {
        let answer = self
            .post_json(
                "/oauth/register",
                &serde_json::json!({"client_name": "Test client", "redirect_uris": [REDIRECT]}),
            )
            .await;
        assert_eq!(answer.status(), StatusCode::CREATED);
        json(&answer)["client_id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn token(&self, form: &[(&str, &str)]) -> Response<Bytes> {
        self.token_with(form, |request| request).await
    }

    pub(crate) async fn token_with(
        &self,
        form: &[(&str, &str)],
        change: impl FnOnce(http::request::Builder) -> http::request::Builder,
    ) -> Response<Bytes> {
        let request = Request::builder().method(Method::POST).uri("/oauth/token");
        let request = change(request.header(CONTENT_TYPE, "application/x-www-form-urlencoded"));
        self.call(request.body(Bytes::from(thv_oauth::params::encode(form))).unwrap()).await
    }

    /// A whole login of a freshly registered client; the token response.
    pub(crate) async fn log_in(&self, scope: &str) -> (String, Value) {
        let client_id = self.register().await;
        let flow = Flow::new(&client_id);
        let code = Browser::new(self).authorize(&flow.query(&[("scope", scope)])).await;
        let answer = self.redeem(&flow, &code).await;
        assert_eq!(answer.status(), StatusCode::OK, "{:?}", answer.body());
        (client_id, json(&answer))
    }

    pub(crate) async fn redeem(&self, flow: &Flow, code: &str) -> Response<Bytes> {
        self.token(&flow.redemption(code)).await
    }

    pub(crate) async fn refresh(&self, client_id: &str, refresh_token: &str) -> Response<Bytes> {
        let form =
            [("grant_type", "refresh_token"), ("client_id", client_id), ("refresh_token", refresh_token)];
        self.token(&form).await
    }
}

/// The client's side of one authorization.
pub(crate) struct Flow {
    pub(crate) client_id: String,
    pub(crate) redirect_uri: String,
    pub(crate) verifier: CodeVerifier,
}

impl Flow {
    pub(crate) fn new(client_id: &str) -> Self {
        Self {
            client_id: client_id.to_owned(),
            redirect_uri: REDIRECT.to_owned(),
            verifier: CodeVerifier::from_random([3; 32]),
        }
    }

    /// The query of an authorization request; `change` replaces, or with an empty value removes, parameters.
    pub(crate) fn query(&self, change: &[(&str, &str)]) -> String {
        let challenge = self.verifier.challenge();
        let mut pairs = BTreeMap::from([
            ("client_id", self.client_id.as_str()),
            ("redirect_uri", &self.redirect_uri),
            ("response_type", "code"),
            ("state", "client-state"),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
        ]);
        pairs.extend(change.iter().copied());
        let pairs: Vec<_> = pairs.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        thv_oauth::params::encode(&pairs)
    }

    pub(crate) fn redemption<'a>(&'a self, code: &'a str) -> [(&'a str, &'a str); 5] {
        [
            ("grant_type", "authorization_code"),
            ("client_id", &self.client_id),
            ("code", code),
            ("redirect_uri", &self.redirect_uri),
            ("code_verifier", self.verifier.expose()),
        ]
    }
}

/// A browser: cookies, forms, redirects on request.
pub(crate) struct Browser<'a> {
    fixture: &'a Fixture,
    pub(crate) cookies: BTreeMap<String, String>,
}

impl<'a> Browser<'a> {
    pub(crate) fn new(fixture: &'a Fixture) -> Self {
        Self { fixture, cookies: BTreeMap::new() }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Response<Bytes> {
        self.send(Method::GET, path, Bytes::new()).await
    }

    pub(crate) async fn submit(&mut self, path: &str, fields: &[(&str, &str)]) -> Response<Bytes> {
        self.send(Method::POST, path, Bytes::from(thv_oauth::params::encode(fields))).await
    }

    async fn send(&mut self, method: Method, path: &str, body: Bytes) -> Response<Bytes> {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(COOKIE, cookies.join("; "))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body)
            .unwrap();
        let response = self.fixture.call(request).await;
        for line in response.headers().get_all(SET_COOKIE) {
            let (pair, _) = line.to_str().unwrap().split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        response
    }

    /// The consent page for an authorization request.
    pub(crate) async fn consent_page(&mut self, query: &str) -> Page {
        let response = self.get(&format!("/oauth/authorize?{query}")).await;
        assert_eq!(response.status(), StatusCode::OK, "{}", text(&response));
        Page(text(&response))
    }

    /// Decides on a consent page.
    pub(crate) async fn decide(&mut self, page: &Page, decision: &str) -> Response<Bytes> {
        self.submit("/oauth/consent", &[("ticket", &page.field("ticket")), ("decision", decision)]).await
    }

    /// Signs in on the development login page that `redirect` leads to.
    pub(crate) async fn sign_in(&mut self, redirect: &Response<Bytes>) -> Response<Bytes> {
        let page = self.get(&location(redirect)).await;
        let page = Page(text(&page));
        self.submit("/oauth/login", &[("state", &page.field("state")), ("username", "dev")]).await
    }

    /// The whole way to the client's redirect; the code in it.
    pub(crate) async fn authorize(&mut self, query: &str) -> String {
        let page = self.consent_page(query).await;
        let mut response = self.decide(&page, "approve").await;
        if location(&response).starts_with("/oauth/login") {
            response = self.sign_in(&response).await;
        }
        answer(&response)["code"].clone()
    }
}

/// A page of ours.
pub(crate) struct Page(pub(crate) String);

impl Page {
    /// The value of a hidden field.
    pub(crate) fn field(&self, name: &str) -> String {
        let marker = format!("name=\"{name}\" value=\"");
        let (_, rest) = self.0.split_once(&marker).unwrap_or_else(|| panic!("no field {name} in {}", self.0));
        rest.split_once('"').unwrap().0.to_owned()
    }
}

pub(crate) fn text(response: &Response<Bytes>) -> String {
    String::from_utf8(response.body().to_vec()).unwrap()
}

pub(crate) fn json(response: &Response<Bytes>) -> Value {
    serde_json::from_slice(response.body()).unwrap_or_else(|error| panic!("{error}: {}", text(response)))
}

pub(crate) fn location(response: &Response<Bytes>) -> String {
    let location = response.headers().get(LOCATION);
    location.unwrap_or_else(|| panic!("no redirect: {}", text(response))).to_str().unwrap().to_owned()
}

/// The parameters of the redirect to the client.
pub(crate) fn answer(response: &Response<Bytes>) -> HashMap<String, String> {
    assert_eq!(response.status(), StatusCode::SEE_OTHER, "{}", text(response));
    let location = location(response);
    let (uri, query) = location.split_once('?').unwrap();
    assert!(uri == REDIRECT || !uri.starts_with('/'), "not a redirect to the client: {location}");
    let params = Params::parse(query.as_bytes()).unwrap();
    ["code", "state", "iss", "error", "error_description"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), params.one(name).unwrap()?.to_owned())))
        .collect()
}

/// Asserts that this is an error page with a reason code and a correlation id, and no redirect.
pub(crate) fn assert_page(response: &Response<Bytes>, status: u16, reason: &str) {
    assert_eq!(response.status().as_u16(), status, "{}", text(response));
    assert!(response.headers().get(LOCATION).is_none());
    let page = text(response);
    assert!(page.contains(&format!("<code>{reason}</code>")), "{reason} is not in {page}");
    assert!(page.contains("<dt>Number</dt>"));
}

/// Asserts that this is an OAuth error in JSON.
pub(crate) fn assert_error(response: &Response<Bytes>, status: u16, error: &str, reason: &str) {
    let body = json(response);
    assert_eq!((response.status().as_u16(), body["error"].as_str().unwrap()), (status, error), "{body}");
    let description = body["error_description"].as_str().unwrap();
    assert!(description.starts_with(&format!("{reason}:")), "{description}");
}
