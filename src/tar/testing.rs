//! Builds archives for the tests of this folder, member by member, odd ones included. Checks nothing.

use std::ops::Range;

use super::{Entry, Framer, Framing, Oddity, Region, RegionKind, Sink};
use crate::limits::Limits;

/// A POSIX header with a right checksum.
pub fn ustar(typeflag: u8, name: &[u8], size: u64) -> [u8; 512] {
    let mut block = [0; 512];
    block[..name.len()].copy_from_slice(name);
    block[100..107].copy_from_slice(b"0000644");
    block[108..115].copy_from_slice(b"0001750");
    block[116..123].copy_from_slice(b"0001750");
    block[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
    block[136..147].copy_from_slice(b"14000000000");
    block[156] = typeflag;
    block[257..265].copy_from_slice(b"ustar\x0000");
    sealed(block)
}

/// The block with its checksum made right.
pub fn sealed(mut block: [u8; 512]) -> [u8; 512] {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// A PAX record with its length.
pub fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut len = rest + 1;
    while rest + len.to_string().len() != len {
        len = rest + len.to_string().len();
    }
    [format!("{len} {key}=").as_bytes(), value, b"\n"].concat()
}

/// An archive under construction.
#[derive(Clone, Default)]
pub struct Archive(pub Vec<u8>);

impl Archive {
    /// Adds bytes as they are.
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Adds bytes and fills the block.
    pub fn padded(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    /// Adds a member with its content.
    pub fn member(self, typeflag: u8, name: &str, body: &[u8]) -> Self {
        self.raw(&ustar(typeflag, name.as_bytes(), body.len() as u64))
            .padded(body)
    }

    /// Adds a PAX header for the next member.
    pub fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let text: Vec<u8> = records
            .iter()
            .flat_map(|(key, value)| record(key, value))
            .collect();
        self.member(b'x', "PaxHeaders/x", &text)
    }

    /// Adds zero blocks.
    pub fn zeros(self, blocks: usize) -> Self {
        self.raw(&vec![0; 512 * blocks])
    }

    /// Frames it in one push.
    pub fn frame(&self) -> Recorder {
        Recorder::of([&self.0[..]], &Limits::default())
    }
}

/// Everything the framer told, and what it answered at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorder {
    pub regions: Vec<Region>,
    pub entries: Vec<Entry>,
    pub oddities: Vec<(Oddity, u64)>,
    /// All calls in order, for comparing two runs.
    pub log: Vec<String>,
    pub framing: Framing,
}

impl Recorder {
    /// Frames a stream cut into pieces.
    pub fn of<'p>(pieces: impl IntoIterator<Item = &'p [u8]>, limits: &Limits) -> Self {
        let mut recorder = Self::default();
        let mut framer = Framer::new(limits);
        for piece in pieces {
            framer.push(piece, &mut recorder);
        }
        recorder.framing = framer.finish(&mut recorder);
        recorder
    }

    /// Where each region really ends: at the next region, or with the stream.
    pub fn spans(&self) -> Vec<(RegionKind, Range<u64>)> {
        let starts = self.regions.iter().map(|region| region.span.start).skip(1);
        self.regions
            .iter()
            .zip(starts.chain([self.framing.end]))
            .map(|(region, next)| (region.kind, region.span.start..region.span.end.min(next)))
            .collect()
    }

    /// The kinds of the regions in order.
    pub fn kinds(&self) -> Vec<RegionKind> {
        self.regions.iter().map(|region| region.kind).collect()
    }

    /// The normalised names.
    pub fn paths(&self) -> Vec<String> {
        let text = |entry: &Entry| String::from_utf8_lossy(entry.path.as_bytes()).into_owned();
        self.entries.iter().map(text).collect()
    }

    /// The kinds of oddities, each once.
    pub fn oddities(&self) -> &[Oddity] {
        &self.framing.oddities
    }
}

impl Sink for Recorder {
    fn region(&mut self, region: Region) {
        self.log.push(format!("{region:?}"));
        self.regions.push(region);
    }

    fn entry(&mut self, number: u32, entry: Entry) {
        assert_eq!(number as usize, self.entries.len());
        self.log.push(format!("{entry:?}"));
        self.entries.push(entry);
    }

    fn oddity(&mut self, oddity: Oddity, offset: u64) {
        self.log.push(format!("{oddity:?} at {offset}"));
        self.oddities.push((oddity, offset));
    }
}
