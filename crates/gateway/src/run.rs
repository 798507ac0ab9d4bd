//! A gateway process from start to drain.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::header::HeaderName;
use thv_clock::SharedClock;
use thv_config::{Config, Problem, Problems, Profile, Severity};
use thv_egress::Roots;
use thv_proxy::Inject;
use thv_telemetry::Metrics;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::check::check;
use crate::compose::{self, Embedded, Shared};
use crate::devserver::DevServer;
use crate::front::{Front, OperatorFront, Parts};
use crate::keys::{self, Keys, Unconfigured};
use crate::listener::{Limits, Listener};
use crate::peer::TrustedProxies;
use crate::tls::Tls;
use crate::watch;

/// What is not part of the configuration.
pub struct Options {
    /// For whom the configuration is.
    pub profile: Profile,
    /// The time.
    pub clock: SharedClock,
    /// The program's version, for `/metrics`.
    pub version: &'static str,
    /// A socket that is already bound to `config.listen`; bound here when absent.
    pub socket: Option<TcpListener>,
    /// A Unix socket on which the MCP server at `config.server.url` listens, in place of that URL's host: for one that runs
    /// in the same process or pod, and is nobody else's to reach.
    pub backend_socket: Option<PathBuf>,
    /// How often key and certificate files are looked at.
    pub watch_interval: Duration,
}

impl Options {
    /// Options of an ordinary process.
    pub fn new(profile: Profile, clock: SharedClock, version: &'static str) -> Self {
        Self { profile, clock, version, socket: None, backend_socket: None, watch_interval: watch::INTERVAL }
    }
}

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration, or something it refers to, cannot be used.
    #[error("the configuration cannot be used")]
    Configuration(#[source] Problems),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The built-in development server has no port.
    #[error("cannot start the built-in MCP server")]
    DevServer(#[source] io::Error),
}

impl From<Problems> for StartError {
    fn from(problems: Problems) -> Self {
        Self::Configuration(problems)
    }
}

impl From<Problem> for StartError {
    fn from(problem: Problem) -> Self {
        Self::Configuration(problem.into())
    }
}

impl StartError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Bind { source, .. } if source.kind() == io::ErrorKind::AddrInUse => Some(
                "another program listens there; choose another address with `--listen` or the key `listen`",
            ),
            Self::Bind { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("ports below 1024 need a privilege; choose a higher port")
            }
            _ => None,
        }
    }
}

/// A gateway that serves.
pub struct Running {
    /// Where the public listener is bound.
    pub address: SocketAddr,
    /// Where the operator's listener is bound.
    pub metrics_address: Option<SocketAddr>,
    stop: CancellationToken,
    done: JoinHandle<()>,
}

impl Running {
    /// Cancel it to stop: nothing new is accepted, and what runs gets `limits.drainTimeout` to finish.
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Waits until everything has ended after a stop.
    pub async fn stopped(self) {
        // The task ends by itself; it is never aborted.
        let _ = self.done.await;
    }
}

