//! Whom TLS trusts: the system's roots and the operator's bundle.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::{self, PemObject};

/// The trusted root certificates.
#[derive(Clone, Debug)]
pub struct Roots(ClientConfig);

/// Why the roots could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// The bundle could not be read.
    #[error("the CA bundle {} could not be read", path.display())]
    Read {
        /// The bundle.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The bundle is not PEM.
    #[error("the CA bundle {} is not PEM", path.display())]
    Pem {
        /// The bundle.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: pem::Error,
    },
    /// The bundle is PEM, but holds no certificate.
    #[error("the CA bundle {} holds no certificate", path.display())]
    Empty {
        /// The bundle.
        path: PathBuf,
    },
    /// A certificate of the bundle cannot be a trust anchor.
    #[error("the CA bundle {} holds a certificate that cannot be used", path.display())]
    Certificate {
        /// The bundle.
        path: PathBuf,
        /// What is wrong with the certificate.
        #[source]
        source: rustls::Error,
    },
    /// The system's roots, or those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name, could not be read.
    #[error("the system's root certificates could not be read; check SSL_CERT_FILE and SSL_CERT_DIR")]
    System {
        /// What failed, with the path.
        #[source]
        source: rustls_native_certs::Error,
    },
    /// The TLS library refused its own defaults.
    #[error("TLS could not be set up")]
    Tls {
        /// What it said.
        #[source]
        source: rustls::Error,
    },
}

impl Roots {
    /// The system's roots (`SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured) and those of a PEM bundle.
    ///
    /// A machine without any root is no error: it may never speak TLS, and where it does, verification fails.
    ///
    /// # Errors
    /// When the bundle is unreadable, empty or unusable, or when the system's roots exist and not one could be read.
    pub fn load(ca_bundle: Option<&Path>) -> Result<Self, RootsError> {
        let mut store = system()?;
        if let Some(path) = ca_bundle {
            add_bundle(&mut store, path)?;
        }
        if store.is_empty() {
            tracing::warn!("no root certificates were found: no TLS server will be trusted");
        }
        let config =
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .map_err(|source| RootsError::Tls { source })?
                .with_root_certificates(store)
                .with_no_client_auth();
        Ok(Self(config))
    }

    /// A TLS client configuration that trusts these roots, without ALPN.
    pub fn client_config(&self) -> ClientConfig {
        self.0.clone()
    }
}

fn system() -> Result<RootCertStore, RootsError> {
    let mut found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty()
        && let Some(source) = found.errors.pop()
    {
        return Err(RootsError::System { source });
    }
    for error in &found.errors {
        tracing::warn!(%error, "some of the system's root certificates could not be read");
    }
    let mut store = RootCertStore::empty();
    // A distribution's store may hold certificates too old to parse; the others are as good without them.
    store.add_parsable_certificates(found.certs);
    Ok(store)
}

fn add_bundle(store: &mut RootCertStore, path: &Path) -> Result<(), RootsError> {
    let text = std::fs::read(path).map_err(|source| RootsError::Read { path: path.into(), source })?;
    let before = store.len();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|source| RootsError::Pem { path: path.into(), source })?;
        store.add(certificate).map_err(|source| RootsError::Certificate { path: path.into(), source })?;
    }
    if store.len() == before {
        return Err(RootsError::Empty { path: path.into() });
    }
    Ok(())
}
