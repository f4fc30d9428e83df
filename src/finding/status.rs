//! The life of an occurrence: what became of it in later layers.

use serde::{Deserialize, Serialize};

/// Whether, and through what, a container started from the image can still see an occurrence.
///
/// Ordinals count layers from 1 at the base.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// A container sees it, under this path or through a hard link to the same content.
    Present,
    /// The file was replaced at the same path by layer `by`, which may be the layer that brought it.
    Overwritten {
        /// The layer.
        by: usize,
    },
    /// The file was removed by layer `by`.
    Deleted {
        /// The layer.
        by: usize,
        /// How.
        how: DeletedBy,
    },
    /// It stands in the image's metadata, which everyone who can pull gets.
    Metadata(MetadataUse),
    /// Bytes of a layer that no runtime shows: padding, headers, data behind the end of the archive.
    Unlisted,
    /// Not known, because a later layer could not be read.
    Unknown {
        /// The first layer that was not read.
        unread: usize,
    },
}

/// How a file was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeletedBy {
    /// An opaque whiteout of a directory above it.
    Opaque,
    /// A directory above it was replaced by something that is no directory, or it was itself replaced by a directory.
    ReplacedParent,
    /// A whiteout of the file or of a directory above it.
    Whiteout,
}

/// What metadata is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum MetadataUse {
    /// A container gets it: environment, command, labels.
    Effective,
    /// It only documents: history, annotations, attestations.
    History,
}

impl Status {
    /// The name in reports: `present`, `overwritten`, `deleted`, `metadata`, `history`, `unlisted`, `unknown`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Overwritten { .. } => "overwritten",
            Self::Deleted { .. } => "deleted",
            Self::Metadata(MetadataUse::Effective) => "metadata",
            Self::Metadata(MetadataUse::History) => "history",
            Self::Unlisted => "unlisted",
            Self::Unknown { .. } => "unknown",
        }
    }

    /// The layer that hid it, where one did.
    pub fn hidden_by(&self) -> Option<usize> {
        match self {
            Self::Overwritten { by } | Self::Deleted { by, .. } => Some(*by),
            _ => None,
        }
    }
}
