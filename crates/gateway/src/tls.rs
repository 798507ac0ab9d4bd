//! TLS at our own door, with certificate files that may change while we run.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem};
use tokio_rustls::TlsAcceptor;

use crate::watch::Watched;

/// Why a certificate and its key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or is not PEM.
    #[error("cannot read {what} from `{}`", path.display())]
    Unreadable {
        /// `certificates` or `the private key`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: pem::Error,
    },
    /// The certificate file has no certificate.
    #[error("`{}` holds no certificate", .0.display())]
    NoCertificate(PathBuf),
    /// The key is of an unknown kind, or not the key of the certificate.
    #[error("the private key does not fit the certificate")]
    Mismatch(#[source] rustls::Error),
    /// TLS cannot be set up at all.
    #[error("TLS cannot be configured")]
    Setup(#[source] rustls::Error),
}

/// Where the certificate chain and its private key lie, as PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, leaf first.
    pub certificates: PathBuf,
    /// The leaf's private key.
    pub private_key: PathBuf,
}

impl CertificateFiles {
    /// Reads both files and checks that the key belongs to the leaf certificate.
    ///
    /// # Errors
    /// What is wrong with which file.
    pub fn load(&self) -> Result<CertifiedKey, TlsError> {
        let (chain, key) = (self.read_chain()?, self.read_key()?);
        CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(TlsError::Mismatch)
    }

    pub(crate) fn read_chain(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let path = &self.certificates;
        let unreadable = |source| TlsError::Unreadable { what: "certificates", path: path.clone(), source };
        let chain = CertificateDer::pem_file_iter(path).map_err(unreadable)?;
        let chain: Vec<_> = chain.collect::<Result<_, _>>().map_err(unreadable)?;
        if chain.is_empty() { Err(TlsError::NoCertificate(path.clone())) } else { Ok(chain) }
    }

    pub(crate) fn read_key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        PrivateKeyDer::from_pem_file(&self.private_key).map_err(|source| TlsError::Unreadable {
            what: "the private key",
            path: self.private_key.clone(),
            source,
        })
    }
}

/// The certificate in use and the way to replace it. Clones share it.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    current: Arc<Current>,
    files: CertificateFiles,
    watched: Arc<Mutex<Watched>>,
}

impl Tls {
    /// Loads the files.
    ///
    /// # Errors
    /// When they cannot be used.
    pub fn load(files: CertificateFiles) -> Result<Self, TlsError> {
        // Watched from before they are read: a change in between is seen as one.
        let watched = Watched::new([files.certificates.clone(), files.private_key.clone()]);
        let current = Arc::new(Current(ArcSwap::from_pointee(files.load()?)));
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Setup)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&current) as _);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Ok(Self { acceptor, current, files, watched: Arc::new(Mutex::new(watched)) })
    }

    /// What does the handshakes.
    pub fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }

    /// Reads the files again if they changed; a pair that cannot be used leaves the current one in place. Returns
    /// whether a new certificate is in use. Blocks on the file system.
    pub fn tick(&self) -> bool {
        if !self.watched.lock().unwrap_or_else(PoisonError::into_inner).changed() {
            return false;
        }
        match self.files.load() {
            Ok(fresh) => {
                self.current.0.store(Arc::new(fresh));
                tracing::info!(tls.certificate = %self.files.certificates.display(), "certificate replaced");
                true
            }
            Err(error) => {
                let error = thv_telemetry::chain(&error);
                tracing::warn!(error, "the changed certificate cannot be used, the previous one stays");
                false
            }
        }
    }
}

struct Current(ArcSwap<CertifiedKey>);

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Current")
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}
