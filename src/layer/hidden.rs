//! Searches what stands encoded in a window: text in base64, hexadecimal, escapes or UTF-16, over several levels, and
//! what was compressed before it was encoded. Decodes nothing itself; see [`crate::content::text`].

use std::ops::Range;

use crate::content::text::{self, Allowance, Decoded, Inflated};
use crate::engine::{Candidate, File, MAX_MATCH, Matcher, Regions, Scratch, Window};
use crate::limits::Limits;
use crate::tar::RegionKind;
use crate::text::Location;
use crate::text::chain::{Chain, Link};
use crate::text::context::{self, ContextLine};
use crate::text::lines::Tally;

use super::Carrier;
use super::window::Cut;

/// What a window hides.
#[derive(Default)]
pub(super) struct Searched {
    pub(super) found: Vec<Hidden>,
    /// What must not be shown of the layer: the encoded texts.
    pub(super) masks: Vec<Range<u64>>,
    /// Whether more was encoded than may be decoded, or went on behind the window.
    pub(super) is_partial: bool,
}

/// A candidate in a decoded text.
pub(super) struct Hidden {
    /// Its offsets are those of the characters it is encoded in. In a stream that was decompressed there are none: then
    /// they are as far behind the begin of the encoded text as the candidate is in the stream, to have an order.
    pub(super) candidate: Candidate,
    /// How it is encoded.
    pub(super) within: Chain,
    /// The encoded texts it and its companions stand in, each as a whole where nothing of it is readable.
    extents: Vec<Range<u64>>,
    /// Where it is in the stream that was decompressed, where there is one.
    pub(super) inner: Option<Inner>,
}

/// Where a candidate is in a stream of its own.
#[derive(Default)]
pub(super) struct Inner {
    pub(super) location: Location,
    pub(super) companions: Vec<Location>,
    pub(super) context: Vec<ContextLine>,
    /// What must not be shown of the stream.
    masks: Vec<Range<u64>>,
}

/// Searches the encoded texts of a window. What lies in an encoded text that is a candidate as it stands, as a JWT is,
/// is told only where it is surer than that.
pub(super) fn search(
    cut: &Cut,
    matcher: &Matcher,
    scratch: &mut Scratch,
    limits: &Limits,
    raw: &[Candidate],
) -> Searched {
    let (bytes, start) = (cut.buffer.bytes(), cut.buffer.start());
    let end = start + bytes.len() as u64;
    let mut searched = Searched::default();
    let mut allowance = Allowance::new(limits.encoded_bytes);
    for (number, span) in cut.spans.iter().enumerate() {
        let visible = span.span.start.max(start)..span.span.end.min(end);
        // The fields of a header are too short to hide anything.
        if visible.start >= visible.end || span.carrier == Carrier::Tar(RegionKind::Header) {
            continue;
        }
        let region = number as u32;
        let mut search = Search {
            cut,
            matcher,
            scratch,
            limits,
            allowance: &mut allowance,
            region,
            start: visible.start,
            is_open: span.span.end > end,
            length: (visible.end - visible.start) as usize,
            searched: &mut searched,
        };
        let text = &bytes[(visible.start - start) as usize..(visible.end - start) as usize];
        search.level(text, span.span.start < start, None);
    }
    searched.is_partial |= allowance.is_spent();
    // The candidates as they stand are in order, and none is longer than a match.
    let overlaps = |extent: &Range<u64>, confidence| {
        let from = raw.partition_point(|raw| raw.at.start + MAX_MATCH as u64 <= extent.start);
        raw[from..]
            .iter()
            .take_while(|raw| raw.at.start < extent.end)
            .any(|raw| raw.at.end > extent.start && raw.confidence >= confidence)
    };
    searched.found.retain(|hidden| {
        let confidence = hidden.candidate.confidence;
        !hidden.extents.iter().any(|extent| overlaps(extent, confidence))
    });
    searched
}

/// The search of one region.
struct Search<'s> {
    cut: &'s Cut,
    matcher: &'s Matcher,
    scratch: &'s mut Scratch,
    limits: &'s Limits,
    allowance: &'s mut Allowance,
    region: u32,
    /// Offset in the layer of what is visible of the region, its length, and whether the region goes on behind it.
    start: u64,
    length: usize,
    is_open: bool,
    searched: &'s mut Searched,
}

