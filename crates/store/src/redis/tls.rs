//! TLS towards Redis.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use secrecy::ExposeSecret;
use tokio_rustls::TlsConnector;

use super::settings::{TlsSettings, Trust};

/// Why TLS to Redis cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisTlsError {
    /// The authorities are not PEM.
    #[error("the CA certificates for redis are not PEM")]
    AuthoritiesPem(#[source] pem::Error),
    /// An authority cannot be a trust anchor.
    #[error("a CA certificate for redis cannot be used")]
    Authority(#[source] rustls::Error),
    /// There is no authority.
    #[error("the CA certificates for redis hold no certificate")]
    NoAuthority,
    /// The client certificate is not PEM.
    #[error("the client certificate for redis is not PEM")]
    IdentityPem(#[source] pem::Error),
    /// The private key is not PEM. What is wrong with it is not told.
    #[error("the private key of the client certificate for redis is not PEM")]
    KeyPem,
    /// The client certificate and its key cannot be used.
    #[error("the client certificate for redis and its private key cannot be used")]
    Identity(#[source] rustls::Error),
    /// The TLS library refused its own defaults.
    #[error("TLS could not be set up")]
    Tls(#[source] rustls::Error),
}

/// Makes TLS connections as `settings` say.
pub(super) fn connector(settings: &TlsSettings) -> Result<TlsConnector, RedisTlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(RedisTlsError::Tls)?;
    let builder = match &settings.trust {
        Trust::Anything => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        }
        Trust::System { extra } => builder.with_root_certificates(system(extra.as_deref())?),
        Trust::Authorities(pem) => builder.with_root_certificates(only(pem)?),
    };
    let config = match &settings.identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let chain = CertificateDer::pem_slice_iter(identity.cert_pem.as_bytes())
                .collect::<Result<Vec<_>, _>>()
                .map_err(RedisTlsError::IdentityPem)?;
            let key = PrivateKeyDer::from_pem_slice(identity.key_pem.expose_secret().as_bytes())
                .map_err(|_| RedisTlsError::KeyPem)?;
            builder.with_client_auth_cert(chain, key).map_err(RedisTlsError::Identity)?
        }
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

fn system(extra: Option<&str>) -> Result<RootCertStore, RedisTlsError> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "some of the system's root certificates could not be read");
    }
    roots.add_parsable_certificates(found.certs);
    extra.map_or(Ok(()), |pem| add(&mut roots, pem))?;
    Ok(roots)
}

fn only(pem: &str) -> Result<RootCertStore, RedisTlsError> {
    let mut roots = RootCertStore::empty();
    add(&mut roots, pem)?;
    if roots.is_empty() { Err(RedisTlsError::NoAuthority) } else { Ok(roots) }
}

fn add(roots: &mut RootCertStore, pem: &str) -> Result<(), RedisTlsError> {
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots.add(certificate.map_err(RedisTlsError::AuthoritiesPem)?).map_err(RedisTlsError::Authority)?;
    }
    Ok(())
}

/// Accepts every certificate; the server must still hold its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
