//! The resolved view of an image: what a source found out before any layer was read.

use std::fmt;

use super::{ConfigField, Descriptor, DiffId, Digest, History, ImageConfig, ImageId, Platform};

/// How a source names a blob.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BlobKey {
    /// By its digest: registries and layouts.
    Digest(Digest),
    /// By the name of a member: Docker archives, whose layers may be stored in any form.
    Member(Vec<u8>),
}

impl fmt::Display for BlobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digest(digest) => digest.fmt(f),
            Self::Member(name) => f.write_str(&crate::text::escape(name)),
        }
    }
}

impl fmt::Debug for BlobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One image of one platform, or one artifact that is not an image.
#[derive(Clone, Debug)]
pub struct Image {
    /// Names under which the source holds it: `app:1.4`, or a reference with its registry. May be empty.
    pub names: Vec<String>,
    /// The platform, by the index or the configuration.
    pub platform: Option<Platform>,
    /// The digest of the manifest, where there is one. A classic Docker archive has none.
    pub manifest: Option<Digest>,
    /// The digest of the configuration.
    pub image_id: Option<ImageId>,
    /// For something other than an image, its kind (`application/vnd.cncf.helm.config.v1+json`); its blobs are
    /// listed as layers.
    pub artifact_type: Option<String>,
    /// The configuration; empty for artifacts.
    pub config: ImageConfig,
    /// Every text of index, descriptors and manifest that concerns this image. Those of the configuration are in
    /// `config.fields`.
    pub fields: Vec<ConfigField>,
    /// The layers, base first.
    pub layers: Vec<Layer>,
    /// The attestations made for it.
    pub attestations: Vec<Attestation>,
}

/// One layer of an image.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Its place, from 1 at the base, as people count.
    pub ordinal: usize,
    /// How the source names its blob.
    pub blob: BlobKey,
    /// What the manifest says of it. `None` in a classic Docker archive.
    pub descriptor: Option<Descriptor>,
    /// What the configuration says its uncompressed tar is.
    pub diff_id: Option<DiffId>,
    /// The step that made it, where the history has as many steps with layers as there are layers.
    pub history: Option<History>,
}

/// One in-toto statement about an image.
#[derive(Clone, Debug)]
pub struct Attestation {
    /// The manifest that lists it.
    pub manifest: Option<Digest>,
    /// How the source names its blob.
    pub blob: BlobKey,
    /// What the manifest says of it.
    pub descriptor: Descriptor,
    /// `in-toto.io/predicate-type`.
    pub predicate_type: Option<String>,
}
