//! Decompresses a blob by its magic bytes and loses nothing on the way: gzip header fields, zstd skippable
//! frames and bytes behind the last member come out beside the data. Compares no digests; see `layer`.

mod gzip;
mod input;
mod push;
#[cfg(test)]
mod tests;
mod zstd;

use std::io::{self, Read};

use serde::{Deserialize, Serialize};

use self::gzip::Gzip;
use self::input::Input;
use self::push::Stream;
use self::zstd::Zstd;
use crate::limits::{LimitHit, Limits};

/// How a blob is compressed, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Codec {
    /// bzip2.
    Bzip2,
    /// gzip, of any number of members.
    Gzip,
    /// lz4 frames: recognised, not decoded.
    Lz4,
    /// Not compressed, or in a way nobody knows.
    Plain,
    /// xz.
    Xz,
    /// zstd, of any number of frames.
    Zstd,
}

impl Codec {
    /// How many first bytes [`of`](Self::of) looks at.
    pub const MAGIC_BYTES: usize = 10;

    /// The codec that a blob with these first bytes has. What is too short to tell is [`Plain`](Self::Plain).
    ///
    /// *Source*: RFC 1952 (2.3.1, with the only method there is), RFC 8878 (3.1.1, 3.1.2), the xz and lz4 file
    /// formats. bzip2's three letters are text, so its first block has to begin as well.
    pub fn of(head: &[u8]) -> Self {
        let bzip2_block = |head: &[u8]| {
            head.starts_with(b"\x31\x41\x59\x26\x53\x59") || head.starts_with(b"\x17\x72\x45\x38\x50\x90")
        };
        match head {
            [0x1f, 0x8b, 8, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            _ if is_skippable_frame(head) => Self::Zstd,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [b'B', b'Z', b'h', b'1'..=b'9', block @ ..] if bzip2_block(block) => Self::Bzip2,
            [0x04, 0x22, 0x4d, 0x18, ..] => Self::Lz4,
            _ => Self::Plain,
        }
    }
}

/// What came next from a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Bytes that are shipped but are not part of the decompressed stream; at most 64 KiB were appended to the
    /// buffer given for them. A field of any length comes in steps of the same kind, one right after the other.
    Aside {
        /// What they are.
        kind: AsideKind,
        /// Whether this ends the field; what comes next is unrelated. The last step may have added no byte.
        last: bool,
    },
    /// So many decompressed bytes were written.
    Data(usize),
    /// The blob was read to its end.
    End,
}

/// What bytes beside the stream are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum AsideKind {
    /// FCOMMENT of a gzip header (RFC 1952, 2.3.1).
    GzipComment,
    /// FEXTRA of a gzip header.
    GzipExtra,
    /// FNAME of a gzip header.
    GzipName,
    /// The payload of a zstd skippable frame (RFC 8878, 3.1.2).
    SkippableFrame,
    /// Bytes behind the last member or frame, and all bytes of a blob whose compression is not supported.
    Trailing,
}

/// Why a blob could not be decompressed to its end.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The compressed data is damaged.
    #[error("damaged {codec:?} data after {decoded} decompressed bytes: {reason}")]
    Corrupt {
        /// The codec.
        codec: Codec,
        /// Bytes decompressed before.
        decoded: u64,
        /// What the decoder says.
        reason: String,
    },
    /// The blob could not be read.
    #[error("the blob could not be read")]
    Io(#[source] io::Error),
    /// A limit was met.
    #[error("over the limit `{0}`")]
    Limit(LimitHit),
    /// The blob ends within a member or frame.
    #[error("the {codec:?} data ends early, after {decoded} decompressed bytes")]
    Truncated {
        /// The codec.
        codec: Codec,
        /// Bytes decompressed before.
        decoded: u64,
    },
    /// The compression is known but not supported.
    #[error("{0:?} compression is not supported")]
    Unsupported(Codec),
}

/// Decompresses one blob.
///
/// *Cost*: a buffer of 256 KiB and what the format itself needs: 40 KiB for gzip, 4 MiB for bzip2, for zstd and xz
/// at most what [`Limits::zstd_window_log`] says. Data is decompressed straight into the caller's buffer.
///
/// ```
/// use layersift::content::decode::{Codec, Decoder, Step};
/// use layersift::limits::Limits;
///
/// let mut decoder = Decoder::open(&b"as it is"[..], &Limits::default())?;
/// assert_eq!(decoder.codec(), Codec::Plain);
/// let (mut out, mut aside) = ([0; 64], Vec::new());
/// assert_eq!(decoder.step(&mut out, &mut aside)?, Step::Data(8));
/// assert_eq!(decoder.step(&mut out, &mut aside)?, Step::End);
/// # Ok::<(), layersift::content::decode::DecodeError>(())
/// ```
pub struct Decoder<R> {
    input: Input<R>,
    codec: Codec,
    format: Format,
    state: State,
    decoded: u64,
}

