//! The members of a layer, kept small: each row holds only what the one before it does not say. Keeps no content, and
//! no more bytes than it was given room for.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::tar::{Entry, EntryKind};

use super::Mark;
use super::whiteout::{Effect, effect, mark};

/// Rows that are packed together. A row is reached by reading those before it in its block.
const BLOCK_ROWS: usize = 64;

/// Every member of a layer in the order of the archive. Rows of one folder share its name, and mostly owner, mode and
/// time. *Cost*: 8 bytes a member and what is new in its name; about 25 bytes for a file of an ordinary layer, 12 for
/// one of five million empty files in one folder. A row out of order costs reading 32 others on average, one in order
/// nothing.
#[derive(Clone, Debug, Default)]
pub struct PathTable {
    /// Blocks of [`BLOCK_ROWS`] rows, the last one excepted.
    blocks: Vec<Box<[u8]>>,
    /// The block that is being filled.
    open: Vec<u8>,
    /// The row that was added last, which the next one is told apart from.
    last: Row,
    rows: usize,
    /// Bytes of the blocks that are full.
    packed_bytes: u64,
}

/// One member.
#[derive(Clone, Debug)]
pub struct EntryRow<'a> {
    /// Its normalised path as the archive has it, whiteout prefix included.
    pub path: Cow<'a, [u8]>,
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
        mark(self.effect, &self.path)
    }

    /// Whether it puts something at its path, whatever it hides besides.
    pub fn is_shown(&self) -> bool {
        matches!(self.effect, Effect::None | Effect::OpaqueSelf)
    }
}

/// What a row has in common with the next one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    path: Vec<u8>,
    owner: Owner,
    mtime: i64,
    size: u64,
    kind: EntryKind,
    effect: Effect,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Owner {
    mode: u32,
    uid: u32,
    gid: u32,
}

impl Default for Row {
    fn default() -> Self {
        Self {
            path: Vec::new(),
            owner: Owner::default(),
            mtime: 0,
            size: 0,
            kind: EntryKind::File,
            effect: Effect::None,
        }
    }
}

impl Row {
    fn told<'a>(&self, path: Cow<'a, [u8]>, link: &'a [u8]) -> EntryRow<'a> {
        EntryRow {
            path,
            kind: self.kind,
            link,
            mode: self.owner.mode,
            uid: u64::from(self.owner.uid),
            gid: u64::from(self.owner.gid),
            mtime: self.mtime,
            size: self.size,
            effect: self.effect,
        }
    }
}

/// What the first two bytes of a row say: kind and effect, and which fields follow.
const KINDS: [EntryKind; 8] = [
    EntryKind::File,
    EntryKind::Directory,
    EntryKind::Symlink,
    EntryKind::HardLink,
    EntryKind::Character { zero: false },
    EntryKind::Character { zero: true },
    EntryKind::Block,
    EntryKind::Fifo,
];
const EFFECTS: [Effect; 6] = [
    Effect::None,
    Effect::Nothing,
    Effect::Opaque,
    Effect::OpaqueSelf,
    Effect::Whiteout,
    Effect::WhiteoutSelf,
];
const HAS_OWNER: u8 = 1;
const HAS_MTIME: u8 = 2;
const HAS_SIZE: u8 = 4;

impl PathTable {
    /// Adds a member. Paths longer than `longest` bytes are cut.
    pub(super) fn push(&mut self, entry: &Entry, longest: usize) {
        let path = entry.path.as_bytes();
        self.append(EntryRow {
            path: Cow::Borrowed(&path[..path.len().min(longest)]),
            kind: entry.kind,
            link: &entry.link[..entry.link.len().min(longest)],
            mode: entry.mode & 0o7777,
            uid: entry.uid,
            gid: entry.gid,
            mtime: entry.mtime,
            size: entry.size,
            effect: effect(entry),
        });
    }

