//! Reads the databases of package managers that lie in a layer into [`Ownership`]: which package says that a path is
//! its own, and what it says the content is.
//!
//! A database may come in another layer than the file it speaks of, so nothing is concluded here; see [`crate::scan`].
//! What a database says is a claim of whoever wrote the image.

mod apk;
mod content;
mod dpkg;
mod python;
mod rpm;

pub use content::{Compared, ContentDigest, Promise};

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use sha2::{Digest as _, Sha256};

use crate::tar::EntryPath;

/// What the package databases of one layer say, kept small. Cost: 32 bytes for each file that a package owns.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Ownership {
    packages: Vec<Owner>,
    claims: Vec<Claim>,
    /// Folders of notes that name an open licence.
    open: BTreeSet<u64>,
    /// Claims beyond [`crate::limits::Limits::package_claims`].
    over: u64,
}

/// A package, as far as a database of a layer tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// What installed it.
    pub system: System,
    /// Its name.
    pub name: Vec<u8>,
    /// Its version; empty where the database that lists its files does not tell.
    pub version: Vec<u8>,
    /// Whether it says that its licence is an open one, which what a company builds for itself hardly does. For Python
    /// see [`Ownership::is_open`].
    pub is_open: bool,
    /// The folder of what is noted about it: `…/twisted-24.3.0.dist-info`. Empty but for Python.
    pub notes: Vec<u8>,
}

/// What keeps a database that is read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum System {
    /// Alpine's apk.
    Apk,
    /// Debian's dpkg.
    Dpkg,
    /// pip, and what writes the same records.
    Python,
    /// RPM, with whatever calls it.
    Rpm,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Claim {
    path: u64,
    owner: u32,
    promise: Promise,
}

/// A kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Database {
    /// `lib/apk/db/installed`.
    Apk,
    /// `info/PACKAGE.md5sums`: all files but those that an administrator may change.
    DpkgSums,
    /// `status`, for the files that an administrator may change.
    DpkgStatus,
    /// `*.dist-info/RECORD`.
    PythonRecord,
    /// `*.egg-info/installed-files.txt`.
    PythonEgg,
    /// `*.dist-info/METADATA`, for the licence.
    PythonMetadata,
    /// `rpmdb.sqlite`, `Packages.db` or `Packages`.
    Rpm,
}

impl Database {
    /// Which database a path is of, if it is of one; with it, how many bytes of the path lead to the root it speaks of.
    /// A root file system that is itself a folder of the image is a root too.
    pub(super) fn of(path: &[u8]) -> Option<(Self, usize)> {
        let parent = path.iter().rposition(|byte| *byte == b'/')?;
        let (folder, name) = (&path[..parent], &path[parent + 1..]);
        let below = |place: &[u8]| {
            let root = folder.strip_suffix(place)?;
            (root.is_empty() || root.ends_with(b"/")).then_some(root.len())
        };
        if name == b"RECORD" && folder.ends_with(b".dist-info") {
            return Some((Self::PythonRecord, grandparent(folder)));
        }
        if name == b"METADATA" && folder.ends_with(b".dist-info") {
            return Some((Self::PythonMetadata, folder.len()));
        }
        if name == b"installed-files.txt" && folder.ends_with(b".egg-info") {
            return Some((Self::PythonEgg, folder.len()));
        }
        if name == b"installed" {
            return below(b"usr/lib/apk/db")
                .or_else(|| below(b"lib/apk/db"))
                .map(|root| (Self::Apk, root));
        }
        if name == b"status" {
            return below(b"var/lib/dpkg").map(|root| (Self::DpkgStatus, root));
        }
        if [&b"rpmdb.sqlite"[..], b"Packages.db", b"Packages"].contains(&name) {
            return below(b"usr/lib/sysimage/rpm")
                .or_else(|| below(b"var/lib/rpm"))
                .map(|root| (Self::Rpm, root));
        }
        if name.ends_with(b".md5sums") {
            return below(b"var/lib/dpkg/info")
                .or_else(|| below(b"var/lib/dpkg/status.d"))
                .map(|root| (Self::DpkgSums, root));
        }
        below(b"var/lib/dpkg/status.d").map(|root| (Self::DpkgStatus, root))
    }
}

/// How much of a folder's path leads to the folder above it, its slash included.
fn grandparent(folder: &[u8]) -> usize {
    folder
        .iter()
        .rposition(|byte| *byte == b'/')
        .map_or(0, |slash| slash + 1)
}

impl Ownership {
    /// What one database says, by the path of its file and its content; `most` claims are kept. A path that is no
    /// database's says nothing.
    pub fn of(path: &[u8], bytes: &[u8], most: usize) -> Self {
        let mut ownership = Self::default();
        ownership.read(path, bytes, most);
        ownership.settle();
        ownership
    }

