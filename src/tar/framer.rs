//! The push parser: turns a stream, cut anywhere, into regions and entries. Does not stop at what Go refuses; it
//! notes the oddity and goes on.

use std::collections::BTreeSet;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::header::{self, BLOCK, Block, Header, Name};
use super::pax::{Number, Records};
use super::sparse::{Map, MapError, Run, Sparse, TextMap, Version};
use super::{Entry, EntryKind, EntryPath, Oddity, Region, RegionKind, Sink};
use crate::limits::Limits;

/// Cuts a stream of bytes into regions and entries. Bytes may be pushed in pieces of any size; what is found does
/// not depend on how the stream is cut.
///
/// *Cost*: passing over a body is one addition per push. Memory is a block, the extended headers of one member (each
/// up to [`Limits::tar_header_bytes`]) and one sparse map (up to [`Limits::sparse_runs`]).
#[derive(Debug)]
pub struct Framer {
    header_bytes: u64,
    sparse_runs: usize,
    /// Bytes pushed so far.
    position: u64,
    /// The block that is being collected, where a push ended within one.
    block: Box<Block>,
    filled: usize,
    state: State,
    gap: Gap,
    pending: Pending,
    entries: u64,
    is_tar: bool,
    oddities: BTreeSet<Oddity>,
    /// What was noted last, and where, so that nothing is told twice.
    noted: (u64, Vec<Oddity>),
}

/// What the whole stream turned out to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Framing {
    /// Whether the stream is a tar archive at all: empty, or its first block is zero or has the checksum of a header.
    /// If not, all of it is one [`RegionKind::Tail`], and nothing odd is noted.
    pub is_tar: bool,
    /// The length of the stream. A region whose span goes beyond it ends here.
    pub end: u64,
    /// Members seen.
    pub entries: u64,
    /// Everything odd, each kind once, sorted.
    pub oddities: Vec<Oddity>,
}

impl Framer {
    /// A framer at offset 0.
    pub fn new(limits: &Limits) -> Self {
        Self {
            header_bytes: limits.tar_header_bytes,
            sparse_runs: limits.sparse_runs,
            position: 0,
            block: Box::new([0; BLOCK]),
            filled: 0,
            state: State::Header,
            gap: Gap::None,
            pending: Pending::default(),
            entries: 0,
            is_tar: true,
            oddities: BTreeSet::new(),
            noted: (0, Vec::new()),
        }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, mut bytes: &[u8], sink: &mut dyn Sink) {
        while !bytes.is_empty() {
            let taken = match std::mem::replace(&mut self.state, State::Header) {
                State::Content(content) => self.content(content, bytes, sink),
                State::NoTar => {
                    self.state = State::NoTar;
                    self.position += bytes.len() as u64;
                    bytes.len()
                }
                state => {
                    self.state = state;
                    self.collect(bytes, sink)
                }
            };
            bytes = &bytes[taken..];
        }
    }

    /// The offset up to which the regions told so far are final. Less than a block behind what was pushed: a block
    /// is told as a region, or found to belong to the region before it, when its last byte comes.
    pub fn settled(&self) -> u64 {
        self.position - self.filled as u64
    }

    /// Ends the stream.
    pub fn finish(mut self, sink: &mut dyn Sink) -> Framing {
        match std::mem::replace(&mut self.state, State::NoTar) {
            State::Content(content) if self.position < content.body => {
                self.note(Oddity::Truncated, self.position, sink);
            }
            State::Content(_) | State::NoTar => {}
            State::Header if self.filled > 0 => self.finish_block(sink),
            State::Header => {}
            State::SparseBlocks(old) => {
                if self.filled > 0 {
                    let start = self.settled();
                    tell(
                        RegionKind::Extension,
                        start..start + BLOCK as u64,
                        old.entry,
                        sink,
                    );
                }
                self.note(Oddity::Truncated, self.settled(), sink);
            }
        }
        self.drop_pending(self.settled(), sink);
        Framing {
            is_tar: self.is_tar,
            end: self.position,
            entries: self.entries,
            oddities: self.oddities.into_iter().collect(),
        }
    }
}

/// What the next bytes are.
#[derive(Debug)]
enum State {
    /// What a header announced: a body, then padding.
    Content(Content),
    /// A block that should be a header.
    Header,
    /// Of no interest: the stream is no tar.
    NoTar,
    /// A block with more of an old GNU sparse map.
    SparseBlocks(SparseBlocks),
}

/// The region without a known end that is open, if the last one was such.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gap {
    None,
    /// Zero blocks, and whether it is more than one.
    End {
        is_complete: bool,
    },
    /// Bytes that are no headers, and whether an archive has ended before them.
    Tail {
        after_end: bool,
    },
}

/// A body and its padding.
#[derive(Debug)]
struct Content {
    entry: Option<u32>,
    /// Where its header begins, for oddities.
    header: u64,
    /// Where the body ends.
    body: u64,
    /// Where the padding ends.
    padding: u64,
    /// Where the region told last ends.
    told: u64,
    stored: Stored,
}

/// How the bytes of a body are to be taken.
#[derive(Debug)]
enum Stored {
    /// As the file's.
    File,
    /// As an extended header that is kept.
    Kept(Extension),
    /// As an extended header that is too large.
    PassedOver,
    /// As these runs of a file, then padding.
    Runs(std::vec::IntoIter<Run>),
    /// As a sparse map of version 1.0, then a file.
    TextMap(TextMap),
}

/// A member whose old GNU sparse map goes on in blocks behind the header.
#[derive(Debug)]
struct SparseBlocks {
    entry: Option<u32>,
    header: u64,
    body: u64,
    /// What was read of it; `None` once it proved unusable.
    map: Option<Map>,
    /// Bytes of the map in these blocks so far.
    bytes: u64,
}

/// The kinds of extended headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extension {
    Global,
    LongLink,
    LongName,
    Pax,
}

impl Extension {
    fn of(typeflag: u8) -> Option<Self> {
        match typeflag {
            b'g' => Some(Self::Global),
            b'K' => Some(Self::LongLink),
            b'L' => Some(Self::LongName),
            b'x' => Some(Self::Pax),
            _ => None,
        }
    }
}

/// Extended headers that wait for their member. The buffers are used again and again, so that a layer in which every
/// member has a PAX header costs no allocations for them.
#[derive(Debug, Default)]
struct Pending {
    global: Kept,
    link: Kept,
    name: Kept,
    pax: Kept,
}

#[derive(Debug, Default)]
struct Kept {
    bytes: Vec<u8>,
    is_complete: bool,
}

impl Pending {
    fn slot(&mut self, extension: Extension) -> &mut Kept {
        match extension {
            Extension::Global => &mut self.global,
            Extension::LongLink => &mut self.link,
            Extension::LongName => &mut self.name,
            Extension::Pax => &mut self.pax,
        }
    }

    fn is_empty(&self) -> bool {
        !(self.link.is_complete || self.name.is_complete || self.pax.is_complete)
    }

    fn extended(&self) -> Extended<'_> {
        Extended {
            records: self.pax.bytes().map(Records::read).unwrap_or_default(),
            name: self.name.bytes(),
            link: self.link.bytes(),
        }
    }

    fn clear(&mut self) {
        for kept in [&mut self.link, &mut self.name, &mut self.pax] {
            kept.is_complete = false;
        }
    }
}

impl Kept {
    fn bytes(&self) -> Option<&[u8]> {
        self.is_complete.then_some(&self.bytes[..])
    }
}

/// What the pending extended headers say of their member.
struct Extended<'t> {
    records: Records<'t>,
    /// The body of a GNU long name.
    name: Option<&'t [u8]>,
    /// The body of a GNU long link name.
    link: Option<&'t [u8]>,
}

