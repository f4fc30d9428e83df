//! Turns text that stands encoded in other bytes back into what it says: base64, hexadecimal, escapes, UTF-16. Opens no
//! archives, and knows nothing of secrets: whoever searches what comes out decides.
//!
//! One level at a time: what was decoded may hold encoded text again, or be compressed (see `inflate`). What decodes
//! to neither text nor compressed data, as digests, certificates, images and fonts do, does not come out.

mod backslash;
mod base64;
mod entity;
mod escapes;
mod hex;
mod inflate;
mod percent;
mod runs;
mod utf16;

pub use inflate::{Inflated, inflate, is_compressed};

use std::ops::Range;

/// A piece of encoded text and what it says.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// Where it stands, padding included.
    pub at: Range<usize>,
    /// How it is encoded.
    pub encoding: Encoding,
    /// What it says.
    pub bytes: Vec<u8>,
    places: Places,
}

/// How text is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Encoding {
    /// `\n`, `\x41`, `\u0041`, `\101`.
    Backslash,
    /// RFC 4648, section 4.
    Base64,
    /// RFC 4648, section 5.
    Base64Url,
    /// `&#65;`, `&#x41;`, `&quot;`.
    Entity,
    /// Hexadecimal digits.
    Hex,
    /// RFC 3986, section 2.1.
    Percent,
    /// UTF-16, most significant byte first.
    Utf16Be,
    /// UTF-16, least significant byte first.
    Utf16Le,
}

impl Encoding {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Backslash => "backslash",
            Self::Base64 => "base64",
            Self::Base64Url => "base64url",
            Self::Entity => "html-entity",
            Self::Hex => "hex",
            Self::Percent => "percent",
            Self::Utf16Be => "utf-16be",
            Self::Utf16Le => "utf-16le",
        }
    }

    /// Whether nothing of the text can be read as it stands. Of the others a search of the bytes themselves finds
    /// what has no escape in it.
    pub fn is_opaque(self) -> bool {
        match self {
            Self::Base64 | Self::Base64Url | Self::Hex => true,
            Self::Backslash | Self::Entity | Self::Percent | Self::Utf16Be | Self::Utf16Le => false,
        }
    }
}

impl Decoded {
    /// Where that part of the decoded bytes is written.
    pub fn source(&self, part: Range<usize>) -> Range<usize> {
        match &self.places {
            Places::Steps(steps) => {
                let place = |at: usize| {
                    let behind = steps.partition_point(|(decoded, _)| *decoded <= at);
                    let (decoded, encoded) = steps[behind.saturating_sub(1)];
                    encoded + (at - decoded)
                };
                place(part.start)..place(part.end)
            }
            Places::Units { lines, ratio, .. } => {
                let first = part.start * ratio.0 / ratio.1;
                let last = (part.end * ratio.0).div_ceil(ratio.1).max(first + 1) - 1;
                // Of text in UTF-16 the last half may be missing.
                let end = lines.last().map_or(0, |line| line.end);
                place_in(lines, first)..end.min(place_in(lines, last) + 1)
            }
        }
    }

    /// The lines it is folded into, without what folds them.
    pub fn lines(&self) -> Vec<Range<usize>> {
        match &self.places {
            Places::Steps(_) => vec![self.at.clone()],
            Places::Units { lines, .. } => {
                let mut lines = lines.clone();
                if let Some(last) = lines.last_mut() {
                    last.end = last.end.max(self.at.end);
                }
                lines
            }
        }
    }
}

/// How places in decoded bytes lead to places in what they were decoded from.
#[derive(Clone, Debug)]
enum Places {
    /// Offsets in both from where on one byte stands for one, in order; never empty.
    Steps(Vec<(usize, usize)>),
    /// So many characters for so many bytes, over lines.
    Units {
        lines: Vec<Range<usize>>,
        ratio: (usize, usize),
    },
}

