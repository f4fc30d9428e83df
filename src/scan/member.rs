//! Writes one member of a layer, for evidence. Searches nothing and verifies nothing.

use std::collections::VecDeque;
use std::io::{self, Read};

use crate::content::decode::{DecodeError, Decoder, Step};
use crate::limits::Limits;
use crate::tar::{Entry, EntryPath, Framer, Oddity, Region, RegionKind, Sink};

/// Why a member could not be written.
#[derive(Debug, thiserror::Error)]
pub enum MemberError {
    /// The layer cannot be decompressed.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The output refused the bytes.
    #[error("cannot write the file")]
    Write(#[source] io::Error),
}

/// Hands the content of every member at `path` to `write`, in the order of the archive, and says how many there were.
///
/// Holes of sparse members are left out. Memory: 256 KiB.
pub fn write(
    blob: &mut dyn Read,
    path: &[u8],
    limits: &Limits,
    write: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> Result<usize, MemberError> {
    let mut decoder = Decoder::open(blob, limits)?;
    let mut framer = Framer::new(limits);
    let mut wanted = Wanted {
        path: EntryPath::normalise(path),
        spans: VecDeque::new(),
        entries: Vec::new(),
    };
    let mut block = vec![0; 256 * 1024];
    let mut aside = Vec::new();
    let mut position = 0_u64;
    loop {
        match decoder.step(&mut block, &mut aside)? {
            Step::Aside { .. } => aside.clear(),
            Step::End => break,
            Step::Data(count) => {
                let bytes = &block[..count];
                framer.push(bytes, &mut wanted);
                let end = position + count as u64;
                while let Some(span) = wanted.spans.front() {
                    let from = span.start.max(position);
                    let to = span.end.min(end);
                    if from < to {
                        let piece = &bytes[(from - position) as usize..(to - position) as usize];
                        write(piece).map_err(MemberError::Write)?;
                    }
                    if span.end > end {
                        break;
                    }
                    wanted.spans.pop_front();
                }
                position = end;
            }
        }
    }
    Ok(wanted.entries.len())
}

struct Wanted {
    path: EntryPath,
    spans: VecDeque<std::ops::Range<u64>>,
    entries: Vec<u32>,
}

impl Sink for Wanted {
    fn region(&mut self, region: Region) {
        let content = matches!(region.kind, RegionKind::Body | RegionKind::SparseRun);
        if content && region.entry.is_some_and(|entry| self.entries.contains(&entry)) {
            self.spans.push_back(region.span);
        }
    }

    fn entry(&mut self, number: u32, entry: Entry) {
        if entry.path == self.path {
            self.entries.push(number);
        }
    }

    fn oddity(&mut self, _: Oddity, _: u64) {}
}
