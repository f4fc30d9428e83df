//! The one buffer between a blob and its decoder: bytes in, slices out, a position that only moves forward.
//! Knows nothing of formats.

use std::io::{ErrorKind, Read};

use super::Fault;

/// 256 KiB: large enough that a system call per refill does not show, small enough to stay in the cache.
pub(super) const BUFFER_BYTES: usize = 256 * 1024;

/// The least that any format looks ahead, with room to spare.
const LEAST_BYTES: usize = 512;

/// A reader with a look ahead.
pub(super) struct Input<R> {
    inner: R,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    at_end: bool,
}

impl<R: Read> Input<R> {
    /// With a buffer for `expected` bytes, of 256 KiB at most.
    pub(super) fn new(inner: R, expected: usize) -> Self {
        Self {
            inner,
            buffer: vec![0; expected.clamp(LEAST_BYTES, BUFFER_BYTES)].into_boxed_slice(),
            start: 0,
            end: 0,
            at_end: false,
        }
    }

    pub(super) fn inner(&self) -> &R {
        &self.inner
    }

    /// The bytes that are there, after reading more if there are none. Empty only at the end of the blob.
    pub(super) fn fill(&mut self) -> Result<&[u8], Fault> {
        self.peek(1)
    }

    /// As [`fill`](Self::fill), but at least `count` bytes, or all there are before the end of the blob.
    pub(super) fn peek(&mut self, count: usize) -> Result<&[u8], Fault> {
        debug_assert!(count <= self.buffer.len(), "more than the buffer holds");
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        while self.end - self.start < count && !self.at_end {
            if self.start > 0 {
                self.buffer.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.end - self.start);
            }
            self.end += read(&mut self.inner, &mut self.buffer[self.end..], &mut self.at_end)?;
        }
        Ok(&self.buffer[self.start..self.end])
    }

    /// Moves past `count` bytes that were seen.
    pub(super) fn consume(&mut self, count: usize) {
        self.start += count;
        assert!(self.start <= self.end, "consumes only what was seen");
    }

    /// The next `N` bytes. *Errors*: [`Fault::Truncated`] where the blob has fewer left.
    pub(super) fn take<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let head = *self.peek(N)?.first_chunk::<N>().ok_or(Fault::Truncated)?;
        self.consume(N);
        Ok(head)
    }

    /// Moves past zero bytes, in front of anything else or of the end.
    pub(super) fn skip_zeros(&mut self) -> Result<(), Fault> {
        loop {
            let available = self.fill()?;
            let zeros = available.iter().take_while(|&&byte| byte == 0).count();
            if zeros == 0 {
                return Ok(());
            }
            self.consume(zeros);
        }
    }

    /// Appends what comes next, `limit` bytes at most, to `aside`. Appends nothing only at the end of the blob.
    pub(super) fn copy_to(&mut self, aside: &mut Vec<u8>, limit: usize) -> Result<usize, Fault> {
        let available = self.fill()?;
        let piece = &available[..available.len().min(limit)];
        aside.extend_from_slice(piece);
        let count = piece.len();
        self.consume(count);
        Ok(count)
    }

    /// Writes what comes next to the front of `out`, past the buffer where that is empty. Zero only at the end.
    pub(super) fn read(&mut self, out: &mut [u8]) -> Result<usize, Fault> {
        if self.start == self.end && !self.at_end {
            return read(&mut self.inner, out, &mut self.at_end);
        }
        let count = out.len().min(self.end - self.start);
        out[..count].copy_from_slice(&self.buffer[self.start..self.start + count]);
        self.consume(count);
        Ok(count)
    }
}

fn read(inner: &mut impl Read, into: &mut [u8], at_end: &mut bool) -> Result<usize, Fault> {
    loop {
        match inner.read(into) {
            Ok(count) => {
                *at_end = count == 0;
                return Ok(count);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(Fault::Io(error)),
        }
    }
}
