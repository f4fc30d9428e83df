//! Registries that speak distribution-spec: a reference → its documents and blobs. Reads only: a registry is sent
//! nothing but GET and HEAD, a token server POST too, and Docker Hub's own lists for a token. Keeps nothing on disk.
//!
//! [`open`] makes a [`RegistrySource`], [`check()`] tries a login, [`tags`] and
//! [`repositories`] list what there is, [`carriers()`] finds the tags that have a blob, [`inventory()`] tells what both would use. Behind them, each
//! file adds one thing to the one below: `places` (mirrors, then the registry) and `download` (a blob over many
//! connections), `client` (what of a repository is wanted), `auth` with `challenge`, `credentials`, `environment` and
//! `helper`, `retry`, `transport` (redirects, time-outs, caps), `address` (where a request may go), `tls`. `notes` keeps
//! what the report should say. The asynchronous side stays inside, by way of `source::network`.

mod address;
mod auth;
mod carriers;
mod challenge;
mod check;
mod client;
mod credentials;
mod download;
mod environment;
#[doc(hidden)]
pub mod fuzzing;
mod helper;
mod inventory;
mod list;
mod native;
mod notes;
mod places;
mod retry;
mod session;
mod tls;
mod transport;

pub use carriers::{Carried, Carriers, carriers};
pub use check::{Check, Verdict, check};
pub use credentials::{Credentials, KnownLogin, LoginFile, Origin, User};
pub use inventory::{Helper, Inventory, Proxy, inventory};
pub use list::{Listing, repositories, tags};
pub use native::{NativeLists, Shown};
pub use retry::Backoff;
pub use session::{Counts, Pace, Session};
pub use tls::TrustedRoots;
pub(crate) use tls::configuration as tls;
pub(crate) use transport::describe as without_url;

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use url::Url;

use self::client::Wanted;
use self::places::Places;
use super::network::{Runtime, bridge};
use super::walk::{self, Documents, Walk};
use super::{Problem, Resolved, Source, SourceError};
use crate::limits::Limits;
use crate::oci::{BlobKey, Descriptor, Digest, Document, PlatformSelector, Reference};

/// How a registry is spoken to.
#[derive(Clone, Debug, Default)]
pub struct RegistryOptions {
    /// The login, in place of what is stored.
    pub credentials: Option<Credentials>,
    /// The folder of Docker's `config.json`; `None` for where Docker and Podman keep their logins. Those in the environment
    /// (`LAYERSIFT_TOKEN_…`) come first either way.
    pub docker_config: Option<PathBuf>,
    /// PEM files with certificates to trust besides the system's.
    pub authorities: Vec<PathBuf>,
    /// Shown to the registry, and to no other host, where it asks for a certificate.
    pub client_certificate: Option<ClientCertificate>,
    /// The folder that has for each host a folder `HOST[:PORT]` with authorities (`*.crt`) and a client certificate
    /// (`*.cert` with its `*.key`); `None` for those of Docker and Podman in `/etc`.
    pub certificates: Option<PathBuf>,
    /// Hosts, with or without port, that may be spoken to without TLS where it does not work.
    pub insecure: Vec<String>,
    /// Where the images of a registry, `host[:port]`, are also kept: asked before it, in this order, with the login that
    /// is stored for the mirror's own host. The path of the URL goes before the repository.
    pub mirrors: Vec<(String, Url)>,
    /// Whether to look for artifacts that refer to an image: signatures, SBOMs. A registry is asked for each manifest.
    pub referrers: bool,
    /// Registries besides Docker Hub that count each manifest against a quota. They are asked for a tag's digest first,
    /// which is free, and for nothing more once none of the quota is left.
    pub metered: Vec<String>,
    /// Hosts of token servers that may be on another site than the registry.
    pub trusted_realms: Vec<String>,
    /// Time-outs, tries, sizes.
    pub limits: Limits,
    /// Pauses between tries.
    pub backoff: Backoff,
    /// What the repositories of one registry share; each has its own without it.
    pub session: Option<Session>,
}

/// A certificate that says who the client is. Its key is not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The PEM file of the certificate and those that lead to its authority.
    pub certificate: PathBuf,
    /// The PEM file of its private key.
    pub key: PathBuf,
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
    let places = Places::new(reference, options)?;
    let runtime = runtime(options)?;
    Ok(RegistrySource {
        reference: reference.clone(),
        digest,
        places: Arc::new(places),
        referrers: options.referrers,
        parallel: options.limits.downloads_per_host.max(1),
        runtime,
    })
}

/// The threads of the session, or new ones.
fn runtime(options: &RegistryOptions) -> Result<Arc<Runtime>, SourceError> {
    match &options.session {
        Some(session) => Ok(session.runtime()),
        None => Runtime::start().map_err(|source| SourceError::Io {
            what: "the network: no threads".into(),
            source,
        }),
    }
}

/// One repository of a registry.
#[derive(Debug)]
pub struct RegistrySource {
    reference: Reference,
    /// What the reference is pinned to.
    digest: Option<Digest>,