/// Blocks: headers, zeros, and what is neither.
impl Framer {
    /// Takes bytes up to the end of a block, and the block if it is full.
    fn collect(&mut self, bytes: &[u8], sink: &mut dyn Sink) -> usize {
        if self.filled == 0
            && let Some(block) = bytes.first_chunk()
        {
            self.position += BLOCK as u64;
            self.block(block, sink);
            return BLOCK;
        }
        let taken = bytes.len().min(BLOCK - self.filled);
        self.block[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
        self.filled += taken;
        self.position += taken as u64;
        if self.filled == BLOCK {
            self.filled = 0;
            let block = *self.block;
            self.block(&block, sink);
        }
        taken
    }

    /// Takes a block that has just been completed.
    fn block(&mut self, block: &Block, sink: &mut dyn Sink) {
        match std::mem::replace(&mut self.state, State::Header) {
            State::SparseBlocks(old) => self.sparse_block(old, block, sink),
            _ if header::is_zero(block) => self.zero_block(sink),
            _ => match Header::read(block) {
                Some(header) if self.is_believed(&header) => self.header(&header, sink),
                _ => self.no_header(sink),
            },
        }
    }

    fn zero_block(&mut self, sink: &mut dyn Sink) {
        let start = self.block_start();
        match self.gap {
            Gap::None => {
                self.drop_pending(start, sink);
                tell(RegionKind::End, start..u64::MAX, None, sink);
                self.gap = Gap::End { is_complete: false };
            }
            Gap::End { .. } => self.gap = Gap::End { is_complete: true },
            Gap::Tail { .. } => {}
        }
    }

    fn no_header(&mut self, sink: &mut dyn Sink) {
        if self.block_start() > 0 {
            self.tail(sink);
            return;
        }
        self.is_tar = false;
        self.state = State::NoTar;
        tell(RegionKind::Tail, 0..u64::MAX, None, sink);
    }

    /// Begins a tail with the block just read, or goes on with the one that is open.
    fn tail(&mut self, sink: &mut dyn Sink) {
        let start = self.block_start();
        let (oddity, after_end) = match self.gap {
            Gap::None => (Oddity::MalformedHeader, false),
            Gap::End { .. } => (Oddity::TrailingData, true),
            Gap::Tail { .. } => return,
        };
        self.note(oddity, start, sink);
        self.drop_pending(start, sink);
        tell(RegionKind::Tail, start..u64::MAX, None, sink);
        self.gap = Gap::Tail { after_end };
    }

    /// Whether a block is taken for a header. Between members a right checksum is enough; among bytes that are no
    /// headers it must look like one in the rest.
    fn is_believed(&self, header: &Header) -> bool {
        !matches!(self.gap, Gap::Tail { .. }) || header.is_plausible()
    }

    fn header(&mut self, header: &Header, sink: &mut dyn Sink) {
        let start = self.block_start();
        let size = match header.size {
            Some(size) if size >= 0 || header::is_bodiless(header.typeflag) => size,
            _ => {
                self.tail(sink);
                return;
            }
        };
        if matches!(self.gap, Gap::End { .. } | Gap::Tail { after_end: true }) {
            self.note(Oddity::ConcatenatedArchive, start, sink);
        }
        if header.malformed {
            self.note(Oddity::MalformedHeader, start, sink);
        }
        if header.is_ambiguous {
            self.note(Oddity::AmbiguousNumber, start, sink);
        }
        self.gap = Gap::None;
        match Extension::of(header.typeflag) {
            Some(extension) => self.extension(extension, size.unsigned_abs(), sink),
            None => self.member(header, size, sink),
        }
    }

    /// Notes that the extended headers read so far have no member.
    fn drop_pending(&mut self, offset: u64, sink: &mut dyn Sink) {
        if !self.pending.is_empty() {
            self.note(Oddity::DanglingExtension, offset, sink);
            self.pending.clear();
        }
    }

    /// Where the block that has just been completed begins.
    fn block_start(&self) -> u64 {
        self.position - BLOCK as u64
    }

    /// Tells what a stream ends with that is no whole block.
    fn finish_block(&mut self, sink: &mut dyn Sink) {
        let start = self.settled();
        let is_zero = header::is_zero(&self.block[..self.filled]);
        if start == 0 {
            self.is_tar = false;
            tell(RegionKind::Tail, 0..u64::MAX, None, sink);
            return;
        }
        // Go asks for a second zero block where there is more after the first, and for nothing after two.
        match self.gap {
            Gap::None if is_zero => tell(RegionKind::End, start..u64::MAX, None, sink),
            Gap::None => tell(RegionKind::Header, start..start + BLOCK as u64, None, sink),
            Gap::End { is_complete } => {
                if !is_zero {
                    self.note(Oddity::TrailingData, start, sink);
                    tell(RegionKind::Tail, start..u64::MAX, None, sink);
                }
                if is_complete {
                    return;
                }
            }
            Gap::Tail { .. } => return,
        }
        self.note(Oddity::Truncated, start, sink);
    }
}

/// Members and their extended headers.
impl Framer {
    fn extension(&mut self, extension: Extension, size: u64, sink: &mut dyn Sink) {
        let start = self.block_start();
        let entry = match extension {
            Extension::Global => {
                // Go gives a global header out as a member of its own and forgets what it read before.
                self.drop_pending(start, sink);
                None
            }
            _ => self.next_entry(),
        };
        tell(RegionKind::Header, start..self.position, entry, sink);
        let slot = self.pending.slot(extension);
        let is_second = std::mem::take(&mut slot.is_complete);
        slot.bytes.clear();
        if is_second && extension != Extension::Global {
            self.note(Oddity::DuplicateExtension, start, sink);
        }
        if size > self.header_bytes {
            self.note(Oddity::OversizeExtension, start, sink);
            self.begin(entry, start, size, Stored::PassedOver);
            return;
        }
        self.begin(entry, start, size, Stored::Kept(extension));
        if size == 0 {
            self.keep(extension, start, sink);
        }
    }

    /// Takes an extended header whose body is complete.
    fn keep(&mut self, extension: Extension, start: u64, sink: &mut dyn Sink) {
        let slot = self.pending.slot(extension);
        slot.is_complete = true;
        if !matches!(extension, Extension::Global | Extension::Pax) {
            return;
        }
        // The records are read again when their member comes: they borrow, so nothing is allocated for them.
        let records = Records::read(&slot.bytes);
        let is_override = extension == Extension::Global && records.overrides();
        let found = [
            (records.is_malformed, Oddity::MalformedExtension),
            (records.is_ambiguous, Oddity::DuplicateExtension),
            (records.is_emptied, Oddity::EmptyExtension),
            (records.hides_behind_nul, Oddity::NulInName),
            (is_override, Oddity::GlobalOverride),
        ];
        for (is_odd, oddity) in found {
            if is_odd {
                self.note(oddity, start, sink);
            }
        }
    }

    /// Takes a header that is no extension, with its size, which only what has no content may have below zero.
    fn member(&mut self, header: &Header, size: i64, sink: &mut dyn Sink) {
        let mut pending = std::mem::take(&mut self.pending);
        self.extended_member(header, size, &pending.extended(), sink);
        pending.clear();
        self.pending = pending;
    }

