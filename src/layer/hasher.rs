//! Hashes a layer's blob and its decompressed stream: beside the reader where a core is free for it, else by the reader
//! itself, while the bytes are still in its cache.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::oci::{Algorithm, DiffId, Digest, Hasher};

use super::lanes::Lanes;
use super::window::Buffer;

/// Blocks that may wait to be hashed: 8 of at most 1 MiB, so that hashing can fall behind the reader for a moment.
const BACKLOG: usize = 8;

/// Bytes read from a blob at a time.
const BLOCK: usize = 256 * 1024;

pub(super) enum Piece {
    Stored(Arc<Vec<u8>>),
    Decoded(Arc<Buffer>, Range<usize>),
}

/// The two digests of a layer.
pub(super) struct Digests {
    pub(super) stored: Digest,
    pub(super) decoded: DiffId,
}

/// The hashing of one layer. Whoever hashes takes the pieces in the order in which they came.
pub(super) struct Hashing<'l> {
    lanes: &'l Lanes,
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    /// `None` where a panic ended the hashing.
    hashers: Mutex<Option<Hashers>>,
}

#[derive(Default)]
struct Waiting {
    pieces: VecDeque<Piece>,
    ended: bool,
}

struct Hashers {
    stored: Hasher,
    decoded: Hasher,
}

impl<'l> Hashing<'l> {
    pub(super) fn new(lanes: &'l Lanes, stored: Algorithm, decoded: Algorithm) -> Self {
        Self {
            lanes,
            waiting: Mutex::default(),
            arrived: Condvar::new(),
            hashers: Mutex::new(Some(Hashers {
                stored: Hasher::new(stored),
                decoded: Hasher::new(decoded),
            })),
        }
    }

    /// Has a piece hashed: by [`run`](Self::run) where a core is free for it, else before this returns.
    pub(super) fn add(&self, piece: Piece) {
        let mut waiting = self.waiting();
        waiting.pieces.push_back(piece);
        let is_behind = waiting.pieces.len() > BACKLOG;
        drop(waiting);
        if is_behind || self.lanes.are_taken() {
            self.catch_up();
        } else {
            self.arrived.notify_one();
        }
    }

    /// Hashes what comes, until [`end`](Self::end).
    pub(super) fn run(&self) {
        let mut waiting = self.waiting();
        loop {
            if !waiting.pieces.is_empty() {
                drop(waiting);
                self.catch_up();
                waiting = self.waiting();
            } else if waiting.ended {
                return;
            } else {
                waiting = self.arrived.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// No further piece comes.
    pub(super) fn end(&self) {
        self.waiting().ended = true;
        self.arrived.notify_one();
    }

    /// The digests of all pieces; `None` where a panic ended the hashing.
    pub(super) fn finish(self) -> Option<Digests> {
        self.catch_up();
        let hashers = self
            .hashers
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)?;
        Some(Digests {
            stored: hashers.stored.finish(),
            decoded: DiffId(hashers.decoded.finish()),
        })
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn catch_up(&self) {
        // Whoever has the hashers takes the next piece: so they keep their order.
        let mut hashers = self.hashers.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let Some(piece) = self.waiting().pieces.pop_front() else {
                return;
            };
            // A fault of ours costs the digests, not what the reader is about to search.
            let Some(both) = &mut *hashers else { continue };
            if catch_unwind(AssertUnwindSafe(|| both.update(&piece))).is_err() {
                *hashers = None;
            }
        }
    }
}

impl Hashers {
    fn update(&mut self, piece: &Piece) {
        match piece {
            Piece::Stored(block) => self.stored.update(block),
            Piece::Decoded(buffer, range) => {
                let bytes = &buffer.bytes()[range.clone()];
                #[cfg(test)]
                super::break_down("hasher", bytes);
                self.decoded.update(bytes);
            }
        }
    }
}

/// A reader that has what it reads hashed too, and counts it.
pub(super) struct Tee<'h, R> {
    inner: R,
    hashing: &'h Hashing<'h>,
    block: Arc<Vec<u8>>,
    /// Blocks that wait to be hashed, or did: those are used again.
    sent: Vec<Arc<Vec<u8>>>,
    position: usize,
    failure: Option<io::Error>,
    /// Bytes read.
    pub(super) count: u64,
    /// Bytes after which reading stops: a blob longer than its descriptor says is read one byte further, no more.
    pub(super) limit: u64,
}

impl<'h, R: Read> Tee<'h, R> {
    pub(super) fn new(inner: R, hashing: &'h Hashing<'h>, limit: u64) -> Self {
        Self {
            inner,
            hashing,
            block: Arc::default(),
            sent: Vec::new(),
            position: 0,
            failure: None,
            count: 0,
            limit,
        }
    }