impl<R: Read> Decoder<R> {
    /// Reads the first bytes and picks the codec. *Errors*: [`DecodeError::Io`].
    pub fn open(inner: R, limits: &Limits) -> Result<Self, DecodeError> {
        Self::open_sized(inner, input::BUFFER_BYTES, limits)
    }

    /// As [`Decoder::open`], for a blob of about so many bytes: a layer has thousands of small ones in its files, and a
    /// full buffer for each costs more than decompressing it.
    pub fn open_sized(inner: R, bytes: usize, limits: &Limits) -> Result<Self, DecodeError> {
        let mut decoder = Self {
            input: Input::new(inner, bytes),
            codec: Codec::Plain,
            format: Format::Plain,
            state: State::Member,
            decoded: 0,
        };
        match decoder.pick(limits) {
            Ok(()) => Ok(decoder),
            Err(fault) => Err(decoder.error(fault)),
        }
    }

    /// Leaves the CRC32 of gzip members unchecked, for content that a DiffID covers: it costs as much as a
    /// tenth of decompressing. Lengths stay checked.
    pub fn without_checksum(mut self) -> Self {
        if let Format::Gzip(gzip) = &mut self.format {
            gzip.without_checksum();
        }
        self
    }

    /// What the blob is read from.
    pub fn inner(&self) -> &R {
        self.input.inner()
    }

    /// The codec of the first member.
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Reads on: writes decompressed bytes to the front of `out`, or appends bytes beside the stream to `aside`.
    ///
    /// Never returns `Data(0)`. After [`Step::End`] it returns `End` again; after an error the same kind of error.
    /// At `End` the blob was read to its end, not before; after an error the rest is for the caller to drain.
    ///
    /// What a runtime reads goes to the stream: any number of members, zero bytes between and behind them. All
    /// else behind a member is [`AsideKind::Trailing`].
    ///
    /// *Errors*: all of [`DecodeError`], each after everything decompressed before was handed over. Of a codec
    /// that is not supported, all bytes come out as [`AsideKind::Trailing`] before the error.
    ///
    /// *Panics* where `out` is empty.
    pub fn step(&mut self, out: &mut [u8], aside: &mut Vec<u8>) -> Result<Step, DecodeError> {
        assert!(!out.is_empty(), "decompressing needs room");
        loop {
            let next = match &mut self.state {
                State::Between => self.between(),
                State::End => return Ok(Step::End),
                State::Failed(fault) => {
                    let fault = fault.again();
                    return Err(self.error(fault));
                }
                State::Member => self.format.step(&mut self.input, out, aside),
                State::Trailing => self.input.copy_to(aside, ASIDE_BYTES).map(Next::Trailing),
            };
            match next {
                Ok(Next::Aside { kind, last }) => return Ok(Step::Aside { kind, last }),
                Ok(Next::End) => self.state = State::End,
                Ok(Next::Garbage) => self.state = State::Trailing,
                Ok(Next::Member) => self.state = State::Member,
                Ok(Next::MemberEnd) => self.state = State::Between,
                Ok(Next::Trailing(count)) => {
                    let last = count == 0;
                    if last {
                        self.state = match self.codec {
                            Codec::Lz4 => State::Failed(Fault::Unsupported),
                            _ => State::End,
                        };
                    }
                    let kind = AsideKind::Trailing;
                    return Ok(Step::Aside { kind, last });
                }
                Ok(Next::Written(count)) => {
                    self.decoded += count as u64;
                    return Ok(Step::Data(count));
                }
                Err(fault) => {
                    self.state = State::Failed(fault.again());
                    return Err(self.error(fault));
                }
            }
        }
    }

    fn pick(&mut self, limits: &Limits) -> Result<(), Fault> {
        self.codec = Codec::of(self.input.peek(Codec::MAGIC_BYTES)?);
        self.format = match self.codec {
            Codec::Bzip2 => Format::Bzip2(Stream::new(bzip2::Decompress::new(false))),
            Codec::Gzip => Format::Gzip(Box::new(Gzip::new(limits))),
            Codec::Lz4 | Codec::Plain => Format::Plain,
            Codec::Xz => {
                // The dictionary is nearly all that xz needs; the rest fits into 16 MiB.
                let memory_bytes = (1_u64 << limits.zstd_window_log.min(32)) + (16 << 20);
                let stream = Stream::new(xz(memory_bytes)?);
                Format::Xz { stream, memory_bytes }
            }
            Codec::Zstd => Format::Zstd(Zstd::new(limits)?),
        };
        if self.codec == Codec::Lz4 {
            self.state = State::Trailing;
        }
        Ok(())
    }