    /// Adds what the database at `path` says.
    pub(super) fn read(&mut self, path: &[u8], bytes: &[u8], most: usize) {
        let Some((database, root)) = Database::of(path) else {
            return;
        };
        let mut notes = Notes {
            ownership: self,
            root: &path[..root],
            most,
        };
        match database {
            Database::Apk => apk::read(bytes, &mut notes),
            Database::DpkgStatus => dpkg::read_status(bytes, &mut notes),
            Database::DpkgSums => dpkg::read_sums(path, bytes, &mut notes),
            Database::PythonEgg => python::read_egg(path, bytes, &mut notes),
            Database::PythonMetadata => {
                if python::is_open(bytes) {
                    notes.ownership.open.insert(key(&path[..root]));
                }
            }
            Database::PythonRecord => python::read_record(path, bytes, &mut notes),
            Database::Rpm => rpm::read(bytes, &mut notes),
        }
    }

    /// Adds what other databases of the layer say.
    pub(super) fn append(&mut self, other: Self, most: usize) {
        let shift = self.packages.len() as u32;
        self.over += other.over;
        let room = most.saturating_sub(self.claims.len());
        self.over += other.claims.len().saturating_sub(room) as u64;
        self.open.extend(other.open);
        self.packages.extend(other.packages);
        self.claims
            .extend(other.claims.into_iter().take(room).map(|claim| Claim {
                owner: claim.owner + shift,
                ..claim
            }));
    }

    /// Puts the claims in the order they are looked up in.
    pub(super) fn settle(&mut self) {
        self.claims.sort_unstable();
        self.claims.dedup();
        self.claims.shrink_to_fit();
    }

    /// How many claims were dropped.
    pub fn over(&self) -> u64 {
        self.over
    }

    /// Whether the notes of a Python distribution in this folder name an open licence.
    pub fn is_open(&self, notes: &[u8]) -> bool {
        self.open.contains(&key(notes))
    }

    /// Who says that the file at `path` is theirs, and what they say it holds. Cost: a hash and a binary search.
    pub fn claims(&self, path: &[u8]) -> impl Iterator<Item = (&Owner, Promise)> {
        let key = key(path);
        let first = self.claims.partition_point(|claim| claim.path < key);
        self.claims[first..]
            .iter()
            .take_while(move |claim| claim.path == key)
            .filter_map(|claim| {
                let owner = self.packages.get(claim.owner as usize)?;
                Some((owner, claim.promise))
            })
    }
}

/// Takes down what one database says.
struct Notes<'o> {
    ownership: &'o mut Ownership,
    root: &'o [u8],
    most: usize,
}

impl Notes<'_> {
    /// The files noted from here on are this package's.
    fn package(&mut self, owner: Owner) {
        // A package without files costs nothing.
        let is_unused = |last: &usize| {
            let last = *last as u32;
            self.ownership
                .claims
                .last()
                .is_none_or(|claim| claim.owner != last)
        };
        match self.ownership.packages.len().checked_sub(1).filter(is_unused) {
            Some(last) => self.ownership.packages[last] = owner,
            None => self.ownership.packages.push(owner),
        }
    }

    /// A file of the package, by its path from the root.
    fn file(&mut self, path: &[u8], promise: Promise) {
        let Some(owner) = self.ownership.packages.len().checked_sub(1) else {
            return;
        };
        if self.ownership.claims.len() >= self.most {
            self.ownership.over += 1;
            return;
        }
        let joined = [self.root, path].concat();
        self.ownership.claims.push(Claim {
            path: key(EntryPath::normalise(&joined).as_bytes()),
            owner: owner as u32,
            promise,
        });
    }
}

/// A path in 64 bits: claims are held for every file of an image and asked for a few. Two paths of one key could only
/// confuse who owns a file, and its content must still be what was promised.
fn key(path: &[u8]) -> u64 {
    // Merged file systems have `lib` below `usr`, while their packages may list it at the root.
    let path = match path.strip_prefix(b"usr/") {
        Some(rest) if MERGED.iter().any(|folder| rest.starts_with(folder)) => rest,
        _ => path,
    };
    let digest = Sha256::digest(path);
    let mut key = [0; 8];
    key.copy_from_slice(&digest[..8]);
    u64::from_be_bytes(key)
}

/// Whether a licence, as a package names it, is an open one.
fn is_open_licence(licence: &[u8]) -> bool {
    let licence = licence.trim_ascii().to_ascii_lowercase();
    let is_closed = |word: &&[u8]| licence.windows(word.len()).any(|window| window == *word);
    !licence.is_empty() && !CLOSED.iter().any(is_closed)
}

const CLOSED: [&[u8]; 8] = [
    b"all rights",
    b"commercial",
    b"custom",
    b"none",
    b"private",
    b"proprietary",
    b"unknown",
    b"unlicensed",
];

const MERGED: [&[u8]; 6] = [b"bin/", b"lib/", b"lib32/", b"lib64/", b"libx32/", b"sbin/"];

#[cfg(test)]
mod tests;
