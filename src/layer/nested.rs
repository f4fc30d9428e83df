//! Opens the archives of a layer, to any depth that the limits allow, and searches what is in them as files are
//! searched. Looks at no layer: it is given one file at a time, in any order, and puts the results in order.
//!
//! Every byte of nested content is searched twice at most: as it stands in its container, which finds what no reader of
//! the format shows, and as what the container says it is. A credential found both ways is told once, by its place in
//! the content.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::sync::{Mutex, PoisonError};

use crate::content::archive::{self, Format, Members, OpenError, Refusal, Source, Step};
use crate::limits::{LimitHit, Limits};
use crate::tar::{Oddity, RegionKind};
use crate::text::Lossless;
use crate::text::chain::{Chain, Link};

use super::archives::{Body, Content, Held, Picker};
use super::merge::Merger;
use super::owner::ContentDigest;
use super::reader::{LayerReader, feed, oddity_text, settled};
use super::record::{Carrier, LayerCandidate, Severeness};
use super::window::{Cut, Framed, Windower};

/// What the archive in one file gave.
#[derive(Default)]
pub(super) struct Opened {
    entry: u32,
    /// What the file is, where it holds candidates.
    content: Option<ContentDigest>,
    candidates: Vec<LayerCandidate>,
    refused: Refusals,
    /// By reason, what is over [`MOST_LISTED`].
    more_refused: BTreeMap<&'static str, u64>,
    expanded_bytes: u64,
    more_in_file: u64,
    partial_windows: u64,
    over: u64,
    /// Bytes whose search broke off; at least one where an opening did.
    lost_bytes: u64,
    /// Whether the scan was ended before all of it was searched.
    interrupted: bool,
}

/// What could not be opened: in which container and why, and of its members the first and how many.
type Refusals = BTreeMap<(Chain, &'static str), Refused>;

struct Refused {
    member: Option<Vec<u8>>,
    count: u64,
    why: String,
}

/// Something in a file that could not be opened.
pub(super) struct Opaque {
    /// The member of the layer.
    pub(super) entry: u32,
    /// The way from there.
    pub(super) within: Chain,
    pub(super) reason: &'static str,
    pub(super) why: String,
}

/// Puts what archives gave in the order of the layer, so that limits cut the same whatever was ready first.
pub(super) struct Openings<'a> {
    limits: &'a Limits,
    next: u64,
    waiting: BTreeMap<u64, Opened>,
    pub(super) candidates: Vec<LayerCandidate>,
    pub(super) opaque: Vec<Opaque>,
    /// By reason, what is over [`MOST_LISTED`].
    pub(super) more_opaque: BTreeMap<&'static str, u64>,
    pub(super) expanded_bytes: u64,
    pub(super) more_in_file: u64,
    /// Windows whose encoded text was not all decoded.
    pub(super) partial_windows: u64,
    /// Files with candidates, for the class of the file.
    pub(super) contents: BTreeMap<u32, ContentDigest>,
    /// Candidates beyond the limit of a layer.
    pub(super) over: u64,
    pub(super) lost_bytes: u64,
    pub(super) interrupted: bool,
}

impl<'a> Openings<'a> {
    pub(super) fn new(limits: &'a Limits) -> Self {
        Self {
            limits,
            next: 0,
            waiting: BTreeMap::new(),
            candidates: Vec::new(),
            opaque: Vec::new(),
            more_opaque: BTreeMap::new(),
            expanded_bytes: 0,
            more_in_file: 0,
            partial_windows: 0,
            contents: BTreeMap::new(),
            over: 0,
            lost_bytes: 0,
            interrupted: false,
        }
    }

    /// Whether the layer has expanded to all it may: what comes behind this need not be opened any more.
    fn is_exhausted(&self) -> bool {
        self.expanded_bytes >= self.limits.archive_expanded_bytes
    }

