//! What is kept of a layer after it was read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::content::decode::{AsideKind, Codec};
use crate::engine::{Candidate, Carried, LiteralSet};
use crate::oci::{DiffId, Digest};
use crate::tar::{Framing, RegionKind};
use crate::text::Location;
use crate::text::chain::Chain;
use crate::text::context::ContextLine;
use crate::text::name::Name;

use super::PathTable;
use super::owner::{ContentDigest, Ownership};

/// Everything a layer gave, whatever image it belongs to. The unit of cache, sweep, queue and diff.
///
/// It holds candidates of every confidence and the paths of all members, so that the findings of any image that has
/// the layer can be assembled without reading the layer again.
#[derive(Debug, Serialize, Deserialize)]
pub struct LayerRecord {
    /// The digest of the blob as it was read.
    pub digest: Digest,
    /// Its size.
    pub stored_bytes: u64,
    /// The digest of the decompressed stream.
    pub diff_id: DiffId,
    /// Its size.
    pub decoded_bytes: u64,
    /// How many of its bytes were searched: all, unless the search of a window broke off.
    pub searched_bytes: u64,
    /// How it is compressed.
    pub codec: Codec,
    /// Whether it was read and decompressed to its end.
    pub complete: bool,
    /// What kind of archive it is.
    pub framing: Framing,
    /// Its members.
    pub paths: PathTable,
    /// Its candidates in order of their place, those of nested content behind the others. One that stands in the
    /// stored bytes of an archive as well as in its content is told once, with the way into the archive.
    pub candidates: Vec<LayerCandidate>,
    /// What the package databases in it say.
    pub ownership: Ownership,
    /// The hashes of the files that hold a candidate, by their numbers in `paths`. Files that are larger than
    /// [`crate::limits::Limits::compared_file_bytes`], sparse or cut off are not there.
    pub contents: BTreeMap<u32, ContentDigest>,
    /// Candidates beyond the limit of one rule in one file, which are counted only.
    pub more_candidates: u64,
    /// Bytes that were shipped beside the stream and searched: gzip header fields, skippable frames, trailing bytes.
    pub aside_bytes: u64,
    /// Bytes that archives inside it expanded to, and that were searched besides.
    pub expanded_bytes: u64,
    /// What was not read, or is odd.
    pub skips: Vec<LayerSkip>,
    /// Literals that stand in it, by their numbers in the outline of the rules. No part of what is stored: who keeps records
    /// keeps it beside them, to know which ones other rules need.
    #[serde(skip)]
    pub seen: LiteralSet,
}

impl LayerRecord {
    /// Gives the candidates of earlier rules the numbers that their rules have now.
    ///
    /// *Errors*: `None` where one is of a rule that changed.
    pub fn carried(mut self, by: &Carried) -> Option<Self> {
        for found in &mut self.candidates {
            found.candidate.rule = by.rule(found.candidate.rule)?;
        }
        Some(self)
    }
}

/// A candidate and where in the layer it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LayerCandidate {
    /// Rule, secret, companions, evidence.
    pub candidate: Candidate,
    /// What it stands in.
    pub carrier: Carrier,
    /// The member it belongs to, by its number in [`LayerRecord::paths`].
    pub entry: Option<u32>,
    /// The way from there to the content it stands in; empty for what stands in the bytes of the layer themselves.
    pub within: Chain,
    /// Where the secret is: in the layer, or in the innermost member or stream of [`LayerCandidate::within`].
    /// Encodings do not count: of an encoded text, where it stands.
    pub location: Location,
    /// Where its companions are, in their order.
    pub companions: Vec<Location>,
    /// The lines around it, redacted.
    pub context: Vec<ContextLine>,
}

/// What bytes of a layer are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Carrier {
    /// Bytes beside the decompressed stream.
    Aside(AsideKind),
    /// A blob that is no tar archive.
    Blob,
    /// A span of the tar archive.
    Tar(RegionKind),
}

impl Carrier {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Aside(AsideKind::GzipComment) => "gzip-comment",
            Self::Aside(AsideKind::GzipExtra) => "gzip-extra",
            Self::Aside(AsideKind::GzipName) => "gzip-name",
            Self::Aside(AsideKind::SkippableFrame) => "skippable-frame",
            Self::Aside(AsideKind::Trailing) => "trailing-bytes",
            Self::Blob => "blob",
            Self::Tar(RegionKind::Body | RegionKind::SparseRun) => "file",
            Self::Tar(RegionKind::End) => "tar-end",
            Self::Tar(RegionKind::Extension) => "tar-extension",
            Self::Tar(RegionKind::Header) => "tar-header",
            Self::Tar(RegionKind::Padding) => "tar-padding",
            Self::Tar(RegionKind::Tail) => "tar-tail",
        }
    }

    /// Whether it is the content of a file.
    pub fn is_file(self) -> bool {
        matches!(self, Self::Tar(RegionKind::Body | RegionKind::SparseRun))
    }
}

/// Something of a layer that was not read, or is odd.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerSkip {
    /// Whether bytes were lost by it.
    pub severeness: Severeness,
    /// The stable name of the reason.
    #[serde(with = "crate::text::name")]
    pub reason: Name,
    /// How many bytes, where known.
    pub bytes: Option<u64>,
    /// The cause for a person.
    pub detail: String,
}

/// Whether a skip lost bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Severeness {
    /// Bytes were not read or not searched.
    Incomplete,
    /// All bytes were searched; something about them is odd.
    Note,
    /// All bytes were searched as they are; what is in them could not be opened.
    Opaque,
}
