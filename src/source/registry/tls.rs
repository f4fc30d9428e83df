//! How TLS connections are made: which certificates are trusted, and which one is shown to whom. Verifies nothing less
//! than the default verifier does, and shows no certificate to a host it was not meant for.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::{ClientCertificate, RegistryOptions};
use crate::source::SourceError;

/// Where Docker and Podman keep a folder of certificates for each registry. *Source*: `containers-certs.d(5)`.
const SYSTEM_FOLDERS: [&str; 2] = ["/etc/docker/certs.d", "/etc/containers/certs.d"];

/// Files read of the folder of one host; Docker's has three.
const MAX_FILES: usize = 100;

/// The certificates of the connections to a registry and to whatever it names.
#[derive(Debug)]
pub(super) struct Certificates {
    /// Trusted everywhere.
    roots: RootCertStore,
    /// Shown to `registry` and nobody else.
    given: Option<ClientCertificate>,
    registry: String,
    /// Each has a folder for each host.
    folders: Vec<PathBuf>,
}

impl Certificates {
    /// Trusts the operating system's roots or, where it has none (an image made from nothing), the bundled ones, and
    /// the authorities of `options`. Cost: reading the system's store, about 10 ms.
    ///
    /// *Errors*: where a file of `options` is not what it should be.
    pub(super) fn read(options: &RegistryOptions, registry: &str) -> Result<Self, SourceError> {
        let (mut roots, _) = trusted();
        for file in &options.authorities {
            trust(&mut roots, file)?;
        }
        Ok(Self {
            roots,
            given: options.client_certificate.clone(),
            registry: registry.to_owned(),
            folders: match &options.certificates {
                Some(folder) => vec![folder.clone()],
                None => SYSTEM_FOLDERS.map(PathBuf::from).to_vec(),
            },
        })
    }

    /// Whether connections to `host`, with its port where that is not the usual one, are like no others.
    pub(super) fn has(&self, host: &str) -> bool {
        self.folder(host).is_some() || (self.given.is_some() && host == self.registry)
    }

    /// The configuration of connections to `host`, or to hosts there is nothing special about.
    ///
    /// *Errors*: where a file of the host's folder is not what it should be.
    pub(super) fn config(&self, host: Option<&str>) -> Result<ClientConfig, SourceError> {
        let mut roots = self.roots.clone();
        let mut shown = None;
        if let Some(folder) = host.and_then(|host| self.folder(host)) {
            for file in files(&folder)? {
                match file.extension().and_then(|extension| extension.to_str()) {
                    Some("crt") => trust(&mut roots, &file)?,
                    Some("cert") => {
                        shown = Some(ClientCertificate {
                            key: file.with_extension("key"),
                            certificate: file,
                        });
                    }
                    _ => {}
                }
            }
        }
        if self.given.is_some() && host == Some(self.registry.as_str()) {
            shown.clone_from(&self.given);
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| SourceError::Malformed {
                what: "the TLS configuration".into(),
                why: error.to_string(),
            })?
            .with_root_certificates(roots);
        let mut config = match shown {
            None => builder.with_no_client_auth(),
            Some(shown) => builder
                .with_client_auth_cert(certificates(&shown.certificate)?, key(&shown.key)?)
                .map_err(|error| malformed(&shown.key, &error.to_string()))?,
        };
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }

    /// The folder of `host`: `HOST:PORT`, or `HOST` where the port is the usual one.
    fn folder(&self, host: &str) -> Option<PathBuf> {
        // Redirects name hosts too, and a host may be called `..`.
        if host.is_empty() || host.starts_with('.') || host.contains(['/', '\\']) {
            return None;
        }
        let names = [host.to_owned(), format!("{host}:443")];
        self.folders
            .iter()
            .flat_map(|folder| names.iter().map(move |name| folder.join(name)))
            .find(|folder| folder.is_dir())
    }
}

/// The configuration of connections to a host that is no registry, with `authorities` trusted besides the system's, and
/// `certificate` shown where one is asked for.
///
/// *Errors*: where one of the files is not what it should be.
pub(crate) fn configuration(
    authorities: &[PathBuf],
    certificate: Option<&ClientCertificate>,
) -> Result<ClientConfig, SourceError> {
    let options = RegistryOptions {
        authorities: authorities.to_vec(),
        client_certificate: certificate.cloned(),
        ..RegistryOptions::default()
    };
    // The host it is given for: there is one.
    Certificates::read(&options, "")?.config(Some(""))
}

/// The files of a folder by their names.
fn files(folder: &Path) -> Result<Vec<PathBuf>, SourceError> {
    let unreadable = |source| SourceError::Io {
        what: printable(folder),
        source,
    };
    let entries = std::fs::read_dir(folder).map_err(unreadable)?;
    let mut files = entries
        .take(MAX_FILES)
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(unreadable)?;
    files.sort();
    Ok(files)
}

fn trust(roots: &mut RootCertStore, file: &Path) -> Result<(), SourceError> {
    for certificate in certificates(file)? {
        roots
            .add(certificate)
            .map_err(|error| malformed(file, &error.to_string()))?;
    }
    Ok(())
}

/// Whose certificates are trusted where nothing else is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustedRoots {
    /// As many that are built in, since the operating system has none.
    Bundled(usize),
    /// As many of the operating system.
    System(usize),
}

/// The roots that are trusted, and whose they are.
pub(super) fn trusted() -> (RootCertStore, TrustedRoots) {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::debug!(%error, "cannot read a part of the system's certificate store");
    }
    roots.add_parsable_certificates(native.certs);
    if !roots.is_empty() {
        let count = roots.len();
        return (roots, TrustedRoots::System(count));
    }
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let count = roots.len();
    (roots, TrustedRoots::Bundled(count))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, SourceError> {
    let bytes = bytes(file)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => {
            Err(malformed(file, "it holds no certificate in PEM form"))
        }
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(malformed(file, &error.to_string())),
    }
}

fn key(file: &Path) -> Result<PrivateKeyDer<'static>, SourceError> {
    // The parser's own message could quote the file.
    PrivateKeyDer::from_pem_slice(&bytes(file)?)
        .map_err(|_| malformed(file, "it holds no private key in PEM form, or an encrypted one"))
}

fn bytes(file: &Path) -> Result<Vec<u8>, SourceError> {
    std::fs::read(file).map_err(|source| SourceError::Io {
        what: printable(file),
        source,
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_its_own_folder_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "registry.example.com",
            "registry.example.com:5000",
            "other.example.com:443",
        ] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let options = RegistryOptions {
            certificates: Some(folder.path().to_owned()),
            ..RegistryOptions::default()
        };
        let certificates = Certificates::read(&options, "registry.example.com").unwrap();
        for (host, has) in [
            ("registry.example.com", true),
            ("registry.example.com:5000", true),
            ("registry.example.com:5001", false),
            ("other.example.com", true),
            ("example.com", false),
            ("..", false),
            (".", false),
            ("", false),
        ] {
            assert_eq!(certificates.has(host), has, "{host}");
        }
    }
}
