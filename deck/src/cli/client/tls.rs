//! TLS to a remote engine: Docker's certificate files, verification by default.

use crate::{At, Error, Result};
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Which files and how strict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// Authorities; the system's where the file is not there.
    pub ca: PathBuf,
    /// The client's certificate; without it the client shows none.
    pub cert: PathBuf,
    /// The key of `cert`.
    pub key: PathBuf,
    /// Verify the server (`--tlsverify`); `--tls` alone does not, as Docker's.
    pub verify: bool,
}

/// Reads the files.
///
/// # Errors
/// A file can't be read or is not PEM, or key and certificate don't belong together.
pub fn config(files: &Files) -> Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::internal(format!("TLS: {error}")))?;
    let builder = if files.verify {
        builder.with_root_certificates(authorities(&files.ca)?)
    } else {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone(provider)))
    };
    if !files.cert.exists() && !files.key.exists() {
        return Ok(builder.with_no_client_auth());
    }
    let chain = certificates(&files.cert)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| pem(&files.key, &error))?;
    builder
        .with_client_auth_cert(chain, key)
        .map_err(|error| Error::invalid(format!("{}: {error}", files.cert.display())))
}

fn pem(path: &Path, error: &rustls::pki_types::pem::Error) -> Error {
    Error::invalid(format!("{}: {error}", path.display()))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| pem(path, &error))
}

fn authorities(path: &Path) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    if path.exists() {
        for certificate in certificates(path)? {
            roots
                .add(certificate)
                .map_err(|error| Error::invalid(format!("{}: {error}", path.display())))?;
        }
    } else {
        // Docker's rule: without a CA file the system's authorities are trusted.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    Ok(roots)
}

/// The name to verify.
///
/// # Errors
/// `host` is neither a DNS name nor an address.
pub fn server_name(host: &str) -> Result<ServerName<'static>> {
    ServerName::try_from(host.to_owned()).at(|| format!("-H tcp://{host}"))
}

impl From<rustls::pki_types::InvalidDnsNameError> for Error {
    fn from(error: rustls::pki_types::InvalidDnsNameError) -> Self {
        Self::invalid(error.to_string())
    }
}

/// `--tls` without verification: encrypts, trusts any server, as Docker documents the flag.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