    fn add(&mut self, number: u64, opened: Opened) {
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

    fn append(&mut self, opened: Opened) {
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
                count => format!("{}, and so are {} more members of it", refused.why, count - 1),
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
const MOST_LISTED: usize = 1000;

/// Opens one file and adds what it gave. Never waits but for the pieces of the file.
pub(super) fn open(reader: &LayerReader<'_>, number: u64, body: Body, openings: &Mutex<Openings<'_>>) {
    let lock = || openings.lock().unwrap_or_else(PoisonError::into_inner);
    if lock().is_exhausted() {
        let entry = body.entry;
        lock().add(
            number,
            Opened {
                entry,
                ..Opened::default()
            },
        );
        return;
    }
    let limits = reader.limits;
    let by_ratio = body
        .size
        .saturating_mul(limits.archive_ratio)
        .max(limits.archive_ratio_from_bytes);
    let opening = Opening {
        reader,
        entry: body.entry,
        most: if by_ratio < limits.archive_expanded_bytes {
            (by_ratio, LimitHit::ArchiveRatio)
        } else {
            (limits.archive_expanded_bytes, LimitHit::ArchiveBytes)
        },
        expanded_bytes: Cell::new(0),
        members: Cell::new(0),
        held_bytes: Cell::new(0),
        gathered: RefCell::default(),
    };
    let top = Chain::default();
    let opened = catch_unwind(AssertUnwindSafe(|| match &body.content {
        Content::None => opening.refuse(&top, None, &Refusal::Limit(LimitHit::RandomAccess)),
        Content::Pieces(pieces) => {
            let mut pieces = Pieces::new(pieces);
            // An error is a limit or an interruption, and was noted.
            let _ = opening.archive(body.format, Source::Once(&mut pieces), &top);
        }
        Content::Whole(Held { bytes, .. }) => {
            let _ = opening.archive(body.format, Source::Whole(bytes), &top);
        }
    }));
    if opened.is_err() {
        opening.gathered.borrow_mut().lost_bytes += body.size;
    }
    let mut opened = opening.finish();
    if let (Content::Whole(Held { bytes, .. }), false) = (&body.content, opened.candidates.is_empty()) {
        opened.content = Some(ContentDigest::of(bytes));
    }
    lock().add(number, opened);
}

/// One file of a layer while it is opened.
struct Opening<'r, 'a> {
    reader: &'r LayerReader<'a>,
    entry: u32,
    /// The bytes it may expand to, and what says so.
    most: (u64, LimitHit),
    expanded_bytes: Cell<u64>,
    members: Cell<u64>,
    /// Bytes of nested archives in memory.
    held_bytes: Cell<u64>,
    gathered: RefCell<Opened>,
}

impl Opening<'_, '_> {
    fn finish(self) -> Opened {
        let mut opened = self.gathered.into_inner();
        opened.entry = self.entry;
        opened.expanded_bytes = self.expanded_bytes.get();
        drop_stored(&mut opened.candidates);
        let order = |found: &LayerCandidate| (found.within.clone(), found.candidate.order());
        opened.candidates.sort_by_cached_key(order);
        opened
    }

    fn refuse(&self, container: &Chain, member: Option<&[u8]>, refusal: &Refusal) {
        self.refuse_as(container, member, refusal.name(), refusal.to_string());
    }

    fn refuse_as(&self, container: &Chain, member: Option<&[u8]>, reason: &'static str, why: String) {
        let gathered = &mut *self.gathered.borrow_mut();
        let place = (container.clone(), reason);
        if let Some(refused) = gathered.refused.get_mut(&place) {
            refused.count += 1;
        } else if gathered.refused.len() < MOST_LISTED {
            let refused = Refused {
                member: member.map(<[u8]>::to_vec),
                count: 1,
                why,
            };
            gathered.refused.insert(place, refused);
        } else {
            *gathered.more_refused.entry(reason).or_default() += 1;
        }
    }

    /// Ends the opening of the whole file.
    fn stop(&self, limit: LimitHit) -> io::Error {
        self.refuse(&Chain::default(), None, &Refusal::Limit(limit));
        io::Error::other(limit.name())
    }

    /// Counts bytes that came out of a container.
    fn expand(&self, count: usize) -> io::Result<()> {
        let bytes = self.expanded_bytes.get() + count as u64;
        self.expanded_bytes.set(bytes);
        let (most, limit) = self.most;
        if bytes > most {
            return Err(self.stop(limit));
        }
        if self.reader.cancelled.load(Ordering::Relaxed) {
            self.gathered.borrow_mut().interrupted = true;
            // Not the kind of that name, which asks to be tried again.
            return Err(io::Error::other("interrupted"));
        }
        Ok(())
    }

    fn count_members(&self, count: u64) -> io::Result<()> {
        let members = self.members.get() + count;
        self.members.set(members);
        if members > self.reader.limits.archive_members {
            return Err(self.stop(LimitHit::ArchiveMembers));
        }
        Ok(())
    }

    /// Opens an archive whose own bytes are searched by the caller. *Errors*: those of the source, and whatever ends
    /// the opening of the file.
    fn archive(&self, format: Format, mut source: Source<'_>, chain: &Chain) -> io::Result<()> {
        if format == Format::Tar {
            return match &mut source {
                Source::Whole(bytes) => self.tar(bytes, chain),
                Source::Once(reader) => self.tar(reader, chain),
            };
        }
        if let Source::Once(reader) = &mut source
            && !format.is_sequential()
        {
            let before = self.held_bytes.get();
            let room = self.reader.limits.archive_bytes.saturating_sub(before);
            let mut held = Vec::new();
            reader.take(room + 1).read_to_end(&mut held)?;
            if held.len() as u64 > room {
                self.refuse(chain, None, &Refusal::Limit(LimitHit::RandomAccess));
                return Ok(());
            }
            self.held_bytes.set(before + held.len() as u64);
            let opened = self.archive(format, Source::Whole(&held), chain);
            self.held_bytes.set(before);
            return opened;
        }
        let mut inside = Inside { opening: self, chain };
        match archive::open(format, source, self.reader.limits, &mut inside) {
            Ok(()) => Ok(()),
            Err(OpenError::Content(error)) => Err(error),
            Err(OpenError::Refused(refusal)) => {
                self.refuse(chain, None, &refusal);
                Ok(())
            }
        }
    }

    /// Searches the content of a member or a stream, and opens it if it is an archive itself.
    fn content(&self, source: &mut dyn Read, chain: &Chain) -> io::Result<()> {
        let mut head = Vec::with_capacity(Format::HEAD_BYTES);
        let begun = source.take(Format::HEAD_BYTES as u64).read_to_end(&mut head);
        let format = match Format::of(&head) {
            Some(_) if chain.links().len() >= self.reader.limits.archive_depth => {
                self.refuse(chain, None, &Refusal::Limit(LimitHit::ArchiveDepth));
                None
            }
            format => format,
        };
        let mut source = Headed {
            head: &head,
            begun: begun.err(),
            source,
        };
        if format == Some(Format::Tar) {
            return self.tar(&mut source, chain);
        }
        let mut stored = Stored {
            source: &mut source,
            opening: self,
            windows: Windower::flat(&self.reader.buffers, Carrier::Tar(RegionKind::Body))
                .named(chain.member().unwrap_or_default()),
            merger: Mutex::new(Merger::new(self.reader.limits)),
        };
        let opened = match format {
            Some(format) => self.archive(format, Source::Once(&mut stored), chain),
            None => Ok(()),
        };
        let read = opened.and_then(|()| stored.drain());
        let Stored { windows, merger, .. } = stored;
        let (cut, _) = windows.finish();
        self.reader.search(&cut, &merger);
        self.keep(merger, |_| Place::Content(chain.clone()));
        read
    }

    /// Searches a tar archive by its regions, as layers are, and opens the archives in it.
    fn tar(&self, source: &mut dyn Read, chain: &Chain) -> io::Result<()> {
        let limits = self.reader.limits;
        let room = limits.archive_bytes.saturating_sub(self.held_bytes.get());
        let mut windows = Windower::tar(&self.reader.buffers, limits, Picker::of_member(room));
        let merger = Mutex::new(Merger::new(limits));
        let read = self.read_tar(source, chain, &mut windows, &merger);
        let (cut, framed) = windows.finish();
        self.reader.search(&cut, &merger);
        self.judge(&framed, read.is_err(), chain);
        let counted = self.count_members(framed.paths.len() as u64 + framed.entries_over + framed.paths_over);
        let mut chains: HashMap<u32, Chain> = HashMap::new();
        self.keep(merger, |found| {
            let Some(entry) = found.entry.filter(|_| found.carrier.is_file()) else {
                return Place::Between(chain.clone());
            };
            let member = chains.entry(entry).or_insert_with(|| {
                let path = framed.paths.row(entry).map(|row| row.path.into_owned());
                chain.then(Link::Member(path.unwrap_or_default().as_slice().into()))
            });
            Place::Content(member.clone())
        });
        read.and(counted)
    }

    fn read_tar(
        &self,
        source: &mut dyn Read,
        chain: &Chain,
        windows: &mut Windower,
        merger: &Mutex<Merger<'_>>,
    ) -> io::Result<()> {
        loop {
            let count = read(source, windows.space())?;
            if count == 0 {
                windows.end_bodies();
            } else {
                self.expand(count)?;
                windows.advance(count);
            }
            for body in windows.bodies() {
                let chain = chain.then(Link::Member(windows.path(body.entry).as_slice().into()));
                self.body(body, &chain)?;
            }
            if count == 0 {
                return Ok(());
            }
            if windows.is_full() {
                let cut = windows.cut();
                self.reader.search(&cut, merger);
            }
        }
    }

    /// Opens a member of a tar archive that is an archive.
    fn body(&self, body: Body, chain: &Chain) -> io::Result<()> {
        if chain.links().len() >= self.reader.limits.archive_depth {
            self.refuse(chain, None, &Refusal::Limit(LimitHit::ArchiveDepth));
            return Ok(());
        }
        let Content::Whole(held) = &body.content else {
            self.refuse(chain, None, &Refusal::Limit(LimitHit::RandomAccess));
            return Ok(());
        };
        let before = self.held_bytes.get();
        self.held_bytes.set(before + held.bytes.len() as u64);
        let opened = self.guard(chain, || {
            self.archive(body.format, Source::Whole(&held.bytes), chain)
        });
        self.held_bytes.set(before);
        opened
    }

    /// Keeps a panic to the member it happens in.
    fn guard(&self, chain: &Chain, work: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
            let why = "an internal error ended the opening of it".to_owned();
            self.refuse_as(chain, None, "panic", why);
            self.gathered.borrow_mut().lost_bytes += 1;
            Ok(())
        })
    }

    /// Tells what a tar archive hides from whoever reads it. That it ends early is news only if what it is read from
    /// did not break off.
    fn judge(&self, framed: &Framed, broke_off: bool, chain: &Chain) {
        if !framed.framing.is_tar {
            self.refuse(
                chain,
                None,
                &Refusal::Malformed("it is no tar archive".to_owned()),
            );
        }
        for (oddity, offset) in &framed.oddities {
            let (severeness, reason, what) = oddity_text(*oddity);
            let is_told = broke_off && *oddity == Oddity::Truncated;
            if severeness == Severeness::Incomplete && !is_told {
                self.refuse_as(chain, None, reason, format!("{what}, at its offset {offset}"));
            }
        }
    }

    /// Keeps the candidates of one stream. `member` says which content a candidate is in, or that it is beside all of it.
    fn keep(&self, merger: Mutex<Merger<'_>>, mut member: impl FnMut(&LayerCandidate) -> Place) {
        let merged = merger.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut gathered = self.gathered.borrow_mut();
        gathered.more_in_file += merged.more_in_file;
        gathered.partial_windows += merged.partial_windows;
        gathered.lost_bytes += merged.lost_bytes;
        for mut found in settled(self.reader.matcher, merged.candidates) {
            let place = member(&found);
            let locations = std::iter::once(&mut found.location).chain(&mut found.companions);
            for location in locations {
                match place {
                    // The offset in the member, not in the stream it is part of.
                    Place::Content(_) => location.offset = location.file_offset,
                    // Between members there are no lines.
                    Place::Between(_) => {
                        location.file_offset = location.offset;
                        (location.line, location.column, location.column_utf16) = (0, 0, 0);
                    }
                }
            }
            let (Place::Content(chain) | Place::Between(chain)) = place;
            found.within = chain.join(&found.within);
            found.entry = Some(self.entry);
            found.carrier = Carrier::Tar(RegionKind::Body);
            if gathered.candidates.len() < self.reader.limits.findings {
                gathered.candidates.push(found);
            } else {
                gathered.over += 1;
            }
        }
    }
}

/// What a candidate of a stream stands in.
enum Place {
    /// In headers and padding of the container.
    Between(Chain),
    /// In content.
    Content(Chain),
}

/// Takes the members of one container.
struct Inside<'o, 'r, 'a> {
    opening: &'o Opening<'r, 'a>,
    chain: &'o Chain,
}

