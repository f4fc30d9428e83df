//! A compressed stream as an archive of one member: what it decompresses to. Fields beside the stream and bytes behind
//! it are not handed over; they stand in the stored bytes as they are.

use std::io::{self, Read};

use flate2::{Decompress, FlushDecompress};

use super::{Members, OpenError, Refusal, Source, Step};
use crate::content::decode::{self, Codec, DecodeError, Decoder};
use crate::limits::Limits;

/// Opens a stream of one of the codecs of layers.
pub(super) fn open(
    codec: Codec,
    mut source: Source<'_>,
    limits: &Limits,
    members: &mut dyn Members,
) -> Result<(), OpenError> {
    let expected = match &source {
        Source::Whole(bytes) => bytes.len(),
        Source::Once(_) => usize::MAX,
    };
    let decoder = Decoder::open_sized(source.reader(), expected, limits).map_err(refused)?;
    let mut decoded = Decoded::new(decoder);
    let taken = members.member(Step::Stream(name(codec)), &mut decoded);
    match (decoded.fault.take(), taken) {
        (Some(fault), _) => Err(refused(fault)),
        (None, Err(error)) => Err(OpenError::Content(error)),
        (None, Ok(())) => Ok(()),
    }
}

/// The name of a codec in a chain.
pub(super) fn name(codec: Codec) -> &'static str {
    match codec {
        Codec::Bzip2 => "bzip2",
        Codec::Gzip => "gzip",
        Codec::Lz4 => "lz4",
        Codec::Plain => "plain",
        Codec::Xz => "xz",
        Codec::Zstd => "zstd",
    }
}

fn refused(error: DecodeError) -> OpenError {
    match error {
        DecodeError::Io(error) => OpenError::Content(error),
        error => OpenError::Refused(refusal(error)),
    }
}

/// What a decoder's complaint means for an archive; of a source in memory, which cannot fail to be read.
pub(super) fn refusal(error: DecodeError) -> Refusal {
    match error {
        DecodeError::Limit(limit) => Refusal::Limit(limit),
        DecodeError::Truncated { .. } => Refusal::Truncated,
        DecodeError::Unsupported(codec) => Refusal::Unsupported(name(codec).to_owned()),
        error @ (DecodeError::Corrupt { .. } | DecodeError::Io(_)) => Refusal::Malformed(error.to_string()),
    }
}

/// A decoder as a reader that remembers why it failed.
pub(super) struct Decoded<R> {
    decoder: Decoder<R>,
    aside: Vec<u8>,
    pub(super) fault: Option<DecodeError>,
}

impl<R: Read> Decoded<R> {
    pub(super) fn new(decoder: Decoder<R>) -> Self {
        Self {
            decoder,
            aside: Vec::new(),
            fault: None,
        }
    }
}

impl<R: Read> Read for Decoded<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            match self.decoder.step(out, &mut self.aside) {
                Ok(decode::Step::Data(count)) => return Ok(count),
                Ok(decode::Step::Aside { .. }) => self.aside.clear(),
                Ok(decode::Step::End) => return Ok(0),
                Err(error) => {
                    let told = io::Error::other(error.to_string());
                    self.fault = Some(error);
                    return Err(told);
                }
            }
        }
    }
}

/// Whether a zlib stream begins here. Two bytes are no magic, so the first bytes of it are decompressed.
pub(super) fn is_zlib(head: &[u8]) -> bool {
    let [cmf, flags, _, ..] = head else {
        return false;
    };
    // RFC 1950, 2.2: deflate with a window of 32 KiB, no dictionary, a checksum of five bits.
    if *cmf != 0x78 || flags & 0x20 != 0 || u16::from_be_bytes([*cmf, *flags]) % 31 != 0 {
        return false;
    }
    let mut inflate = Decompress::new(true);
    let mut out = [0; 1024];
    match inflate.decompress(head, &mut out, FlushDecompress::None) {
        Ok(flate2::Status::StreamEnd) => true,
        // A few bytes of text can be a stored or a fixed block by chance; not for long.
        Ok(_) => inflate.total_out() >= 16 && (head.len() >= 256 || inflate.total_out() >= 64),
        Err(_) => inflate.total_out() >= 64,
    }
}

/// Opens a bare zlib stream.
pub(super) fn open_zlib(source: &mut dyn Read, members: &mut dyn Members) -> Result<(), OpenError> {
    let mut inflated = Inflated::new(source, true);
    let taken = members.member(Step::Stream("zlib"), &mut inflated);
    inflated.outcome(taken)
}

/// A deflate stream, with or without its zlib wrapping, as a reader that remembers why it failed.
pub(in crate::content) struct Inflated<R> {
    source: R,
    inflate: Decompress,
    buffer: Vec<u8>,
    start: usize,
    ended: bool,
    /// The damage behind what was written last, held back until that is taken.
    damage: Option<String>,
    failure: Option<Failure>,
}

enum Failure {
    Damaged(String),
    Source(io::Error),
    Truncated,
}

impl<R: Read> Inflated<R> {
    pub(in crate::content) fn new(source: R, zlib: bool) -> Self {
        Self {
            source,
            inflate: Decompress::new(zlib),
            buffer: Vec::new(),
            start: 0,
            ended: false,
            damage: None,
            failure: None,
        }
    }

    /// How it went: its own failure before that of whoever took the content.
    pub(in crate::content) fn outcome(self, taken: io::Result<()>) -> Result<(), OpenError> {
        match (self.failure, taken) {
            (Some(Failure::Damaged(reason)), _) => Err(Refusal::Malformed(reason).into()),
            (Some(Failure::Source(error)), _) | (None, Err(error)) => Err(OpenError::Content(error)),
            (Some(Failure::Truncated), _) => Err(Refusal::Truncated.into()),
            (None, Ok(())) => Ok(()),
        }
    }

    fn fail(&mut self, failure: Failure) -> io::Error {
        let told = match &failure {
            Failure::Damaged(reason) => io::Error::other(reason.clone()),
            Failure::Source(error) => io::Error::new(error.kind(), error.to_string()),
            Failure::Truncated => io::ErrorKind::UnexpectedEof.into(),
        };
        self.failure = Some(failure);
        told
    }
}

impl<R: Read> Read for Inflated<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        const BLOCK: usize = 32 * 1024;
        if let Some(damage) = self.damage.take() {
            return Err(self.fail(Failure::Damaged(damage)));
        }
        while !self.ended && !out.is_empty() {
            if self.start == self.buffer.len() {
                self.buffer.resize(BLOCK, 0);
                self.start = 0;
                let count = match self.source.read(&mut self.buffer) {
                    Ok(count) => count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
                    Err(error) => return Err(self.fail(Failure::Source(error))),
                };
                self.buffer.truncate(count);
            }
            let at_end = self.buffer.is_empty();
            let (read, wrote) = (self.inflate.total_in(), self.inflate.total_out());
            let status = self
                .inflate
                .decompress(&self.buffer[self.start..], out, FlushDecompress::None);
            self.start += (self.inflate.total_in() - read) as usize;
            let written = (self.inflate.total_out() - wrote) as usize;
            match status {
                Ok(flate2::Status::StreamEnd) => self.ended = true,
                Ok(_) if written == 0 && at_end => return Err(self.fail(Failure::Truncated)),
                Ok(_) => {}
                Err(error) if written > 0 => self.damage = Some(error.to_string()),
                Err(error) => return Err(self.fail(Failure::Damaged(error.to_string()))),
            }
            if written > 0 {
                return Ok(written);
            }
        }
        Ok(0)
    }
}
