//! Compressed data inside of a decoded text, as Helm and Terraform store it, and small zip archives, whose members are
//! read as one text. Whole files are no matter of this module.

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
            _ => None,
        },
    }
}

/// Whether `bytes` begin as compressed data does.
pub fn is_compressed(bytes: &[u8]) -> bool {
    codec(bytes).is_some()
}

/// Decompresses `bytes` where they are compressed, as far as `allowance` goes. `None` where they are not.
///
/// *Cost*: a buffer of 256 KiB, and at most 8 MiB for the codec: what asks for more is no text of a configuration.
pub fn inflate(bytes: &[u8], allowance: &mut Allowance, limits: &Limits) -> Option<Inflated> {
    let codec = codec(bytes)?;
    let mut inflated = Inflated {
        codec,
        bytes: Vec::new(),
        is_whole: false,
    };
    let mut block = [0; 4096];
    if codec == "zip" {
        let mut members = Joined {
            text: &mut inflated.bytes,
            allowance,
            is_whole: true,
        };
        let opened = archive::open(Format::Zip, Source::Whole(bytes), limits, &mut members);
        inflated.is_whole = members.is_whole && opened.is_ok();
    } else if codec == "zlib" {
        let mut decoder = flate2::read::ZlibDecoder::new(bytes);
        loop {
            match decoder.read(&mut block) {
                Ok(0) => {
                    inflated.is_whole = true;
                    break;
                }
                Ok(count) if allowance.take(count) => inflated.bytes.extend_from_slice(&block[..count]),
                Ok(_) | Err(_) => break,
            }
        }
    } else {
        let limits = Limits {
            zstd_window_log: limits.zstd_window_log.min(23),
            ..limits.clone()
        };
        let mut decoder = Decoder::open(bytes, &limits).ok()?;
        let mut aside = Vec::new();
        loop {
            match decoder.step(&mut block, &mut aside) {
                Ok(Step::Data(count)) if allowance.take(count) => {
                    inflated.bytes.extend_from_slice(&block[..count]);
                }
                Ok(Step::Aside { .. }) => aside.clear(),
                Ok(Step::End) => {
                    inflated.is_whole = true;
                    break;
                }
                Ok(Step::Data(_)) | Err(_) => break,
            }
        }
    }
    // Two bytes that look like a header are no stream.
    (!inflated.bytes.is_empty()).then_some(inflated)
}

/// The members of an archive, one behind the other.
struct Joined<'t> {
    text: &'t mut Vec<u8>,
    allowance: &'t mut Allowance,
    is_whole: bool,
}

impl Members for Joined<'_> {
    fn member(&mut self, _step: archive::Step<'_>, content: &mut dyn Read) -> io::Result<()> {
        let mut block = [0; 4096];
        loop {
            match content.read(&mut block)? {
                0 => break,
                count if self.allowance.take(count) => self.text.extend_from_slice(&block[..count]),
                _ => {
                    self.is_whole = false;
                    return Err(io::ErrorKind::StorageFull.into());
                }
            }
        }
        self.text.push(b'\n');
        Ok(())
    }

    fn refused(&mut self, _name: &[u8], _refusal: Refusal) {
        self.is_whole = false;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

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