impl Members for Inside<'_, '_, '_> {
    fn member(&mut self, step: Step<'_>, content: &mut dyn Read) -> io::Result<()> {
        self.opening.count_members(1)?;
        let chain = self.chain.then(match step {
            Step::Member(name) => Link::Member(name.into()),
            Step::Stream(name) => Link::Stream(name),
        });
        self.opening
            .guard(&chain, || self.opening.content(content, &chain))
    }

    fn refused(&mut self, name: &[u8], refusal: Refusal) {
        self.opening.refuse(self.chain, Some(name), &refusal);
    }
}

/// Content on its way: whoever reads it, it is searched as it stands.
struct Stored<'s, 'o, 'r, 'a> {
    source: &'s mut dyn Read,
    opening: &'o Opening<'r, 'a>,
    windows: Windower,
    merger: Mutex<Merger<'a>>,
}

impl Stored<'_, '_, '_, '_> {
    /// Reads what is left.
    fn drain(&mut self) -> io::Result<()> {
        loop {
            let count = read(self.source, self.windows.space())?;
            if count == 0 {
                return Ok(());
            }
            self.opening.expand(count)?;
            self.windows.advance(count);
            if self.windows.is_full() {
                let cut = self.windows.cut();
                self.opening.reader.search(&cut, &self.merger);
            }
        }
    }
}