impl Places {
    /// The first `count` characters of `lines`.
    fn units(mut lines: Vec<Range<usize>>, count: usize, ratio: (usize, usize)) -> Self {
        let mut left = count;
        lines.retain_mut(|line| {
            line.end = line.end.min(line.start + left);
            left -= line.len();
            line.start < line.end
        });
        Self::Units { lines, ratio }
    }

    /// From the first to the last place.
    fn extent(&self) -> Range<usize> {
        match self {
            Self::Units { lines, .. } => {
                let first = lines.first().map_or(0, |line| line.start);
                first..lines.last().map_or(first, |line| line.end)
            }
            Self::Steps(steps) => {
                let last = steps.last().map_or(0, |(_, encoded)| *encoded);
                steps.first().map_or(0, |(_, encoded)| *encoded)..last
            }
        }
    }
}

/// Where the character with this number stands; the end of the last line where there is none. Between the first line and
/// the last all have one length.
fn place_in(lines: &[Range<usize>], number: usize) -> usize {
    let Some(first) = lines.first() else { return 0 };
    let Some(behind) = number.checked_sub(first.len()) else {
        return first.start + number;
    };
    let width = lines.get(1).map_or(1, Range::len).max(1);
    let line = lines.get(1 + behind / width);
    match line.filter(|line| behind % width < line.len()) {
        Some(line) => line.start + behind % width,
        None => lines.last().map_or(0, |line| line.end),
    }
}

/// How many bytes may be decoded.
#[derive(Clone, Debug)]
pub struct Allowance {
    left: usize,
    is_spent: bool,
}

impl Allowance {
    /// So many bytes.
    pub fn new(bytes: usize) -> Self {
        Self {
            left: bytes,
            is_spent: false,
        }
    }

    /// Whether something was not decoded because it would have been too much.
    pub fn is_spent(&self) -> bool {
        self.is_spent
    }

    fn take(&mut self, bytes: usize) -> bool {
        match self.left.checked_sub(bytes) {
            Some(left) => self.left = left,
            None => self.is_spent = true,
        }
        !self.is_spent
    }
}

/// The encoded text in `bytes`, in order of its place. Pieces of different encodings may overlap.
///
/// `is_cut` says that something precedes `bytes` that is not in sight, so that encoded text may have begun there.
///
/// *Cost*: two passes that look at about every third byte each and one that looks for signs of escapes; memory for
/// what is decoded only.
pub fn decode(bytes: &[u8], is_cut: bool, allowance: &mut Allowance) -> Vec<Decoded> {
    let mut found = Vec::new();
    base64::find(bytes, is_cut, allowance, &mut found);
    escapes::find(bytes, allowance, &mut found);
    utf16::find(bytes, allowance, &mut found);
    found.sort_by_key(|decoded| (decoded.at.start, decoded.at.end, decoded.encoding));
    found
}

/// Whether the first bytes of something are worth a search of all of it.
fn is_worth(head: &[u8]) -> bool {
    is_text(head) || is_utf16(head) || inflate::codec(head).is_some()
}

/// Whether these bytes are text: UTF-8, which may be cut at its end, without control characters.
fn is_text(head: &[u8]) -> bool {
    let is_control = |byte: &u8| matches!(byte, 0..=8 | 11 | 12 | 14..=31 | 127);
    if head.is_empty() || head.iter().any(is_control) {
        return false;
    }
    match std::str::from_utf8(head) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    }
}

/// Whether these bytes are ASCII in UTF-16, with a byte order mark or without.
fn is_utf16(head: &[u8]) -> bool {
    let head = match head {
        [0xff, 0xfe, rest @ ..] | [0xfe, 0xff, rest @ ..] => rest,
        _ => head,
    };
    let is_half = |bytes: &[u8], zero: usize| {
        let (zeros, text) = (&bytes[zero], &bytes[1 - zero]);
        *zeros == 0 && matches!(text, b' '..=b'~' | b'\t' | b'\n' | b'\r')
    };
    head.len() >= 8
        && (head.chunks_exact(2).all(|unit| is_half(unit, 0))
            || head.chunks_exact(2).all(|unit| is_half(unit, 1)))
}
