use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use thv_gateway::listener::Limits;
use thv_gateway::peer::TrustedProxies;
use thv_gateway::tls::{CertificateFiles, Tls, TlsError};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::{Served, Wire, serve};

struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    /// Writes a fresh certificate for `localhost` and its key, as if in this second of the epoch: files are written faster
    /// than file systems tell times apart.
    fn write(&self, files: &CertificateFiles, second: u64) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(&files.certificates, certificate.pem()).unwrap();
        fs::write(&files.private_key, key.serialize_pem()).unwrap();
        for path in [&files.certificates, &files.private_key] {
            let file = fs::File::options().write(true).open(path).unwrap();
            file.set_modified(UNIX_EPOCH + Duration::from_secs(second)).unwrap();
        }
    }

    async fn connect(&self, served: &Served) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(served.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
    }
}

fn files(directory: &Path) -> CertificateFiles {
    CertificateFiles { certificates: directory.join("tls.crt"), private_key: directory.join("tls.key") }
}

fn shown(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

#[tokio::test]
async fn certificates_are_read_again_when_they_change() {
    let directory = tempfile::tempdir().unwrap();
    let files = files(directory.path());
    let authority = Authority::new();
    authority.write(&files, 1);
    let tls = Tls::load(files.clone()).unwrap();
    let served = serve(Limits::default(), Some(tls.clone()), TrustedProxies::default()).await;

    let before = authority.connect(&served).await;
    let first = shown(&before);
    assert!(!tls.tick());
    authority.write(&files, 2);
    assert!(tls.tick());
    let second = shown(&authority.connect(&served).await);
    assert_ne!(first, second);

    // The connection of the first certificate still works.
    let mut wire = Wire(before);
    wire.get("/").await;
    assert!(wire.read_until("ok").await.starts_with("HTTP/1.1 200"));

    // A pair that does not fit changes nothing.
    fs::write(&files.private_key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    assert!(!tls.tick());
    assert_eq!(shown(&authority.connect(&served).await), second);
}

#[tokio::test]
async fn a_handshake_has_a_deadline() {
    let directory = tempfile::tempdir().unwrap();
    let files = files(directory.path());
    Authority::new().write(&files, 1);
    let limits = Limits { handshake: Duration::from_millis(50), ..Limits::default() };
    let served = serve(limits, Some(Tls::load(files).unwrap()), TrustedProxies::default()).await;
    assert_eq!(Wire::open(served.address).await.read_to_end().await, "");
}

#[test]
fn unusable_files_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let files = files(directory.path());
    assert!(matches!(files.load(), Err(TlsError::Unreadable { what: "certificates", .. })));
    Authority::new().write(&files, 1);
    fs::write(&files.private_key, "garbage").unwrap();
    assert!(matches!(files.load(), Err(TlsError::Unreadable { what: "the private key", .. })));
    fs::write(&files.certificates, "").unwrap();
    assert!(matches!(files.load(), Err(TlsError::NoCertificate(_) | TlsError::Unreadable { .. })));
}
