//! Manifests and indexes, OCI and Docker schema 2 in one.

use serde::Serialize;

use super::{Annotations, Descriptor};

/// An image manifest. *Source*: image-spec `manifest.md`; Docker schema 2 has the same shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Manifest {
    /// The document's own media type, empty where it has none.
    pub media_type: String,
    /// The kind of artifact, where it is not an image.
    pub artifact_type: Option<String>,
    /// The configuration.
    pub config: Descriptor,
    /// The layers, base first.
    pub layers: Vec<Descriptor>,
    /// The manifest this one is attached to.
    pub subject: Option<Descriptor>,
    /// Free text of the builder.
    pub annotations: Annotations,
}

/// An image index or Docker manifest list. *Source*: image-spec `image-index.md`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Index {
    /// The document's own media type, empty where it has none.
    pub media_type: String,
    /// The kind of artifact, where it is not an image.
    pub artifact_type: Option<String>,
    /// The manifests and nested indexes it lists.
    pub manifests: Vec<Descriptor>,
    /// The manifest this one is attached to.
    pub subject: Option<Descriptor>,
    /// Free text of the builder.
    pub annotations: Annotations,
}

/// What a registry or a layout serves as a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    /// Both readings of a document that has `manifests` as well as `layers` or `config` (CVE-2021-41190).
    Ambiguous(Box<Manifest>, Box<Index>),
    /// An index.
    Index(Index),
    /// A manifest.
    Manifest(Manifest),
}

/// Why a document is not a manifest or an index.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// The bytes are not JSON of the expected shape.
    #[error("not a manifest or an index: {reason}")]
    Malformed {
        /// What the parser says; holds no text of the document.
        reason: String,
    },
    /// A Docker schema 1 manifest.
    #[error("a Docker schema 1 manifest, which no current registry or engine writes")]
    Schema1,
}
