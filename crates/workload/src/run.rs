//! Running a workload: the proxy on this machine, what is behind it, and what it says of itself.

mod command;
mod error;
mod front;
mod headers;
mod keep;
mod removal;
mod secrets;
mod session;
mod signals;
mod socket;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use thv_clock::SharedClock;
use thv_config::{Config, GoDuration, Profile};
use thv_egress::Roots;
use thv_gateway::listener::{Limits, Listener};
use thv_gateway::peer::TrustedProxies;
use thv_gateway::{Options, Running as Gateway};
use thv_proxy::HostOriginGuard;
use thv_remote::forward::Forward;
use thv_remote::session::{AuthState, Session};
use thv_remote::ui::Ui;
use thv_secrets::SecretStore;
use thv_stdio::Bridge;
use thv_telemetry::Metrics;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

pub use error::RunError;
pub use removal::remove;
pub use secrets::{Kind, WorkloadSecrets};
pub use session::open_session;
pub use signals::Signals;

use crate::definition::{Definition, host};
use crate::paths::Paths;
use crate::port_owner::who_listens;
use crate::run_lock::RunLock;
use crate::settings::Settings;
use crate::status::{Auth, State, Status};
use crate::store::Store;
use front::{Backend, Front, MCP_PATH};
use signals::Order;
use socket::Socket;

/// How often the command is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long running requests may go on once the workload is to end.
const DRAIN: Duration = Duration::from_secs(3);

/// What workloads stand on.
pub struct Environment {
    /// Where everything is.
    pub paths: Paths,
    /// The user's settings.
    pub settings: Settings,
    /// The user's secrets.
    pub secrets: SecretStore,
    /// The user.
    pub ui: Arc<dyn Ui>,
    /// The time.
    pub clock: SharedClock,
    /// The program's version.
    pub version: &'static str,
}

/// A workload that serves.
pub struct Running {
    /// The URL for MCP clients of this machine.
    pub url: String,
    stop: CancellationToken,
    tasks: TaskTracker,
    session: Option<Session>,
    backend: Arc<Backend>,
    gateway: Option<Gateway>,
    status: Status,
    reloading: Option<AbortOnDropHandle<()>>,
    _background: Vec<AbortOnDropHandle<()>>,
}

/// Starts a workload whose lock is held. Its status says that it runs as soon as it does, and its definition then has the port
/// that was chosen for it: the URL that clients are given stays.
///
/// # Errors
/// [`RunError`].
pub async fn start(
    definition: &Definition,
    environment: &Environment,
    session: Option<Session>,
    roots: &Roots,
    lock: &RunLock,
) -> Result<Running, RunError> {
    let socket = bind(definition).await?;
    let address = local_address(&socket, definition)?;
    let url = format!("http://{}{MCP_PATH}", reachable(address));
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let backend = Arc::new(backend(definition, environment, session.clone(), roots).await?);
    let mut background = Vec::new();
    let (gateway, url) = match &definition.auth_server {
        None => {
            let front = Front::new(guard(definition, address), Arc::clone(&backend));
            let limits = Limits { connections_per_source: usize::MAX, drain: DRAIN, ..Limits::default() };
            let listener = Listener {
                socket,
                tls: None,
                limits,
                trusted: TrustedProxies::new([]),
                metrics: Arc::new(Metrics::new(environment.version)),
            };
            let served = listener.serve(front, stop.clone());
            tasks.spawn(async move { drop(served.await) });
            (None, url)
        }
        Some(file) => {
            let path = environment.paths.socket(&definition.name);
            let inner = Socket::bind(&path)?;
            let guard = HostOriginGuard::new(["localhost"], definition.allowed_origins.iter().cloned());
            let front = Front::new(guard, Arc::clone(&backend));
            let gateway = with_authorization_server(file, socket, inner.path(), environment).await?;
            background.push(AbortOnDropHandle::new(tokio::spawn(inner.serve(front))));
            gateway
        }
    };
    tasks.close();
    let mut status = Status::new(definition.name.clone(), State::Running);
    status.url = Some(url.clone());
    status.transport = Some(definition.transport());
    status.started_at = Some(environment.clock.now());
    if let Some(session) = &session {
        show_auth(&mut status, *session.state().borrow());
        let fresh = session.clone();
        background.push(AbortOnDropHandle::new(tokio::spawn(async move { fresh.keep_fresh().await })));
    }
    if definition.proxy_port.is_none() {
        let kept = Definition { proxy_port: Some(address.port()), ..definition.clone() };
        Store::new(environment.paths.clone()).replace(lock, &kept)?;
    }
    lock.report(&status)?;
    Ok(Running {
        url,
        stop,
        tasks,
        session,
        backend,
        gateway,
        status,
        reloading: None,
        _background: background,
    })
}

impl Running {
    /// Serves until it is told to stop, telling the status whenever it changes.
    pub async fn until(mut self, lock: &RunLock, signals: &mut Signals) {
        let mut login = self.session.as_ref().map(Session::state);
        loop {
            let order = tokio::select! {
                order = signals.next() => Some(order),
                status = self.changed(login.as_mut()) => {
                    if status != self.status {
                        tell(lock, &status);
                        self.status = status;
                    }
                    None
                }
            };
            match order {
                Some(Order::Stop) => break,
                Some(Order::ReloadLogin) => self.reload_login(),
                None => {}
            }
        }
        self.end(lock).await;
    }

