//! Searches windows in any order and puts what they gave in order.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::engine::{Candidate, LiteralSet, Matcher, Scratch, Window};
use crate::limits::Limits;
use crate::text::chain::Chain;
use crate::text::lines::Tally;
use crate::text::{Location, context};

use super::Carrier;
use super::bodies::Bodies;
use super::hidden;
use super::record::LayerCandidate;
use super::window::Cut;

/// What the search of one window gave.
pub(super) struct Examined {
    index: u64,
    found: Vec<Found>,
    /// The region that goes on behind this window, where it begins, and the lines of its part that no later window
    /// will count.
    open: Option<Open>,
    more_in_file: u64,
    /// Whether some of its encoded text was not decoded.
    is_partial: bool,
    lost_bytes: u64,
    bodies: Bodies,
}

impl Examined {
    /// A window whose search broke off.
    pub(super) fn lost(cut: &Cut) -> Self {
        Self {
            index: cut.index,
            found: Vec::new(),
            open: None,
            more_in_file: 0,
            is_partial: false,
            lost_bytes: cut.owned.end - cut.owned.start,
            bodies: Bodies::default(),
        }
    }
}

struct Found {
    candidate: LayerCandidate,
    region: u64,
    /// The lines before the candidate in this window, and before each companion; none where they are known.
    before: Vec<Tally>,
    /// Whether the region began in an earlier window, so that its lines up to here must be added.
    continued: bool,
}

struct Open {
    region: u64,
    lines: Tally,
    continued: bool,
}

/// Searches one window.
pub(super) fn examine(cut: &Cut, matcher: &Matcher, scratch: &mut Scratch, limits: &Limits) -> Examined {
    let bytes = cut.buffer.bytes();
    #[cfg(test)]
    super::break_down("window", bytes);
    let start = cut.buffer.start();
    let window = Window {
        start,
        bytes,
        owned: cut.owned.clone(),
    };
    let mut candidates = Vec::new();
    matcher.scan(&window, cut, scratch, &mut candidates);
    candidates.sort_by(|a, b| rank(a).cmp(&rank(b)));
    candidates.dedup_by_key(|candidate| candidate.order());
    let hidden = hidden::search(cut, matcher, scratch, limits, &candidates);
    let mut masks = secret_spans(&candidates);
    masks.extend(hidden.masks);
    let mut sightings: Vec<Sighting> = candidates.into_iter().map(Sighting::from).collect();
    sightings.extend(hidden.found.into_iter().map(Sighting::from));
    // Of two ways to the same text the shorter one is told.
    sightings.sort_by(|a, b| {
        let (way, other) = (a.within.links(), b.within.links());
        (rank(&a.candidate), way.len(), way).cmp(&(rank(&b.candidate), other.len(), other))
    });
    sightings.dedup_by_key(|sighting| sighting.candidate.order());
    // Beyond the limit of one file nothing is kept, so nothing is worked out for it.
    let mut of_file: HashMap<(u32, u32), usize> = HashMap::new();
    let before = sightings.len();
    sightings.retain(|Sighting { candidate, .. }| {
        let count = of_file.entry((candidate.rule, candidate.region)).or_default();
        *count += 1;
        *count <= limits.findings_per_file
    });
    let more_in_file = (before - sightings.len()) as u64;

    let mut lines = Lines {
        bytes,
        start,
        last: (0, start, Tally::default()),
    };
    let found: Vec<Found> = sightings
        .into_iter()
        .filter_map(|sighting| {
            let Sighting {
                candidate,
                within,
                inner,
            } = sighting;
            let span = cut.spans.get(candidate.region as usize)?;
            let region = span.span.start;
            let (carrier, entry) = (span.carrier, span.entry);
            if let Some(inner) = inner {
                return Some(Found {
                    region,
                    before: Vec::new(),
                    continued: false,
                    candidate: LayerCandidate {
                        candidate,
                        carrier,
                        entry,
                        within,
                        location: inner.location,
                        companions: inner.companions,
                        context: inner.context,
                    },
                });
            }
            let location = |at: &std::ops::Range<u64>| Location {
                length: at.end - at.start,
                offset: at.start,
                file_offset: if span.carrier.is_file() {
                    span.file_offset + (at.start - region)
                } else {
                    0
                },
                ..Location::default()
            };
            let mut before = vec![lines.before(region, candidate.at.start)];
            let companions = candidate.companions.iter();
            before.extend(companions.map(|companion| lines.before(region, companion.at.start)));
            let clip = |offset: u64| (offset.clamp(start, start + bytes.len() as u64) - start) as usize;
            let context = context::around(
                &bytes[clip(region)..clip(span.span.end)],
                &candidate.at,
                &masks,
                region.max(start),
                limits.snippet_columns,
            );
            Some(Found {
                region,
                before,
                continued: region < start,
                candidate: LayerCandidate {
                    carrier,
                    entry,
                    within,
                    location: location(&candidate.at),
                    companions: candidate
                        .companions
                        .iter()
                        .map(|companion| location(&companion.at))
                        .collect(),
                    context,
                    candidate,
                },
            })
        })
        .collect();
    let holders = holders(found.iter().map(|found| &found.candidate));
    let open = cut
        .next_start
        .checked_sub(1)
        .filter(|last| *last >= start)
        .and_then(|last| cut.span_at(last))
        .map(|number| &cut.spans[number as usize])
        .filter(|span| {
            span.span.end > cut.next_start && span.carrier != Carrier::Tar(crate::tar::RegionKind::Header)
        })
        .map(|span| Open {
            region: span.span.start,
            lines: lines.before(span.span.start, cut.next_start.min(start + bytes.len() as u64)),
            continued: span.span.start < start,
        });
    Examined {
        index: cut.index,
        found,
        open,
        more_in_file,
        is_partial: hidden.is_partial,
        lost_bytes: 0,
        bodies: Bodies::of(cut, &holders, limits),
    }
}