    fn refill(&mut self) -> io::Result<()> {
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        self.sent.push(std::mem::take(&mut self.block));
        let free = self
            .sent
            .iter_mut()
            .position(|block| Arc::get_mut(block).is_some());
        let mut shared = free.map(|free| self.sent.swap_remove(free)).unwrap_or_default();
        let block = Arc::get_mut(&mut shared).expect("nobody else has it");
        let room = usize::try_from(self.limit.saturating_sub(self.count))
            .unwrap_or(usize::MAX)
            .min(BLOCK);
        block.resize(room, 0);
        let mut filled = 0;
        while filled < block.len() {
            match self.inner.read(&mut block[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // What came before the error is delivered first.
                Err(error) if filled > 0 => {
                    self.failure = Some(error);
                    break;
                }
                Err(error) => return Err(error),
            }
            // A network delivers in small pieces: hand on what is there instead of waiting for a full block.
            if filled >= BLOCK / 4 {
                break;
            }
        }
        block.truncate(filled);
        self.count += filled as u64;
        self.block = shared;
        self.position = 0;
        if filled > 0 {
            self.hashing.add(Piece::Stored(Arc::clone(&self.block)));
        }
        Ok(())
    }
}

impl<R: Read> Read for Tee<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.position == self.block.len() {
            self.refill()?;
        }
        let count = out.len().min(self.block.len() - self.position);
        out[..count].copy_from_slice(&self.block[self.position..self.position + count]);
        self.position += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_the_whole_whoever_hashes() {
        let blocks: Vec<Vec<u8>> = (0..40_u8).map(|number| vec![number; 5000]).collect();
        let whole = Digest::of(&blocks.concat());
        for cores in [0, 1, 8] {
            let lanes = Lanes::new(cores);
            for is_helped in [false, true] {
                let hashing = Hashing::new(&lanes, Algorithm::Sha256, Algorithm::Sha256);
                std::thread::scope(|scope| {
                    if is_helped {
                        scope.spawn(|| hashing.run());
                    }
                    for block in &blocks {
                        hashing.add(Piece::Stored(Arc::new(block.clone())));
                        assert!(hashing.waiting().pieces.len() <= BACKLOG);
                    }
                    hashing.end();
                });
                let digests = hashing.finish().expect("nothing panics");
                assert_eq!(digests.stored, whole);
                assert_eq!(digests.decoded.0, Digest::of(b""));
            }
        }
    }

    #[test]
    fn what_is_read_comes_through_and_is_hashed() {
        let bytes: Vec<u8> = (0..3 * BLOCK + 7).map(|number| (number % 251) as u8).collect();
        let lanes = Lanes::new(1);
        let hashing = Hashing::new(&lanes, Algorithm::Sha256, Algorithm::Sha256);
        let mut tee = Tee::new(&bytes[..], &hashing, u64::MAX);
        let mut read = Vec::new();
        tee.read_to_end(&mut read).expect("memory can be read");
        assert_eq!((read.len(), tee.count), (bytes.len(), bytes.len() as u64));
        assert_eq!(
            hashing.finish().expect("nothing panics").stored,
            Digest::of(&bytes)
        );
    }
}
