//! Registries that speak distribution-spec: a reference → its documents and blobs. Reads only: nothing here can
//! send anything but GET. Keeps nothing on disk.
//!
//! [`open`] makes a [`RegistrySource`]. Behind it, each file adds one thing to the one below: `client` (what of a
//! repository is wanted) and `download` (a blob over many connections), `auth` with `challenge` and `credentials`,
//! `retry`, `transport` (redirects, time-outs, caps), `address` (where a request may go), `tls`. `runtime` and
//! `bridge` keep the asynchronous side inside.

mod address;
mod auth;
mod bridge;
mod challenge;
mod client;
mod credentials;
mod download;
mod retry;
mod runtime;
mod tls;
mod transport;

pub use credentials::Credentials;
pub use retry::Backoff;

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use self::client::{Client, Wanted};
use self::runtime::Runtime;
use super::SourceError;
use crate::limits::Limits;
use crate::oci::media_type::{Claim, claim};
use crate::oci::{Descriptor, Digest, Hasher, Reference};

/// How a registry is spoken to.
#[derive(Clone, Debug, Default)]
pub struct RegistryOptions {
    /// The login, in place of what is stored.
    pub credentials: Option<Credentials>,
    /// The folder of Docker's `config.json`; `None` for `DOCKER_CONFIG` or `~/.docker`.
    pub docker_config: Option<PathBuf>,
    /// Hosts, with or without port, that may be spoken to without TLS where it does not work.
    pub insecure: Vec<String>,
    /// Hosts of token servers that may be on another site than the registry.
    pub trusted_realms: Vec<String>,
    /// Time-outs, tries, sizes.
    pub limits: Limits,
    /// Pauses between tries.
    pub backoff: Backoff,
}

/// Prepares to read from the registry of `reference`. No request is made yet.
///
/// *Errors*: where the registry's name is not a host, or the machine gives no threads.
pub fn open(reference: &Reference, options: &RegistryOptions) -> Result<RegistrySource, SourceError> {
    let digest = match reference.digest() {
        None => None,
        Some(digest) => Some(Digest::parse(digest).map_err(|error| SourceError::Malformed {
            what: "the reference".into(),
            why: error.to_string(),
        })?),
    };
    let client = Client::new(reference, options)?;
    let runtime = Runtime::start().map_err(|source| SourceError::Io {
        what: "the network: no threads".into(),
        source,
    })?;
    Ok(RegistrySource {
        reference: reference.clone(),
        digest,
        client: Arc::new(client),
        runtime,
    })
}

/// One repository of a registry.
#[derive(Debug)]
pub struct RegistrySource {
    reference: Reference,
    /// What the reference is pinned to.
    digest: Option<Digest>,

    client: Arc<Client>,
    runtime: Arc<Runtime>,
}

/// What a reference points at.
#[derive(Clone, Debug)]
pub struct Root {
    /// The document as stored.
    pub bytes: Vec<u8>,
    /// Its `Content-Type` without parameters.
    pub media_type: Option<String>,
    /// Its digest, computed: what a tag was pointing at when it was asked.
    pub digest: Digest,
}

impl RegistrySource {
    /// Fetches the document the reference points at, by its digest where it has one.
    ///
    /// *Errors*: [`SourceError::DigestMismatch`] where a pinned document has another digest.
    pub fn fetch_root(&self) -> Result<Root, SourceError> {
        let wanted = match (&self.digest, self.reference.tag()) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.unwrap_or("latest").to_owned(),
        };
        let cap = self.client.limits.manifest_bytes;
        let received = self.document_of(&Wanted::Manifest(wanted), cap)?;
        if is_web_page(received.media_type.as_deref(), &received.bytes) {
            return Err(SourceError::NotAnImage {
                what: self.reference.to_string(),
                why: format!("{} answered with a web page", self.client.host()),
            });
        }
        let digest = match &self.digest {
            Some(pinned) => verified(pinned, &received.bytes)?,
            None => Digest::of(&received.bytes),
        };
        Ok(Root {
            bytes: received.bytes,
            media_type: received.media_type,
            digest,
        })
    }

    /// Fetches a manifest or index by its digest, at most `cap` bytes, unverified.
    pub fn fetch_manifest(&self, digest: &Digest, cap: u64) -> Result<Vec<u8>, SourceError> {
        let received = self.document_of(&Wanted::Manifest(digest.to_string()), cap)?;
        Ok(received.bytes)
    }

    /// Fetches a document by its descriptor, at most `cap` bytes, unverified: manifests and indexes from where
    /// registries keep those, everything else from the blobs.
    pub fn fetch_document(&self, descriptor: &Descriptor, cap: u64) -> Result<Vec<u8>, SourceError> {
        match claim(&descriptor.media_type) {
            Claim::Manifest | Claim::Index | Claim::Schema1 => self.fetch_manifest(&descriptor.digest, cap),
            _ => {
                let received = self.document_of(&Wanted::Blob(descriptor.digest.clone()), cap)?;
                Ok(received.bytes)
            }
        }
    }

    /// Opens a blob. Blocks while [`Limits::downloads_per_host`] others are open.
    pub fn fetch_blob(
        &self,
        digest: &Digest,
        descriptor: Option<&Descriptor>,
    ) -> Result<Box<dyn Read + Send>, SourceError> {
        let download = self.runtime.block_on(self.client.open(digest, descriptor))?;
        let (writer, receiver) = bridge::bridge();
        let task = self.runtime.spawn(download.run(writer));
        Ok(Box::new(receiver.into_reader(task, Arc::clone(&self.runtime))))
    }

    fn document_of(&self, wanted: &Wanted, cap: u64) -> Result<client::Received, SourceError> {
        self.runtime.block_on(self.client.document(wanted, cap))
    }
}

fn verified(pinned: &Digest, bytes: &[u8]) -> Result<Digest, SourceError> {
    let Some(algorithm) = pinned.algorithm() else {
        return Err(SourceError::Malformed {
            what: format!("the digest {pinned}"),
            why: "its algorithm is not known here, so nothing can be verified by it".into(),
        });
    };
    let mut hasher = Hasher::new(algorithm);
    hasher.update(bytes);
    let actual = hasher.finish();
    match actual == *pinned {
        true => Ok(actual),
        false => Err(SourceError::DigestMismatch {
            expected: pinned.to_string(),
            actual: actual.to_string(),
            read: bytes.len() as u64,
        }),
    }
}

/// Whether an answer is a page for people, such as the form to log in at a captive portal.
fn is_web_page(media_type: Option<&str>, bytes: &[u8]) -> bool {
    media_type.is_some_and(|media_type| media_type == "text/html")
        || bytes.trim_ascii_start().first() == Some(&b'<')
}