/// A candidate, and how it is encoded where it is.
struct Sighting {
    candidate: Candidate,
    within: Chain,
    inner: Option<hidden::Inner>,
}

impl From<Candidate> for Sighting {
    fn from(candidate: Candidate) -> Self {
        Self {
            candidate,
            within: Chain::default(),
            inner: None,
        }
    }
}

impl From<hidden::Hidden> for Sighting {
    fn from(hidden: hidden::Hidden) -> Self {
        Self {
            candidate: hidden.candidate,
            within: hidden.within,
            inner: hidden.inner,
        }
    }
}

/// Orders candidates by place; of two equals the surer one is first.
fn rank(candidate: &Candidate) -> impl Ord + use<'_> {
    let confidence = std::cmp::Reverse(candidate.confidence);
    (candidate.order(), confidence, &candidate.evidence)
}

/// The members that hold candidates.
fn holders<'c>(candidates: impl Iterator<Item = &'c LayerCandidate>) -> BTreeSet<u32> {
    candidates.filter_map(|candidate| candidate.entry).collect()
}

/// Counts lines of a window; a place behind the last one asked for is counted from there.
struct Lines<'b> {
    bytes: &'b [u8],
    start: u64,
    /// Region, place and what was counted before it.
    last: (u64, u64, Tally),
}

impl Lines<'_> {
    /// The lines of `region` in this window before `place`.
    fn before(&mut self, region: u64, place: u64) -> Tally {
        let (known, from, counted) = self.last;
        let (from, counted) = if known == region && (self.start.max(region)..=place).contains(&from) {
            (from, counted)
        } else {
            (region.max(self.start), Tally::default())
        };
        let piece = &self.bytes[(from - self.start) as usize..(place - self.start) as usize];
        let counted = counted.then(Tally::of(piece, from));
        self.last = (region, place, counted);
        counted
    }
}

