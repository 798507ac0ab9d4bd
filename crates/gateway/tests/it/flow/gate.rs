use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, Method, Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde_json::Value;
use thv_clock::{ManualClock, Timestamp};
use thv_config::{AuthServer, Config, Profile};
use thv_gateway::{Options, Running, bind, run};
use thv_jose::verify::peek_unverified;
use thv_testkit::browser::{Browser, Page};
use thv_testkit::certs::TestCa;
use thv_testkit::connector::Connector;
use thv_testkit::oauth_client::{AuthorizationRequest, AuthorizationServer, Callback, Tokens, log_in, walk};

/// When the tests happen.
pub(super) const T0: Timestamp = Timestamp::from_secs(1_800_000_000);
/// Where the client would be called back.
pub(super) const REDIRECT_URI: &str = "http://127.0.0.1:7777/callback";
pub(super) const SCOPE: &str = "openid offline_access";
/// What a client sends.
pub(super) const TOOL_CALL: &str =
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{}}}"#;
pub(super) const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#;

pub(super) fn clock() -> ManualClock {
    ManualClock::at(T0)
}

/// A running gateway and the way to it.
pub(super) struct Gate {
    pub(super) running: Running,
    pub(super) clock: ManualClock,
    pub(super) origin: String,
    connector: Connector,
    browser: Browser,
}

/// A user's login with a client.
pub(super) struct Session {
    pub(super) browser: Browser,
    pub(super) server: AuthorizationServer,
    pub(super) client_id: String,
    pub(super) tokens: Tokens,
}

/// A whole response of the MCP endpoint.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn challenge(&self) -> &str {
        self.headers.get("www-authenticate").map_or("", |challenge| challenge.to_str().unwrap())
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}

impl Gate {
    /// A development gateway before the MCP server at `backend`.
    pub(super) async fn start(clock: &ManualClock, backend: &str, change: impl FnOnce(&mut Config)) -> Self {
        Self::watching(clock, backend, thv_gateway::watch::INTERVAL, change).await
    }

    /// As [`Self::start`], looking at key files this often.
    pub(super) async fn watching(
        clock: &ManualClock,
        backend: &str,
        watch_interval: Duration,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let configure = |address: SocketAddr| {
            let mut config = Config::development(address, Some(backend));
            config.metrics_listen = Some("127.0.0.1:0".parse().unwrap());
            change(&mut config);
            config
        };
        Self::run(Profile::Development, clock, watch_interval, configure, None).await
    }

    /// A production gateway on https that is known to its clients as `host`; `configure` gets the address that is listened
    /// on.
    pub(super) async fn production(
        clock: &ManualClock,
        ca: &TestCa,
        host: &str,
        configure: impl FnOnce(SocketAddr) -> Config,
    ) -> Self {
        let interval = thv_gateway::watch::INTERVAL;
        Self::run(Profile::Production, clock, interval, configure, Some((ca, host))).await
    }

    async fn run(
        profile: Profile,
        clock: &ManualClock,
        watch_interval: Duration,
        configure: impl FnOnce(SocketAddr) -> Config,
        https: Option<(&TestCa, &str)>,
    ) -> Self {
        let socket = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = socket.local_addr().unwrap();
        let config = configure(address);
        let origin = config.public_url.clone();
        let pem = https.map(|(ca, _)| ca.ca_pem());
        let mut connector = Connector::new(pem.as_deref());
        let mut browser = Browser::new(pem.as_deref());
        if let Some((_, host)) = https {
            connector = connector.resolve(host, address);
            browser = browser.resolve(host, address);
        }
        let mut options = Options::new(profile, clock.shared(), "0");
        options.socket = Some(socket);
        options.watch_interval = watch_interval;
        let running = run(config, options).await.unwrap_or_else(|error| panic!("{error:#?}"));
        Self { running, clock: clock.clone(), origin, connector, browser }
    }

    pub(super) fn resource(&self) -> String {
        format!("{}/mcp", self.origin)
    }