impl Read for Stored<'_, '_, '_, '_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = read(self.source, out)?;
        self.opening.expand(count)?;
        let (reader, merger) = (self.opening.reader, &self.merger);
        feed(&mut self.windows, &out[..count], &mut |cut: Cut| {
            reader.search(&cut, merger);
        });
        Ok(count)
    }
}

/// Content whose first bytes were looked at already.
struct Headed<'s> {
    head: &'s [u8],
    /// How reading them ended, if not well.
    begun: Option<io::Error>,
    source: &'s mut dyn Read,
}

impl Read for Headed<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.head.is_empty() {
            return match self.begun.take() {
                Some(error) => Err(error),
                None => self.source.read(out),
            };
        }
        self.head.read(out)
    }
}

/// A file that is read while it passes.
struct Pieces<'c> {
    pieces: &'c Receiver<Vec<u8>>,
    piece: Vec<u8>,
    position: usize,
}

impl<'c> Pieces<'c> {
    fn new(pieces: &'c Receiver<Vec<u8>>) -> Self {
        Self {
            pieces,
            piece: Vec::new(),
            position: 0,
        }
    }
}

impl Read for Pieces<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.position == self.piece.len() {
            let Ok(piece) = self.pieces.recv() else {
                return Ok(0);
            };
            (self.piece, self.position) = (piece, 0);
        }
        let count = out.len().min(self.piece.len() - self.position);
        out[..count].copy_from_slice(&self.piece[self.position..self.position + count]);
        self.position += count;
        Ok(count)
    }
}