    fn append(&mut self, entry: EntryRow<'_>) {
        let path = &entry.path[..];
        let effect = entry.effect;
        let owner = Owner {
            mode: entry.mode,
            uid: u32::try_from(entry.uid).unwrap_or(u32::MAX),
            gid: u32::try_from(entry.gid).unwrap_or(u32::MAX),
        };
        let place = |found: Option<usize>| found.expect("every kind and effect is listed") as u64;
        let kind = place(KINDS.iter().position(|kind| *kind == entry.kind));
        let effects = place(EFFECTS.iter().position(|known| *known == effect));
        let last = &mut self.last;
        let shared = path
            .iter()
            .zip(&last.path)
            .take_while(|(new, old)| new == old)
            .count();
        let has = |is_new: bool, flag: u8| if is_new { flag } else { 0 };
        let flags = has(owner != last.owner, HAS_OWNER)
            | has(entry.mtime != last.mtime, HAS_MTIME)
            | has(entry.size != last.size, HAS_SIZE);
        let row = &mut self.open;
        row.push((kind | effects << 3) as u8);
        row.push(flags);
        put(row, shared as u64);
        put(row, (path.len() - shared) as u64);
        row.extend_from_slice(&path[shared..]);
        if flags & HAS_OWNER != 0 {
            for number in [owner.mode, owner.uid, owner.gid] {
                put(row, u64::from(number));
            }
        }
        if flags & HAS_MTIME != 0 {
            let step = entry.mtime.wrapping_sub(last.mtime);
            put(row, (step.wrapping_shl(1) ^ (step >> 63)).cast_unsigned());
        }
        if flags & HAS_SIZE != 0 {
            put(row, entry.size);
        }
        if is_link(entry.kind) {
            put(row, entry.link.len() as u64);
            row.extend_from_slice(entry.link);
        }
        last.path.truncate(shared);
        last.path.extend_from_slice(&path[shared..]);
        (last.owner, last.mtime, last.size) = (owner, entry.mtime, entry.size);
        (last.kind, last.effect) = (entry.kind, effect);
        self.rows += 1;
        if self.rows.is_multiple_of(BLOCK_ROWS) {
            self.packed_bytes += self.open.len() as u64;
            self.blocks.push(self.open.as_slice().into());
            self.open.clear();
            self.last = Row::default();
        }
    }

    /// The same members with other names: `renamed` says what becomes of a path or the target of a link, if anything.
    /// What a member does to lower layers stays as it is, but for the name it does it to.
    pub(super) fn renamed(&self, renamed: impl Fn(&[u8]) -> Option<Vec<u8>>) -> Self {
        let mut table = Self::default();
        let mut rows = self.rows();
        while let Some(row) = rows.read() {
            let path = renamed(&row.path).map_or(Cow::Borrowed(&row.path[..]), Cow::Owned);
            let link = renamed(row.link);
            table.append(EntryRow {
                path,
                link: link.as_deref().unwrap_or(row.link),
                ..row
            });
        }
        table
    }

    /// The bytes of its rows.
    pub(super) fn bytes(&self) -> u64 {
        self.packed_bytes + self.open.len() as u64
    }

    /// The number of members.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether the layer has no member.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The member of this number. For many in order, [`PathTable::rows_from`] is cheaper.
    pub fn row(&self, number: u32) -> Option<EntryRow<'_>> {
        let mut rows = self.rows_from(number);
        let is_there = rows.step();
        let path = Cow::Owned(std::mem::take(&mut rows.row.path));
        is_there.then(|| rows.row.told(path, rows.link))
    }

    /// All members in the order of the archive.
    pub fn rows(&self) -> Rows<'_> {
        self.rows_from(0)
    }

    /// The members from this number on.
    pub fn rows_from(&self, number: u32) -> Rows<'_> {
        let mut rows = Rows {
            table: self,
            rest: &[],
            number: number as usize / BLOCK_ROWS * BLOCK_ROWS,
            row: Row::default(),
            link: &[],
        };
        while rows.number < number as usize && rows.step() {}
        rows
    }
}

/// Reads members one after the other. No iterator: a row borrows the path until the next one is read.
#[derive(Debug)]
pub struct Rows<'a> {
    table: &'a PathTable,
    /// What is left of the block.
    rest: &'a [u8],
    /// The number of the row that is read next.
    number: usize,
    row: Row,
    link: &'a [u8],
}

impl<'a> Rows<'a> {
    /// The number of the member that is read next.
    pub fn number(&self) -> u32 {
        self.number as u32
    }

