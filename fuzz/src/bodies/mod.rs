//! A row for each fuzz target: its body, what it starts from, and the words of its format.
//!
//! A body is given a file of its format and nothing else, so that any file is a seed. How a stream is cut into reads,
//! and which part of a file is asked for, is drawn from a hash of the input.

mod archive;
mod decode;
mod dockerfile;
mod documents;
mod engine;
mod layer;
mod owner;
mod registry;
mod report;
mod rules;
mod stored;
mod tar;
mod text;

use std::io::{self, Read};

/// One parser or decoder, or several in a row.
pub struct Target {
    /// What its file in `fuzz_targets/` is called.
    pub name: &'static str,
    /// Fails where a property does not hold.
    pub body: fn(&[u8]),
    /// Inputs to start from, made in code.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Words of the format.
    pub words: &'static [&'static [u8]],
    /// Bytes of the longest input that is worth trying.
    pub longest: usize,
}

/// All of them, the most exposed first.
pub const TARGETS: &[Target] = &[
    tar::FRAMER,
    layer::LAYER,
    report::ARCHIVE,
    archive::ZIP,
    decode::GZIP,
    decode::ZSTD,
    tar::PAX,
    tar::SPARSE,
    documents::MANIFEST,
    engine::CUTS,
    text::ENCODED,
    archive::CPIO,
    archive::AR,
    archive::RPM,
    stored::GIT_PACK,
    stored::GIT_OBJECT,
    stored::SQLITE,
    stored::SEVEN_ZIP,
    stored::PYC,
    stored::KEY_STORE,
    decode::XZ,
    decode::BZIP2,
    report::PLANTED,
    documents::CONFIG,
    documents::PROVENANCE,
    documents::SAVED,
    engine::CHECKS,
    owner::DATABASES,
    dockerfile::DOCKERFILE,
    documents::REFERENCE,
    registry::CHALLENGE,
    registry::HEADERS,
    registry::DOCKER_CONFIG,
    rules::OURS,
    rules::GITLEAKS,
    text::TERMINAL,
    report::READ,
];

/// Numbers that depend on an input alone.
struct Draw(u64);

impl Draw {
    /// FNV-1a of the input; any hash would do.
    fn of(bytes: &[u8]) -> Self {
        let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3_u64)
        });
        Self(hash | 1)
    }

    /// A number below `end`, which is not 0.
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) % end as u64) as usize
    }

    /// The length of a piece: often a byte, seldom more than two blocks of a tar.
    fn piece(&mut self) -> usize {
        match self.below(4) {
            0 => 1,
            1 => 1 + self.below(16),
            2 => 1 + self.below(600),
            _ => 1 + self.below(1100),
        }
    }
}

/// Bytes that arrive in pieces, as from a network.
struct Pieces<'b> {
    bytes: &'b [u8],
    draw: Draw,
}

impl<'b> Pieces<'b> {
    fn of(bytes: &'b [u8]) -> Self {
        Self {
            bytes,
            draw: Draw::of(bytes),
        }
    }
}

impl<'b> Iterator for Pieces<'b> {
    type Item = &'b [u8];

    fn next(&mut self) -> Option<&'b [u8]> {
        let length = self.draw.piece().min(self.bytes.len());
        let (piece, rest) = self.bytes.split_at(length);
        self.bytes = rest;
        (!piece.is_empty()).then_some(piece)
    }
}

impl Read for Pieces<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let length = self.draw.piece().min(self.bytes.len()).min(out.len());
        let (piece, rest) = self.bytes.split_at(length);
        out[..length].copy_from_slice(piece);
        self.bytes = rest;
        Ok(length)
    }
}

/// Whether `part` stands in `text`.
fn contains(text: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(text, part).is_some()
}
