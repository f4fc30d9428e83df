//! The members of a layer, kept small: one row each, their names in one buffer.

use crate::tar::{Entry, EntryKind};

use super::Mark;
use super::whiteout::mark;

/// Every member of a layer in the order of the archive. Cost: 56 bytes a member and the bytes of its name.
#[derive(Clone, Debug, Default)]
pub struct PathTable {
    rows: Vec<Row>,
    names: Vec<u8>,
}

#[derive(Clone, Debug)]
struct Row {
    name: u64,
    name_length: u32,
    link_length: u32,
    effect: Effect,
    kind: EntryKind,
    mode: u16,
    uid: u32,
    gid: u32,
    mtime: i64,
    size: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Entry,
    Ignored,
    Opaque,
    Whiteout,
}

/// One member.
#[derive(Clone, Copy, Debug)]
pub struct EntryRow<'a> {
    /// Its normalised path as the archive has it, whiteout prefix included.
    pub path: &'a [u8],
    /// What it is.
    pub kind: EntryKind,
    /// The target of a link, as written.
    pub link: &'a [u8],
    /// Permission bits.
    pub mode: u32,
    /// Owner; `u32::MAX` for any larger number.
    pub uid: u64,
    /// Group; `u32::MAX` for any larger number.
    pub gid: u64,
    /// Modification time in seconds since the epoch.
    pub mtime: i64,
    /// Size in bytes.
    pub size: u64,
    effect: Effect,
}

impl EntryRow<'_> {
    /// What it does to lower layers.
    pub fn mark(&self) -> Mark {
        match self.effect {
            Effect::Entry => Mark::Entry,
            Effect::Ignored => Mark::Ignored,
            Effect::Opaque => Mark::Opaque,
            Effect::Whiteout => {
                let entry = Entry {
                    path: crate::tar::EntryPath::normalise(self.path),
                    kind: self.kind,
                    link: Vec::new(),
                    mode: 0,
                    uid: 0,
                    gid: 0,
                    mtime: 0,
                    size: 0,
                    offset: 0,
                };
                mark(&entry)
            }
        }
    }
}

impl PathTable {
    /// Adds a member. Paths longer than `longest` bytes are cut.
    pub(super) fn push(&mut self, entry: &Entry, longest: usize) {
        let path = entry.path.as_bytes();
        let path = &path[..path.len().min(longest)];
        let link = &entry.link[..entry.link.len().min(longest)];
        self.rows.push(Row {
            name: self.names.len() as u64,
            name_length: path.len() as u32,
            link_length: link.len() as u32,
            effect: match mark(entry) {
                Mark::Entry => Effect::Entry,
                Mark::Ignored => Effect::Ignored,
                Mark::Opaque => Effect::Opaque,
                Mark::Whiteout(_) => Effect::Whiteout,
            },
            kind: entry.kind,
            mode: (entry.mode & 0o7777) as u16,
            uid: u32::try_from(entry.uid).unwrap_or(u32::MAX),
            gid: u32::try_from(entry.gid).unwrap_or(u32::MAX),
            mtime: entry.mtime,
            size: entry.size,
        });
        self.names.extend_from_slice(path);
        self.names.extend_from_slice(link);
    }

    /// The number of members.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether the layer has no member.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The member of this number.
    pub fn row(&self, number: u32) -> Option<EntryRow<'_>> {
        self.rows.get(number as usize).map(|row| self.view(row))
    }

    /// All members in the order of the archive.
    pub fn rows(&self) -> impl Iterator<Item = EntryRow<'_>> {
        self.rows.iter().map(|row| self.view(row))
    }

    fn view(&self, row: &Row) -> EntryRow<'_> {
        let name = row.name as usize;
        let link = name + row.name_length as usize;
        EntryRow {
            path: &self.names[name..link],
            link: &self.names[link..link + row.link_length as usize],
            kind: row.kind,
            mode: u32::from(row.mode),
            uid: u64::from(row.uid),
            gid: u64::from(row.gid),
            mtime: row.mtime,
            size: row.size,
            effect: row.effect,
        }
    }
}

impl FromIterator<Entry> for PathTable {
    fn from_iter<T: IntoIterator<Item = Entry>>(entries: T) -> Self {
        let mut table = Self::default();
        for entry in entries {
            table.push(&entry, usize::MAX);
        }
        table
    }
}