    fn extended_member(&mut self, header: &Header, size: i64, extended: &Extended, sink: &mut dyn Sink) {
        let records = &extended.records;
        let start = self.block_start();
        let number = self.next_entry();
        tell(RegionKind::Header, start..self.position, number, sink);
        self.entries += 1;

        let name = self.name(header, extended, sink);
        let typeflag = self.typeflag(header, &name, sink);
        let mut numbers = Numbers::default();
        let declared = numbers.or(records.size, size);
        let body = if header::is_bodiless(typeflag) {
            if declared != 0 {
                self.note(Oddity::BodyOfBodiless, start, sink);
            }
            0
        } else {
            // Go refuses a negative size. The header's own is the best guess.
            numbers.are_bad |= declared < 0;
            u64::try_from(declared).unwrap_or(size.unsigned_abs())
        };
        let sparse = Sparse::of(header, typeflag, records, body).unwrap_or_else(|_| {
            numbers.are_bad = true;
            None
        });
        if Sparse::is_ambiguous(sparse.as_ref(), header, records) {
            self.note(Oddity::AmbiguousSparse, start, sink);
        }
        let entry = Entry {
            path: match &sparse {
                Some(sparse) if sparse.version != Version::OldGnu && !records.sparse.name.is_empty() => {
                    let is_long = records.path.is_some() || extended.name.is_some();
                    if is_long && name != Name::whole(records.sparse.name) {
                        self.note(Oddity::MixedLongNames, start, sink);
                    }
                    EntryPath::normalise(records.sparse.name)
                }
                _ => EntryPath::normalise_joined(name.prefix, name.name),
            },
            kind: kind(typeflag, header.zero_device),
            link: match typeflag {
                b'1' | b'2' => self.link(header, extended, sink).to_vec(),
                _ => Vec::new(),
            },
            mode: (header.mode & 0o7777) as u32,
            uid: numbers.or(records.uid, header.uid).cast_unsigned(),
            gid: numbers.or(records.gid, header.gid).cast_unsigned(),
            mtime: numbers.or(records.mtime, header.mtime),
            size: sparse.as_ref().map_or(body, |sparse| sparse.size),
            offset: start,
            overlay: records.overlay,
        };
        numbers.are_bad |= records.atime == Number::Bad || records.ctime == Number::Bad;
        if numbers.are_bad {
            self.note(Oddity::MalformedExtension, start, sink);
        }
        sink.entry(number.unwrap_or(u32::MAX), entry);
        match sparse {
            Some(sparse) => self.sparse_member(&sparse, header, records, sink),
            None => self.begin(number, start, body, Stored::File),
        }
    }

    /// What the member is, and what of that is read otherwise elsewhere. A directory is told by its name where there
    /// is no type for it.
    fn typeflag(&mut self, header: &Header, name: &Name, sink: &mut dyn Sink) -> u8 {
        let start = self.block_start();
        if header.has_stray_fields() {
            self.note(Oddity::StrayFields, start, sink);
        }
        match header.typeflag {
            0 => {
                let is_directory = name.ends_with_slash();
                if header::until_nul(header.name_field()).ends_with(b"/") != is_directory {
                    self.note(Oddity::AmbiguousKind, start, sink);
                }
                if is_directory { b'5' } else { b'0' }
            }
            b'X' => {
                self.note(Oddity::SolarisExtension, start, sink);
                b'X'
            }
            typeflag => typeflag,
        }
    }

    /// The name by Go's order: GNU long name, PAX path, header.
    fn name<'t>(&mut self, header: &Header<'t>, extended: &Extended<'t>, sink: &mut dyn Sink) -> Name<'t> {
        match self.long(extended.records.path, extended.name, sink) {
            Some(name) => Name::whole(name),
            None => {
                self.note_nul(header.name_field(), sink);
                header.name()
            }
        }
    }

    /// The target of a link, in the same order.
    fn link<'t>(&mut self, header: &Header<'t>, extended: &Extended<'t>, sink: &mut dyn Sink) -> &'t [u8] {
        let long = self.long(extended.records.linkpath, extended.link, sink);
        long.unwrap_or_else(|| {
            self.note_nul(header.link_field(), sink);
            header::until_nul(header.link_field())
        })
    }

    fn long<'t>(
        &mut self,
        pax: Option<&'t [u8]>,
        gnu: Option<&'t [u8]>,
        sink: &mut dyn Sink,
    ) -> Option<&'t [u8]> {
        let start = self.block_start();
        let gnu = gnu.inspect(|field| self.note_nul(field, sink));
        let gnu = gnu.map(header::until_nul);
        if gnu.is_some_and(<[u8]>::is_empty) {
            self.note(Oddity::EmptyExtension, start, sink);
        }
        let gnu = gnu.filter(|name| !name.is_empty());
        if gnu.is_some() && pax.is_some() && gnu != pax {
            self.note(Oddity::MixedLongNames, start, sink);
        }
        gnu.or(pax)
    }

    fn note_nul(&mut self, field: &[u8], sink: &mut dyn Sink) {
        if header::hides_behind_nul(field) {
            self.note(Oddity::NulInName, self.block_start(), sink);
        }
    }

    /// The number of the entry that comes next. Beyond 2^32 members (2 TiB of headers) there are no numbers.
    fn next_entry(&self) -> Option<u32> {
        u32::try_from(self.entries).ok()
    }
}

/// Sparse members.
impl Framer {
    /// Begins the content of a sparse member whose header has just been read.
    fn sparse_member(&mut self, sparse: &Sparse, header: &Header, records: &Records, sink: &mut dyn Sink) {
        let start = self.block_start();
        let entry = u32::try_from(self.entries - 1).ok();
        let map = Map::new(sparse.size, self.sparse_runs);
        let stored = match sparse.version {
            Version::OldGnu => {
                let map = self.usable(map.read_pairs(header.sparse_pairs()), start, sink);
                let old = SparseBlocks {
                    entry,
                    header: start,
                    body: sparse.stored,
                    map,
                    bytes: 0,
                };
                self.sparse_blocks(old, header.is_sparse_extended(), sink);
                return;
            }
            Version::Text if sparse.stored > 0 => Stored::TextMap(TextMap::new(map, self.header_bytes)),
            version => {
                let map = match version {
                    Version::List => map.read_list(&records.sparse),
                    _ => Err(MapError::Malformed),
                };
                let map = self.usable(map, start, sink);
                self.runs(map, sparse.stored, start, sink)
            }
        };
        self.begin(entry, start, sparse.stored, stored);
    }

    fn sparse_block(&mut self, mut old: SparseBlocks, block: &Block, sink: &mut dyn Sink) {
        tell(
            RegionKind::Extension,
            self.block_start()..self.position,
            old.entry,
            sink,
        );
        old.bytes += BLOCK as u64;
        let (pairs, is_extended) = (&block[..504], block[504] != 0);
        if let Some(map) = old.map {
            let map = match old.bytes < self.header_bytes {
                true => map.read_pairs(pairs),
                false => Err(MapError::Oversize),
            };
            old.map = self.usable(map, old.header, sink);
        }
        self.sparse_blocks(old, is_extended, sink);
    }

    /// Goes on with the next block of the map, or with the content behind the last.
    fn sparse_blocks(&mut self, old: SparseBlocks, is_extended: bool, sink: &mut dyn Sink) {
        if is_extended {
            self.state = State::SparseBlocks(old);
            return;
        }
        let stored = self.runs(old.map, old.body, old.header, sink);
        self.begin(old.entry, old.header, old.body, stored);
    }

    /// The map, unless it is an error, which is noted.
    fn usable(&mut self, map: Result<Map, MapError>, header: u64, sink: &mut dyn Sink) -> Option<Map> {
        let oddity = match map {
            Ok(map) => return Some(map),
            Err(MapError::Malformed) => Oddity::MalformedExtension,
            Err(MapError::Oversize) => Oddity::OversizeSparseMap,
        };
        self.note(oddity, header, sink);
        None
    }

    /// How the `body` stored bytes of a sparse member are to be taken.
    fn runs(&mut self, map: Option<Map>, body: u64, header: u64, sink: &mut dyn Sink) -> Stored {
        let Some(map) = map else {
            return Stored::File;
        };
        if map.is_ambiguous() {
            self.note(Oddity::AmbiguousSparse, header, sink);
        }
        if map.stored() != body {
            self.note(Oddity::MalformedExtension, header, sink);
        }
        Stored::Runs(map.into_runs().into_iter())
    }
}

/// Bodies and padding.
impl Framer {
    /// Begins a body of `size` bytes at the present position.
    fn begin(&mut self, entry: Option<u32>, header: u64, size: u64, stored: Stored) {
        let body = self.position.saturating_add(size);
        self.state = State::Content(Content {
            entry,
            header,
            body,
            padding: body.checked_next_multiple_of(BLOCK as u64).unwrap_or(u64::MAX),
            told: self.position,
            stored,
        });
    }

