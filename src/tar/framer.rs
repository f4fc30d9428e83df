//! The push parser.

use super::{Oddity, Sink};
use crate::limits::Limits;

/// Cuts a stream of bytes into regions and entries. Bytes may be pushed in pieces of any size; what is found does
/// not depend on how the stream is cut.
#[derive(Debug)]
pub struct Framer {}

/// What the whole stream turned out to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Framing {
    /// Whether the stream is a tar archive at all: empty, or its first block is zero or a readable header.
    pub is_tar: bool,
    /// Members seen.
    pub entries: u64,
    /// Everything odd, each kind once, sorted.
    pub oddities: Vec<Oddity>,
}

impl Framer {
    /// A framer at offset 0.
    pub fn new(limits: &Limits) -> Self {
        let _ = limits;
        Self {}
    }

    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8], sink: &mut dyn Sink) {
        let _ = (bytes, sink);
    }

    /// Ends the stream.
    pub fn finish(self, sink: &mut dyn Sink) -> Framing {
        let _ = sink;
        Framing::default()
    }
}
