//! Cuts a stream into overlapping windows, each with the regions it covers.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use crate::engine::{Place, REACH, Regions};
use crate::tar::{Entry, Framer, Framing, Oddity, Region, RegionKind, Sink};

use super::archives::{Body, Picker};
use super::{Carrier, PathTable};

/// New bytes of a window. Smaller ones gain nothing, larger ones only cost memory (measured with 256 KiB and 4 MiB).
const FRESH: usize = 1024 * 1024;

/// Bytes of a full window: what it brings, and what it shares with its neighbours so that the matcher can look
/// [`REACH`] bytes around each literal.
pub(super) const WINDOW: usize = FRESH + 2 * REACH;

/// Buffers that were used and can be used again, so that reading allocates nothing once it is under way.
#[derive(Debug, Default)]
pub(super) struct BufferPool(Mutex<Vec<Vec<u8>>>);

impl BufferPool {
    fn take(&self) -> Vec<u8> {
        let free = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        free.unwrap_or_else(|| vec![0; WINDOW])
    }
}

/// The bytes of a window, shared by the matcher and the hasher.
pub(super) struct Buffer {
    start: u64,
    storage: Vec<u8>,
    filled: usize,
    pool: Arc<BufferPool>,
}

impl Buffer {
    fn new(pool: &Arc<BufferPool>, start: u64) -> Self {
        Self {
            start,
            storage: pool.take(),
            filled: 0,
            pool: Arc::clone(pool),
        }
    }

    /// Offset in the stream of the first byte.
    pub(super) fn start(&self) -> u64 {
        self.start
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.storage[..self.filled]
    }

    fn end(&self) -> u64 {
        self.start + self.filled as u64
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let storage = std::mem::take(&mut self.storage);
        if storage.len() != WINDOW {
            return;
        }
        self.pool
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(storage);
    }
}

/// A region as a window sees it.
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) span: Range<u64>,
    pub(super) carrier: Carrier,
    pub(super) entry: Option<u32>,
    pub(super) file_offset: u64,
    path: Range<usize>,
}

/// A window that is ready to be searched.
pub(super) struct Cut {
    pub(super) index: u64,
    pub(super) buffer: Arc<Buffer>,
    /// The bytes no earlier window had, as a range of the buffer.
    pub(super) fresh: Range<usize>,
    /// The part of the stream whose hits are this window's.
    pub(super) owned: Range<u64>,
    /// Where the next window begins: lines are counted from this window's start to there.
    pub(super) next_start: u64,
    pub(super) spans: Vec<Span>,
    paths: Vec<u8>,
}

impl Cut {
    /// The path of the member a region belongs to, empty where it is none.
    pub(super) fn path_of(&self, span: &Span) -> &[u8] {
        &self.paths[span.path.clone()]
    }

    pub(super) fn span_at(&self, offset: u64) -> Option<u32> {
        let behind = self.spans.partition_point(|span| span.span.start <= offset);
        let number = behind.checked_sub(1)?;
        self.spans[number].span.contains(&offset).then_some(number as u32)
    }
}

/// The text fields of a header block, so that no match reaches from one into the next. Offsets of POSIX.1-1988; the
/// fields between are numbers.
const HEADER_FIELDS: [Range<u64>; 9] = [
    0..100,
    100..157,
    157..257,
    257..265,
    265..297,
    297..329,
    329..345,
    345..500,
    500..512,
];

impl Regions for Cut {
    fn at(&self, offset: u64) -> Option<Place> {
        let region = self.span_at(offset)?;
        let span = &self.spans[region as usize];
        if span.carrier == Carrier::Tar(RegionKind::Header) {
            let within = (offset - span.span.start) % 512;
            let block = offset - within;
            let field = HEADER_FIELDS.iter().find(|field| field.contains(&within))?;
            return Some(Place {
                region,
                span: block + field.start..block + field.end,
            });
        }
        Some(Place {
            region,
            span: span.span.clone(),
        })
    }

    fn path(&self, region: u32) -> &[u8] {
        self.spans
            .get(region as usize)
            .map_or(b"", |span| self.path_of(span))
    }
}

/// What frames the stream.
enum Frame {
    Flat,
    Tar(Box<Framer>),
}

/// What the framer has told and windows still need.
struct Collected {
    regions: VecDeque<Region>,
    paths: PathTable,
    bodies: Option<Picker>,
    oddities: Vec<(Oddity, u64)>,
    longest_path: usize,
    most_entries: usize,
    most_path_bytes: u64,
    entries_over: u64,
    paths_over: u64,
    paths_cut: u64,
}

