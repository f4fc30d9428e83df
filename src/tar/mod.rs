//! Tar framing by the rules of Go's `archive/tar`, the parser family that Docker, containerd and Podman
//! extract with. Turns a stream of bytes into [`Region`]s and [`Entry`]s; interprets no whiteouts and writes
//! nothing.

mod framer;
mod header;
mod path;
mod pax;
mod sparse;
#[cfg(test)]
mod testing;

pub use framer::{Framer, Framing};
pub use path::EntryPath;

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// A span of the stream and what it is. Spans are half-open byte offsets in the uncompressed stream.
///
/// A region is told when it begins (a block, once its last byte came, since only then it is known what it is; see
/// [`Framer::settled`]), so its end may lie beyond the bytes pushed so far. It **ends at the first of** `span.end`,
/// the start of the region told next, and the end of the stream ([`Framing::end`]). Ends that are not known ahead,
/// those of [`RegionKind::End`] and [`RegionKind::Tail`], are `u64::MAX`; a sparse map in a body is told as long as
/// the body. Read so, regions come in order, are never empty, do not overlap, and leave no gap: each byte of the
/// stream is in exactly one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// Where it lies.
    pub span: Range<u64>,
    /// What it is.
    pub kind: RegionKind,
    /// The entry it belongs to, by number in order of arrival from 0. Headers come before their entry and bear the
    /// number it will have. Should it never come ([`Oddity::DanglingExtension`]), the entry after it takes that
    /// number, or none does ([`Framing::entries`]). `None` for what ends an archive, tails and global headers.
    pub entry: Option<u32>,
    /// For content, the offset in the file of the region's first byte; 0 otherwise.
    pub file_offset: u64,
}

/// What a span of the stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RegionKind {
    /// The content of a member.
    Body,
    /// Zero blocks that end an archive.
    End,
    /// The body of an extended header: PAX records, a GNU long name or link name, a sparse map. Never more than one
    /// extended header.
    Extension,
    /// A header block.
    Header,
    /// The bytes that fill a block after a body; zero in a normal archive. Stored bytes that no run of a sparse map
    /// speaks of are taken for padding.
    Padding,
    /// One data run of a sparse member. Runs that touch in the file are one.
    SparseRun,
    /// Bytes after the end of the archive, behind a header that cannot be read, or of a stream that is no tar.
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
    /// Owner. A negative number is told in two's complement.
    pub uid: u64,
    /// Group, as `uid`.
    pub gid: u64,
    /// Modification time in seconds since the epoch.
    pub mtime: i64,
    /// The size of the file in bytes; for a sparse member its logical size, of which nothing need be stored. 0 for
    /// what has no content.
    pub size: u64,
    /// Where its own header begins in the stream, extended headers left aside.
    pub offset: u64,
    /// What its extended attributes say to overlayfs.
    pub overlay: Option<OverlayMark>,
}

/// An extended attribute with which overlayfs marks what hides lower layers, `trusted.overlay.` or `user.overlay.`.
/// *Source*: Linux `filesystems/overlayfs.rst`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OverlayMark {
    /// `opaque` is `y`.
    Opaque,
    /// `whiteout` is there.
    Whiteout,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Oddity {
    /// A member of the old type is a directory by one of its names and a file by another: Go goes by the long one,
    /// others by the header's.
    AmbiguousKind,
    /// A number of a header is one to Go and another, or none, to others: it begins with NUL, or is in base 256 with
    /// a first byte that no writer uses.
    AmbiguousNumber,
    /// What is said of holes in a file is not what any writer says of them, and readers take it differently: records
    /// of two versions, of none, or of another size than the member's.
    AmbiguousSparse,
    /// A member without content in the specification declares a size: its bytes are read as members.
    BodyOfBodiless,
    /// More members follow the end of the archive.
    ConcatenatedArchive,
    /// An extended header is not followed by its member but by a global header, the end, or bytes that are no
    /// header. It is dropped.
    DanglingExtension,
    /// Two PAX records, PAX headers or long names give one field; the last one counts.
    DuplicateExtension,
    /// A long name or a PAX record that counts is empty. Go takes the header's field then, others an empty one.
    EmptyExtension,
    /// A global PAX header carries a path, size, link or sparse map, which Go ignores and GNU tar applies.
    GlobalOverride,
    /// A PAX record or a sparse map cannot be read, or a map does not fit the stored bytes. What can be read of the
    /// records counts; without its map a sparse member is told as stored.
    MalformedExtension,
    /// A header's checksum or a number in it cannot be read. Where its size can, what follows is framed by it;
    /// otherwise it is a tail up to the next block that is a header.
    MalformedHeader,
    /// Of a GNU long name, a PAX path and the name of a sparse member two disagree.
    MixedLongNames,
    /// A name goes on behind a NUL byte.
    NulInName,
    /// An extended header is larger than [`crate::limits::Limits::tar_header_bytes`] and was passed over.
    OversizeExtension,
    /// A sparse map has more runs than [`crate::limits::Limits::sparse_runs`] or more bytes than
    /// [`crate::limits::Limits::tar_header_bytes`]. The member is told as stored.
    OversizeSparseMap,
    /// Non-zero bytes fill the last block of an extended header. Some readers take them for more of it.
    PaddedExtension,
    /// A member of type `X`, which Go takes for a file, and others for the extended header of the next.
    SolarisExtension,
    /// A header has something where its format has nothing, or a time, and others have a prefix or a device number.
    StrayFields,
    /// Non-zero bytes follow the end of the archive.
    TrailingData,
    /// The stream ends within a header or a body. Missing padding is no oddity.
    Truncated,
}

/// Receives what the framer finds, in stream order.
pub trait Sink {
    /// A region begins.
    fn region(&mut self, region: Region);
    /// A member's headers are complete. Called before the first region of its content; `number` counts from 0.
    fn entry(&mut self, number: u32, entry: Entry);
    /// Something odd, at `offset` of the stream: where the header or the block begins that is odd. Told once per kind
    /// and offset.
    fn oddity(&mut self, oddity: Oddity, offset: u64);
}
