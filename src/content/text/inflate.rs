//! Compressed data inside of a decoded text, as Helm and Terraform store it, and small archives, which are read as one
//! text. Whole files are no matter of this module.

use std::io::{self, Read};

use super::Allowance;
use crate::content::archive::{self, Format, Members, Refusal, Source};
use crate::content::decode::{Codec, Decoder, Step};
use crate::limits::Limits;

/// What was decompressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inflated {
    /// `gzip`, `zlib`, `zip`, …
    pub codec: &'static str,
    /// The bytes, as far as the data is undamaged and the allowance goes.
    pub bytes: Vec<u8>,
    /// Whether this is all of them.
    pub is_whole: bool,
}

/// What `head` is compressed with, by its first bytes.
pub(super) fn codec(head: &[u8]) -> Option<&'static str> {
    match Codec::of(head) {
        Codec::Bzip2 => Some("bzip2"),
        Codec::Gzip => Some("gzip"),
        Codec::Xz => Some("xz"),
        Codec::Zstd => Some("zstd"),
        Codec::Lz4 => None,
        // RFC 1950, 2.2: deflate with a window of 32 KiB, no dictionary, and a check over both bytes.
        Codec::Plain => match head {
            [0x78, flags, ..] if flags & 0x20 == 0 && (0x7800 + u16::from(*flags)) % 31 == 0 => Some("zlib"),
            [b'P', b'K', 3, 4, ..] => Some("zip"),
            _ if head.get(USTAR..).is_some_and(|head| head.starts_with(b"ustar")) => Some("tar"),
            _ => None,
        },
    }
}

/// Where the header of a tar archive says that it is one (POSIX.1-1988).
pub(super) const USTAR: usize = 257;

/// Whether `bytes` begin as compressed data or an archive does.
pub fn is_compressed(bytes: &[u8]) -> bool {
    codec(bytes).is_some()
}

/// Decompresses `bytes` where they are compressed, as far as `allowance` goes, and what in them is compressed again.
/// `None` where they are not. A tar archive is searched as it is.
///
/// *Cost*: a buffer of 256 KiB for each level, and at most 8 MiB for the codec: what asks for more is no text of a
/// configuration.
pub fn inflate(bytes: &[u8], allowance: &mut Allowance, limits: &Limits) -> Option<Inflated> {
    let codec = codec(bytes)?;
    let limits = Limits {
        zstd_window_log: limits.zstd_window_log.min(23),
        ..limits.clone()
    };
    let mut text = Unpacked {
        bytes: Vec::new(),
        allowance,
        limits: &limits,
        levels: LEVELS,
        is_whole: true,
    };
    text.open(bytes);
    let inflated = Inflated {
        codec,
        is_whole: text.is_whole,
        bytes: text.bytes,
    };
    // Two bytes that look like a header are no stream.
    (!inflated.bytes.is_empty()).then_some(inflated)
}

/// How often something may be compressed within what is compressed: an archive in an archive, and its members.
const LEVELS: usize = 3;

/// What was unpacked, the members of an archive one behind the other.
struct Unpacked<'t> {
    bytes: Vec<u8>,
    allowance: &'t mut Allowance,
    limits: &'t Limits,
    /// How many levels may follow.
    levels: usize,
    is_whole: bool,
}

impl Unpacked<'_> {
    /// Adds what `bytes` hold: they themselves, where they are not compressed or too deep.
    fn open(&mut self, bytes: &[u8]) {
        let codec = codec(bytes).filter(|_| self.levels > 0);
        self.levels = self.levels.saturating_sub(1);
        match codec {
            None | Some("tar") if self.allowance.take(bytes.len()) => self.bytes.extend_from_slice(bytes),
            None | Some("tar") => self.is_whole = false,
            Some("zip") => {
                let limits = self.limits;
                self.is_whole &= archive::open(Format::Zip, Source::Whole(bytes), limits, self).is_ok();
            }
            Some("zlib") => self.stream(&mut flate2::read::ZlibDecoder::new(bytes)),
            Some(_) => match Decoder::open(bytes, self.limits) {
                Ok(decoder) => self.stream(&mut Decompressed(decoder)),
                Err(_) => self.is_whole = false,
            },
        }
        self.levels += 1;
    }

    /// Adds what a stream holds. Its end shows what it was, so that it is read first.
    fn stream(&mut self, stream: &mut dyn Read) {
        let mut inner = Vec::new();
        let mut block = [0; 4096];
        loop {
            match stream.read(&mut block) {
                Ok(0) => break,
                Ok(count) if self.allowance.take(count) => inner.extend_from_slice(&block[..count]),
                Ok(_) | Err(_) => {
                    self.is_whole = false;
                    break;
                }
            }
        }
        match is_compressed(&inner) {
            true => self.open(&inner),
            false => self.bytes.append(&mut inner),
        }
    }
}

impl Members for Unpacked<'_> {
    fn member(&mut self, _step: archive::Step<'_>, content: &mut dyn Read) -> io::Result<()> {
        self.stream(content);
        self.bytes.push(b'\n');
        match self.allowance.is_spent() {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }

    fn refused(&mut self, _name: &[u8], _refusal: Refusal) {
        self.is_whole = false;
    }
}

/// The decompressed bytes of a blob, without what lies beside them.
struct Decompressed<'b>(Decoder<&'b [u8]>);

impl Read for Decompressed<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut aside = Vec::new();
        loop {
            match self.0.step(out, &mut aside) {
                Ok(Step::Data(count)) => return Ok(count),
                Ok(Step::Aside { .. }) => aside.clear(),
                Ok(Step::End) => return Ok(0),
                Err(error) => return Err(io::Error::other(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn what_is_compressed_within_what_is_compressed_is_read_too_but_not_without_end() {
        let pack = |bytes: &[u8]| {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            gzip.write_all(bytes).unwrap();
            gzip.finish().unwrap()
        };
        let text = b"db.password=hunter22\n".as_slice();
        let mut packed = text.to_vec();
        for level in 1..=6 {
            packed = pack(&packed);
            let inflated = inflate(&packed, &mut Allowance::new(1 << 20), &Limits::default()).unwrap();
            assert!(inflated.is_whole);
            assert_eq!(inflated.bytes == text, level <= LEVELS, "{level}");
        }
    }

    #[test]
    fn gzip_and_zlib_are_decompressed_as_far_as_the_allowance_goes() {
        let text = "a text that compresses well. ".repeat(2000);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(text.as_bytes()).unwrap();
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        zlib.write_all(text.as_bytes()).unwrap();
        for (codec, bytes) in [("gzip", gzip.finish().unwrap()), ("zlib", zlib.finish().unwrap())] {
            let limits = Limits::default();
            let whole = inflate(&bytes, &mut Allowance::new(1 << 20), &limits).unwrap();
            assert_eq!((whole.codec, whole.is_whole), (codec, true));
            assert_eq!(whole.bytes, text.as_bytes());
            let mut little = Allowance::new(10_000);
            let part = inflate(&bytes, &mut little, &limits).unwrap();
            assert!(!part.is_whole && part.bytes.len() <= 10_000 && little.is_spent());
            let cut = inflate(&bytes[..bytes.len() / 2], &mut Allowance::new(1 << 20), &limits);
            assert!(cut.is_none_or(|cut| !cut.is_whole && text.as_bytes().starts_with(&cut.bytes)));
        }
        assert_eq!(
            inflate(b"x\x9cplain", &mut Allowance::new(1 << 20), &Limits::default()),
            None
        );
    }
}
