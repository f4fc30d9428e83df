//! One zstd frame after another (RFC 8878): walks headers and blocks, so that skippable frames come out beside the
//! stream and damage costs no block before it. What is in a block is the zstd library's business.

use std::io::Read;

use zstd::stream::raw::{DParameter, InBuffer, Operation, OutBuffer};

use super::input::Input;
use super::{ASIDE_BYTES, AsideKind, Fault, Next};
use crate::limits::{LimitHit, Limits};

/// The longest frame header: magic, descriptor, window, dictionary and content size (RFC 8878, 3.1.1.1).
const HEADER_BYTES: usize = 4 + 1 + 1 + 4 + 8;

/// Reads zstd frames.
pub(super) struct Zstd {
    decoder: zstd::stream::raw::Decoder<'static>,
    window_log: u32,
    part: Part,
    /// Bytes of the current part that the library has yet to be given.
    left: u64,
    /// Whether the library may hold bytes back, because the last buffer was filled to its end.
    pending: bool,
    has_checksum: bool,
}

/// What the library was given last.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Block {
        last: bool,
    },
    Checksum,
    Header,
    Nothing,
    /// Given to nobody: it is not data.
    Skippable,
}

impl Zstd {
    pub(super) fn new(limits: &Limits) -> Result<Self, Fault> {
        // The library takes windows of 10 to 31 bits on 64-bit machines, to 30 on others.
        let window_log = limits
            .zstd_window_log
            .clamp(10, 30 + u32::from(usize::BITS >= 64));
        let mut decoder = zstd::stream::raw::Decoder::new().map_err(Fault::Io)?;
        decoder
            .set_parameter(DParameter::WindowLogMax(window_log))
            .map_err(Fault::Io)?;
        Ok(Self {
            decoder,
            window_log,
            part: Part::Nothing,
            left: 0,
            pending: false,
            has_checksum: false,
        })
    }

    pub(super) fn step<R: Read>(
        &mut self,
        input: &mut Input<R>,
        out: &mut [u8],
        aside: &mut Vec<u8>,
    ) -> Result<Next, Fault> {
        loop {
            if self.part == Part::Skippable {
                return self.skippable(input, aside);
            }
            if self.left > 0 || self.pending {
                match self.run(input, out)? {
                    0 => continue,
                    written => return Ok(Next::Written(written)),
                }
            }
            match self.part {
                Part::Nothing => self.header(input)?,
                Part::Header | Part::Block { last: false } => self.block(input)?,
                Part::Block { last: true } if self.has_checksum => {
                    self.part = Part::Checksum;
                    self.left = 4;
                }
                Part::Block { last: true } | Part::Checksum => {
                    self.part = Part::Nothing;
                    return Ok(Next::MemberEnd);
                }
                Part::Skippable => unreachable!("answered above"),
            }
        }
    }

    /// Looks at the header of a frame (RFC 8878, 3.1.1.1, and 3.1.2 for skippable ones).
    fn header<R: Read>(&mut self, input: &mut Input<R>) -> Result<(), Fault> {
        let head = input.peek(HEADER_BYTES)?;
        if super::is_skippable_frame(head) {
            let [_, _, _, _, length @ ..]: [u8; 8] = input.take()?;
            self.left = u32::from_le_bytes(length).into();
            self.part = Part::Skippable;
            return Ok(());
        }
        let &descriptor = head.get(4).ok_or(Fault::Truncated)?;
        let is_single_segment = descriptor & 0x20 != 0;
        let window_bytes = usize::from(!is_single_segment);
        let dictionary_bytes = [0, 1, 2, 4][usize::from(descriptor & 3)];
        let content_bytes = match descriptor >> 6 {
            0 => usize::from(is_single_segment),
            1 => 2,
            2 => 4,
            _ => 8,
        };
        let content_at = 5 + window_bytes + dictionary_bytes;
        let length = content_at + content_bytes;
        if head.len() < length {
            return Err(Fault::Truncated);
        }
        let window = if is_single_segment {
            // Without a window of its own the whole content is the window.
            let mut content = [0; 8];
            content[..content_bytes].copy_from_slice(&head[content_at..length]);
            u64::from_le_bytes(content) + if content_bytes == 2 { 256 } else { 0 }
        } else {
            let base = 1_u64 << (10 + (head[5] >> 3));
            base + base / 8 * u64::from(head[5] & 7)
        };
        if window > 1 << self.window_log {
            return Err(Fault::Limit(LimitHit::ZstdWindow));
        }
        self.has_checksum = descriptor & 4 != 0;
        self.left = length as u64;
        self.part = Part::Header;
        Ok(())
    }

    /// Looks at the header of a block (RFC 8878, 3.1.1.2). Its sizes are checked by the library.
    fn block<R: Read>(&mut self, input: &mut Input<R>) -> Result<(), Fault> {
        let &[a, b, c] = input.peek(3)?.first_chunk().ok_or(Fault::Truncated)?;
        let header = u32::from_le_bytes([a, b, c, 0]);
        let is_run = header >> 1 & 3 == 1;
        let length = if is_run { 1 } else { u64::from(header >> 3) };
        self.left = 3 + length;
        self.part = Part::Block {
            last: header & 1 != 0,
        };
        Ok(())
    }

    /// Gives the library what is left of the current part. Zero written is no end, only no byte so far.
    fn run<R: Read>(&mut self, input: &mut Input<R>, out: &mut [u8]) -> Result<usize, Fault> {
        let mut available: &[u8] = &[];
        if self.left > 0 {
            available = input.fill()?;
            // The library may hold bytes back for which there was no room.
            if available.is_empty() && !self.pending {
                return Err(Fault::Truncated);
            }
            let length = (available.len() as u64).min(self.left) as usize;
            available = &available[..length];
        }
        let mut from = InBuffer::around(available);
        let mut into = OutBuffer::around(out);
        self.decoder
            .run(&mut from, &mut into)
            .map_err(|error| Fault::Corrupt(error.to_string()))?;
        let (consumed, written) = (from.pos(), into.pos());
        if consumed == 0 && written == 0 && self.left > 0 {
            return Err(match available.is_empty() {
                true => Fault::Truncated,
                false => Fault::Corrupt("no progress".to_owned()),
            });
        }
        input.consume(consumed);
        self.left -= consumed as u64;
        self.pending = written == out.len();
        Ok(written)
    }

    /// Hands out the next piece of a skippable frame's payload.
    fn skippable<R: Read>(&mut self, input: &mut Input<R>, aside: &mut Vec<u8>) -> Result<Next, Fault> {
        if self.left == 0 {
            self.part = Part::Nothing;
            return Ok(Next::MemberEnd);
        }
        let limit = self.left.min(ASIDE_BYTES as u64) as usize;
        let count = input.copy_to(aside, limit)?;
        if count == 0 {
            return Err(Fault::Truncated);
        }
        self.left -= count as u64;
        Ok(Next::Aside {
            kind: AsideKind::SkippableFrame,
            last: self.left == 0,
        })
    }
}