    /// It may have to wait for a login that is under way; orders must not.
    fn reload_login(&mut self) {
        let Some(session) = self.session.clone() else { return };
        self.reloading = Some(AbortOnDropHandle::new(tokio::spawn(async move {
            if let Err(error) = session.reload().await {
                tracing::warn!(error = thv_telemetry::chain(&error), "the stored login cannot be taken over");
            }
        })));
    }

    /// The status after the next change of the login or of the command.
    async fn changed(&self, login: Option<&mut watch::Receiver<AuthState>>) -> Status {
        let mut status = self.status.clone();
        match (login, &*self.backend) {
            (Some(login), _) => match login.changed().await {
                Ok(()) => show_auth(&mut status, *login.borrow()),
                // The session lives as long as this does.
                Err(_) => std::future::pending().await,
            },
            (None, Backend::Command(bridge)) => {
                tokio::time::sleep(LOOK).await;
                show_command(&mut status, bridge.status());
            }
            (None, Backend::Remote(_)) => std::future::pending().await,
        }
        status
    }

    async fn end(self, lock: &RunLock) {
        let mut status = self.status;
        status.state = State::Stopping;
        tell(lock, &status);
        self.stop.cancel();
        if let Some(gateway) = self.gateway {
            gateway.stop_token().cancel();
            gateway.stopped().await;
        }
        self.tasks.wait().await;
        // Last, so that what it is working on can be answered.
        if let Backend::Command(bridge) = &*self.backend {
            bridge.stop().await;
        }
        status.state = State::Stopped;
        tell(lock, &status);
    }
}

/// A status that cannot be written does not end what it is about.
fn tell(lock: &RunLock, status: &Status) {
    if let Err(error) = lock.report(status) {
        tracing::warn!(error = thv_telemetry::chain(&error), "the status cannot be written");
    }
}

async fn bind(definition: &Definition) -> Result<TcpListener, RunError> {
    let address = SocketAddr::new(definition.host, definition.proxy_port.unwrap_or(0));
    TcpListener::bind(address).await.map_err(|source| {
        let holder = who_listens(address.port()).map(|owner| owner.describe());
        RunError::Listen { address, holder, source }
    })
}

fn local_address(socket: &TcpListener, definition: &Definition) -> Result<SocketAddr, RunError> {
    let wanted = SocketAddr::new(definition.host, 0);
    socket.local_addr().map_err(|source| RunError::Listen { address: wanted, holder: None, source })
}

/// An address that clients of this machine can connect to.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, address.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, address.port()).into(),
        _ => address,
    }
}

async fn backend(
    definition: &Definition,
    environment: &Environment,
    session: Option<Session>,
    roots: &Roots,
) -> Result<Backend, RunError> {
    if let Some(session) = session {
        return Ok(Backend::Remote(Box::new(Forward::new(session, roots)?)));
    }
    let secrets = WorkloadSecrets::new(environment.secrets.clone(), definition.name.clone());
    let server = command::server(definition, &secrets).await?;
    let options = thv_stdio::Options { clock: Arc::clone(&environment.clock), ..Default::default() };
    Ok(Backend::Command(Bridge::start(server, options)?))
}

/// Names of this machine with the proxy's port, and web pages of the same.
fn guard(definition: &Definition, address: SocketAddr) -> HostOriginGuard {
    let port = address.port();
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "[::1]".to_owned()];
    if !definition.host.is_unspecified() {
        names.push(match definition.host {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        });
    }
    let mut hosts: Vec<String> = names.iter().map(|name| format!("{name}:{port}")).collect();
    let mut origins: Vec<String> = hosts.iter().map(|host| format!("http://{host}")).collect();
    hosts.extend(definition.allowed_hosts.iter().map(|host| match host::has_port(host) {
        true => host.clone(),
        false => format!("{host}:{port}"),
    }));
    origins.extend(definition.allowed_origins.iter().cloned());
    HostOriginGuard::new(hosts, origins)
}

/// The gateway with an embedded authorization server, before the workload's own door.
async fn with_authorization_server(
    file: &Path,
    socket: TcpListener,
    inner: &Path,
    environment: &Environment,
) -> Result<(Option<Gateway>, String), RunError> {
    let mut config = Config::load(file)?;
    config.server.url = Some(format!("http://localhost{MCP_PATH}"));
    // A workload ends while somebody waits for it.
    config.limits.drain_timeout = config.limits.drain_timeout.min(GoDuration::from_secs(DRAIN.as_secs()));
    let url = config.resource();
    let mut options = Options::new(Profile::Production, Arc::clone(&environment.clock), environment.version);
    options.socket = Some(socket);
    options.backend_socket = Some(inner.to_owned());
    let gateway = thv_gateway::run(config, options).await.map_err(RunError::Gateway)?;
    Ok((Some(gateway), url))
}

fn show_auth(status: &mut Status, state: AuthState) {
    (status.state, status.auth) = match state {
        AuthState::NotNeeded => (State::Running, Auth::NotNeeded),
        AuthState::Authenticated => (State::Running, Auth::Authenticated),
        AuthState::Retrying => (State::AuthRetrying, Auth::AuthRetrying),
        AuthState::Unauthenticated => (State::Unauthenticated, Auth::Unauthenticated),
    };
}

fn show_command(status: &mut Status, command: thv_stdio::Status) {
    use thv_stdio::Status as Command;
    (status.state, status.detail) = match command {
        Command::Starting => (State::Starting, None),
        Command::Running { restarts, .. } => {
            status.restarts = u32::try_from(restarts).unwrap_or(u32::MAX);
            (State::Running, None)
        }
        Command::Failed { reason } => (State::Unhealthy, Some(reason)),
        Command::Stopped => (State::Stopping, None),
    };
}
