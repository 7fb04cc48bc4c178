//! TLS: the host's trusted roots, and those of certs.d for one registry.

use crate::config::Config;
use crate::error::{At, Error, Result};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The settings for a host: `certs.d/HOST:PORT/` of deck's configuration, then Docker's. `*.crt`
/// are further roots, `NAME.cert` with `NAME.key` is what we show (Docker's layout).
///
/// # Errors
/// A file is malformed, or a certificate has no key.
pub fn config(config: &Config, host: &str) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    // Some roots of some hosts are not to rustls' taste; the rest still counts.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let mut own = None;
    for dir in [config.config_root.join("certs.d"), PathBuf::from("/etc/docker/certs.d")] {
        let dir = dir.join(host);
        let Ok(entries) = std::fs::read_dir(&dir) else { continue };
        let mut paths: Vec<PathBuf> =
            entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
        paths.sort();
        for path in paths {
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("crt") => {
                    for certificate in certificates(&path)? {
                        roots.add(certificate).map_err(|error| malformed(&path, &error))?;
                    }
                }
                Some("cert") if own.is_none() => {
                    let key = path.with_extension("key");
                    let key = PrivateKeyDer::from_pem_file(&key)
                        .map_err(|error| malformed(&key, &error))?;
                    own = Some((certificates(&path)?, key));
                }
                _ => {}
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::internal(format!("TLS: {error}")))?
        .with_root_certificates(roots);
    let settings = match own {
        Some((chain, key)) => builder
            .with_client_auth_cert(chain, key)
            .map_err(|error| Error::invalid(format!("certificate for {host}: {error}")))?,
        None => builder.with_no_client_auth(),
    };
    Ok(Arc::new(settings))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| malformed(path, &error))
        .at(|| "certificates")
}

fn malformed(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::invalid(format!("{}: {error}", path.display()))
}