/// Puts the results of windows in order, whatever order they come in, so that limits cut the same candidates however
/// many threads there are.
pub(super) struct Merger<'a> {
    limits: &'a Limits,
    next: u64,
    waiting: BTreeMap<u64, Examined>,
    open: Option<(u64, Tally)>,
    entry: Option<u32>,
    of_entry: HashMap<u32, usize>,
    holders: BTreeSet<u32>,
    pub(super) bodies: Bodies,
    pub(super) candidates: Vec<LayerCandidate>,
    /// Candidates of one rule in one file beyond the limit.
    pub(super) more_in_file: u64,
    /// Windows that hold more encoded text than was decoded.
    pub(super) partial_windows: u64,
    /// Candidates beyond the limit of a layer.
    pub(super) over: u64,
    /// Bytes of windows whose search broke off.
    pub(super) lost_bytes: u64,
    /// Literals that stood in the windows.
    pub(super) seen: LiteralSet,
}

impl<'a> Merger<'a> {
    pub(super) fn new(limits: &'a Limits) -> Self {
        Self {
            limits,
            next: 0,
            waiting: BTreeMap::new(),
            open: None,
            entry: None,
            of_entry: HashMap::new(),
            holders: BTreeSet::new(),
            bodies: Bodies::default(),
            candidates: Vec::new(),
            more_in_file: 0,
            partial_windows: 0,
            over: 0,
            lost_bytes: 0,
            seen: LiteralSet::default(),
        }
    }

    /// Takes the result of one window. Results wait here for their predecessors; how many is bounded by the bytes in
    /// flight.
    pub(super) fn add(&mut self, examined: Examined) {
        self.waiting.insert(examined.index, examined);
        while let Some(examined) = self.waiting.remove(&self.next) {
            self.next += 1;
            self.append(examined);
        }
    }

    fn append(&mut self, examined: Examined) {
        self.lost_bytes += examined.lost_bytes;
        self.more_in_file += examined.more_in_file;
        self.partial_windows += u64::from(examined.is_partial);
        let earlier = |region: u64, continued: bool, open: Option<(u64, Tally)>| match open {
            Some((known, lines)) if continued && known == region => lines,
            _ => Tally::default(),
        };
        self.holders
            .extend(holders(examined.found.iter().map(|found| &found.candidate)));
        self.bodies.append(examined.bodies, &self.holders, self.limits);
        for found in examined.found {
            let Found {
                mut candidate,
                region,
                before,
                continued,
            } = found;
            let base = earlier(region, continued, self.open);
            let locations = std::iter::once(&mut candidate.location).chain(&mut candidate.companions);
            for (location, tally) in locations.zip(before) {
                (location.line, location.column, location.column_utf16) =
                    base.then(tally).position(region, location.offset);
            }
            self.keep(candidate);
        }
        self.open = examined.open.map(|open| {
            (
                open.region,
                earlier(open.region, open.continued, self.open).then(open.lines),
            )
        });
    }

    fn keep(&mut self, candidate: LayerCandidate) {
        // One credential can be found from two literals in two windows.
        let order = candidate.candidate.order();
        if self
            .candidates
            .iter()
            .rev()
            .take(64)
            .any(|known| known.candidate.order() == order)
        {
            return;
        }
        if self.entry != candidate.entry {
            self.entry = candidate.entry;
            self.of_entry.clear();
        }
        let count = self.of_entry.entry(candidate.candidate.rule).or_default();
        *count += 1;
        if *count > self.limits.findings_per_file {
            self.more_in_file += 1;
        } else if self.candidates.len() >= self.limits.findings {
            self.over += 1;
        } else {
            self.candidates.push(candidate);
        }
    }
}

/// The spans of all secrets in a window, so that none shows up in another one's context.
fn secret_spans(candidates: &[Candidate]) -> Vec<std::ops::Range<u64>> {
    candidates
        .iter()
        .flat_map(|candidate| {
            std::iter::once(&candidate.at).chain(candidate.companions.iter().map(|companion| &companion.at))
        })
        .cloned()
        .collect()
}