/// One step from the region to a text, and the steps before it.
#[derive(Clone, Copy)]
struct Way<'p> {
    step: Step<'p>,
    outer: Option<&'p Way<'p>>,
    depth: usize,
}

#[derive(Clone, Copy)]
enum Step<'p> {
    Decoded(&'p Decoded),
    Inflated(&'p Inflated),
}

/// A piece of a text that is searched, and what it was decoded from.
struct Part<'p> {
    at: Range<usize>,
    way: &'p Way<'p>,
}

impl Search<'_> {
    /// Searches what is encoded in `bytes`.
    fn level(&mut self, bytes: &[u8], is_cut: bool, outer: Option<&Way<'_>>) {
        let depth = outer.map_or(0, |outer| outer.depth) + 1;
        if depth > self.limits.encoding_depth {
            return;
        }
        let pieces = text::decode(bytes, is_cut, self.allowance);
        let ways: Vec<Way<'_>> = pieces
            .iter()
            .map(|piece| Way {
                step: Step::Decoded(piece),
                outer,
                depth,
            })
            .collect();
        let mut named: Vec<(&[u8], &Decoded, &Way<'_>)> = Vec::new();
        for (piece, way) in pieces.iter().zip(&ways) {
            if text::is_compressed(&piece.bytes)
                && self.begins_here(way)
                && let Some(inflated) = text::inflate(&piece.bytes, self.allowance, self.limits)
            {
                self.stream(&inflated, way);
                continue;
            }
            match name_of(bytes, piece) {
                Some(name) => named.push((name, piece, way)),
                None => self.text(
                    &piece.bytes,
                    &[Part {
                        at: 0..piece.bytes.len(),
                        way,
                    }],
                ),
            }
            self.level(&piece.bytes, is_cut && piece.at.start == 0, Some(way));
        }
        for group in named.chunk_by(|(_, a, _), (_, b, _)| b.at.start <= a.at.end + NEIGHBOURS) {
            let mut text = Vec::new();
            let mut parts = Vec::new();
            for (name, piece, way) in group {
                text.extend_from_slice(name);
                text.extend_from_slice(b": ");
                parts.push(Part {
                    at: text.len()..text.len() + piece.bytes.len(),
                    way,
                });
                text.extend_from_slice(&piece.bytes);
                text.push(b'\n');
            }
            self.text(&text, &parts);
        }
    }

    /// Whether an encoded text belongs to this window as a whole, and not to the next one, which sees more of it.
    fn begins_here(&self, way: &Way<'_>) -> bool {
        self.start + (way.extent().start as u64) < self.cut.next_start
    }

    /// Searches what was compressed before it was encoded.
    fn stream(&mut self, inflated: &Inflated, outer: &Way<'_>) {
        let way = Way {
            step: Step::Inflated(inflated),
            outer: Some(outer),
            depth: outer.depth,
        };
        if !inflated.is_whole && self.is_open && outer.extent().end >= self.length {
            self.searched.is_partial = true;
        }
        let known = self.searched.found.len();
        let bytes = &inflated.bytes;
        self.text(
            bytes,
            &[Part {
                at: 0..bytes.len(),
                way: &way,
            }],
        );
        self.level(bytes, false, Some(&way));
        // What this stream itself shows; inner ones were here before.
        let mut mine: Vec<&mut Hidden> = self.searched.found[known..]
            .iter_mut()
            .filter(|hidden| (hidden.inner.as_ref()).is_some_and(|inner| inner.location.line == 0))
            .collect();
        let masks: Vec<Range<u64>> = mine
            .iter()
            .flat_map(|hidden| hidden.inner.iter().flat_map(|inner| inner.masks.clone()))
            .collect();
        for inner in mine.iter_mut().filter_map(|hidden| hidden.inner.as_mut()) {
            for location in std::iter::once(&mut inner.location).chain(&mut inner.companions) {
                let tally = Tally::of(&bytes[..location.offset as usize], 0);
                (location.line, location.column, location.column_utf16) = tally.position(0, location.offset);
            }
            let at = inner.location.offset..inner.location.offset + inner.location.length;
            inner.context = context::around(bytes, &at, &masks, 0, self.limits.snippet_columns);
        }
    }

    /// Searches one text, whose parts were decoded.
    fn text(&mut self, text: &[u8], parts: &[Part<'_>]) {
        let whole = 0..text.len() as u64;
        let regions = File {
            region: self.region,
            path: self.cut.path(self.region),
            span: whole.clone(),
        };
        let window = Window {
            start: 0,
            bytes: text,
            owned: whole,
        };
        let mut candidates = Vec::new();
        self.matcher
            .scan(&window, &regions, self.scratch, &mut candidates);
        for candidate in candidates {
            if let Some(hidden) = self.place(candidate, parts) {
                self.searched.found.push(hidden);
            }
        }
    }

    /// Leads a candidate back to where it is encoded; `None` where it is not encoded, or for another window to tell.
    fn place(&mut self, mut candidate: Candidate, parts: &[Part<'_>]) -> Option<Hidden> {
        let spans: Vec<Range<u64>> = std::iter::once(&candidate.at)
            .chain(candidate.companions.iter().map(|companion| &companion.at))
            .cloned()
            .collect();
        let mut placed = Vec::new();
        for span in spans {
            let span = span.start as usize..span.end as usize;
            let behind = parts.partition_point(|part| part.at.start <= span.start);
            let part = &parts[behind.checked_sub(1)?];
            if span.end > part.at.end {
                return None;
            }
            placed.push((part.way, span.start - part.at.start..span.end - part.at.start));
        }
        let start = self.start;
        let in_layer = |at: Range<usize>| start + at.start as u64..start + at.end as u64;
        let mut extents = Vec::new();
        let mut inner_masks = Vec::new();
        let mut places = Vec::new();
        for (way, span) in &placed {
            places.push(way.place(span.clone()));
            let mut shown = way.shown(span.clone());
            if let Some(outer) = shown.stream.and_then(|stream| stream.outer) {
                inner_masks.push(shown.extent.start as u64..shown.extent.end as u64);
                shown = outer.shown(0..0);
            }
            while let Some(outer) = shown.stream.and_then(|stream| stream.outer) {
                shown = outer.shown(0..0);
            }
            let extent = in_layer(shown.extent.clone());
            // Of many candidates in one text the lines are told once.
            if self
                .searched
                .masks
                .last()
                .is_none_or(|last| last.end != extent.end)
            {
                self.searched
                    .masks
                    .extend(shown.lines().into_iter().map(in_layer));
            }
            extents.push(extent);
        }
        let way = placed.first()?.0;
        let at = |(place, stream): &(Range<usize>, Option<&Way<'_>>)| match stream {
            None => in_layer(place.clone()),
            Some(stream) => {
                let start = in_layer(stream.extent()).start;
                start + place.start as u64..start + place.end as u64
            }
        };
        candidate.at = at(&places[0]);
        for (companion, place) in candidate.companions.iter_mut().zip(&places[1..]) {
            companion.at = at(place);
        }
        let is_stream = places[0].1.is_some();
        if !is_stream && !self.cut.owned.contains(&candidate.at.start) {
            return None;
        }
        let location = |(place, _): &(Range<usize>, Option<&Way<'_>>)| Location {
            offset: place.start as u64,
            file_offset: place.start as u64,
            length: place.len() as u64,
            ..Location::default()
        };
        Some(Hidden {
            within: way.chain(),
            inner: is_stream.then(|| Inner {
                location: location(&places[0]),
                companions: places[1..].iter().map(location).collect(),
                context: Vec::new(),
                masks: inner_masks,
            }),
            extents,
            candidate,
        })
    }
}

/// Encoded values that are no farther apart are searched together, each behind its name: the halves of a credential
/// in a Kubernetes Secret are one value each.
const NEIGHBOURS: usize = 1024;

/// Longer texts are files and bring their context with them.
const LONGEST_VALUE: usize = 4096;

/// The name that an encoded value is given on its line: `name: …`, `"name": "…"`, `name=…`, or on the line before it
/// where a YAML block follows.
fn name_of<'b>(bytes: &'b [u8], piece: &Decoded) -> Option<&'b [u8]> {
    let is_text = |byte: &u8| !matches!(byte, 0..=8 | 11 | 12 | 14..=31 | 127);
    if !piece.encoding.is_opaque() || piece.bytes.len() > LONGEST_VALUE || !piece.bytes.iter().all(is_text) {
        return None;
    }
    let before = &bytes[piece.at.start.saturating_sub(160)..piece.at.start];
    let trimmed = |text: &'b [u8], set: &[u8]| {
        let kept = text.iter().rposition(|byte| !set.contains(byte));
        &text[..kept.map_or(0, |last| last + 1)]
    };
    let mut head = trimmed(before, b" \t");
    if head.ends_with(b"\n") {
        head = trimmed(head, b" \t\r\n-");
        head = head.strip_suffix(b"|").or_else(|| head.strip_suffix(b">"))?;
        head = trimmed(head, b" \t");
        head = head.strip_suffix(b"!!binary").unwrap_or(head);
    }
    head = trimmed(head, b" \t\"'\\`");
    head = head.strip_suffix(b":").or_else(|| head.strip_suffix(b"="))?;
    head = trimmed(head, b" \t\"'\\");
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let start = head
        .iter()
        .rposition(|byte| !is_name(byte))
        .map_or(0, |last| last + 1);
    Some(&head[start..]).filter(|name| !name.is_empty())
}

