//! Bodies that are needed whole: databases of packages, which are read, and files that hold a candidate, which are
//! hashed. Most lie in one window; of the few that span windows the windows are kept until the last one, up to a limit.
//! Keeps no body longer, and copies none that nobody asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use crate::limits::Limits;
use crate::tar::RegionKind;

use super::Carrier;
use super::owner::{ContentDigest, Database, Ownership};
use super::window::{Buffer, Cut, Span};

/// What the bodies of a layer, or of one window, gave.
#[derive(Default)]
pub(super) struct Bodies {
    pub(super) ownership: Ownership,
    pub(super) contents: BTreeMap<u32, ContentDigest>,
    /// Databases that are larger than is read, by their paths.
    pub(super) too_large: BTreeSet<Vec<u8>>,
    /// Pieces of bodies that span windows, in order of their place.
    pieces: Vec<Piece>,
    /// A body of which more windows must come.
    open: Option<Piece>,
}

/// The part of a body that one window owns, or several that follow each other.
struct Piece {
    entry: u32,
    /// Where the body ends in the stream.
    end: u64,
    /// Where the part begins and ends.
    from: u64,
    to: u64,
    is_first: bool,
    /// The path, of a database.
    database: Option<Vec<u8>>,
    parts: Vec<(Arc<Buffer>, Range<usize>)>,
}

impl Piece {
    fn bytes(&self) -> Vec<u8> {
        let parts: Vec<&[u8]> = self
            .parts
            .iter()
            .map(|(buffer, part)| &buffer.bytes()[part.clone()])
            .collect();
        parts.concat()
    }
}

impl Bodies {
    /// Takes what it needs of one window. `wanted` are the members that hold its candidates.
    ///
    /// A hit belongs to the window that owns its first byte, so a body that lies in what one window owns has all its
    /// candidates there.
    pub(super) fn of(cut: &Cut, wanted: &BTreeSet<u32>, limits: &Limits) -> Self {
        let mut bodies = Self::default();
        for span in &cut.spans {
            if let (Carrier::Tar(RegionKind::Body), Some(entry), 0) =
                (span.carrier, span.entry, span.file_offset)
            {
                bodies.take(cut, span, entry, wanted, limits);
            }
        }
        bodies
    }

    fn take(&mut self, cut: &Cut, span: &Span, entry: u32, wanted: &BTreeSet<u32>, limits: &Limits) {
        let path = cut.path_of(span);
        let is_database = Database::of(path).is_some();
        let (from, to) = (
            span.span.start.max(cut.owned.start),
            span.span.end.min(cut.owned.end),
        );
        if from >= to {
            return;
        }
        let most = if is_database {
            limits.package_database_bytes
        } else {
            limits.compared_file_bytes
        };
        if span.span.end - span.span.start > most {
            if is_database {
                self.too_large.insert(path.to_vec());
            }
            return;
        }
        let start = cut.buffer.start();
        let part = (from - start) as usize..(to - start) as usize;
        let bytes = &cut.buffer.bytes()[part.clone()];
        if from == span.span.start && to == span.span.end {
            if is_database {
                self.ownership.read(path, bytes, limits.package_claims);
            }
            if wanted.contains(&entry) {
                self.contents.insert(entry, ContentDigest::of(bytes));
            }
            return;
        }
        self.pieces.push(Piece {
            entry,
            end: span.span.end,
            from,
            to,
            is_first: from == span.span.start,
            database: is_database.then(|| path.to_vec()),
            parts: vec![(Arc::clone(&cut.buffer), part)],
        });
    }

    /// Adds the bodies of the next window. `wanted` are the members that hold candidates of all windows so far.
    pub(super) fn append(&mut self, next: Self, wanted: &BTreeSet<u32>, limits: &Limits) {
        self.ownership.append(next.ownership, limits.package_claims);
        self.contents.extend(next.contents);
        self.too_large.extend(next.too_large);
        for piece in next.pieces {
            let open = match self.open.take() {
                Some(mut open) if open.entry == piece.entry && open.to == piece.from => {
                    open.parts.extend(piece.parts);
                    open.to = piece.to;
                    open
                }
                // A window was lost between, or never had the beginning.
                _ if !piece.is_first => continue,
                _ => piece,
            };
            if open.to < open.end {
                self.open = Some(open);
                continue;
            }
            if let Some(path) = &open.database {
                self.ownership.read(path, &open.bytes(), limits.package_claims);
            }
            if wanted.contains(&open.entry) {
                self.contents.insert(open.entry, ContentDigest::of(&open.bytes()));
            }
        }
    }
}
