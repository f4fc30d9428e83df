//! Where images come from. A source gives documents and blobs as they are stored, unverified; it interprets no
//! layer and keeps nothing on disk.
//!
//! Two shapes: a [`Source`] answers in any order (registries, layouts, archives on disk); a [`StreamSource`] gives
//! each blob once, in the order it arrives (standard input, an engine's export).

mod error;
mod members;
pub mod walk;
pub mod registry;

pub use error::SourceError;

use std::io::Read;

use crate::limits::Limits;
use crate::oci::{BlobKey, Descriptor, Digest, Image, Platform, PlatformSelector};

/// A source that can be asked for any blob at any time.
pub trait Source: Send + Sync {
    /// Finds out what the target is: its images, platforms, attestations.
    ///
    /// *Errors*: where nothing of the target can be told. What can be had although something else cannot is in
    /// [`Resolved::problems`].
    fn resolve(&self, platforms: &PlatformSelector, limits: &Limits) -> Result<Resolved, SourceError>;

    /// Opens one blob. Bytes are as stored, usually compressed, and unverified: the caller checks digest and size.
    ///
    /// `descriptor` is what the manifest says of it. The reader may block on the network; dropping it ends the
    /// transfer.
    fn blob(
        &self,
        key: &BlobKey,
        descriptor: Option<&Descriptor>,
    ) -> Result<Box<dyn Read + Send>, SourceError>;

    /// How many blobs may be read at the same time.
    fn parallel(&self) -> usize {
        4
    }
}

/// A source that can be read once, from its beginning to its end.
pub trait StreamSource: Send {
    /// The next blob that is not a small document, or `None` at the end of the stream. The blob before it must have
    /// been read to its end; what was not read of it is skipped.
    fn next_blob(&mut self) -> Result<Option<StreamBlob<'_>>, SourceError>;

    /// What the stream held, once it is at its end (or broke: then what can be told from the part that was read).
    fn resolve(&mut self, platforms: &PlatformSelector, limits: &Limits) -> Result<Resolved, SourceError>;

    /// A small document that was kept in memory instead of being given out as a blob.
    fn document(&self, key: &BlobKey) -> Option<&[u8]>;
}

/// A blob of a stream.
pub struct StreamBlob<'a> {
    /// How the stream names it; [`Resolved`] uses the same key, links already followed.
    pub key: BlobKey,
    /// The bytes as stored.
    pub reader: Box<dyn Read + Send + 'a>,
    /// Their number, where the stream says so.
    pub size: Option<u64>,
}

/// What a target turned out to be.
#[derive(Clone, Debug, Default)]
pub struct Resolved {
    /// `registry/repository` without tag and digest, where the target has such a name.
    pub repository: Option<String>,
    /// The digest of the index, where the target is one.
    pub index: Option<Digest>,
    /// What the target's name pointed at when it was resolved: an index or a manifest.
    pub digest: Option<Digest>,
    /// The images of the chosen platforms, and artifacts.
    pub images: Vec<Image>,
    /// Platforms that were not chosen.
    pub not_chosen: Vec<Platform>,
    /// What could not be had: each makes the scan incomplete.
    pub problems: Vec<Problem>,
}

/// Something of a target that could not be read.
#[derive(Clone, Debug)]
pub struct Problem {
    /// What: `manifest sha256:… (linux/arm64)`.
    pub what: String,
    /// Why not, for a person.
    pub why: String,
    /// A stable name: `digest-mismatch`, `document-size`, `not-found`, `ambiguous-manifest`, …
    pub reason: &'static str,
}

/// A source that is ready to be read.
pub struct Opened {
    /// Which kind of source it is: `registry`, `docker-archive`, `oci-layout`, `oci-archive`, `stdin`.
    pub kind: &'static str,
    /// How it can be read.
    pub access: Access,
}

/// The two shapes of a source.
pub enum Access {
    /// Any blob at any time.
    Random(Box<dyn Source>),
    /// Each blob once.
    Stream(Box<dyn StreamSource>),
}