/// What shows a part of a text.
struct Shown<'p> {
    /// Where it is, in a stream or in the region.
    extent: Range<usize>,
    /// The text of which nothing is readable and that is all of the extent, where there is one.
    opaque: Option<&'p Way<'p>>,
    stream: Option<&'p Way<'p>>,
}

impl Shown<'_> {
    /// The lines of the extent, without what folds them.
    fn lines(&self) -> Vec<Range<usize>> {
        match self.opaque {
            Some(Way {
                step: Step::Decoded(decoded),
                outer,
                ..
            }) => {
                let lines = decoded.lines().into_iter();
                lines
                    .map(|line| match outer {
                        Some(outer) => outer.place(line).0,
                        None => line,
                    })
                    .collect()
            }
            _ => vec![self.extent.clone()],
        }
    }
}

impl<'p> Way<'p> {
    fn chain(&self) -> Chain {
        let mut links = Vec::new();
        let mut next = Some(self);
        while let Some(way) = next {
            links.push(match way.step {
                Step::Decoded(decoded) => Link::Encoding(decoded.encoding.name()),
                Step::Inflated(inflated) => Link::Stream(inflated.codec),
            });
            next = way.outer;
        }
        links.into_iter().rev().collect()
    }

    /// Where a part of the text is written: in the innermost stream, which comes with it, or in the region.
    fn place(&'p self, part: Range<usize>) -> (Range<usize>, Option<&'p Way<'p>>) {
        let mut part = part;
        let mut next = Some(self);
        while let Some(way) = next {
            match way.step {
                Step::Decoded(decoded) => part = decoded.source(part),
                Step::Inflated(_) => return (part, Some(way)),
            }
            next = way.outer;
        }
        (part, None)
    }