    /// Takes what of `bytes` is in the content's present region, telling the region before its first byte.
    fn content(&mut self, mut content: Content, bytes: &[u8], sink: &mut dyn Sink) -> usize {
        if self.position == content.padding {
            self.state = State::Header;
            return 0;
        }
        if self.position == content.told {
            let region = content.next_region(self.position);
            content.told = region.span.end;
            sink.region(region);
        }
        let mut end = content.told;
        if matches!(content.stored, Stored::TextMap(_)) {
            // A map ends with a block, not knowing ahead with which.
            end = end.min(self.position + BLOCK as u64 - self.position % BLOCK as u64);
        }
        let left = usize::try_from(end - self.position).unwrap_or(usize::MAX);
        let taken = &bytes[..bytes.len().min(left)];
        self.position += taken.len() as u64;
        self.look_into(&mut content, taken, sink);
        self.state = State::Content(content);
        taken.len()
    }

    /// Reads bytes that are not just passed over.
    fn look_into(&mut self, content: &mut Content, taken: &[u8], sink: &mut dyn Sink) {
        match &mut content.stored {
            Stored::File | Stored::Runs(_) => {}
            Stored::Kept(_) | Stored::PassedOver if self.position > content.body => {
                if !header::is_zero(taken) {
                    self.note(Oddity::PaddedExtension, content.header, sink);
                }
            }
            Stored::PassedOver => {}
            Stored::Kept(extension) => {
                let extension = *extension;
                self.pending.slot(extension).bytes.extend_from_slice(taken);
                if self.position == content.body {
                    self.keep(extension, content.header, sink);
                }
            }
            Stored::TextMap(map) => {
                map.push(taken);
                let is_at_block = self.position.is_multiple_of(BLOCK as u64);
                if (is_at_block && map.is_complete()) || self.position == content.body {
                    let empty = TextMap::new(Map::new(0, 0), 0);
                    let map = std::mem::replace(map, empty);
                    // Go reads whole blocks, so a map in a body that ends within one is no map.
                    let map = if is_at_block {
                        map.finish()
                    } else {
                        Err(MapError::Malformed)
                    };
                    let map = self.usable(map, content.header, sink);
                    let left = content.body - self.position;
                    content.stored = self.runs(map, left, content.header, sink);
                    content.told = self.position;
                }
            }
        }
    }

    fn note(&mut self, oddity: Oddity, offset: u64, sink: &mut dyn Sink) {
        let (last, noted) = &mut self.noted;
        if *last != offset {
            *last = offset;
            noted.clear();
        }
        if noted.contains(&oddity) {
            return;
        }
        noted.push(oddity);
        self.oddities.insert(oddity);
        sink.oddity(oddity, offset);
    }
}

impl Content {
    /// The region that begins at `position`.
    fn next_region(&mut self, position: u64) -> Region {
        let mut region = Region {
            span: position..self.body,
            kind: RegionKind::Body,
            entry: self.entry,
            file_offset: 0,
        };
        let padding = |region: Region| Region {
            span: position..self.padding,
            kind: RegionKind::Padding,
            ..region
        };
        if position == self.body {
            return padding(region);
        }
        match &mut self.stored {
            Stored::File => {}
            Stored::Kept(_) | Stored::PassedOver | Stored::TextMap(_) => region.kind = RegionKind::Extension,
            Stored::Runs(runs) => match runs.next() {
                Some(run) => {
                    region.kind = RegionKind::SparseRun;
                    region.span.end = self.body.min(position + run.len);
                    region.file_offset = run.file_offset;
                }
                None => return padding(region),
            },
        }
        region
    }
}

/// Reads numbers of PAX records that take the place of a header's.
#[derive(Default)]
struct Numbers {
    /// Whether one of them could not be read.
    are_bad: bool,
}

impl Numbers {
    fn or(&mut self, record: Number, header: i64) -> i64 {
        self.are_bad |= record == Number::Bad;
        record.value().unwrap_or(header)
    }
}

fn kind(typeflag: u8, zero_device: bool) -> EntryKind {
    match typeflag {
        b'1' => EntryKind::HardLink,
        b'2' => EntryKind::Symlink,
        b'3' => EntryKind::Character { zero: zero_device },
        b'4' => EntryKind::Block,
        b'5' => EntryKind::Directory,
        b'6' => EntryKind::Fifo,
        _ => EntryKind::File,
    }
}

