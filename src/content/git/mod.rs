//! Opens what git keeps: packs and loose objects. Blobs, commits and tags are handed over, named as `git show` takes
//! them: `<commit>:<path>` of the first commit that has a blob, else the id of the object. Trees give names only.
//!
//! Written here because a scanner reads a repository as a heap of objects, whatever refs are left: what an amended or a
//! deleted branch held is there as well. Verifies no checksum and follows no reference out of what it is given.

mod delta;
mod history;
mod loose;
mod pack;
#[cfg(test)]
mod tests;

use std::fmt;

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

pub use loose::{Loose, names};
pub(super) use loose::{kind_of, open as open_object};
pub(super) use pack::open as open_pack;

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Blob,
    Commit,
    Tag,
    Tree,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Blob => "blob",
            Self::Commit => "commit",
            Self::Tag => "tag",
            Self::Tree => "tree",
        }
    }
}

/// The id of an object: SHA-1, or SHA-256 in newer repositories.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct ObjectId {
    bytes: [u8; 32],
    length: u8,
}

impl ObjectId {
    /// From 20 or 32 bytes.
    fn of(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != 20 && bytes.len() != 32 {
            return None;
        }
        let mut id = Self {
            bytes: [0; 32],
            length: bytes.len() as u8,
        };
        id.bytes[..bytes.len()].copy_from_slice(bytes);
        Some(id)
    }

    /// From 40 or 64 hexadecimal digits.
    fn from_hex(digits: &[u8]) -> Option<Self> {
        let digit = |byte: u8| (byte as char).to_digit(16).map(|value| value as u8);
        let bytes: Option<Vec<u8>> = digits
            .chunks(2)
            .map(|pair| match pair {
                [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
                _ => None,
            })
            .collect();
        Self::of(&bytes?)
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = &self.bytes[..usize::from(self.length)];
        bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Works out the id of an object from its content.
enum IdHasher {
    Sha1(Sha1),
    Sha256(Sha256),
}

impl IdHasher {
    fn new(id_bytes: usize, kind: Kind, size: u64) -> Self {
        let mut hasher = if id_bytes == 20 {
            Self::Sha1(Sha1::new())
        } else {
            Self::Sha256(Sha256::new())
        };
        hasher.update(format!("{} {size}\0", kind.name()).as_bytes());
        hasher
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(hasher) => hasher.update(bytes),
            Self::Sha256(hasher) => hasher.update(bytes),
        }
    }

    fn finish(self) -> ObjectId {
        let id = match self {
            Self::Sha1(hasher) => ObjectId::of(&hasher.finalize()),
            Self::Sha256(hasher) => ObjectId::of(&hasher.finalize()),
        };
        id.expect("a digest has 20 or 32 bytes")
    }
}