    /// Where in the region all of this stands.
    fn extent(&self) -> Range<usize> {
        let at = match (self.step, self.outer) {
            (Step::Decoded(decoded), _) => decoded.at.clone(),
            (Step::Inflated(_), outer) => return outer.map_or(0..0, Way::extent),
        };
        let Some(outer) = self.outer else { return at };
        let (at, stream) = outer.place(at);
        stream.map_or(at, Way::extent)
    }

    /// What would show a part of the text: all of the outermost text of which nothing is readable, else the part itself.
    fn shown(&'p self, part: Range<usize>) -> Shown<'p> {
        let mut opaque = None;
        let mut next = Some(self);
        let mut stream = None;
        while let Some(way) = next {
            match way.step {
                Step::Decoded(decoded) if decoded.encoding.is_opaque() => opaque = Some((way, decoded)),
                Step::Decoded(_) => {}
                Step::Inflated(_) => {
                    stream = Some(way);
                    break;
                }
            }
            next = way.outer;
        }
        let extent = match opaque {
            Some((
                Way {
                    outer: Some(outer), ..
                },
                decoded,
            )) => outer.place(decoded.at.clone()).0,
            Some((_, decoded)) => decoded.at.clone(),
            None => self.place(part).0,
        };
        Shown {
            extent,
            opaque: opaque.map(|(way, _)| way),
            stream,
        }
    }
}
