//! One user, one MCP server, its authorization server.

use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use secrecy::SecretString;
use tempfile::TempDir;
use thv_clock::{ManualClock, Timestamp};
use thv_egress::Roots;
use thv_remote::error::LoginError;
use thv_remote::forward::Forward;
use thv_remote::reach::Reach;
use thv_remote::session::{Demand, Session, SessionConfig, SharedLoginError};
use thv_remote::settings::AuthSettings;
use thv_testkit::certs::TestCa;

use super::authorization_server::AuthorizationServer;
use super::memory::Memory;
use super::resource::Resource;
use super::user::{Seen, User, within};

pub(crate) const START: Timestamp = Timestamp::from_secs(1_800_000_000);

/// Longer than the pause after a login.
pub(crate) const A_MINUTE: Duration = Duration::from_secs(60);

pub(crate) struct World {
    pub(crate) idp: AuthorizationServer,
    pub(crate) mcp: Resource,
    pub(crate) user: Arc<User>,
    pub(crate) keep: Arc<Memory>,
    pub(crate) clock: ManualClock,
    pub(crate) settings: AuthSettings,
    pub(crate) client_secret: Option<SecretString>,
    pub(crate) shared: TempDir,
    roots: Roots,
}

impl World {
    /// The MCP server names the authorization server, which takes documents and registrations.
    pub(crate) async fn start() -> Self {
        let (idp, mcp) = (AuthorizationServer::start().await, Resource::start().await);
        Self::of(idp, mcp, None)
    }

    pub(crate) async fn start_https() -> Self {
        let ca = TestCa::new();
        let (idp, mcp) = (AuthorizationServer::start_https(&ca).await, Resource::start_https(&ca).await);
        Self::of(idp, mcp, Some(&ca))
    }

    fn of(idp: AuthorizationServer, mcp: Resource, ca: Option<&TestCa>) -> Self {
        mcp.names(&[idp.issuer()]);
        mcp.trusts(&idp.state);
        let shared = tempfile::tempdir().unwrap();
        let ca_file = ca.map(|ca| ca.write(shared.path()));
        let settings = AuthSettings { callback_port: Some(free_port()), ..AuthSettings::default() };
        Self {
            idp,
            mcp,
            user: User::new(ca.map(TestCa::ca_pem)),
            keep: Arc::default(),
            clock: ManualClock::at(START),
            settings,
            client_secret: None,
            roots: Roots::load(ca_file.as_deref()).unwrap(),
            shared,
        }
    }

    pub(crate) async fn reach(&self) -> Reach {
        Reach::of(&self.mcp.url(), &self.settings, None, &self.roots).await
    }

    pub(crate) async fn config(&self) -> SessionConfig {
        SessionConfig {
            headers: HeaderMap::new(),
            server_url: self.mcp.url(),
            settings: self.settings.clone(),
            client_secret: self.client_secret.clone(),
            bearer_token: None,
            token_exchange: None,
            reach: self.reach().await,
            clock: self.clock.shared(),
            ui: Arc::new(Seen(Arc::clone(&self.user))),
            keep: self.keep.clone(),
            shared: self.shared.path().join("shared"),
        }
    }

    /// A process with this login.
    pub(crate) async fn process(&self) -> Process {
        self.process_of(self.config().await).await
    }

    pub(crate) async fn process_of(&self, config: SessionConfig) -> Process {
        let session = Session::open(config).await.unwrap();
        let forward = Forward::new(session.clone(), &self.roots).unwrap();
        Process { session, forward: Arc::new(forward) }
    }

    /// A process whose user has just logged in.
    pub(crate) async fn logged_in(&self) -> Process {
        let process = self.process().await;
        assert_eq!(process.call().await.status, StatusCode::OK);
        process
    }

    pub(crate) fn redirect_uri(&self) -> String {
        format!("http://localhost:{}/callback", self.port())
    }

    pub(crate) fn port(&self) -> u16 {
        self.settings.callback_port.unwrap()
    }

    /// Logs in, and gives why that failed.
    pub(crate) async fn fails_to_log_in(&self) -> LoginError {
        let process = self.process().await;
        let error = within(process.session.obtain(Demand::Login, None)).await.unwrap_err();
        drop(process);
        Arc::into_inner(error).expect("nobody else has the error")
    }
}

/// A session, and a way for requests.
#[derive(Clone)]
pub(crate) struct Process {
    pub(crate) session: Session,
    pub(crate) forward: Arc<Forward<Full<Bytes>>>,
}

/// What an MCP client got.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Process {
    /// A call of an MCP client.
    pub(crate) async fn call(&self) -> Got {
        let request =
            Request::builder().method(Method::POST).uri("/mcp").header("content-type", "application/json");
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#;
        self.send(request.body(Full::from(body)).unwrap()).await
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Got {
        let response = within(self.forward.forward(request)).await;
        let (head, body) = response.into_parts();
        let body = within(body.collect()).await.unwrap().to_bytes();
        Got { status: head.status, headers: head.headers, body: String::from_utf8_lossy(&body).into_owned() }
    }

    /// The user wants to log in.
    pub(crate) async fn log_in(&self) -> Result<(), SharedLoginError> {
        within(self.session.obtain(Demand::Login, None)).await.map(drop)
    }
}

/// A port that nobody has, outside the range from which systems choose for others.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let offset = NEXT.fetch_add(1, Ordering::SeqCst);
        let spread = u16::try_from(std::process::id() % 10_000).unwrap();
        let port = 20_000 + (spread + offset * 7) % 12_000;
        let v4 = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        let v6 = TcpListener::bind((Ipv6Addr::LOCALHOST, port));
        if v4.is_ok() && v6.is_ok() {
            return port;
        }
    }
}
