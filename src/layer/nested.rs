//! Opens the archives of a layer, to any depth that the limits allow, and searches what is in them as files are
//! searched. Looks at no layer: it is given one file at a time, in any order, and puts the results in order.
//!
//! Every byte of nested content is searched twice at most: as it stands in its container, which finds what no reader of
//! the format shows, and as what the container says it is. A credential found both ways is told once, by its place in
//! the content.

mod inner;
mod openings;
#[cfg(test)]
mod tests;

pub(super) use inner::Inner;
pub(super) use openings::Openings;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::sync::{Mutex, PoisonError};

use crate::content::archive::{self, Format, Members, OpenError, Refusal, Source, Step};
use crate::limits::LimitHit;
use crate::tar::{Oddity, RegionKind};
use crate::text::Location;
use crate::text::chain::{Chain, Link};

use super::archives::{Body, Content, Held, Picker};
use super::loose::LooseObjects;
use super::merge::Merger;
use super::owner::ContentDigest;
use super::reader::{LayerReader, feed, oddity_text, settled};
use super::record::{Carrier, LayerCandidate, Severeness};
use super::window::{Cut, Framed, Windower};
use inner::{drop_later_versions, drop_stored};
use openings::{MOST_LISTED, Opened, Refused};

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
        commits: RefCell::default(),
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
            let _ = opening.whole(&body, bytes, &top);
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
    /// The commits that versions of files are first in, by age, of versions that hold candidates.
    commits: RefCell<HashMap<Chain, u32>>,
    gathered: RefCell<Opened>,
}

impl Opening<'_, '_> {
    fn finish(self) -> Opened {
        let mut opened = self.gathered.into_inner();
        opened.entry = self.entry;
        opened.expanded_bytes = self.expanded_bytes.get();
        drop_stored(&mut opened.candidates);
        opened.more_versions = drop_later_versions(&mut opened.candidates, &self.commits.into_inner());
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

    /// Opens a file that is held.
    fn whole(&self, body: &Body, bytes: &[u8], chain: &Chain) -> io::Result<()> {
        let Some(name) = &body.name else {
            return self.archive(body.format, Source::Whole(bytes), chain);
        };
        let mut inside = Inside {
            opening: self,
            chain,
            name: Some(name),
        };
        let opened = archive::open(body.format, Source::Whole(bytes), self.reader.limits, &mut inside);
        self.outcome(opened, chain)
    }

    /// Opens an archive whose own bytes are searched by the caller. *Errors*: those of the source, and whatever ends
    /// the opening of the file.
    fn archive(&self, format: Format, mut source: Source<'_>, chain: &Chain) -> io::Result<()> {
        #[cfg(test)]
        if let Source::Whole(bytes) = &source {
            super::break_down("archive", bytes);
        }
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
        if let (Format::KeyStore, Source::Whole(bytes)) = (format, &source) {
            self.key_store(bytes, chain);
            return Ok(());
        }
        let mut inside = Inside {
            opening: self,
            chain,
            name: None,
        };
        let opened = archive::open(format, source, self.reader.limits, &mut inside);
        self.outcome(opened, chain)
    }

    fn outcome(&self, opened: Result<(), OpenError>, chain: &Chain) -> io::Result<()> {
        match opened {
            Ok(()) => Ok(()),
            Err(OpenError::Content(error)) => Err(error),
            Err(OpenError::Refused(refusal)) => {
                self.refuse(chain, None, &refusal);
                Ok(())
            }
        }
    }

    /// Tells that content is a key store, if it is one that holds a private key.
    fn key_store(&self, bytes: &[u8], chain: &Chain) {
        let Some(candidate) = self.reader.matcher.key_store(bytes) else {
            return;
        };
        let gathered = &mut *self.gathered.borrow_mut();
        if gathered.candidates.len() >= self.reader.limits.findings {
            gathered.over += 1;
            return;
        }
        gathered.candidates.push(LayerCandidate {
            carrier: Carrier::Tar(RegionKind::Body),
            entry: Some(self.entry),
            within: chain.clone(),
            // All of it; there are no lines to count.
            location: Location {
                length: candidate.at.end,
                ..Location::default()
            },
            companions: Vec::new(),
            context: Vec::new(),
            candidate,
        });
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
        let mut loose = LooseObjects::new(limits.git_objects_bytes.min(room));
        let mut read = self.read_tar(source, chain, &mut windows, &merger, &mut loose);
        // Those of an archive that breaks off are opened too.
        let (objects, is_over) = loose.named(limits);
        if is_over {
            self.refuse(chain, None, &Refusal::Limit(LimitHit::GitNames));
        }
        for body in objects {
            let chain = chain.then(Link::Member(windows.path(body.entry).as_slice().into()));
            read = read.and(self.body(body, &chain));
        }
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
        loose: &mut LooseObjects,
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
                let path = windows.path(body.entry);
                if let Some(body) = loose.pass(body, &path) {
                    self.body(body, &chain.then(Link::Member(path.as_slice().into())))?;
                }
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
        let opened = self.guard(chain, || self.whole(&body, &held.bytes, chain));
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
        let mut merged = merger.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut gathered = self.gathered.borrow_mut();
        gathered.seen.append(&mut merged.seen);
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
    /// What its member is called, where others than the container know.
    name: Option<&'o [u8]>,
}

impl Members for Inside<'_, '_, '_> {
    fn member(&mut self, step: Step<'_>, content: &mut dyn Read) -> io::Result<()> {
        self.opening.count_members(1)?;
        let chain = self.chain.then(match step {
            Step::Member(name) | Step::Version(name, _) => Link::Member(self.name.unwrap_or(name).into()),
            Step::Stream(name) => Link::Stream(name),
        });
        let found = || self.opening.gathered.borrow().candidates.len();
        let before = found();
        let opened = self
            .opening
            .guard(&chain, || self.opening.content(content, &chain));
        if let Step::Version(_, commit) = step
            && found() > before
        {
            self.opening.commits.borrow_mut().insert(chain, commit);
        }
        opened
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
