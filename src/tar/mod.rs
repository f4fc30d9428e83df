//! Tar framing by the rules of Go's `archive/tar`, the parser family that Docker, containerd and Podman
//! extract with. Turns a stream of bytes into [`Region`]s and [`Entry`]s; interprets no whiteouts and writes
//! nothing.

mod framer;
mod path;
mod pax;
mod sparse;

pub use framer::{Framer, Framing};
pub use path::EntryPath;

use std::ops::Range;

/// A span of the stream and what it is. Spans are half-open byte offsets in the uncompressed stream.
///
/// A region is told when it begins, so its end may lie beyond the bytes pushed so far. Regions come in order,
/// do not overlap, and leave no gap: each byte of the stream is in exactly one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// Where it lies.
    pub span: Range<u64>,
    /// What it is.
    pub kind: RegionKind,
    /// The entry it belongs to, by number in order of arrival from 0. `None` for padding at the end, and for an
    /// extended header whose entry never came.
    pub entry: Option<u32>,
    /// For content, the offset in the file of the region's first byte; 0 otherwise.
    pub file_offset: u64,
}

/// What a span of the stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RegionKind {
    /// The content of a member.
    Body,
    /// Zero blocks that end an archive.
    End,
    /// The body of an extended header: PAX records, a GNU long name or link name, a sparse map.
    Extension,
    /// A header block.
    Header,
    /// The bytes that fill a block after a body; zero in a normal archive.
    Padding,
    /// One data run of a sparse member.
    SparseRun,
    /// Bytes after the end of the archive, or bytes that are no tar.
    Tail,
}

/// One member of the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name as Go reads it, normalised.
    pub path: EntryPath,
    /// What it is.
    pub kind: EntryKind,
    /// The link's target as written, for links; empty otherwise.
    pub link: Vec<u8>,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Modification time in seconds since the epoch.
    pub mtime: i64,
    /// The size of the file in bytes; for a sparse member its logical size.
    pub size: u64,
    /// Where its header begins in the stream.
    pub offset: u64,
}

/// The kind of a member. Whiteouts are told from their names by [`crate::layer`], not here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryKind {
    /// A block device.
    Block,
    /// A character device. With device number 0/0 it is an overlayfs whiteout.
    Character {
        /// Whether the device number is 0/0.
        zero: bool,
    },
    /// A directory.
    Directory,
    /// A FIFO.
    Fifo,
    /// A regular file, sparse or not, or a type nobody knows, which is read as a file.
    File,
    /// A hard link.
    HardLink,
    /// A symbolic link.
    Symlink,
}

/// Something odd about an archive: other readers may see other members than Go does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Oddity {
    /// A member without content in the specification declares a size: its bytes are read as members.
    BodyOfBodiless,
    /// More members follow the end of the archive.
    ConcatenatedArchive,
    /// Two PAX records or long names give one field; the last one counts.
    DuplicateExtension,
    /// A global PAX header carries a path, size or link, which Go ignores and GNU tar applies.
    GlobalOverride,
    /// A PAX record or a sparse map cannot be read.
    MalformedExtension,
    /// A header's checksum or a number in it cannot be read: what follows is scanned as bytes.
    MalformedHeader,
    /// A GNU long name and a PAX path disagree.
    MixedLongNames,
    /// A name goes on behind a NUL byte.
    NulInName,
    /// An extended header is larger than [`crate::limits::Limits::tar_header_bytes`].
    OversizeExtension,
    /// A sparse map has more runs than [`crate::limits::Limits::sparse_runs`].
    OversizeSparseMap,
    /// Non-zero bytes follow the end of the archive.
    TrailingData,
    /// The stream ends within a header or a body.
    Truncated,
}

/// Receives what the framer finds, in stream order.
pub trait Sink {
    /// A region begins.
    fn region(&mut self, region: Region);
    /// A member's headers are complete. Called before the first region of its content; `number` counts from 0.
    fn entry(&mut self, number: u32, entry: Entry);
    /// Something odd, at `offset` of the stream.
    fn oddity(&mut self, oddity: Oddity, offset: u64);
}