/// Starts a gateway. Everything that can be wrong with the configuration is reported at once; remote parties may be down.
///
/// # Errors
/// See [`StartError`].
pub async fn run(config: Config, options: Options) -> Result<Running, StartError> {
    let Options { profile, clock, version, socket, backend_socket, watch_interval } = options;
    refuse_or_warn(check(&config, profile))?;
    let metrics = Arc::new(Metrics::new(version));
    let roots = Roots::load(config.egress.ca_bundle.as_deref());
    let roots = roots.map_err(|error| compose::at("egress.caBundle", &error))?;
    let shared = Shared { clock, metrics, roots };
    let tasks = TaskTracker::new();
    // The public listener stops first; what it needs, when it has drained.
    let (stop, late) = (CancellationToken::new(), CancellationToken::new());
    let keys = load_keys(&config, profile, &shared)?;

    let trusted = TrustedProxies::new(config.trusted_proxies.iter().copied());
    let built_in = start_dev_server(&config, &late).await?;
    let target =
        built_in.as_ref().map(DevServer::url).or_else(|| config.server.url.clone()).unwrap_or_default();
    let embedded = match config.auth_server.as_ref().zip(keys.as_ref()) {
        Some((server, keys)) => Some(Embedded::new(&config, server, profile, keys, &shared, &tasks)?),
        None => None,
    };
    let backend =
        compose::Backend { url: &target, socket: backend_socket.as_deref(), built_in: built_in.is_some() };
    let mcp = compose::mcp_door(&config, profile, &backend, embedded.as_ref(), &shared)?;
    let store = embedded.as_ref().map(Embedded::store);
    if let Some((server, store)) = config.auth_server.as_ref().zip(store.as_ref()) {
        tracing::info!(
            issuer = server.issuer,
            store.kind = store.kind().as_str(),
            store.place = store.place(),
            "the authorization server starts"
        );
    }
    if let Some(embedded) = embedded.clone() {
        tasks.spawn(late.clone().run_until_cancelled_owned(embedded.follow_events()));
    }
    let front = Front::new(Parts {
        mcp_path: config.server.path.clone(),
        mcp,
        authorization_server: embedded.map(|embedded| (Arc::new(embedded) as _, issuer_path(&config))),
        trusted: trusted.clone(),
        metrics: Arc::clone(&shared.metrics),
    });

    let tls = config.tls.as_ref().map(compose::certificate_files).map(Tls::load).transpose();
    let tls = tls.map_err(|error| compose::at("tls", &error))?;
    let socket = match socket {
        Some(socket) => socket,
        None => bind(config.listen).await?,
    };
    let address =
        socket.local_addr().map_err(|source| StartError::Bind { address: config.listen, source })?;
    let limits = Limits {
        connections: usize::try_from(config.limits.max_connections).unwrap_or(usize::MAX),
        connections_per_source: usize::try_from(config.limits.max_connections_per_source)
            .unwrap_or(usize::MAX),
        drain: config.limits.drain_timeout.get(),
        ..Limits::default()
    };
    let operator = match config.metrics_listen {
        Some(address) => Some(bind(address).await?),
        None => None,
    };
    let metrics_address = operator.as_ref().and_then(|socket| socket.local_addr().ok());

    let listener = |socket, tls, limits| Listener {
        socket,
        tls,
        limits,
        trusted: trusted.clone(),
        metrics: Arc::clone(&shared.metrics),
    };
    let public = listener(socket, tls.clone(), limits).serve(front.clone(), stop.clone());
    if let Some(socket) = operator {
        let limits = Limits { connections: 64, drain: Duration::from_secs(1), ..Limits::default() };
        let operator = OperatorFront { front: front.clone() };
        tasks.spawn(ended(listener(socket, None, limits).serve(operator, late.clone())));
    }
    if let Some(built_in) = built_in {
        tasks.spawn(ended(built_in.task));
    }
    tasks.spawn(late.clone().run_until_cancelled_owned(follow_files(keys, tls, front, watch_interval)));
    let done = tokio::spawn(async move {
        let _ = public.await;
        late.cancel();
        tasks.close();
        tasks.wait().await;
        if let Some(store) = store {
            store.close().await;
        }
    });
    Ok(Running { address, metrics_address, stop, done })
}

/// Binds an address.
///
/// # Errors
/// When it is in use or not ours.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Bind { address, source })
}

fn refuse_or_warn(problems: Vec<Problem>) -> Result<(), Problems> {
    let (errors, warnings): (Vec<_>, Vec<_>) =
        problems.into_iter().partition(|problem| problem.severity == Severity::Error);
    for warning in warnings {
        tracing::warn!(config.path = warning.path, "{warning}");
    }
    if errors.is_empty() { Ok(()) } else { Err(Problems(errors)) }
}

fn load_keys(config: &Config, profile: Profile, shared: &Shared) -> Result<Option<Keys>, Problems> {
    let Some(auth_server) = &config.auth_server else { return Ok(None) };
    let unconfigured = match profile {
        Profile::Development => Unconfigured::Ephemeral,
        Profile::Production => {
            Unconfigured::Keep(keys::state_dir(config).map_err(|error| compose::at("stateDir", &error))?)
        }
    };
    Keys::load(auth_server, &unconfigured, Arc::clone(&shared.clock)).map(Some)
}

async fn start_dev_server(
    config: &Config,
    stop: &CancellationToken,
) -> Result<Option<DevServer>, StartError> {
    if config.server.url.is_some() {
        return Ok(None);
    }
    let header: Option<HeaderName> = match compose::inject(config) {
        Inject::Header(name) => Some(name),
        Inject::None | Inject::Authorization => None,
    };
    // Its connections are ours, not the clients': they are counted apart and not shown.
    let metrics = Arc::new(Metrics::new("built-in"));
    DevServer::start(header, metrics, stop.clone()).await.map(Some).map_err(StartError::DevServer)
}

fn issuer_path(config: &Config) -> String {
    let issuer = config.auth_server.as_ref().and_then(|server| server.issuer.parse::<http::Uri>().ok());
    issuer.map(|issuer| issuer.path().to_owned()).unwrap_or_default()
}

/// Puts changed key and certificate files in force, for ever.
async fn follow_files(keys: Option<Keys>, tls: Option<Tls>, front: Front, interval: Duration) {
    let mut followed = (keys, tls);
    loop {
        tokio::time::sleep(interval).await;
        let looked = tokio::task::spawn_blocking(move || {
            let (keys, tls) = &mut followed;
            let changed = keys.as_mut().is_some_and(Keys::tick);
            if let Some(tls) = tls {
                tls.tick();
            }
            (followed, changed)
        });
        // Reading files does not panic, and the runtime waits for us at shutdown.
        let Ok((same, changed)) = looked.await else { return };
        followed = same;
        if changed {
            front.refresh_discovery();
        }
    }
}

async fn ended(task: JoinHandle<()>) {
    let _ = task.await;
}
