//! How TLS connections are made: which certificates are trusted, and which provider computes. Verifies nothing less
//! than the default verifier does.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use crate::source::SourceError;

/// A configuration that trusts the operating system's roots or, where it has none (an image made from nothing), the
/// bundled ones, and the certificates in the PEM files `authorities`. Cost: reading the system's store, about 10 ms.
///
/// *Errors*: where one of the files holds no certificate.
pub(super) fn config(authorities: &[PathBuf]) -> Result<ClientConfig, SourceError> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::debug!(%error, "cannot read a part of the system's certificate store");
    }
    roots.add_parsable_certificates(native.certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    for file in authorities {
        for certificate in certificates(file)? {
            roots
                .add(certificate)
                .map_err(|error| malformed(file, &error.to_string()))?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| SourceError::Malformed {
            what: "the TLS configuration".into(),
            why: error.to_string(),
        })?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, SourceError> {
    let bytes = std::fs::read(file).map_err(|source| SourceError::Io {
        what: printable(file),
        source,
    })?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => {
            Err(malformed(file, "it holds no certificate in PEM form"))
        }
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(malformed(file, &error.to_string())),
    }
}

fn malformed(file: &Path, why: &str) -> SourceError {
    SourceError::Malformed {
        what: printable(file),
        why: why.to_owned(),
    }
}

fn printable(file: &Path) -> String {
    crate::text::escape(file.as_os_str().as_encoded_bytes())
}
