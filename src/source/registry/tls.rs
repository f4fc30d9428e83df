//! How TLS connections are made: which certificates are trusted, and which provider computes. Verifies nothing less
//! than the default verifier does.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};

use crate::source::SourceError;

/// A configuration that trusts the operating system's roots or, where it has none (an image made from nothing), the
/// bundled ones. Cost: reading the system's store, about 10 ms.
pub(super) fn config() -> Result<ClientConfig, SourceError> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::debug!(%error, "cannot read a part of the system's certificate store");
    }
    roots.add_parsable_certificates(native.certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
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