    /// Reads the next member.
    pub fn read(&mut self) -> Option<EntryRow<'_>> {
        if !self.step() {
            return None;
        }
        Some(self.row.told(Cow::Borrowed(&self.row.path), self.link))
    }

    fn step(&mut self) -> bool {
        if self.number >= self.table.rows {
            return false;
        }
        if self.number.is_multiple_of(BLOCK_ROWS) {
            self.rest = match self.table.blocks.get(self.number / BLOCK_ROWS) {
                Some(block) => block,
                None => &self.table.open,
            };
            self.row.path.clear();
            self.row = Row {
                path: std::mem::take(&mut self.row.path),
                ..Row::default()
            };
        }
        self.number += 1;
        self.parse().expect("a row is whole");
        true
    }

    /// Reads a row; `None` where the bytes are no row.
    fn parse(&mut self) -> Option<()> {
        let (head, flags) = (self.byte()?, self.byte()?);
        self.row.kind = KINDS[usize::from(head & 7)];
        self.row.effect = *EFFECTS.get(usize::from(head >> 3))?;
        let shared = self.length()?;
        self.row.path.truncate(shared);
        let new = self.bytes()?;
        self.row.path.extend_from_slice(new);
        if flags & HAS_OWNER != 0 {
            self.row.owner = Owner {
                mode: self.varint()? as u32,
                uid: self.varint()? as u32,
                gid: self.varint()? as u32,
            };
        }
        if flags & HAS_MTIME != 0 {
            let step = self.varint()?;
            let step = (step >> 1).cast_signed() ^ -(step & 1).cast_signed();
            self.row.mtime = self.row.mtime.wrapping_add(step);
        }
        if flags & HAS_SIZE != 0 {
            self.row.size = self.varint()?;
        }
        self.link = if is_link(self.row.kind) {
            self.bytes()?
        } else {
            &[]
        };
        Some(())
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.length()?;
        let (bytes, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(bytes)
    }

    fn length(&mut self) -> Option<usize> {
        usize::try_from(self.varint()?).ok()
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        Some(number)
    }
}

/// A table as it is stored.
#[derive(Serialize, Deserialize)]
struct Packed {
    rows: usize,
    blocks: Vec<Box<[u8]>>,
    open: Vec<u8>,
}

impl Serialize for PathTable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let packed = Packed {
            rows: self.rows,
            blocks: self.blocks.clone(),
            open: self.open.clone(),
        };
        packed.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PathTable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let packed = Packed::deserialize(deserializer)?;
        Self::unpacked(packed).ok_or_else(|| serde::de::Error::custom("a table of paths is damaged"))
    }
}

impl PathTable {
    /// The table of these bytes, if all rows can be read and nothing else is there.
    fn unpacked(packed: Packed) -> Option<Self> {
        let Packed { rows, blocks, open } = packed;
        if blocks.len() != rows / BLOCK_ROWS {
            return None;
        }
        let table = Self {
            packed_bytes: blocks.iter().map(|block| block.len() as u64).sum(),
            blocks,
            open,
            last: Row::default(),
            rows,
        };
        let mut read = Rows {
            table: &table,
            rest: &[],
            number: 0,
            row: Row::default(),
            link: &[],
        };
        let blocks = table.blocks.iter().map(|block| (&block[..], BLOCK_ROWS));
        for (block, count) in blocks.chain([(&table.open[..], rows % BLOCK_ROWS)]) {
            read.rest = block;
            read.row = Row::default();
            for _ in 0..count {
                read.parse()?;
            }
            if !read.rest.is_empty() {
                return None;
            }
        }
        let last = read.row;
        Some(Self { last, ..table })
    }
}

fn is_link(kind: EntryKind) -> bool {
    matches!(kind, EntryKind::HardLink | EntryKind::Symlink)
}