impl Sink for Collected {
    fn region(&mut self, region: Region) {
        if let (Some(entry), Some(bodies)) = (region.entry, &mut self.bodies) {
            match region.kind {
                RegionKind::Body => bodies.expect(entry, region.span.clone()),
                RegionKind::SparseRun if region.file_offset == 0 => {
                    bodies.expect_sparse(entry, region.span.clone());
                }
                _ => {}
            }
        }
        self.regions.push_back(region);
    }

    fn entry(&mut self, number: u32, entry: Entry) {
        let _ = number;
        if self.paths.len() >= self.most_entries {
            self.entries_over += 1;
        } else if self.paths_over > 0 || self.paths.bytes() > self.most_path_bytes {
            // None behind the first, so that the numbers of members stay those of rows.
            self.paths_over += 1;
        } else {
            self.paths_cut +=
                u64::from(entry.path.as_bytes().len().max(entry.link.len()) > self.longest_path);
            self.paths.push(&entry, self.longest_path);
        }
    }

    fn oddity(&mut self, oddity: Oddity, offset: u64) {
        // A hostile archive can be odd without end; each kind is worth telling once.
        if self.oddities.iter().all(|(known, _)| *known != oddity) {
            self.oddities.push((oddity, offset));
        }
    }
}

/// Takes a stream as it is decompressed and gives windows.
pub(super) struct Windower {
    pool: Arc<BufferPool>,
    buffer: Buffer,
    index: u64,
    owned_from: u64,
    fresh_from: usize,
    carrier: Carrier,
    /// Of a stream without a structure, what the matcher is told as its path.
    name: Vec<u8>,
    frame: Frame,
    collected: Collected,
}

/// What a stream turned out to be.
#[derive(Default)]
pub(super) struct Framed {
    pub(super) framing: Framing,
    pub(super) paths: PathTable,
    pub(super) oddities: Vec<(Oddity, u64)>,
    pub(super) entries_over: u64,
    pub(super) paths_over: u64,
    pub(super) paths_cut: u64,
}

impl Windower {
    /// A windower for a tar archive, whose members that are archives are picked by `bodies`.
    pub(super) fn tar(pool: &Arc<BufferPool>, limits: &crate::limits::Limits, bodies: Picker) -> Self {
        let mut windower = Self::flat(pool, Carrier::Blob);
        windower.frame = Frame::Tar(Box::new(Framer::new(limits)));
        windower.collected.bodies = Some(bodies);
        windower.collected.longest_path = limits.path_bytes;
        windower.collected.most_entries = limits.entries;
        windower.collected.most_path_bytes = limits.path_table_bytes;
        windower
    }

    /// A windower for bytes without a structure.
    pub(super) fn flat(pool: &Arc<BufferPool>, carrier: Carrier) -> Self {
        Self {
            pool: Arc::clone(pool),
            buffer: Buffer::new(pool, 0),
            index: 0,
            owned_from: 0,
            fresh_from: 0,
            carrier,
            name: Vec::new(),
            frame: Frame::Flat,
            collected: Collected {
                regions: VecDeque::new(),
                paths: PathTable::default(),
                bodies: None,
                oddities: Vec::new(),
                longest_path: 0,
                most_entries: 0,
                most_path_bytes: 0,
                entries_over: 0,
                paths_over: 0,
                paths_cut: 0,
            },
        }
    }

    /// Tells the matcher that the stream is a file of this name.
    pub(super) fn named(mut self, name: &[u8]) -> Self {
        self.name = name.to_vec();
        self
    }

    /// The members that are archives and have passed since the last time.
    pub(super) fn bodies(&mut self) -> Vec<Body> {
        self.collected
            .bodies
            .as_mut()
            .map(Picker::found)
            .unwrap_or_default()
    }

    /// Says that no more bytes come, for the member that this cuts off.
    pub(super) fn end_bodies(&mut self) {
        if let Some(bodies) = &mut self.collected.bodies {
            bodies.end();
        }
    }

    /// The path of a member.
    pub(super) fn path(&self, entry: u32) -> Vec<u8> {
        let row = self.collected.paths.row(entry);
        row.map(|row| row.path.into_owned()).unwrap_or_default()
    }

    /// Where the next bytes go. Never empty, if [`Windower::cut`] is called when [`Windower::is_full`].
    pub(super) fn space(&mut self) -> &mut [u8] {
        &mut self.buffer.storage[self.buffer.filled..]
    }

