//! Finds candidates in windows of bytes. Knows no images and no files: it is given a window, asks which region
//! a hit lies in, and looks no further than that region.

mod assignment;
pub mod checks;
mod context;
mod entropy;
mod extract;
mod filter;
mod matcher;
mod outline;
mod pattern;
mod prefilter;
mod shape;
#[cfg(test)]
mod tests;

pub use matcher::{Matcher, Scratch};
pub use outline::{Carried, LiteralSet, Outline};

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::rules::{Confidence, Evidence};
pub use crate::rules::{MAX_MATCH, REACH};
use crate::text::secret::Secret;

/// A slice of a stream.
///
/// `bytes` begins at offset `start` of the stream. Hits of literals that *begin* in `owned` belong to this window,
/// all others to its neighbours; around them [`REACH`] bytes are there unless the stream begins or ends.
#[derive(Clone, Debug)]
pub struct Window<'a> {
    /// Offset in the stream of the first byte.
    pub start: u64,
    /// The bytes.
    pub bytes: &'a [u8],
    /// The part of the stream whose hits are this window's.
    pub owned: Range<u64>,
}

/// Where one region of the stream lies. The number is the caller's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The caller's number of the region.
    pub region: u32,
    /// The region, in offsets of the stream.
    pub span: Range<u64>,
}

/// What the matcher asks about the stream it is in.
pub trait Regions {
    /// The region that holds `offset`, or `None` where a hit is of no interest.
    fn at(&self, offset: u64) -> Option<Place>;
    /// The next offset to ask for behind one that no region holds.
    fn next(&self, offset: u64) -> u64 {
        offset + 1
    }
    /// The path of the file a region belongs to, empty where it is none.
    fn path(&self, region: u32) -> &[u8];
}

/// A text that is all of one region.
#[derive(Clone, Debug)]
pub struct File<'p> {
    /// The caller's number of the region.
    pub region: u32,
    /// Its path, empty where it is no file but a field of a configuration or a gzip comment.
    pub path: &'p [u8],
    /// Where it lies in the stream.
    pub span: Range<u64>,
}

impl Regions for File<'_> {
    fn at(&self, offset: u64) -> Option<Place> {
        self.span.contains(&offset).then(|| Place {
            region: self.region,
            span: self.span.clone(),
        })
    }
    fn path(&self, _region: u32) -> &[u8] {
        self.path
    }
}

/// A place where a rule matched and no check failed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// Offsets in the stream of the secret (or of the identifier, for the anchor of a pair).
    pub at: Range<u64>,
    /// The rule, by its place in [`crate::rules::RuleSet::rules`].
    pub rule: u32,
    /// Which part matched: `None` for the anchor, with what was found around it in `companions`; a number for a
    /// part of the rule that stands alone and waits to be paired.
    pub part: Option<u32>,
    /// The caller's number of the region.
    pub region: u32,
    /// The bytes at `at`.
    pub text: Secret,
    /// The other halves found near an anchor, in the order of the rule's parts.
    pub companions: Vec<Companion>,
    /// How sure, all evidence considered.
    pub confidence: Confidence,
    /// Why, sorted.
    pub evidence: Vec<Evidence>,
}

impl Candidate {
    /// What candidates are sorted by: place, then rule and part. Two candidates equal in it are one.
    pub fn order(&self) -> (u64, u64, u32, Option<u32>) {
        (self.at.start, self.at.end, self.rule, self.part)
    }
}

impl std::fmt::Debug for Candidate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Candidate {{ rule {}, part {:?}, at {:?}, {:?}, {:?} }}",
            self.rule, self.part, self.at, self.confidence, self.evidence
        )
    }
}

/// The other half of a pair, found near its anchor.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Companion {
    /// The part, by its place in the rule's `parts`.
    pub part: u32,
    /// Offsets in the stream.
    pub at: Range<u64>,
    /// The bytes.
    pub text: Secret,
}

impl std::fmt::Debug for Companion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Companion {{ part {}, at {:?} }}", self.part, self.at)
    }
}
