//! From a blob to its [`LayerRecord`]: hash, decompress, frame, match, all in one pass over the bytes.
//!
//! A layer is read once, by one reader thread, which cuts the decompressed stream into overlapping windows. Where cores
//! are free, windows are matched in a pool and hashed by a thread of the layer's own, which share the same buffers; where
//! none is, the reader does it itself (`lanes`). Nothing is written to disk, and what is held in memory does not grow
//! with the layer except for its table of paths and for what its packages claim, both with a cap. Archives inside of it
//! are opened in memory, as many at a time as a budget allows.
//!
//! What depends on the image (life, pairs across layers, severity) is not computed here: see [`crate::resolve`] and
//! [`crate::scan`].

mod archives;
mod bodies;
mod hasher;
mod hidden;
mod lanes;
mod loose;
mod merge;
mod metadata_text;
mod nested;
pub mod owner;
mod path_table;
mod reader;
mod record;
pub mod stored;
mod whiteout;
mod window;

pub use metadata_text::{SearchedText, TextReader};
pub use path_table::{EntryRow, PathTable};
pub use reader::{Claims, LayerReader, Progress, Silent};
pub use record::{Carrier, LayerCandidate, LayerRecord, LayerSkip, Severeness};
pub use whiteout::Mark;

/// Breaks down where `bytes` ask for it, so that tests see what a fault of ours costs. No such thing in a release.
#[cfg(test)]
fn break_down(place: &str, bytes: &[u8]) {
    let asked = format!("break down in {place}");
    assert!(
        memchr::memmem::find(bytes, asked.as_bytes()).is_none(),
        "as the test asked"
    );
}