    /// Looks at what is behind a member: another one, padding, the end, or bytes that no runtime reads.
    fn between(&mut self) -> Result<Next, Fault> {
        // xz has zero padding in its format; behind gzip members tape tools leave it and gzip tolerates it.
        self.input.skip_zeros()?;
        let head = self.input.peek(Codec::MAGIC_BYTES)?;
        if head.is_empty() {
            return Ok(Next::End);
        }
        if Codec::of(head) != self.codec {
            // So is a blob that was cut within the magic of a later member; its size and digest tell.
            return Ok(Next::Garbage);
        }
        self.format.restart()?;
        Ok(Next::Member)
    }

    fn error(&self, fault: Fault) -> DecodeError {
        let (codec, decoded) = (self.codec, self.decoded);
        match fault {
            Fault::Corrupt(reason) => DecodeError::Corrupt {
                codec,
                decoded,
                reason,
            },
            Fault::Io(error) => DecodeError::Io(error),
            Fault::Limit(limit) => DecodeError::Limit(limit),
            Fault::Truncated => DecodeError::Truncated { codec, decoded },
            Fault::Unsupported => DecodeError::Unsupported(codec),
        }
    }
}

/// The most bytes that one step appends to `aside`.
const ASIDE_BYTES: usize = 64 * 1024;

/// Where a decoder stands.
enum State {
    Between,
    End,
    Failed(Fault),
    Member,
    Trailing,
}

/// What a part of the decoder came to.
enum Next {
    Aside { kind: AsideKind, last: bool },
    End,
    Garbage,
    Member,
    MemberEnd,
    Trailing(usize),
    Written(usize),
}

/// A [`DecodeError`] that does not know its place yet.
enum Fault {
    Corrupt(String),
    Io(io::Error),
    Limit(LimitHit),
    Truncated,
    Unsupported,
}

impl Fault {
    /// The same once more. Of an I/O error the kind and the text are kept: who reads on must be told the cause too.
    fn again(&self) -> Self {
        match self {
            Self::Corrupt(reason) => Self::Corrupt(reason.clone()),
            Self::Io(error) => Self::Io(io::Error::new(error.kind(), error.to_string())),
            Self::Limit(limit) => Self::Limit(*limit),
            Self::Truncated => Self::Truncated,
            Self::Unsupported => Self::Unsupported,
        }
    }
}

/// What reads a member of each codec.
enum Format {
    Bzip2(Stream<bzip2::Decompress>),
    Gzip(Box<Gzip>),
    Plain,
    Xz {
        stream: Stream<liblzma::stream::Stream>,
        memory_bytes: u64,
    },
    Zstd(Zstd),
}

impl Format {
    fn step<R: Read>(
        &mut self,
        input: &mut Input<R>,
        out: &mut [u8],
        aside: &mut Vec<u8>,
    ) -> Result<Next, Fault> {
        let ended = |count: Option<usize>| count.map_or(Next::MemberEnd, Next::Written);
        match self {
            Self::Bzip2(stream) => stream.read(input, out).map(ended),
            Self::Gzip(gzip) => gzip.step(input, out, aside),
            Self::Plain => Ok(match input.read(out)? {
                0 => Next::End,
                count => Next::Written(count),
            }),
            Self::Xz { stream, .. } => stream.read(input, out).map(ended),
            Self::Zstd(zstd) => zstd.step(input, out, aside),
        }
    }

    /// Prepares for another member. gzip and zstd do so by themselves.
    fn restart(&mut self) -> Result<(), Fault> {
        match self {
            Self::Bzip2(stream) => *stream = Stream::new(bzip2::Decompress::new(false)),
            Self::Xz { stream, memory_bytes } => *stream = Stream::new(xz(*memory_bytes)?),
            Self::Gzip(_) | Self::Plain | Self::Zstd(_) => {}
        }
        Ok(())
    }
}

fn xz(memory_bytes: u64) -> Result<liblzma::stream::Stream, Fault> {
    liblzma::stream::Stream::new_stream_decoder(memory_bytes, 0).map_err(|error| Fault::Io(error.into()))
}

/// Whether a zstd skippable frame begins here (RFC 8878, 3.1.2).
fn is_skippable_frame(head: &[u8]) -> bool {
    matches!(head, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}