    /// Says that `count` bytes were written to [`Windower::space`].
    pub(super) fn advance(&mut self, count: usize) {
        let from = self.buffer.filled;
        self.buffer.filled += count;
        if let Frame::Tar(framer) = &mut self.frame {
            let bytes = &self.buffer.storage[from..from + count];
            framer.push(bytes, &mut self.collected);
            if let Some(bodies) = &mut self.collected.bodies {
                bodies.take(self.buffer.start + from as u64, bytes);
            }
        }
    }

    /// Whether a window must be cut before more bytes fit.
    pub(super) fn is_full(&self) -> bool {
        self.buffer.filled == self.buffer.storage.len()
    }

    /// Cuts the window that is full, and keeps what the next one needs of it.
    pub(super) fn cut(&mut self) -> Cut {
        let end = self.buffer.end();
        let owned_to = end - REACH as u64;
        let next_start = end - 2 * REACH as u64;
        let mut next = Buffer::new(&self.pool, next_start);
        let kept = (next_start - self.buffer.start) as usize;
        next.storage[..2 * REACH].copy_from_slice(&self.buffer.bytes()[kept..]);
        next.filled = 2 * REACH;
        self.finish_cut(next, owned_to, 2 * REACH)
    }

    /// Cuts the last window, which may be empty, and ends the stream.
    pub(super) fn finish(mut self) -> (Cut, Framed) {
        let framing = match std::mem::replace(&mut self.frame, Frame::Flat) {
            Frame::Flat => Framing::default(),
            Frame::Tar(framer) => framer.finish(&mut self.collected),
        };
        let end = self.buffer.end();
        let next = Buffer {
            start: end,
            storage: Vec::new(),
            filled: 0,
            pool: Arc::clone(&self.pool),
        };
        let cut = self.finish_cut(next, end, 0);
        let collected = self.collected;
        let framed = Framed {
            framing,
            paths: collected.paths,
            oddities: collected.oddities,
            entries_over: collected.entries_over,
            paths_over: collected.paths_over,
            paths_cut: collected.paths_cut,
        };
        (cut, framed)
    }

    fn finish_cut(&mut self, next: Buffer, owned_to: u64, fresh_from: usize) -> Cut {
        let next_start = next.start;
        let buffer = std::mem::replace(&mut self.buffer, next);
        let (spans, paths) = self.spans(buffer.start..buffer.end());
        let cut = Cut {
            index: self.index,
            fresh: self.fresh_from..buffer.filled,
            owned: self.owned_from..owned_to,
            next_start,
            spans,
            paths,
            buffer: Arc::new(buffer),
        };
        self.index += 1;
        self.owned_from = owned_to;
        self.fresh_from = fresh_from;
        let regions = &mut self.collected.regions;
        // A region ends where it says, or where the next one begins.
        while let Some(first) = regions.front() {
            let end = regions
                .get(1)
                .map_or(first.span.end, |second| first.span.end.min(second.span.start));
            if end > next_start {
                break;
            }
            regions.pop_front();
        }
        cut
    }

    /// The regions a window covers, and the paths of their members.
    fn spans(&self, window: Range<u64>) -> (Vec<Span>, Vec<u8>) {
        if matches!(self.frame, Frame::Flat) && self.collected.regions.is_empty() {
            let span = Span {
                span: 0..u64::MAX,
                carrier: self.carrier,
                entry: None,
                file_offset: 0,
                path: 0..self.name.len(),
            };
            return (vec![span], self.name.clone());
        }
        let mut paths = Vec::new();
        let mut last: Option<(u32, Range<usize>)> = None;
        let mut spans = Vec::new();
        let regions = &self.collected.regions;
        let first = regions.iter().find_map(|region| region.entry);
        let mut rows = self.collected.paths.rows_from(first.unwrap_or(u32::MAX));
        for (number, region) in regions.iter().enumerate() {
            if region.span.start >= window.end {
                break;
            }
            let end = regions
                .get(number + 1)
                .map_or(region.span.end, |next| region.span.end.min(next.span.start));
            let path = match (region.entry, &last) {
                (None, _) => 0..0,
                (Some(entry), Some((known, path))) if *known == entry => path.clone(),
                (Some(entry), _) => {
                    let start = paths.len();
                    while rows.number() <= entry
                        && let number = rows.number()
                        && let Some(row) = rows.read()
                    {
                        if number == entry {
                            paths.extend_from_slice(&row.path);
                            last = Some((entry, start..paths.len()));
                        }
                    }
                    start..paths.len()
                }
            };
            spans.push(Span {
                span: region.span.start..end,
                carrier: Carrier::Tar(region.kind),
                entry: region.entry,
                file_offset: region.file_offset,
                path,
            });
        }
        (spans, paths)
    }
}
