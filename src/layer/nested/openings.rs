//! Puts what archives gave in the order of the layer, so that limits cut the same whatever was ready first. Opens
//! nothing.

use std::collections::BTreeMap;

use crate::content::archive::Refusal;
use crate::engine::LiteralSet;
use crate::limits::{LimitHit, Limits};
use crate::text::chain::{Chain, Link};
use crate::text::{self, Lossless};

use super::{ContentDigest, LayerCandidate};

/// What the archive in one file gave.
#[derive(Default)]
pub(super) struct Opened {
    pub(super) entry: u32,
    /// What the file is, where it holds candidates.
    pub(super) content: Option<ContentDigest>,
    pub(super) candidates: Vec<LayerCandidate>,
    pub(super) refused: Refusals,
    /// By reason, what is over [`MOST_LISTED`].
    pub(super) more_refused: BTreeMap<&'static str, u64>,
    pub(super) expanded_bytes: u64,
    pub(super) more_in_file: u64,
    pub(super) more_versions: u64,
    pub(super) partial_windows: u64,
    pub(super) over: u64,
    /// Bytes whose search broke off; at least one where an opening did.
    pub(super) lost_bytes: u64,
    /// Whether the scan was ended before all of it was searched.
    pub(super) interrupted: bool,
    /// Literals that stood in it.
    pub(super) seen: LiteralSet,
}

/// What could not be opened: in which container and why, and of its members the first and how many.
pub(super) type Refusals = BTreeMap<(Chain, &'static str), Refused>;

pub(super) struct Refused {
    pub(super) member: Option<Vec<u8>>,
    pub(super) count: u64,
    pub(super) why: String,
}

/// Something in a file that could not be opened.
pub(in crate::layer) struct Opaque {
    /// The member of the layer.
    pub(in crate::layer) entry: u32,
    /// The way from there.
    pub(in crate::layer) within: Chain,
    pub(in crate::layer) reason: &'static str,
    pub(in crate::layer) why: String,
}

/// Puts what archives gave in the order of the layer, so that limits cut the same whatever was ready first.
pub(in crate::layer) struct Openings<'a> {
    limits: &'a Limits,
    next: u64,
    waiting: BTreeMap<u64, Opened>,
    pub(in crate::layer) candidates: Vec<LayerCandidate>,
    pub(in crate::layer) opaque: Vec<Opaque>,
    /// By reason, what is over [`MOST_LISTED`].
    pub(in crate::layer) more_opaque: BTreeMap<&'static str, u64>,
    pub(in crate::layer) expanded_bytes: u64,
    pub(in crate::layer) more_in_file: u64,
    /// Candidates in later versions of files in git history.
    pub(in crate::layer) more_versions: u64,
    /// Windows whose encoded text was not all decoded.
    pub(in crate::layer) partial_windows: u64,
    /// Files with candidates, for the class of the file.
    pub(in crate::layer) contents: BTreeMap<u32, ContentDigest>,
    /// Candidates beyond the limit of a layer.
    pub(in crate::layer) over: u64,
    pub(in crate::layer) lost_bytes: u64,
    pub(in crate::layer) interrupted: bool,
    /// Literals that stood in archives.
    pub(in crate::layer) seen: LiteralSet,
}

impl<'a> Openings<'a> {
    pub(in crate::layer) fn new(limits: &'a Limits) -> Self {
        Self {
            limits,
            next: 0,
            waiting: BTreeMap::new(),
            candidates: Vec::new(),
            opaque: Vec::new(),
            more_opaque: BTreeMap::new(),
            expanded_bytes: 0,
            more_in_file: 0,
            more_versions: 0,
            partial_windows: 0,
            contents: BTreeMap::new(),
            over: 0,
            lost_bytes: 0,
            interrupted: false,
            seen: LiteralSet::default(),
        }
    }

    /// Whether the layer has expanded to all it may: what comes behind this need not be opened any more.
    pub(super) fn is_exhausted(&self) -> bool {
        self.expanded_bytes >= self.limits.archive_expanded_bytes
    }

    pub(super) fn add(&mut self, number: u64, opened: Opened) {
        self.waiting.insert(number, opened);
        while let Some(opened) = self.waiting.remove(&self.next) {
            self.next += 1;
            self.append(opened);
        }
    }

    fn list(&mut self, opaque: Opaque) {
        if self.opaque.len() < MOST_LISTED {
            self.opaque.push(opaque);
        } else {
            *self.more_opaque.entry(opaque.reason).or_default() += 1;
        }
    }

    fn append(&mut self, mut opened: Opened) {
        self.seen.append(&mut opened.seen);
        self.interrupted |= opened.interrupted;
        // Decided here and not where the work is done: there it would depend on which thread was first.
        if self.is_exhausted() {
            let refusal = Refusal::Limit(LimitHit::ArchiveBytes);
            self.list(Opaque {
                entry: opened.entry,
                within: Chain::default(),
                reason: refusal.name(),
                why: refusal.to_string(),
            });
            return;
        }
        self.expanded_bytes += opened.expanded_bytes;
        self.more_in_file += opened.more_in_file;
        self.more_versions += opened.more_versions;
        self.partial_windows += opened.partial_windows;
        self.contents
            .extend(opened.content.map(|content| (opened.entry, content)));
        self.lost_bytes += opened.lost_bytes;
        self.over += opened.over;
        for (reason, count) in opened.more_refused {
            *self.more_opaque.entry(reason).or_default() += count;
        }
        for ((within, reason), refused) in opened.refused {
            let within = match refused.member {
                Some(name) => within.then(Link::Member(Lossless(name))),
                None => within,
            };
            let why = match refused.count {
                1 => refused.why,
                count => format!(
                    "{}, and the same goes for {} of it",
                    refused.why,
                    text::counted(count - 1, "more member")
                ),
            };
            self.list(Opaque {
                entry: opened.entry,
                within,
                reason,
                why,
            });
        }
        for candidate in opened.candidates {
            if self.candidates.len() >= self.limits.findings {
                self.over += 1;
            } else {
                self.candidates.push(candidate);
            }
        }
    }
}

/// Places of one layer that could not be opened and are listed by name; of the rest it is told how many there are.
pub(super) const MOST_LISTED: usize = 1000;
