//! Tells archives by their first bytes. A name says nothing: `.jar` may be text, and a zip may be called `.dat`.

use crate::content::decode::Codec;
use crate::content::{git, pyc, sqlite};

use super::stream;

/// What kind of archive or compressed stream begins somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Unix ar, Debian packages with it.
    Ar,
    /// One of the compressions of layers.
    Compressed(Codec),
    /// cpio: new, with checksums, portable or old binary.
    Cpio,
    /// A loose object of git.
    GitObject,
    /// A pack of git.
    GitPack,
    /// A key store: JKS, JCEKS or PKCS#12 (DER). It has no members.
    KeyStore,
    /// A compiled module of Python.
    Pyc,
    /// An RPM package.
    Rpm,
    /// 7z.
    SevenZip,
    /// A database of SQLite.
    Sqlite,
    /// tar, by the checksum of its first header.
    Tar,
    /// Known, but not opened.
    Unsupported(&'static str),
    /// zip: jar, war, wheel, apk, nupkg, office documents, and with a `#!` line in front.
    Zip,
    /// A bare zlib stream (RFC 1950).
    Zlib,
}

impl Format {
    /// How many first bytes [`of`](Self::of) looks at.
    pub const HEAD_BYTES: usize = 512;

    /// The format of what begins with `head`, if it is one that is known. Short content is told too.
    pub fn of(head: &[u8]) -> Option<Self> {
        match Codec::of(head) {
            Codec::Lz4 => return Some(Self::Unsupported("lz4")),
            Codec::Plain => {}
            codec => return Some(Self::Compressed(codec)),
        }
        match head {
            [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Some(Self::Zip),
            // Split archives that came out in one piece begin with the marker for it.
            [b'P', b'K', 7, 8, b'P', b'K', 3, 4, ..] => Some(Self::Zip),
            [b'#', b'!', ..] if memchr::memmem::find(head, b"\nPK\x03\x04").is_some() => Some(Self::Zip),
            [0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 1 | 2, ..] => Some(Self::KeyStore),
            [0xce, 0xce, 0xce, 0xce, 0, 0, 0, 1 | 2, ..] => Some(Self::KeyStore),
            [0x30, 0x82, _, _, rest @ ..] | [0x30, 0x83, _, _, _, rest @ ..] if is_pfx(rest) => {
                Some(Self::KeyStore)
            }
            [0xed, 0xab, 0xee, 0xdb, ..] => Some(Self::Rpm),
            [b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c, ..] => Some(Self::SevenZip),
            [b'R', b'a', b'r', b'!', 0x1a, 7, ..] => Some(Self::Unsupported("rar")),
            [b'M', b'S', b'C', b'F', 0, 0, 0, 0, ..] => Some(Self::Unsupported("cab")),
            [b'L', b'Z', b'I', b'P', 1, ..] => Some(Self::Unsupported("lzip")),
            _ if head.starts_with(b"!<arch>\n") => Some(Self::Ar),
            _ if is_cpio(head) => Some(Self::Cpio),
            _ if is_tar(head) => Some(Self::Tar),
            [b'P', b'A', b'C', b'K', 0, 0, 0, 2 | 3, ..] => Some(Self::GitPack),
            _ if head.starts_with(sqlite::MAGIC) => Some(Self::Sqlite),
            _ if pyc::is_known(head) => Some(Self::Pyc),
            _ if stream::is_zlib(head) && git::kind_of(head).is_some() => Some(Self::GitObject),
            _ if stream::is_zlib(head) => Some(Self::Zlib),
            _ => None,
        }
    }

    /// Whether it can be read from its first byte on, without going back.
    pub fn is_sequential(self) -> bool {
        !matches!(
            self,
            Self::GitPack | Self::KeyStore | Self::Pyc | Self::SevenZip | Self::Sqlite | Self::Zip
        )
    }
}

/// Whether a PFX (RFC 7292) goes on here: version 3, and a sequence that begins with the type `data`.
fn is_pfx(content: &[u8]) -> bool {
    const DATA: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1];
    let Some(content) = content.strip_prefix(&[2, 1, 3, 0x30]) else {
        return false;
    };
    // The length of the sequence takes one byte to four.
    (1..=4).any(|length| content.get(length..).is_some_and(|rest| rest.starts_with(DATA)))
}

/// The magic alone is six digits or two bytes: the first header has to be one.
fn is_cpio(head: &[u8]) -> bool {
    let hex = |range| {
        head.get(range)
            .is_some_and(|digits: &[u8]| digits.iter().all(u8::is_ascii_hexdigit))
    };
    let octal = |range| {
        head.get(range)
            .is_some_and(|digits: &[u8]| digits.iter().all(|digit| (b'0'..=b'7').contains(digit)))
    };
    match head {
        [b'0', b'7', b'0', b'7', b'0', b'1' | b'2', ..] => hex(6..110),
        [b'0', b'7', b'0', b'7', b'0', b'7', ..] => octal(6..76),
        // The old form in either order of bytes: a plausible length of the name, and the zero byte that ends it.
        [0xc7, 0x71, ..] | [0x71, 0xc7, ..] if head.len() >= 26 => {
            let pair = [head[20], head[21]];
            let length = if head[0] == 0xc7 {
                u16::from_le_bytes(pair)
            } else {
                u16::from_be_bytes(pair)
            };
            let end = 25 + usize::from(length);
            (2..=256).contains(&length) && head.get(end) == Some(&0) && !head[26..end].contains(&0)
        }
        _ => false,
    }
}

/// Whether a tar header begins here: POSIX.1-1988, the sum of its bytes, signed or not, with spaces for the sum.
fn is_tar(head: &[u8]) -> bool {
    let Some(block) = head.first_chunk::<512>() else {
        return false;
    };
    let digits: Vec<u8> = block[148..156]
        .iter()
        .copied()
        .skip_while(|byte| *byte == b' ')
        .take_while(|byte| (b'0'..=b'7').contains(byte))
        .collect();
    if digits.is_empty() || block[0] == 0 {
        return false;
    }
    let claimed = digits
        .iter()
        .fold(0_i64, |sum, digit| sum * 8 + i64::from(digit - b'0'));
    let others = || block[..148].iter().chain(&block[156..]);
    let spaces = 8 * i64::from(b' ');
    let unsigned: i64 = others().map(|byte| i64::from(*byte)).sum();
    let signed: i64 = others().map(|byte| i64::from(byte.cast_signed())).sum();
    claimed == unsigned + spaces || claimed == signed + spaces
}
