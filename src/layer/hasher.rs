//! Hashes a layer's blob and its decompressed stream on a thread of their own, off the reader's path.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Scope, ScopedJoinHandle};

use crate::oci::{Algorithm, DiffId, Digest, Hasher};

use super::window::Buffer;

/// Blocks that may wait for the hasher: 8 of at most 1 MiB, so that it can fall behind the reader for a moment.
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

/// Starts a hasher. It ends when every sender is gone.
pub(super) fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    stored: Algorithm,
    decoded: Algorithm,
) -> (SyncSender<Piece>, ScopedJoinHandle<'scope, Digests>) {
    let (sender, receiver) = sync_channel(BACKLOG);
    (sender, scope.spawn(move || hash(&receiver, stored, decoded)))
}

fn hash(pieces: &Receiver<Piece>, stored: Algorithm, decoded: Algorithm) -> Digests {
    let mut stored = Hasher::new(stored);
    let mut decoded = Hasher::new(decoded);
    for piece in pieces {
        match piece {
            Piece::Stored(block) => stored.update(&block),
            Piece::Decoded(buffer, range) => decoded.update(&buffer.bytes()[range]),
        }
    }
    Digests {
        stored: stored.finish(),
        decoded: DiffId(decoded.finish()),
    }
}

/// A reader that sends what it reads to the hasher too, and counts it.
pub(super) struct Tee<R> {
    inner: R,
    hasher: SyncSender<Piece>,
    block: Arc<Vec<u8>>,
    /// Blocks the hasher still has, or had: those are used again.
    sent: Vec<Arc<Vec<u8>>>,
    position: usize,
    failure: Option<io::Error>,
    /// Bytes read.
    pub(super) count: u64,
    /// Bytes after which reading stops: a blob longer than its descriptor says is read one byte further, no more.
    pub(super) limit: u64,
}

impl<R: Read> Tee<R> {
    pub(super) fn new(inner: R, hasher: SyncSender<Piece>, limit: u64) -> Self {
        Self {
            inner,
            hasher,
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
            // The hasher ends only when all senders are gone; if it died, the join tells.
            let _ = self.hasher.send(Piece::Stored(Arc::clone(&self.block)));
        }
        Ok(())
    }
}

impl<R: Read> Read for Tee<R> {
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