fn read(source: &mut dyn Read, out: &mut [u8]) -> io::Result<usize> {
    loop {
        match source.read(out) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

/// Drops candidates that stand in the bytes of a container and again in the content that these bytes are: what a zip
/// stores, what tar, ar and cpio hold.
fn drop_stored(candidates: &mut Vec<LayerCandidate>) {
    let inner = Inner::of(candidates);
    candidates.retain(|found| !inner.has(found));
}

/// The credentials of nested content and where they are, to compare with those of its containers.
pub(super) struct Inner(HashMap<Key, Vec<(Option<u32>, Chain)>>);

/// Rule, part, text and the texts of the companions.
type Key = (u32, Option<u32>, Vec<u8>, Vec<Vec<u8>>);

impl Inner {
    pub(super) fn of(candidates: &[LayerCandidate]) -> Self {
        let mut inner: HashMap<Key, Vec<(Option<u32>, Chain)>> = HashMap::new();
        for found in candidates
            .iter()
            .filter(|found| !containers(&found.within).is_empty())
        {
            let places = inner.entry(key(found)).or_default();
            places.push((found.entry, found.within.clone()));
        }
        Self(inner)
    }

    /// Whether the same stands deeper in what `found` stands in.
    pub(super) fn has(&self, found: &LayerCandidate) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let own = containers(&found.within);
        self.0.get(&key(found)).is_some_and(|places| {
            places.iter().any(|(entry, chain)| {
                let chain = containers(chain);
                *entry == found.entry && chain.len() > own.len() && chain.starts_with(own)
            })
        })
    }
}

fn key(found: &LayerCandidate) -> Key {
    let candidate = &found.candidate;
    let companions = candidate.companions.iter();
    (
        candidate.rule,
        candidate.part,
        candidate.text.clone(),
        companions.map(|companion| companion.text.clone()).collect(),
    )
}

/// The steps before any text was decoded.
fn containers(chain: &Chain) -> &[Link] {
    let links = chain.links();
    let encoded = links.iter().position(|link| matches!(link, Link::Encoding(_)));
    &links[..encoded.unwrap_or(links.len())]
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use super::super::reader::tests::RULE;
    use super::*;
    use crate::engine::Matcher;
    use crate::layer::{Claims, LayerRecord, Silent};
    use crate::limits::Budget;
    use crate::oci::Algorithm;
    use crate::rules::RuleSet;

    fn token(number: usize) -> String {
        // Digits that follow no pattern, or the checks would take it for a placeholder.
        let scattered = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        format!("tok_{scattered:016x}")
    }

    fn read(blob: &[u8], limits: &Limits, jobs: usize) -> LayerRecord {
        let rules = RuleSet::load(&[("tests.toml".to_owned(), RULE.to_owned())]).expect("the rule is right");
        let rules = rules.retain(|rule| rule.id.0 == "test-token");
        let matcher = Matcher::new(Arc::new(rules));
        let budget = Budget::new(limits.in_flight_bytes);
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(jobs)
            .build()
            .expect("threads start");
        let cancelled = AtomicBool::new(false);
        let reader = LayerReader::new(&matcher, limits, &budget, &pool, &cancelled);
        let claims = Claims {
            digest: Algorithm::Sha256,
            diff_id: None,
            size: None,
        };
        reader.read(&mut &blob[..], claims, &Silent)
    }

    fn tar(files: &[(String, Vec<u8>)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            builder
                .append_data(&mut header, path, content.as_slice())
                .expect("the archive can be written");
        }
        builder.into_inner().expect("the archive can be ended")
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2_encoder();
        encoder.write_all(bytes).expect("memory can be written");
        encoder.finish().expect("memory can be written")
    }

    fn flate2_encoder() -> flate2::write::GzEncoder<Vec<u8>> {
        flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast())
    }

    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1_u64;
        std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        })
        .take(length)
        .collect()
    }

    fn places(record: &LayerRecord) -> Vec<(String, u64)> {
        let candidates = record.candidates.iter();
        candidates
            .map(|found| {
                let row = found.entry.and_then(|entry| record.paths.row(entry));
                let path = row.map(|row| row.path.into_owned()).unwrap_or_default();
                let path = String::from_utf8_lossy(&path).into_owned();
                (format!("{path}{}", found.within), found.location.offset)
            })
            .collect()
    }

    fn reasons(record: &LayerRecord) -> Vec<&'static str> {
        record.skips.iter().map(|skip| skip.reason).collect()
    }

    /// A `.tar.gz` with tokens in front of, between and behind content that does not compress.
    fn large() -> Vec<u8> {
        let file = |number: usize| {
            let mut content = noise(900_000);
            content[899_999] = b' ';
            content.extend_from_slice(token(number).as_bytes());
            (format!("d/{number}"), content)
        };
        gzip(&tar(&[file(1), file(2), file(3)]))
    }

    #[test]
    fn a_file_too_large_to_hold_is_opened_while_it_passes() {
        let blob = tar(&[
            ("first.gz".to_owned(), gzip(token(7).as_bytes())),
            ("large.tgz".to_owned(), large()),
            ("last.gz".to_owned(), gzip(token(8).as_bytes())),
        ]);
        let expected = vec![
            ("first.gz!(gzip)".to_owned(), 0),
            ("large.tgz!(gzip)!/d/1".to_owned(), 900_000),
            ("large.tgz!(gzip)!/d/2".to_owned(), 900_000),
            ("large.tgz!(gzip)!/d/3".to_owned(), 900_000),
            ("last.gz!(gzip)".to_owned(), 0),
        ];
        for archive_bytes in [Limits::default().archive_bytes, 100_000] {
            let limits = Limits {
                archive_bytes,
                archives_in_flight_bytes: archive_bytes,
                ..Limits::default()
            };
            for jobs in [1, 4] {
                let record = read(&blob, &limits, jobs);
                assert_eq!(places(&record), expected);
                assert_eq!(record.skips, []);
                assert!(record.expanded_bytes > 2_700_000);
            }
        }
    }

    #[test]
    fn a_large_file_whose_layer_ends_within_it_ends_too() {
        let blob = tar(&[("large.tgz".to_owned(), large())]);
        let limits = Limits {
            archive_bytes: 100_000,
            ..Limits::default()
        };
        let record = read(&blob[..2_000_000], &limits, 1);
        assert_eq!(
            places(&record),
            [
                ("large.tgz!(gzip)!/d/1".to_owned(), 900_000),
                ("large.tgz!(gzip)!/d/2".to_owned(), 900_000)
            ]
        );
        // Of the layer, and of the file in it.
        assert_eq!(reasons(&record), ["tar-truncated", "truncated-archive"]);
    }

    #[test]
    fn a_directory_at_the_end_of_a_large_file_is_out_of_reach() {
        let mut archive = b"PK\x03\x04".to_vec();
        archive.resize(200_000, b' ');
        archive.extend_from_slice(token(1).as_bytes());
        let limits = Limits {
            archive_bytes: 100_000,
            ..Limits::default()
        };
        let record = read(&tar(&[("a.zip".to_owned(), archive)]), &limits, 1);
        assert_eq!(places(&record).len(), 1);
        assert_eq!(reasons(&record), ["needs-random-access"]);
    }

    #[test]
    fn nested_archives_share_the_memory_that_one_file_may_take() {
        // Each level holds what is in it: three levels of 60,000 bytes and more.
        let mut inner = b"PK\x03\x04".to_vec();
        inner.extend_from_slice(&noise(60_000));
        let middle = tar(&[("b.zip".to_owned(), inner)]);
        let blob = tar(&[("a.tar.gz".to_owned(), gzip(&middle))]);
        for (archive_bytes, reason) in [(50_000, "needs-random-access"), (1 << 20, "malformed-archive")] {
            let limits = Limits {
                archive_bytes,
                ..Limits::default()
            };
            assert_eq!(reasons(&read(&blob, &limits, 1)), [reason]);
        }
    }

    #[test]
    fn a_file_that_expands_beyond_all_measure_is_stopped_and_the_next_is_not() {
        let mut zeros = token(1).into_bytes();
        zeros.resize(8 << 20, 0);
        zeros.extend_from_slice(token(2).as_bytes());
        let blob = tar(&[
            ("bomb.gz".to_owned(), gzip(&gzip(&zeros))),
            ("z.gz".to_owned(), gzip(token(3).as_bytes())),
        ]);
        let limits = Limits {
            archive_ratio: 10,
            archive_ratio_from_bytes: 4 << 20,
            ..Limits::default()
        };
        let record = read(&blob, &limits, 2);
        assert_eq!(reasons(&record), ["archive-ratio"]);
        let expected = [
            ("bomb.gz!(gzip)!(gzip)".to_owned(), 0),
            ("z.gz!(gzip)".to_owned(), 0),
        ];
        assert_eq!(places(&record), expected);
        assert!(record.expanded_bytes < 7 << 20, "{}", record.expanded_bytes);
    }

    #[test]
    fn a_layer_that_expands_to_all_it_may_says_which_files_it_left() {
        let files: Vec<(String, Vec<u8>)> = (0..40)
            .map(|number| {
                let mut content = vec![b'.'; 100_000];
                content.extend_from_slice(token(number).as_bytes());
                (format!("{number}.gz"), gzip(&content))
            })
            .collect();
        let blob = tar(&files);
        let limits = Limits {
            archive_expanded_bytes: 1_000_000,
            ..Limits::default()
        };
        let one = read(&blob, &limits, 1);
        let many = read(&blob, &limits, 8);
        assert_eq!(places(&one), places(&many));
        assert_eq!(one.skips, many.skips);
        assert_eq!(places(&one).len(), 10);
        assert_eq!(reasons(&one), ["archive-bytes"; 30]);
    }

    #[test]
    fn members_beyond_the_limit_end_the_file() {
        let files: Vec<(String, Vec<u8>)> = (0..9).map(|number| (number.to_string(), vec![b'x'])).collect();
        let blob = tar(&[("many.tgz".to_owned(), gzip(&tar(&files)))]);
        let limits = Limits {
            archive_members: 5,
            ..Limits::default()
        };
        assert_eq!(reasons(&read(&blob, &limits, 1)), ["archive-members"]);
    }

    #[test]
    fn first_bytes_that_come_in_pieces_are_told_as_well() {
        // Compressed with a flush behind every few bytes, so that each step of decompression gives a few.
        let inner = tar(&[("k".to_owned(), token(5).into_bytes())]);
        let stream = tar(&[
            ("a.tar".to_owned(), inner),
            ("b.gz".to_owned(), gzip(token(6).as_bytes())),
        ]);
        let mut encoder = flate2_encoder();
        for piece in stream.chunks(3) {
            encoder.write_all(piece).expect("memory can be written");
            encoder.flush().expect("memory can be written");
        }
        let blob = encoder.finish().expect("memory can be written");
        let record = read(&blob, &Limits::default(), 1);
        let expected = [("a.tar!/k".to_owned(), 0), ("b.gz!(gzip)".to_owned(), 0)];
        assert_eq!(places(&record), expected);
    }

    #[test]
    fn what_cannot_be_opened_is_listed_up_to_a_number_and_counted_beyond_it() {
        let broken = |number: usize| (format!("{number}.zip"), b"PK\x03\x04".to_vec());
        let inner: Vec<(String, Vec<u8>)> = (0..1100).map(broken).collect();
        let mut files: Vec<(String, Vec<u8>)> = (0..30).map(broken).collect();
        files.push(("many.tar".to_owned(), tar(&inner)));
        let record = read(&tar(&files), &Limits::default(), 2);
        assert_eq!(record.skips.len(), 1001);
        let last = record.skips.last().expect("there are many");
        assert_eq!(last.severeness, Severeness::Opaque);
        assert_eq!(last.detail, "130 more places in this layer");
    }

    #[test]
    fn what_stands_between_the_members_of_a_tar_archive_is_told_of_the_archive() {
        let mut inner = tar(&[("k".to_owned(), b"x".to_vec())]);
        inner[600..620].copy_from_slice(token(9).as_bytes());
        let blob = tar(&[("a.tgz".to_owned(), gzip(&inner))]);
        let record = read(&blob, &Limits::default(), 1);
        assert_eq!(places(&record), [("a.tgz!(gzip)".to_owned(), 600)]);
        assert_eq!(record.candidates[0].location.line, 0);
    }
}