    pub(super) fn browser(&self) -> Browser {
        self.browser.clone()
    }

    pub(super) async fn get(&self, path: &str) -> Page {
        self.browser().get(&format!("{}{path}", self.origin)).await
    }

    pub(super) async fn discover(&self) -> AuthorizationServer {
        AuthorizationServer::discover(&mut self.browser(), &self.origin).await
    }

    /// A login of a client that registers first.
    pub(super) async fn log_in(&self) -> Session {
        let server = self.discover().await;
        let client_id = server.register_public(&mut self.browser(), REDIRECT_URI).await;
        self.log_in_as(&client_id, &[]).await
    }

    /// A login of this client by a user who fills in `answers`.
    pub(super) async fn log_in_as(&self, client_id: &str, answers: &[(&str, &str)]) -> Session {
        let (mut browser, server) = (self.browser(), self.discover().await);
        let tokens = log_in(&mut browser, &server, &self.request(client_id), answers).await;
        Session { browser, server, client_id: client_id.to_owned(), tokens }
    }

    pub(super) fn request(&self, client_id: &str) -> AuthorizationRequest {
        let request = AuthorizationRequest::new(client_id, REDIRECT_URI);
        request.with("scope", SCOPE).with("resource", &self.resource())
    }

    /// What the client is told at the end of a login that may fail.
    pub(super) async fn try_log_in(&self) -> Callback {
        let (mut browser, server) = (self.browser(), self.discover().await);
        let client_id = server.register_public(&mut browser, REDIRECT_URI).await;
        let request = self.request(&client_id);
        let page = browser.get(&request.url(&server)).await;
        let callback = walk(&mut browser, page, REDIRECT_URI, &[]).await;
        assert_eq!(callback.get("state"), Some(request.state.as_str()));
        assert_eq!(callback.get("iss"), Some(self.origin.as_str()));
        callback
    }

    /// The beginning of a request to the MCP endpoint.
    pub(super) fn to_mcp(&self, method: Method, token: &str) -> http::request::Builder {
        let request = Request::builder().method(method).uri(self.resource());
        let request = request.header(ACCEPT, "application/json, text/event-stream");
        request.header(CONTENT_TYPE, "application/json").header(AUTHORIZATION, format!("Bearer {token}"))
    }

    /// A tool call with this token.
    pub(super) async fn call(&self, token: &str) -> Answer {
        self.post(token, TOOL_CALL).await
    }

    pub(super) async fn post(&self, token: &str, body: &'static str) -> Answer {
        self.whole(self.to_mcp(Method::POST, token).body(Full::from(body)).unwrap()).await
    }

    /// Sends a request and reads the whole response.
    pub(super) async fn whole<B>(&self, request: Request<B>) -> Answer
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
    {
        let (head, body) = self.send(request).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        Answer { status: head.status.as_u16(), headers: head.headers, body }
    }

    /// Sends a request; the response may go on.
    pub(super) async fn send<B>(&self, request: Request<B>) -> Response<Incoming>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
    {
        self.connector.send(request).await.unwrap()
    }

    /// The page of metrics.
    pub(super) async fn metrics(&self) -> String {
        let url = format!("http://{}/metrics", self.running.metrics_address.unwrap());
        self.browser().get(&url).await.text().to_owned()
    }
}

impl Session {
    pub(super) fn token(&self) -> &str {
        self.tokens.access_token()
    }

    /// The claims of the access token.
    pub(super) fn claims(&self) -> Value {
        peek_unverified(self.token()).unwrap()
    }

    /// Uses the refresh token; the tokens become the new ones.
    pub(super) async fn refresh(&mut self) {
        let page = self.tokens.refresh(&mut self.browser, &self.server, &self.client_id).await;
        self.tokens = Tokens::of(&page);
    }
}

/// The embedded authorization server's part of a configuration.
pub(super) fn auth_server(config: &mut Config) -> &mut AuthServer {
    config.auth_server.as_mut().unwrap()
}