    places: Arc<Places>,
    referrers: bool,
    parallel: usize,
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
    /// The digest the registry says it has. Another one than the computed tells that something damaged the document.
    pub stated: Option<Digest>,
}

impl RegistrySource {
    /// Fetches the document the reference points at, by its digest where it has one: at most `cap` bytes, and
    /// unverified.
    pub fn fetch_root(&self, cap: u64) -> Result<Root, SourceError> {
        let wanted = match (&self.digest, self.reference.tag()) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.unwrap_or("latest").to_owned(),
        };
        let received = self.receive(&Wanted::Manifest(wanted), cap)?;
        if received.is_web_page() {
            return Err(SourceError::NotAnImage {
                what: self.reference.to_string(),
                why: format!("`{}` answered with a web page", self.places.host()),
            });
        }
        Ok(Root {
            digest: Digest::of(&received.bytes),
            bytes: received.bytes,
            media_type: received.media_type,
            stated: received.stated,
        })
    }

    /// The digest of what a tag or a digest names, by HEAD; `None` where the registry does not say. Mirrors are not asked.
    pub fn digest_of(&self, reference: &str) -> Result<Option<Digest>, SourceError> {
        self.runtime
            .block_on(self.places.head(&Wanted::Manifest(reference.to_owned())))
    }

    /// The digests of what refers to a manifest, as the registry lists it now.
    ///
    /// *Cost*: a request for each page of the list, and one more where the registry has no such lists.
    pub fn referrers_of(&self, digest: &Digest, cap: u64) -> Result<Vec<Digest>, SourceError> {
        let mut found = Vec::new();
        for page in self.runtime.block_on(self.places.referrers(digest, cap))? {
            let document = Document::parse(&page, None).ok();
            let index = document.as_ref().and_then(|document| document.value.index());
            let index = index.ok_or_else(|| SourceError::Malformed {
                what: format!("the referrers of `{digest}`"),
                why: "the registry gave something other than an index".to_owned(),
            })?;
            found.extend(index.manifests.iter().map(|listed| listed.digest.clone()));
        }
        Ok(found)
    }

    /// Whether the registry has a blob, by HEAD.
    ///
    /// *Errors*: [`SourceError::NotFound`] where it has not.
    pub fn has_blob(&self, digest: &Digest) -> Result<bool, SourceError> {
        let wanted = Wanted::Blob(digest.clone());
        self.runtime.block_on(self.places.head(&wanted)).map(|_| true)
    }

    fn receive(&self, wanted: &Wanted, cap: u64) -> Result<client::Received, SourceError> {
        self.runtime.block_on(self.places.document(wanted, cap))
    }
}

impl Source for RegistrySource {
    fn resolve(&self, platforms: &PlatformSelector, limits: &Limits) -> Result<Resolved, SourceError> {
        let root = self.fetch_root(limits.manifest_bytes)?;
        let walk = Walk {
            documents: self,
            platforms,
            limits,
        };
        let root = walk::Root::Document {
            bytes: root.bytes,
            media_type: root.media_type,
            digest: self.digest.clone().or(root.stated),
        };
        let mut resolved = walk::resolve_root(&walk, root, &[self.reference.to_string()])?;
        resolved.repository = Some(self.reference.name());
        Ok(resolved)
    }

    /// Opens a blob. Blocks while [`Limits::downloads_per_host`] others are open.
    fn blob(
        &self,
        key: &BlobKey,
        descriptor: Option<&Descriptor>,
    ) -> Result<Box<dyn Read + Send>, SourceError> {
        let BlobKey::Digest(digest) = key else {
            return Err(SourceError::NotFound {
                what: format!("blob {key}, which is not named by a digest,"),
            });
        };
        let download = self.runtime.block_on(self.places.open(digest, descriptor))?;
        let (writer, receiver) = bridge();
        let task = self.runtime.spawn(download.run(writer));
        Ok(Box::new(receiver.into_reader(task, Arc::clone(&self.runtime))))
    }

    fn parallel(&self) -> usize {
        self.parallel
    }

    fn distrust(&self, key: &BlobKey) -> bool {
        match key {
            BlobKey::Digest(digest) => self.places.distrust(digest),
            BlobKey::Member(_) => false,
        }
    }

    fn notes(&self) -> Vec<Problem> {
        self.places.notes.list()
    }
}

impl Documents for RegistrySource {
    fn document(&self, descriptor: &Descriptor, cap: u64) -> Result<Vec<u8>, SourceError> {
        let received = self.receive(&Wanted::Blob(descriptor.digest.clone()), cap)?;
        Ok(received.bytes)
    }

    fn manifest(&self, descriptor: &Descriptor, cap: u64) -> Result<Vec<u8>, SourceError> {
        let received = self.receive(&Wanted::Manifest(descriptor.digest.to_string()), cap)?;
        Ok(received.bytes)
    }

    fn referrers(&self, digest: &Digest, cap: u64) -> Result<Option<Vec<Vec<u8>>>, SourceError> {
        if !self.referrers {
            return Ok(None);
        }
        self.runtime
            .block_on(self.places.referrers(digest, cap))
            .map(Some)
    }
}
