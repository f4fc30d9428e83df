//! What a policy says of each finding and of the run, as plain values: whether it counts and why, what was taken out, what
//! else is wrong. Decides nothing; see [`super::Gate`].

use std::fmt;

use crate::finding::Finding;

use super::Date;

/// Whether a finding counts, and why or why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Whether it fails the run.
    pub counts: bool,
    /// The reasons, at least one.
    pub reasons: Vec<Reason>,
}

/// One reason why a finding counts or does not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reason {
    /// Its name.
    pub kind: ReasonKind,
    /// The reason for a person, escaped.
    pub text: String,
}

/// The name of a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReasonKind {
    /// It is at or above the thresholds.
    Thresholds,
    /// None of its places has a life that the policy counts.
    Life,
    /// All of it stands in the proven base image.
    Inherited,
    /// The earlier image did not have it.
    New,
    /// The earlier image had it.
    Unchanged,
    /// An entry of the policy that was to ignore it has expired.
    IgnoreExpired,
}

impl ReasonKind {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Thresholds => "thresholds",
            Self::Life => "life",
            Self::Inherited => "inherited",
            Self::New => "new",
            Self::Unchanged => "unchanged",
            Self::IgnoreExpired => "ignore-expired",
        }
    }
}

/// A finding that was taken out of the report because somebody said so.
#[derive(Clone, Debug)]
pub struct Suppressed {
    /// The finding, whole.
    pub finding: Finding,
    /// Who said so, and why.
    pub by: SuppressedBy,
}

/// Why a finding was taken out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SuppressedBy {
    /// It is in the baseline.
    Baseline {
        /// The file.
        file: String,
    },
    /// An `[[ignore]]` entry of the policy covers all of it.
    Ignore {
        /// Where the entry stands: `layersift.toml:12`.
        entry: String,
        /// Its reason.
        reason: String,
        /// Its owner.
        owner: String,
        /// The last day it holds.
        expires: Date,
    },
}

/// Something a policy has to say besides its findings.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Remark {
    /// What follows from it.
    pub weight: Weight,
    /// Its name.
    pub kind: RemarkKind,
    /// What it is, for a person; escaped.
    pub text: String,
}

/// What follows from a remark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Weight {
    /// The run fails, findings or not.
    Fails,
    /// Something that was asked for could not be read: the run is incomplete.
    Incomplete,
    /// Nothing.
    Note,
}

/// The name of a remark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RemarkKind {
    /// A base image was not asked for, since nobody allowed it.
    BaseNotAsked,
    /// A base image cannot be proved.
    BaseNotProved,
    /// A base image that was named on the command line or in the policy could not be read.
    BaseUnreadable,
    /// A finding of the baseline was not found any more.
    BaselineStale,
    /// Other tags or digests still carry a blob that leaks.
    CarriedElsewhere,
    /// The digest is not the expected one.
    DigestDiffers,
    /// No digest is expected for this target.
    DigestMissing,
    /// The earlier image could not be read.
    EarlierUnreadable,
    /// An entry has expired.
    IgnoreExpired,
    /// An entry covers nothing.
    IgnoreUnused,
    /// Earlier content is within reach.
    NotSquashed,
    /// Earlier content is out of reach.
    Squashed,
    /// The tags of the repository could not all be read.
    TagsUnread,
}

impl RemarkKind {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::BaseNotAsked => "base-not-asked",
            Self::BaseNotProved => "base-not-proved",
            Self::BaseUnreadable => "base-unreadable",
            Self::BaselineStale => "baseline-stale",
            Self::CarriedElsewhere => "carried-elsewhere",
            Self::DigestDiffers => "digest-differs",
            Self::DigestMissing => "digest-missing",
            Self::EarlierUnreadable => "earlier-unreadable",
            Self::IgnoreExpired => "ignore-expired",
            Self::IgnoreUnused => "ignore-unused",
            Self::NotSquashed => "not-squashed",
            Self::Squashed => "squashed",
            Self::TagsUnread => "tags-unread",
        }
    }
}

impl Weight {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fails => "fails",
            Self::Incomplete => "incomplete",
            Self::Note => "note",
        }
    }
}

impl fmt::Display for SuppressedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Baseline { file } => write!(f, "baseline `{file}`"),
            Self::Ignore {
                entry,
                reason,
                owner,
                expires,
            } => {
                let escape = |text: &str| crate::text::escape(text.as_bytes());
                write!(
                    f,
                    "{} (`{entry}`, {}, until {expires})",
                    escape(reason),
                    escape(owner)
                )
            }
        }
    }
}
