//! Servers that misbehave on request, a resolver that answers what it is told, and certificates.

use std::collections::VecDeque;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::PrivateKeyDer;
use thv_egress::resolve::{Resolve, Resolving};
use thv_egress::{Client, Limits, Policy, Roots};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

pub(crate) const GENEROUS: Limits = Limits { total: Duration::from_secs(20), max_body: 5 * 1024 };

pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}
type Conversation = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A server that reads one request head per connection, remembers it, and hands the connection to its script.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(crate) async fn plain<F>(script: F) -> Self
    where
        F: Fn(Box<dyn Stream>) -> Conversation + Send + Sync + 'static,
    {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), None, script)
    }

    pub(crate) async fn tls<F>(config: ServerConfig, script: F) -> Self
    where
        F: Fn(Box<dyn Stream>) -> Conversation + Send + Sync + 'static,
    {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), Some(Arc::new(config)), script)
    }

    /// Answers every request with the same bytes, then closes.
    pub(crate) async fn answering(response: impl Into<Vec<u8>> + 'static) -> Self {
        Self::plain(answer(response)).await
    }

    pub(crate) fn on<F>(listener: TcpListener, tls: Option<Arc<ServerConfig>>, script: F) -> Self
    where
        F: Fn(Box<dyn Stream>) -> Conversation + Send + Sync + 'static,
    {
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (seen, script) = (heads.clone(), Arc::new(script));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (tls, seen, script) = (tls.clone(), seen.clone(), script.clone());
                tokio::spawn(async move {
                    let mut stream: Box<dyn Stream> = match tls {
                        Some(config) => match TlsAcceptor::from(config).accept(stream).await {
                            Ok(stream) => Box::new(stream),
                            Err(_) => return,
                        },
                        None => Box::new(stream),
                    };
                    let head = read_head(&mut stream).await;
                    seen.lock().unwrap().push(head);
                    script(stream).await;
                });
            }
        });
        Self { address, heads }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

/// The script of a server that always answers the same.
pub(crate) fn answer(
    response: impl Into<Vec<u8>> + 'static,
) -> impl Fn(Box<dyn Stream>) -> Conversation + Send + Sync {
    let response: Arc<[u8]> = response.into().into();
    move |mut stream| {
        let response = response.clone();
        Box::pin(async move {
            use tokio::io::AsyncWriteExt;
            let _ = stream.write_all(&response).await;
            let _ = stream.shutdown().await;
        })
    }
}

/// A whole response with a body.
pub(crate) fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

pub(crate) async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

/// A listener that nobody may have knocked at: the backlog is a queue, so a connection made before ours comes first.
pub(crate) struct Tripwire(pub(crate) TcpListener);

impl Tripwire {
    pub(crate) async fn bind(address: &str) -> Self {
        Self(TcpListener::bind(address).await.unwrap())
    }

    pub(crate) fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    pub(crate) async fn assert_untouched(&self) {
        let own = TcpStream::connect(self.0.local_addr().unwrap()).await.unwrap();
        let (_, first) = self.0.accept().await.unwrap();
        assert_eq!(first, own.local_addr().unwrap(), "somebody connected before");
    }
}

/// Gives each question the next answer; the last one stays.
pub(crate) struct Answers {
    queue: Mutex<VecDeque<Vec<IpAddr>>>,
    pub(crate) asked: Mutex<Vec<String>>,
}

impl Answers {
    pub(crate) fn new(answers: &[&[&str]]) -> Arc<Self> {
        let parse = |answer: &&[&str]| answer.iter().map(|ip| ip.parse().unwrap()).collect();
        Arc::new(Self { queue: Mutex::new(answers.iter().map(parse).collect()), asked: Mutex::default() })
    }
}

impl Resolve for Answers {
    fn resolve(&self, host: &str) -> Resolving {
        self.asked.lock().unwrap().push(host.to_owned());
        let mut queue = self.queue.lock().unwrap();
        let answer = if queue.len() > 1 { queue.pop_front() } else { queue.front().cloned() };
        Box::pin(async move { Ok(answer.unwrap_or_default()) })
    }
}

/// A resolver that never answers.
pub(crate) struct Silent;

impl Resolve for Silent {
    fn resolve(&self, _: &str) -> Resolving {
        Box::pin(std::future::pending())
    }
}

/// A policy with these networks allowed.
pub(crate) fn allowing(networks: &[&str]) -> Policy {
    Policy { allow_cidrs: networks.iter().map(|net| net.parse().unwrap()).collect(), ..Policy::public() }
}

pub(crate) fn loopback_client() -> Client {
    Client::new(Policy::with_loopback(), &Roots::load(None).unwrap())
}

pub(crate) fn public_client() -> Client {
    Client::new(Policy::public(), &Roots::load(None).unwrap())
}

/// A private certificate authority, its PEM file, and a server certificate for `idp.test` and 127.0.0.1.
pub(crate) struct Authority {
    pub(crate) server: ServerConfig,
    pub(crate) bundle: PathBuf,
    _directory: tempfile::TempDir,
}

impl Authority {
    pub(crate) fn create() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let names = vec!["idp.test".to_owned(), "127.0.0.1".to_owned()];
        let leaf = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();

        let directory = tempfile::tempdir().unwrap();
        let bundle = directory.path().join("ca.pem");
        std::fs::write(&bundle, issuer.pem()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
            .unwrap();
        Self { server, bundle, _directory: directory }
    }

    pub(crate) fn roots(&self) -> Roots {
        Roots::load(Some(&self.bundle)).unwrap()
    }
}

/// Runs one test of this binary again, in a process with another environment, and says whether it passed.
pub(crate) async fn passes_with_environment(test: &str, environment: Vec<(&'static str, String)>) -> bool {
    let test = test.to_owned();
    tokio::task::spawn_blocking(move || {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", &test, "--ignored"]).envs(environment);
        let output = command.output().unwrap();
        output.status.success() && String::from_utf8_lossy(&output.stdout).contains("1 passed")
    })
    .await
    .unwrap()
}