fn tell(kind: RegionKind, span: Range<u64>, entry: Option<u32>, sink: &mut dyn Sink) {
    sink.region(Region {
        span,
        kind,
        entry,
        file_offset: 0,
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{Archive, Recorder, record, sealed, ustar};
    use super::*;

    fn archive() -> Archive {
        Archive::default()
    }

    fn sparse_v1(size: &str, body: &[u8]) -> Archive {
        archive()
            .pax(&[
                ("GNU.sparse.major", b"1"),
                ("GNU.sparse.minor", b"0"),
                ("GNU.sparse.name", b"real.env"),
                ("GNU.sparse.realsize", size.as_bytes()),
            ])
            .member(b'0', "GNUSparseFile.0/real.env", body)
    }

    /// A version 1.0 map in its block, then the stored bytes.
    fn sparse_body(map: &str, stored: &[u8]) -> Vec<u8> {
        let mut body = map.as_bytes().to_vec();
        body.resize(body.len().next_multiple_of(512), 0);
        body.extend_from_slice(stored);
        body
    }

    fn runs(recorder: &Recorder) -> Vec<(Range<u64>, u64)> {
        recorder
            .regions
            .iter()
            .filter(|region| region.kind == RegionKind::SparseRun)
            .map(|region| (region.span.clone(), region.file_offset))
            .collect()
    }

    #[test]
    fn a_plain_archive_is_header_body_padding_and_end() {
        let found = archive().member(b'0', "a", b"hello").zeros(2).frame();
        let spans = [
            (RegionKind::Header, 0..512),
            (RegionKind::Body, 512..517),
            (RegionKind::Padding, 517..1024),
            (RegionKind::End, 1024..2048),
        ];
        assert_eq!(found.spans(), spans);
        let entry = Entry {
            path: EntryPath::normalise(b"a"),
            kind: EntryKind::File,
            link: Vec::new(),
            mode: 0o644,
            uid: 1000,
            gid: 1000,
            mtime: 0o14_000_000_000,
            size: 5,
            offset: 0,
            overlay: None,
        };
        assert_eq!(found.entries, [entry]);
        let framing = Framing {
            is_tar: true,
            end: 2048,
            entries: 1,
            oddities: Vec::new(),
        };
        assert_eq!(found.framing, framing);
    }

    #[test]
    fn nothing_and_zeros_are_archives_without_members() {
        for archive in [
            archive(),
            archive().zeros(1),
            archive().zeros(2),
            archive().zeros(20),
        ] {
            let found = archive.frame();
            assert!(found.framing.is_tar && found.entries.is_empty() && found.oddities().is_empty());
        }
    }

    #[test]
    fn a_stream_that_is_no_tar_is_one_tail() {
        for bytes in [&b"x"[..], &[b'x'; 512], &[b'x'; 5000], &[0; 100]] {
            let found = archive().raw(bytes).frame();
            assert!(!found.framing.is_tar);
            assert_eq!(found.spans(), [(RegionKind::Tail, 0..bytes.len() as u64)]);
            assert_eq!(found.oddities(), []);
        }
    }

    #[test]
    fn every_type_has_its_kind() {
        for (typeflag, kind) in [
            (b'0', EntryKind::File),
            (0, EntryKind::File),
            (b'7', EntryKind::File),
            (b'Z', EntryKind::File),
            (b'1', EntryKind::HardLink),
            (b'2', EntryKind::Symlink),
            (b'3', EntryKind::Character { zero: true }),
            (b'4', EntryKind::Block),
            (b'5', EntryKind::Directory),
            (b'6', EntryKind::Fifo),
        ] {
            let found = archive().member(typeflag, "a", b"").zeros(2).frame();
            assert_eq!(found.entries[0].kind, kind);
            assert_eq!(found.oddities(), []);
        }
        let mut device = ustar(b'3', b"null", 0);
        device[329..345].copy_from_slice(b"0000001\x000000003\0");
        let found = archive().raw(&sealed(device)).frame();
        assert_eq!(found.entries[0].kind, EntryKind::Character { zero: false });
    }

    #[test]
    fn a_file_whose_name_ends_with_a_slash_is_a_directory_in_old_archives_only() {
        let found = archive().member(0, "a/", b"").member(b'0', "b/", b"").frame();
        assert_eq!(found.entries[0].kind, EntryKind::Directory);
        assert_eq!(found.entries[1].kind, EntryKind::File);
    }

    #[test]
    fn unknown_types_have_a_body() {
        let found = archive()
            .member(b'Z', "a", b"hello")
            .member(b'0', "b", b"")
            .frame();
        assert_eq!(found.paths(), ["a", "b"]);
        assert_eq!(found.spans()[1], (RegionKind::Body, 512..517));
    }

    #[test]
    fn the_body_of_a_bodiless_type_is_read_as_members() {
        for typeflag in *b"123456" {
            let inner = archive().member(b'0', "smuggled", b"x").0;
            let found = archive()
                .raw(&ustar(typeflag, b"outer", inner.len() as u64))
                .raw(&inner)
                .zeros(2)
                .frame();
            assert_eq!(found.paths(), ["outer", "smuggled"]);
            assert_eq!(found.entries[0].size, 0);
            assert_eq!(found.oddities(), [Oddity::BodyOfBodiless]);
        }
    }

    #[test]
    fn a_bodiless_type_with_text_behind_it_leaves_a_tail() {
        let found = archive()
            .raw(&ustar(b'5', b"d", 600))
            .padded(&[b'x'; 600])
            .member(b'0', "after", b"")
            .frame();
        assert_eq!(found.paths(), ["d", "after"]);
        assert_eq!(found.spans()[1], (RegionKind::Tail, 512..1536));
        assert_eq!(
            found.oddities(),
            [Oddity::BodyOfBodiless, Oddity::MalformedHeader]
        );
    }

    #[test]
    fn the_pax_size_wins_and_applies_to_the_next_member_only() {
        let found = archive()
            .pax(&[("size", b"600")])
            .raw(&ustar(b'0', b"a", 0))
            .padded(&[b'x'; 600])
            .member(b'0', "b", b"hello")
            .frame();
        assert_eq!(found.paths(), ["a", "b"]);
        assert_eq!((found.entries[0].size, found.entries[1].size), (600, 5));
        assert_eq!(found.oddities(), []);
    }

    #[test]
    fn the_pax_size_does_not_apply_to_a_long_name_in_between() {
        let found = archive()
            .pax(&[("size", b"600")])
            .member(b'L', "././@LongLink", b"long\0")
            .raw(&ustar(b'0', b"a", 0))
            .padded(&[b'x'; 600])
            .member(b'0', "b", b"")
            .frame();
        assert_eq!(found.paths(), ["long", "b"]);
        assert_eq!(found.entries[0].size, 600);
    }

    #[test]
    fn pax_fields_reach_the_entry() {
        let found = archive()
            .pax(&[
                ("path", b"./usr/\xff"),
                ("linkpath", b"../target"),
                ("uid", b"4294967296"),
                ("gid", b"-1"),
                ("mtime", b"-1.5"),
            ])
            .member(b'2', "short", b"")
            .frame();
        let entry = &found.entries[0];
        assert_eq!(entry.path.as_bytes(), b"usr/\xff");
        assert_eq!(entry.link, b"../target");
        assert_eq!((entry.uid, entry.gid, entry.mtime), (1 << 32, u64::MAX, -2));
        assert_eq!(found.oddities(), []);
        let numbers: Vec<_> = found.regions.iter().map(|region| region.entry).collect();
        assert_eq!(numbers, [Some(0); 4]);
    }

    #[test]
    fn of_two_pax_headers_the_second_counts_alone() {
        let found = archive()
            .pax(&[("path", b"first"), ("linkpath", b"target")])
            .pax(&[("path", b"second")])
            .member(b'2', "name", b"")
            .frame();
        assert_eq!(found.paths(), ["second"]);
        assert_eq!(found.entries[0].link, b"");
        assert_eq!(found.oddities(), [Oddity::DuplicateExtension]);
    }

    #[test]
    fn a_pax_number_that_cannot_be_read_is_left_out() {
        for key in ["size", "uid", "gid", "mtime", "atime", "ctime"] {
            let found = archive()
                .pax(&[(key, b"twelve"), ("path", b"p")])
                .member(b'0', "a", b"hello")
                .zeros(2)
                .frame();
            assert_eq!(found.paths(), ["p"]);
            assert_eq!(found.entries[0].size, 5);
            assert_eq!(found.oddities(), [Oddity::MalformedExtension]);
        }
        let found = archive()
            .pax(&[("size", b"-5")])
            .member(b'0', "a", b"hello")
            .zeros(2)
            .frame();
        assert_eq!(found.entries[0].size, 5);
        assert_eq!(found.oddities(), [Oddity::MalformedExtension]);
    }

    #[test]
    fn a_malformed_pax_header_does_not_stop_the_framing() {
        let found = archive()
            .member(b'x', "x", b"99 path=b\n")
            .member(b'0', "a", b"hello")
            .zeros(2)
            .frame();
        assert_eq!(found.paths(), ["a"]);
        assert_eq!(found.oddities(), [Oddity::MalformedExtension]);
    }

    #[test]
    fn a_global_header_changes_no_member_and_drops_what_was_pending() {
        let found = archive()
            .pax(&[("path", b"dropped")])
            .member(b'g', "g", b"15 path=global\n")
            .member(b'0', "a", b"")
            .zeros(2)
            .frame();
        assert_eq!(found.paths(), ["a"]);
        assert_eq!(
            found.oddities(),
            [Oddity::DanglingExtension, Oddity::GlobalOverride]
        );
        let comment = archive()
            .member(b'g', "g", b"18 comment=global\n")
            .member(b'0', "a", b"");
        let found = comment.frame();
        assert_eq!(found.oddities(), []);
        assert_eq!((found.regions[0].entry, found.regions[1].entry), (None, None));
    }

    #[test]
    fn long_names_and_links_are_cut_at_nul() {
        let found = archive()
            .member(b'L', "././@LongLink", b"long/name\0")
            .member(b'K', "././@LongLink", b"long/target\0hidden")
            .member(b'1', "short", b"")
            .zeros(2)
            .frame();
        assert_eq!(found.paths(), ["long/name"]);
        assert_eq!(found.entries[0].link, b"long/target");
        assert_eq!(found.oddities(), [Oddity::NulInName]);
    }

    #[test]
    fn an_empty_long_name_is_none() {
        let found = archive().member(b'L', "L", b"").member(b'0', "a", b"").frame();
        assert_eq!(found.paths(), ["a"]);
    }

    #[test]
    fn a_name_is_cut_at_nul_and_only_the_name_that_counts_is_looked_at() {
        let found = archive().member(b'0', "a\0hidden", b"").zeros(2).frame();
        assert_eq!(found.paths(), ["a"]);
        assert_eq!(found.oddities(), [Oddity::NulInName]);
        let found = archive()
            .pax(&[("path", b"p")])
            .member(b'0', "a\0hidden", b"")
            .zeros(2)
            .frame();
        assert_eq!(found.oddities(), []);
    }

    #[test]
    fn a_gnu_long_name_wins_over_a_pax_path() {
        for (path, oddities) in [(&b"pax"[..], &[Oddity::MixedLongNames][..]), (b"gnu", &[])] {
            let found = archive()
                .member(b'L', "L", b"gnu\0")
                .pax(&[("path", path)])
                .member(b'0', "a", b"")
                .frame();
            assert_eq!(found.paths(), ["gnu"]);
            assert_eq!(found.oddities(), oddities);
        }
    }

    #[test]
    fn a_member_of_the_old_type_that_is_a_directory_by_one_of_its_names_is_noted() {
        for (long, short, kind, oddities) in [
            ("d/f", "d/", EntryKind::File, &[Oddity::AmbiguousKind][..]),
            ("d/", "d", EntryKind::Directory, &[Oddity::AmbiguousKind]),
            ("d/", "e/", EntryKind::Directory, &[]),
            ("d", "e", EntryKind::File, &[]),
        ] {
            let found = archive()
                .member(b'L', "L", format!("{long}\0").as_bytes())
                .member(0, short, b"")
                .frame();
            assert_eq!(found.entries[0].kind, kind, "{long} {short}");
            assert_eq!(found.oddities(), oddities, "{long} {short}");
        }
    }

    #[test]
    fn an_empty_long_name_or_record_takes_nothing_over_and_is_noted() {
        for extension in [
            archive().member(b'L', "L", b"\0"),
            archive().member(b'L', "L", b""),
            archive().pax(&[("path", b"")]),
            archive().pax(&[("size", b"")]),
            archive().pax(&[("GNU.sparse.map", b"")]),
        ] {
            let found = extension.member(b'0', "a", b"hello").frame();
            assert_eq!(found.paths(), ["a"]);
            assert_eq!(found.entries[0].size, 5);
            assert_eq!(found.oddities(), [Oddity::EmptyExtension]);
        }
        let usual = archive().pax(&[("SCHILY.xattr.user.a", b""), ("uname", b"")]);
        assert_eq!(usual.member(b'0', "a", b"").frame().oddities(), []);
    }

    #[test]
    fn bytes_behind_an_extended_header_are_padding_and_noted() {
        let mut text = record("mtime", b"1");
        let header = ustar(b'x', b"x", text.len() as u64);
        text.extend_from_slice(b"14 path=hidden\n");
        let found = archive()
            .raw(&header)
            .padded(&text)
            .member(b'0', "a", b"")
            .frame();
        assert_eq!(found.paths(), ["a"]);
        assert_eq!(found.oddities(), [Oddity::PaddedExtension]);
    }

    #[test]
    fn an_extended_header_of_solaris_is_a_file_and_noted() {
        let found = archive()
            .member(b'X', "x", &record("path", b"p"))
            .member(b'0', "a", b"")
            .frame();
        assert_eq!(found.paths(), ["x", "a"]);
        assert_eq!(found.oddities(), [Oddity::SolarisExtension]);
    }

    #[test]
    fn a_global_header_with_a_map_of_holes_is_noted() {
        let text = record("GNU.sparse.size", b"3");
        let found = archive().member(b'g', "g", &text).member(b'0', "a", b"").frame();
        assert_eq!(found.oddities(), [Oddity::GlobalOverride]);
    }

    #[test]
    fn holes_that_are_told_as_no_writer_does_are_noted() {
        let stray = archive().pax(&[("GNU.sparse.name", b"p")]).member(b'0', "a", b"");
        let two_sizes = archive()
            .pax(&[
                ("GNU.sparse.size", b"20"),
                ("GNU.sparse.realsize", b"30"),
                ("GNU.sparse.numblocks", b"1"),
                ("GNU.sparse.map", b"0,5"),
            ])
            .member(b'0', "a", b"abcde");
        let two_versions = archive()
            .pax(&[
                ("GNU.sparse.major", b"1"),
                ("GNU.sparse.minor", b"0"),
                ("GNU.sparse.size", b"5"),
            ])
            .member(b'0', "a", &sparse_body("1\n0\n5\n", b"abcde"));
        let stored_size = archive()
            .pax(&[
                ("GNU.sparse.size", b"20"),
                ("GNU.sparse.numblocks", b"1"),
                ("GNU.sparse.map", b"0,5"),
                ("size", b"5"),
            ])
            .member(b'0', "a", b"abcde");
        for archive in [stray, two_sizes, two_versions, stored_size] {
            let found = archive.zeros(2).frame();
            assert_eq!(found.paths(), ["a"]);
            assert_eq!(found.oddities(), [Oddity::AmbiguousSparse]);
        }
        // Of 8 GiB a header has no room for the stored size.
        let large = archive()
            .pax(&[
                ("GNU.sparse.size", b"60000000000"),
                ("GNU.sparse.numblocks", b"1"),
                ("GNU.sparse.map", b"0,8589934592"),
                ("size", b"8589934592"),
            ])
            .member(b'0', "a", b"");
        assert_eq!(large.zeros(2).frame().oddities(), [Oddity::Truncated]);
    }

    #[test]
    fn pairs_behind_the_end_of_an_old_map_are_noted() {
        let mut block = old_sparse(200, &[(10, 5)], 5, false);
        block[434..458].copy_from_slice(b"00000000144\x0000000000003\0");
        let found = archive().raw(&sealed(block)).padded(b"hello").zeros(2).frame();
        assert_eq!(runs(&found), [(512..517, 10)]);
        assert_eq!(found.oddities(), [Oddity::AmbiguousSparse]);
    }

    #[test]
    fn a_sparse_name_that_is_not_the_path_is_noted() {
        for (path, oddities) in [(&b"other"[..], &[Oddity::MixedLongNames][..]), (b"real", &[])] {
            let found = archive()
                .pax(&[
                    ("path", path),
                    ("GNU.sparse.name", b"real"),
                    ("GNU.sparse.size", b"20"),
                    ("GNU.sparse.numblocks", b"1"),
                    ("GNU.sparse.map", b"0,5"),
                ])
                .member(b'0', "a", b"abcde")
                .frame();
            assert_eq!(found.paths(), ["real"]);
            assert_eq!(found.oddities(), oddities);
        }
    }

    #[test]
    fn fields_that_a_format_has_not_are_noted_and_not_read() {
        let with = |magic: &[u8], typeflag: u8, at: usize, field: &[u8]| {
            let mut block = ustar(typeflag, b"a", 0);
            block[257..265].fill(0);
            block[257..257 + magic.len()].copy_from_slice(magic);
            block[at..at + field.len()].copy_from_slice(field);
            archive().raw(&sealed(block)).frame()
        };
        let (v7, gnu) = (&b""[..], &b"ustar  \0"[..]);
        for (found, oddities) in [
            (with(v7, b'0', 345, b"prefix"), &[Oddity::StrayFields][..]),
            (with(v7, b'3', 337, b"0000003\0"), &[Oddity::StrayFields]),
            (with(v7, b'3', 337, b"0000000\0"), &[]),
            (
                with(v7, b'3', 337, b"garbage"),
                &[Oddity::AmbiguousNumber, Oddity::StrayFields],
            ),
            (with(gnu, b'0', 345, b"14217423705\0"), &[]),
            (with(gnu, b'0', 345, b"pr\xe9fix"), &[Oddity::StrayFields]),
        ] {
            assert_eq!(found.paths(), ["a"]);
            assert_eq!(found.oddities(), oddities);
        }
    }

    #[test]
    fn an_extension_over_the_limit_is_passed_over() {
        let limits = Limits {
            tar_header_bytes: 100,
            ..Limits::default()
        };
        let stream = archive()
            .member(b'L', "L", &[b'n'; 101])
            .member(b'0', "a", b"")
            .zeros(2);
        let found = Recorder::of([&stream.0[..]], &limits);
        assert_eq!(found.paths(), ["a"]);
        assert_eq!(found.oddities(), [Oddity::OversizeExtension]);
        let fits = archive().member(b'L', "L", &[b'n'; 100]).member(b'0', "a", b"");
        assert_eq!(
            Recorder::of([&fits.0[..]], &limits).entries[0].path.as_bytes(),
            [b'n'; 100]
        );
    }

    #[test]
    fn an_extension_without_a_member_is_noted() {
        for end in [archive(), archive().zeros(2), archive().raw(&[b'x'; 512])] {
            let found = archive()
                .member(b'0', "a", b"")
                .pax(&[("path", b"p")])
                .raw(&end.0)
                .frame();
            assert!(found.oddities().contains(&Oddity::DanglingExtension));
            assert_eq!(found.framing.entries, 1);
        }
    }

    #[test]
    fn a_header_that_cannot_be_read_begins_a_tail_up_to_the_next_one() {
        let mut broken = ustar(b'0', b"broken", 700);
        broken[0] ^= 1;
        let found = archive()
            .member(b'0', "a", b"")
            .raw(&broken)
            .padded(&[b'x'; 700])
            .member(b'0', "b", b"hello")
            .zeros(2)
            .frame();
        assert_eq!(found.paths(), ["a", "b"]);
        assert_eq!(found.spans()[1], (RegionKind::Tail, 512..2048));
        assert_eq!(found.oddities, [(Oddity::MalformedHeader, 512)]);
    }

    #[test]
    fn a_header_with_a_readable_size_still_frames_its_body() {
        let mut block = ustar(b'0', b"a", 5);
        block[108..115].copy_from_slice(b"garbage");
        let found = archive()
            .raw(&sealed(block))
            .padded(b"hello")
            .member(b'0', "b", b"")
            .frame();
        assert_eq!(found.paths(), ["a", "b"]);
        assert_eq!(found.oddities(), [Oddity::MalformedHeader]);
    }

    #[test]
    fn a_negative_size_moves_nothing_back() {
        let mut block = ustar(b'0', b"a", 0);
        block[124..136].fill(0xff);
        let found = archive()
            .raw(&sealed(block))
            .member(b'0', "b", b"")
            .zeros(2)
            .frame();
        assert_eq!(found.paths(), ["b"]);
        assert_eq!(
            found.kinds(),
            [RegionKind::Tail, RegionKind::Header, RegionKind::End]
        );
        assert_eq!(found.oddities(), [Oddity::MalformedHeader]);
    }

    #[test]
    fn a_huge_size_is_cut_by_the_end_of_the_stream() {
        let mut block = ustar(b'0', b"a", 0);
        block[124..136].copy_from_slice(b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff");
        let found = archive().raw(&sealed(block)).raw(&[b'x'; 1000]).frame();
        assert_eq!(found.entries[0].size, i64::MAX as u64);
        assert_eq!(found.spans()[1], (RegionKind::Body, 512..1512));
        assert_eq!(found.oddities(), [Oddity::Truncated]);
    }

    #[test]
    fn a_stream_may_end_in_padding_but_not_in_a_header_or_body() {
        let whole = archive().member(b'0', "a", b"hello").member(b'0', "b", b"").0;
        for (len, truncated) in [
            (512, true),
            (516, true),
            (517, false),
            (1000, false),
            (1024, false),
            (1025, true),
            (1535, true),
            (1536, false),
        ] {
            let found = archive().raw(&whole[..len]).frame();
            assert_eq!(found.oddities().contains(&Oddity::Truncated), truncated, "{len}");
            assert_eq!(found.framing.end, len as u64);
        }
    }

    #[test]
    fn members_behind_the_end_are_members() {
        for zeros in 1..4 {
            let found = archive()
                .member(b'0', "a", b"")
                .zeros(zeros)
                .member(b'0', "b", b"")
                .zeros(2)
                .frame();
            assert_eq!(found.paths(), ["a", "b"]);
            assert_eq!(found.oddities(), [Oddity::ConcatenatedArchive]);
        }
    }

    #[test]
    fn text_behind_the_end_is_one_tail() {
        let found = archive()
            .member(b'0', "a", b"")
            .zeros(2)
            .raw(&[b'x'; 1300])
            .frame();
        assert_eq!(found.spans()[2], (RegionKind::Tail, 1536..2836));
        assert_eq!(found.oddities(), [Oddity::TrailingData]);
        let short = archive().member(b'0', "a", b"").zeros(2).raw(b"x").frame();
        assert_eq!(short.spans()[2], (RegionKind::Tail, 1536..1537));
        assert_eq!(short.oddities(), [Oddity::TrailingData]);
        let zeros = archive().member(b'0', "a", b"").zeros(2).raw(&[0; 7]).frame();
        assert_eq!(zeros.spans()[1], (RegionKind::End, 512..1543));
        assert_eq!(zeros.oddities(), []);
    }

    #[test]
    fn a_pax_sparse_member_has_its_real_name_and_its_runs() {
        let found = sparse_v1("100", &sparse_body("2\n10\n5\n90\n3\n", b"helloend"))
            .member(b'0', "next", b"")
            .frame();
        assert_eq!(found.paths(), ["real.env", "next"]);
        assert_eq!(found.entries[0].size, 100);
        assert_eq!(runs(&found), [(2048..2053, 10), (2053..2056, 90)]);
        assert_eq!(found.spans()[3], (RegionKind::Header, 1024..1536));
        assert_eq!(found.spans()[4], (RegionKind::Extension, 1536..2048));
        assert_eq!(found.oddities(), []);
    }

    #[test]
    fn a_long_text_map_ends_with_its_last_block() {
        let map: String = (0..200).map(|run| format!("{}\n1\n", run * 10)).collect();
        let found = sparse_v1("2000", &sparse_body(&format!("200\n{map}"), &[b'x'; 200])).frame();
        assert_eq!(runs(&found).len(), 200);
        assert_eq!(runs(&found)[199], (3271..3272, 1990));
        assert_eq!(found.oddities(), []);
    }

    #[test]
    fn pax_sparse_lists_give_runs() {
        let explicit = archive().pax(&[
            ("GNU.sparse.major", b"0"),
            ("GNU.sparse.minor", b"1"),
            ("GNU.sparse.name", b"real"),
            ("GNU.sparse.size", b"20"),
            ("GNU.sparse.numblocks", b"2"),
            ("GNU.sparse.map", b"0,2,9,3"),
        ]);
        let guessed = archive().pax(&[
            ("GNU.sparse.size", b"20"),
            ("GNU.sparse.numblocks", b"2"),
            ("GNU.sparse.offset", b"0"),
            ("GNU.sparse.numbytes", b"2"),
            ("GNU.sparse.offset", b"9"),
            ("GNU.sparse.numbytes", b"3"),
        ]);
        for (headers, name) in [(explicit, "real"), (guessed, "stored")] {
            let found = headers.member(b'0', "stored", b"abcde").zeros(2).frame();
            assert_eq!(found.paths(), [name]);
            assert_eq!(found.entries[0].size, 20);
            assert_eq!(runs(&found), [(1536..1538, 0), (1538..1541, 9)]);
            assert_eq!(found.oddities(), []);
        }
    }

    fn old_sparse(real_size: u64, pairs: &[(u64, u64)], stored: u64, is_extended: bool) -> [u8; 512] {
        let mut block = ustar(b'S', b"sparse", stored);
        block[257..265].copy_from_slice(b"ustar  \0");
        for (at, (offset, len)) in pairs.iter().enumerate() {
            let at = 386 + 24 * at;
            block[at..at + 24].copy_from_slice(format!("{offset:011o}\0{len:011o}\0").as_bytes());
        }
        block[482] = u8::from(is_extended);
        block[483..495].copy_from_slice(format!("{real_size:011o}\0").as_bytes());
        sealed(block)
    }

    #[test]
    fn an_old_gnu_sparse_member_goes_on_in_further_blocks() {
        let mut more = [0; 512];
        more[..24].copy_from_slice(b"00000000144\x0000000000003\0");
        let found = archive()
            .raw(&old_sparse(200, &[(10, 2)], 5, true))
            .raw(&more)
            .padded(b"abxyz")
            .member(b'0', "next", b"")
            .frame();
        assert_eq!(found.paths(), ["sparse", "next"]);
        assert_eq!(found.entries[0].size, 200);
        assert_eq!(found.spans()[1], (RegionKind::Extension, 512..1024));
        assert_eq!(runs(&found), [(1024..1026, 10), (1026..1029, 100)]);
        assert_eq!(found.oddities(), []);
    }

    #[test]
    fn a_hole_of_any_size_costs_nothing() {
        let size = 0o77_777_777_777;
        let found = archive()
            .raw(&old_sparse(size, &[(size, 0)], 0, false))
            .zeros(2)
            .frame();
        assert_eq!(found.entries[0].size, size);
        assert_eq!(found.kinds(), [RegionKind::Header, RegionKind::End]);
        assert_eq!(found.oddities(), []);
    }

    #[test]
    fn a_map_that_does_not_fit_the_stored_bytes_is_noted_and_cut() {
        let more_data = archive()
            .raw(&old_sparse(100, &[(0, 3)], 5, false))
            .padded(b"abcde")
            .frame();
        assert_eq!(
            more_data.spans()[1..],
            [
                (RegionKind::SparseRun, 512..515),
                (RegionKind::Padding, 515..1024)
            ]
        );
        assert_eq!(more_data.oddities(), [Oddity::MalformedExtension]);
        let less_data = archive()
            .raw(&old_sparse(100, &[(0, 9)], 5, false))
            .padded(b"abcde")
            .frame();
        assert_eq!(
            less_data.spans()[1..],
            [
                (RegionKind::SparseRun, 512..517),
                (RegionKind::Padding, 517..1024)
            ]
        );
        assert_eq!(less_data.oddities(), [Oddity::MalformedExtension]);
    }

    #[test]
    fn a_sparse_member_without_a_usable_map_is_told_as_stored() {
        let star = |mut block: [u8; 512]| {
            block[257..265].copy_from_slice(b"ustar\x0000");
            sealed(block)
        };
        for block in [
            old_sparse(100, &[(5, 5), (0, 1)], 5, false),
            old_sparse(3, &[(0, 5)], 5, false),
            star(old_sparse(100, &[(0, 5)], 5, false)),
        ] {
            let found = archive()
                .raw(&block)
                .padded(b"abcde")
                .member(b'0', "next", b"")
                .frame();
            assert_eq!(found.spans()[1], (RegionKind::Body, 512..517));
            assert_eq!(found.paths(), ["sparse", "next"]);
            assert_eq!(found.oddities(), [Oddity::MalformedExtension]);
        }
        for body in [&b""[..], b"1\n0\n5\n", &sparse_body("x\n", b"hello")] {
            let found = sparse_v1("100", body).member(b'0', "next", b"").frame();
            assert_eq!(found.paths(), ["real.env", "next"]);
            assert_eq!(found.oddities(), [Oddity::MalformedExtension]);
        }
    }

    #[test]
    fn a_map_with_too_many_runs_is_told_as_stored() {
        let limits = Limits {
            sparse_runs: 3,
            ..Limits::default()
        };
        let stream = archive()
            .raw(&old_sparse(100, &[(0, 1), (10, 1), (20, 1), (30, 1)], 4, false))
            .padded(b"abcd")
            .0;
        let found = Recorder::of([&stream[..]], &limits);
        assert_eq!(found.spans()[1], (RegionKind::Body, 512..516));
        assert_eq!(found.oddities(), [Oddity::OversizeSparseMap]);
    }

    #[test]
    fn an_endless_old_map_keeps_no_runs() {
        let mut more = [0; 512];
        for pair in more[..504].chunks_exact_mut(24) {
            pair.copy_from_slice(b"00000000000\x0000000000000\0");
        }
        more[504] = 1;
        let stream = archive()
            .raw(&old_sparse(100, &[], 4, true))
            .raw(&more.repeat(3000));
        let found = stream.frame();
        assert_eq!(found.oddities(), [Oddity::OversizeSparseMap, Oddity::Truncated]);
    }

    #[test]
    fn what_is_settled_stays_less_than_a_block_behind() {
        let stream = archive()
            .member(b'0', "a", &[b'x'; 700])
            .zeros(2)
            .raw(&[b'y'; 600])
            .0;
        let mut recorder = Recorder::default();
        let mut framer = Framer::new(&Limits::default());
        for (at, byte) in stream.iter().enumerate() {
            framer.push(&[*byte], &mut recorder);
            let settled = framer.settled();
            assert!(settled <= at as u64 + 1 && at as u64 + 1 - settled < BLOCK as u64);
            let told = recorder.regions.last().map_or(0, |region| region.span.end);
            assert!(told >= settled);
        }
    }

    /// Pieces of archives, whole and broken, to be put together at random.
    fn piece() -> impl Strategy<Value = Vec<u8>> {
        let name = prop_oneof![Just("a"), Just("dir/"), Just("../b"), Just("n\0x"), Just("")];
        let body = proptest::collection::vec(prop_oneof![Just(0), Just(b'\n'), any::<u8>()], 0..1200);
        let map = prop_oneof![
            Just("2\n10\n5\n90\n3\n"),
            Just("1\n0\n100\n"),
            Just("x\n"),
            Just("9\n0\n"),
            Just("0\n")
        ];
        let key = prop_oneof![
            Just("path"),
            Just("size"),
            Just("mtime"),
            Just("GNU.sparse.offset")
        ];
        let value = prop_oneof![Just("7"), Just("600"), Just("x/y"), Just("-1"), Just("")];
        prop_oneof![
            4 => (prop::sample::select(b"01234567\0xgLKSZ".to_vec()), name, body.clone())
                .prop_map(|(typeflag, name, body)| archive().member(typeflag, name, &body).0),
            2 => (key, value).prop_map(|(key, value)| archive().pax(&[(key, value.as_bytes())]).0),
            1 => (map, 0..600_usize)
                .prop_map(|(map, stored)| sparse_v1("100", &sparse_body(map, &vec![b's'; stored])).0),
            1 => (0..9_u64, any::<bool>(), 0..9_u64)
                .prop_map(|(len, more, stored)| old_sparse(9, &[(0, len)], stored, more).to_vec()),
            1 => (1..4_usize).prop_map(|blocks| vec![0; blocks * 512]),
            1 => body,
        ]
    }

    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let flips = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
        let pieces = proptest::collection::vec(piece(), 0..6);
        (pieces, flips, any::<prop::sample::Index>(), any::<bool>()).prop_map(
            |(pieces, flips, cut, is_cut)| {
                let mut stream = pieces.concat();
                if !stream.is_empty() {
                    for (at, byte) in flips {
                        let at = at.index(stream.len());
                        stream[at] = byte;
                    }
                    if is_cut {
                        stream.truncate(cut.index(stream.len()));
                    }
                }
                stream
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn regions_tile_the_stream(stream in stream()) {
            let found = archive().raw(&stream).frame();
            let mut position = 0;
            for (kind, span) in found.spans() {
                prop_assert_eq!(span.start, position, "{:?}", kind);
                prop_assert!(span.end > span.start, "{:?}", kind);
                position = span.end;
            }
            prop_assert_eq!(position, stream.len() as u64);
            prop_assert_eq!(found.framing.end, stream.len() as u64);
            prop_assert_eq!(found.framing.entries, found.entries.len() as u64);
        }

        #[test]
        fn only_open_regions_and_maps_are_cut_by_the_next(stream in stream()) {
            let found = archive().raw(&stream).frame();
            for pair in found.regions.windows(2) {
                let is_cut = pair[0].span.end != pair[1].span.start;
                let may_be = matches!(pair[0].kind, RegionKind::End | RegionKind::Tail | RegionKind::Extension);
                prop_assert!(!is_cut || may_be, "{:?}", pair);
            }
        }

        #[test]
        fn nothing_depends_on_how_the_stream_is_cut(
            stream in stream(),
            sizes in proptest::collection::vec(1..700_usize, 1..5),
        ) {
            let whole = archive().raw(&stream).frame();
            let mut pieces = Vec::new();
            let mut rest = &stream[..];
            for size in sizes.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, left) = rest.split_at(rest.len().min(*size));
                pieces.push(piece);
                rest = left;
            }
            prop_assert_eq!(Recorder::of(pieces, &Limits::default()), whole);
        }

        #[test]
        fn the_content_of_an_entry_follows_its_entry(stream in stream()) {
            let mut known = 0;
            for line in archive().raw(&stream).frame().log {
                known += u32::from(line.starts_with("Entry"));
                if line.contains("kind: Body") || line.contains("kind: SparseRun") {
                    prop_assert!(line.contains(&format!("Some({})", known - 1)), "{}", line);
                }
            }
        }

        #[test]
        fn small_limits_hold_and_break_nothing(stream in stream()) {
            let limits = Limits { tar_header_bytes: 20, sparse_runs: 1, ..Limits::default() };
            let found = Recorder::of([&stream[..]], &limits);
            let told: u64 = found.spans().iter().map(|(_, span)| span.end - span.start).sum();
            prop_assert_eq!(told, stream.len() as u64);
        }
    }
}
