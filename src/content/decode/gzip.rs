//! One gzip member after another (RFC 1952): header fields beside the stream, deflate data into it, the length and
//! checksum behind it compared. Does not look for the next member; see [`Decoder`](super::Decoder).

use std::io::Read;

use flate2::Decompress;

use super::input::Input;
use super::push::Stream;
use super::{ASIDE_BYTES, AsideKind, Fault, Next};
use crate::limits::Limits;

/// Reads gzip members.
pub(super) struct Gzip {
    part: Part,
    flags: u8,
    body: Stream<Decompress>,
    field_bytes: usize,
    /// ISIZE of what was decompressed so far: modulo 2^32, as the format has it.
    length: u32,
    /// `None` where the caller verifies the content by itself.
    checksum: Option<crc32fast::Hasher>,
}

/// The parts of a member, in their order (RFC 1952, 2.3).
#[derive(Clone, Copy)]
enum Part {
    Fixed,
    ExtraLength,
    Extra { left: u16 },
    Name { begun: bool },
    Comment { begun: bool },
    HeaderChecksum,
    Body,
    Trailer,
}

const FHCRC: u8 = 1 << 1;
const FEXTRA: u8 = 1 << 2;
const FNAME: u8 = 1 << 3;
const FCOMMENT: u8 = 1 << 4;

impl Gzip {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            part: Part::Fixed,
            flags: 0,
            body: Stream::new(Decompress::new(false)),
            field_bytes: limits.gzip_field_bytes.clamp(1, ASIDE_BYTES),
            length: 0,
            checksum: Some(crc32fast::Hasher::new()),
        }
    }

    /// Leaves the CRC32 of members unchecked.
    pub(super) fn without_checksum(&mut self) {
        self.checksum = None;
    }

    pub(super) fn step<R: Read>(
        &mut self,
        input: &mut Input<R>,
        out: &mut [u8],
        aside: &mut Vec<u8>,
    ) -> Result<Next, Fault> {
        loop {
            match self.part {
                Part::Fixed => {
                    // Reserved flags are ignored, as Go does: such a layer runs, so it is read.
                    let fixed: [u8; 10] = input.take()?;
                    self.flags = fixed[3];
                    self.length = 0;
                    if let Some(checksum) = &mut self.checksum {
                        checksum.reset();
                    }
                    self.body.restart(|body| body.reset(false));
                    self.part = Part::ExtraLength;
                }
                Part::ExtraLength => {
                    let left = match self.flags & FEXTRA {
                        0 => 0,
                        _ => u16::from_le_bytes(input.take()?),
                    };
                    self.part = Part::Extra { left };
                }
                Part::Extra { left: 0 } => self.part = Part::Name { begun: false },
                Part::Extra { left } => {
                    let count = input.copy_to(aside, self.field_bytes.min(left.into()))?;
                    if count == 0 {
                        return Err(Fault::Truncated);
                    }
                    let left = left - u16::try_from(count).expect("no more than was left");
                    self.part = Part::Extra { left };
                    return Ok(Next::Aside {
                        kind: AsideKind::GzipExtra,
                        last: left == 0,
                    });
                }
                Part::Name { .. } if self.flags & FNAME == 0 => self.part = Part::Comment { begun: false },
                Part::Name { begun } => {
                    let (count, last) = self.text(input, aside)?;
                    self.part = match last {
                        true => Part::Comment { begun: false },
                        false => Part::Name { begun: true },
                    };
                    if begun || count > 0 {
                        return Ok(Next::Aside {
                            kind: AsideKind::GzipName,
                            last,
                        });
                    }
                }
                Part::Comment { .. } if self.flags & FCOMMENT == 0 => self.part = Part::HeaderChecksum,
                Part::Comment { begun } => {
                    let (count, last) = self.text(input, aside)?;
                    self.part = match last {
                        true => Part::HeaderChecksum,
                        false => Part::Comment { begun: true },
                    };
                    if begun || count > 0 {
                        return Ok(Next::Aside {
                            kind: AsideKind::GzipComment,
                            last,
                        });
                    }
                }
                Part::HeaderChecksum => {
                    // Not compared: a reader that does not care would still run what is behind it.
                    if self.flags & FHCRC != 0 {
                        let _: [u8; 2] = input.take()?;
                    }
                    self.part = Part::Body;
                }
                Part::Body => {
                    if let Some(count) = self.body.read(input, out)? {
                        // Truncating is ISIZE's own arithmetic.
                        self.length = self.length.wrapping_add(count as u32);
                        if let Some(checksum) = &mut self.checksum {
                            checksum.update(&out[..count]);
                        }
                        return Ok(Next::Written(count));
                    }
                    self.part = Part::Trailer;
                }
                Part::Trailer => {
                    let trailer = u64::from_le_bytes(input.take()?);
                    let (crc32, isize) = (trailer as u32, (trailer >> 32) as u32);
                    self.part = Part::Fixed;
                    if isize != self.length {
                        let reason = format!("length is {} and should be {isize}", self.length);
                        return Err(Fault::Corrupt(reason));
                    }
                    let actual = self.checksum.as_ref().map(|checksum| checksum.clone().finalize());
                    if actual.is_some_and(|actual| actual != crc32) {
                        return Err(Fault::Corrupt("the checksum differs".to_owned()));
                    }
                    return Ok(Next::MemberEnd);
                }
            }
        }
    }

    /// Appends the next piece of a zero-terminated field: how many bytes, and whether the zero was reached.
    fn text<R: Read>(&self, input: &mut Input<R>, aside: &mut Vec<u8>) -> Result<(usize, bool), Fault> {
        let available = input.fill()?;
        if available.is_empty() {
            return Err(Fault::Truncated);
        }
        let piece = &available[..available.len().min(self.field_bytes)];
        let zero = memchr::memchr(0, piece);
        let count = zero.unwrap_or(piece.len());
        aside.extend_from_slice(&piece[..count]);
        input.consume(count + usize::from(zero.is_some()));
        Ok((count, zero.is_some()))
    }
}