/// Appends a number in groups of seven bits, the lowest first.
fn put(row: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        row.push(number as u8 | 0x80);
        number >>= 7;
    }
    row.push(number as u8);
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tar::{EntryPath, OverlayMark};

    fn entries() -> impl Strategy<Value = Vec<Entry>> {
        let path = prop::collection::vec(prop::sample::select(vec!["a", "bb", ".wh.c", "\u{e9}", ""]), 0..6)
            .prop_map(|parts| EntryPath::normalise(parts.join("/").as_bytes()));
        let kind = prop::sample::select(KINDS.to_vec());
        let id = prop_oneof![Just(0), Just(1000), any::<u64>()];
        let mtime = prop_oneof![Just(0), Just(1_700_000_000), any::<i64>()];
        let overlay =
            prop::sample::select(vec![None, Some(OverlayMark::Opaque), Some(OverlayMark::Whiteout)]);
        let facts = (
            0..0o10000_u32,
            id,
            mtime,
            prop_oneof![Just(0), any::<u64>()],
            overlay,
        );
        let entry = (path, kind, "[a-z/]{0,9}", facts).prop_map(|(path, kind, link, facts)| Entry {
            path,
            kind,
            link: if is_link(kind) {
                link.into_bytes()
            } else {
                Vec::new()
            },
            mode: facts.0,
            uid: facts.1,
            gid: facts.1 / 2,
            mtime: facts.2,
            size: facts.3,
            offset: 0,
            overlay: facts.4,
        });
        prop::collection::vec(entry, 0..300)
    }

    fn rows_of(table: &PathTable) -> Vec<String> {
        let mut rows = table.rows();
        std::iter::from_fn(|| rows.read().map(|row| format!("{row:?}"))).collect()
    }

    proptest! {
        #[test]
        fn a_stored_table_has_the_same_rows_and_can_grow(entries in entries(), more in entries()) {
            let mut table: PathTable = entries.into_iter().collect();
            let stored = postcard::to_stdvec(&table).unwrap();
            let mut read: PathTable = postcard::from_bytes(&stored).unwrap();
            for entry in &more {
                table.push(entry, usize::MAX);
                read.push(entry, usize::MAX);
            }
            prop_assert_eq!(rows_of(&read), rows_of(&table));
            prop_assert_eq!(read.bytes(), table.bytes());
        }

        #[test]
        fn a_damaged_table_is_refused_or_can_be_read(
            entries in entries(),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let table: PathTable = entries.into_iter().collect();
            let mut stored = postcard::to_stdvec(&table).unwrap();
            let at = at.index(stored.len());
            stored[at] = byte;
            if let Ok(read) = postcard::from_bytes::<PathTable>(&stored) {
                rows_of(&read);
            }
        }

        #[test]
        fn renaming_changes_names_alone(entries in entries()) {
            let table: PathTable = entries.into_iter().collect();
            let renamed = table.renamed(|name| {
                let text = String::from_utf8_lossy(name);
                text.contains("bb").then(|| text.replace("bb", "long-name").into_bytes())
            });
            let expected: Vec<String> =
                rows_of(&table).iter().map(|row| row.replace("bb", "long-name")).collect();
            // `link` and `path` are shown as lists of bytes, so rows without the name are equal as they are.
            for (row, (old, new)) in rows_of(&renamed).iter().zip(rows_of(&table).iter().zip(&expected)) {
                prop_assert!(row == old || row == new || old.contains("98, 98"));
            }
            prop_assert_eq!(renamed.renamed(|name| {
                let text = String::from_utf8_lossy(name);
                text.contains("long-name").then(|| text.replace("long-name", "bb").into_bytes())
            }).bytes(), table.bytes());
        }

        #[test]
        fn every_row_is_read_as_it_was_added(entries in entries(), start in 0..300_u32) {
            let table: PathTable = entries.iter().cloned().collect();
            prop_assert_eq!(table.len(), entries.len());
            let is_row_of = |row: &EntryRow<'_>, entry: &Entry| {
                row.path[..] == *entry.path.as_bytes()
                    && (row.kind, row.link, row.mode) == (entry.kind, &entry.link[..], entry.mode)
                    && (row.mtime, row.size) == (entry.mtime, entry.size)
                    && row.uid == entry.uid.min(u64::from(u32::MAX))
                    && row.gid == entry.gid.min(u64::from(u32::MAX))
                    && row.effect == effect(entry)
            };
            let mut rows = table.rows();
            for entry in &entries {
                prop_assert!(is_row_of(&rows.read().expect("as many as were added"), entry));
            }
            prop_assert!(rows.read().is_none());
            let row = table.row(start);
            prop_assert_eq!(row.is_some(), (start as usize) < entries.len());
            if let Some(row) = row {
                prop_assert!(is_row_of(&row, &entries[start as usize]));
            }
        }
    }

    #[test]
    fn files_of_one_folder_cost_a_few_bytes_each() {
        let entry = |number: usize| Entry {
            path: EntryPath::normalise(format!("srv/some/folder/of/many/file-{number:07}").as_bytes()),
            kind: EntryKind::File,
            link: Vec::new(),
            mode: 0o644,
            uid: 1000,
            gid: 1000,
            mtime: 1_700_000_000,
            size: 0,
            offset: 0,
            overlay: None,
        };
        let table: PathTable = (0..100_000).map(entry).collect();
        assert!(table.bytes() < 8 * 100_000, "{}", table.bytes());
    }
}
