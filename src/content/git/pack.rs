//! Reads a pack in memory (gitformat-pack, versions 2 and 3): all of its objects, deltas applied. Needs no index, since
//! a pack tells where its objects end only by their compressed data.
//!
//! It is gone through three times: for where each object is, for the ids and names of all, and to hand over what is
//! searched. A base is held while deltas of it are left; cycles are never entered, because each begins at no base.

use std::io::Read;

use flate2::{Decompress, FlushDecompress, Status};

use super::history::{History, Names};
use super::{IdHasher, Kind, ObjectId, delta};
use crate::content::archive::{Inflated, Members, OpenError, Refusal, Step};
use crate::limits::{LimitHit, Limits};

/// Objects up to this size are inflated in one step; larger ones of which there are no deltas pass through.
const HELD_BYTES: u64 = 1 << 20;

/// Opens a pack.
pub(in crate::content) fn open(
    bytes: &[u8],
    limits: &Limits,
    members: &mut dyn Members,
) -> Result<(), OpenError> {
    let (mut pack, refusal) = Pack::scan(bytes, limits);
    let names = pack.identify(members);
    pack.hand_over(&names, members)?;
    match refusal {
        Some(refusal) => Err(refusal.into()),
        None => Ok(()),
    }
}

struct Pack<'a> {
    bytes: &'a [u8],
    limits: &'a Limits,
    entries: Vec<Entry>,
    /// Deltas by the number of their base, and by its id.
    by_offset: Vec<(u32, u32)>,
    by_id: Vec<(ObjectId, u32)>,
    id_bytes: usize,
    /// What may still be inflated to find the objects.
    work: Work,
}

struct Entry {
    offset: usize,
    /// Where its compressed data begins.
    start: usize,
    /// How much it inflates to.
    size: u64,
    base: Base,
    /// Known of those without a base once they were inflated, of others once they were put together.
    object: Option<(Kind, ObjectId)>,
}

#[derive(Clone, Copy)]
enum Base {
    Id,
    None(Kind),
    Offset,
}

/// How much one way through a pack may inflate and copy: what an archive of its size may expand to.
struct Work {
    left: u64,
    limit: LimitHit,
}

impl Work {
    fn new(size: usize, limits: &Limits) -> Self {
        let by_ratio = (size as u64)
            .saturating_mul(limits.archive_ratio)
            .max(limits.archive_ratio_from_bytes);
        if by_ratio < limits.archive_expanded_bytes {
            Self {
                left: by_ratio,
                limit: LimitHit::ArchiveRatio,
            }
        } else {
            Self {
                left: limits.archive_expanded_bytes,
                limit: LimitHit::ArchiveBytes,
            }
        }
    }

    fn spend(&mut self, bytes: usize) -> Result<(), Refusal> {
        // One byte for each object, so that empty ones end too.
        match self.left.checked_sub(bytes as u64 + 1) {
            Some(left) => self.left = left,
            None => return Err(Refusal::Limit(self.limit)),
        }
        Ok(())
    }
}

impl<'a> Pack<'a> {
    /// Finds the objects. Whether ids are of SHA-1 or SHA-256 only the length of what follows the last one tells.
    fn scan(bytes: &'a [u8], limits: &'a Limits) -> (Self, Option<Refusal>) {
        let mut sha1 = Self::new(bytes, limits, 20);
        let outcome = sha1.find_objects();
        if matches!(outcome, Ok(end) if end + 20 == bytes.len()) {
            return (sha1, None);
        }
        let mut sha256 = Self::new(bytes, limits, 32);
        if matches!(sha256.find_objects(), Ok(end) if end + 32 == bytes.len()) {
            return (sha256, None);
        }
        (sha1, outcome.err())
    }

    fn new(bytes: &'a [u8], limits: &'a Limits, id_bytes: usize) -> Self {
        Self {
            bytes,
            limits,
            entries: Vec::new(),
            by_offset: Vec::new(),
            by_id: Vec::new(),
            id_bytes,
            work: Work::new(bytes.len(), limits),
        }
    }

    /// Goes through the pack and returns where its last object ends.
    fn find_objects(&mut self) -> Result<usize, Refusal> {
        let head = self.bytes.first_chunk::<12>().ok_or(Refusal::Truncated)?;
        let [_, _, _, _, 0, 0, 0, 2 | 3, count @ ..] = *head else {
            return Err(Refusal::Unsupported("this version of git packs".to_owned()));
        };
        let count = u32::from_be_bytes(count);
        let mut inflate = Decompress::new(true);
        let mut scratch = vec![0; 32 * 1024];
        let mut at = head.len();
        let outcome = (0..count).try_for_each(|number| {
            if u64::from(number) >= self.limits.archive_members {
                return Err(Refusal::Limit(LimitHit::ArchiveMembers));
            }
            at = self.find_object(at, &mut inflate, &mut scratch)?;
            Ok(())
        });
        // The last one may be a delta that ends early.
        let known = self.entries.len() as u32;
        self.by_offset.retain(|(_, delta)| *delta < known);
        self.by_id.retain(|(_, delta)| *delta < known);
        self.by_offset.sort_unstable();
        self.by_id.sort_unstable();
        outcome.map(|()| at)
    }

    /// Reads the object at `offset` and returns where it ends.
    fn find_object(
        &mut self,
        offset: usize,
        inflate: &mut Decompress,
        scratch: &mut [u8],
    ) -> Result<usize, Refusal> {
        let number = self.entries.len() as u32;
        let mut position = offset;
        let mut next = || {
            let byte = self.bytes.get(position).copied().ok_or(Refusal::Truncated)?;
            position += 1;
            Ok(byte)
        };
        let mut byte = next()?;
        let code = byte >> 4 & 7;
        let mut size = u64::from(byte & 15);
        let mut shift = 4;
        while byte & 0x80 != 0 {
            byte = next()?;
            if shift > 56 {
                return Err(Refusal::malformed("the size of an object is too large"));
            }
            size |= u64::from(byte & 0x7f) << shift;
            shift += 7;
        }
        let base = match code {
            1 => Base::None(Kind::Commit),
            2 => Base::None(Kind::Tree),
            3 => Base::None(Kind::Blob),
            4 => Base::None(Kind::Tag),
            6 => {
                byte = next()?;
                let mut distance = u64::from(byte & 0x7f);
                while byte & 0x80 != 0 {
                    byte = next()?;
                    distance = distance
                        .checked_add(1)
                        .and_then(|distance| distance.checked_mul(128))
                        .ok_or_else(|| Refusal::malformed("a delta has no base"))?;
                    distance |= u64::from(byte & 0x7f);
                }
                let found = usize::try_from(distance)
                    .ok()
                    .and_then(|distance| offset.checked_sub(distance))
                    .and_then(|base| {
                        self.entries
                            .binary_search_by_key(&base, |entry| entry.offset)
                            .ok()
                    });
                // One that has no base is refused with the others when none of it was reached.
                if let Some(base) = found {
                    self.by_offset.push((base as u32, number));
                }
                Base::Offset
            }
            7 => {
                let id = self.bytes.get(position..position + self.id_bytes);
                let id = id.and_then(ObjectId::of).ok_or(Refusal::Truncated)?;
                position += self.id_bytes;
                self.by_id.push((id, number));
                Base::Id
            }
            _ => return Err(Refusal::malformed("an object is of no known type")),
        };
        let start = position;
        let mut hasher = match base {
            Base::None(kind) => Some((kind, IdHasher::new(self.id_bytes, kind, size))),
            Base::Id | Base::Offset => None,
        };
        inflate.reset(true);
        loop {
            let (read, wrote) = (inflate.total_in(), inflate.total_out());
            let status = inflate.decompress(&self.bytes[position..], scratch, FlushDecompress::None);
            let status = status.map_err(|_| Refusal::malformed("an object is damaged"))?;
            position += (inflate.total_in() - read) as usize;
            let count = (inflate.total_out() - wrote) as usize;
            self.work.spend(count)?;
            if let Some((_, hasher)) = &mut hasher {
                hasher.update(&scratch[..count]);
            }
            if inflate.total_out() > size {
                return Err(Refusal::malformed("an object is larger than it says"));
            }
            match status {
                Status::StreamEnd => break,
                _ if count == 0 && position == self.bytes.len() => return Err(Refusal::Truncated),
                _ => {}
            }
        }
        if inflate.total_out() != size {
            return Err(Refusal::malformed("an object is smaller than it says"));
        }
        self.entries.push(Entry {
            offset,
            start,
            size,
            base,
            object: hasher.map(|(kind, hasher)| (kind, hasher.finish())),
        });
        Ok(position)
    }

    /// Works out the ids of all objects, and their names.
    fn identify(&mut self, members: &mut dyn Members) -> Names {
        let mut history = History::new(self.limits.git_tree_entries);
        let roots = self.roots(|number| {
            let is_of_history = matches!(self.entries[number].base, Base::None(Kind::Commit | Kind::Tree));
            is_of_history || self.has_deltas(number)
        });
        let mut work = Work::new(self.bytes.len(), self.limits);
        let mut walk = Walk::new(self, roots);
        while let Some(step) = walk.step(self, &mut work) {
            let (number, kind) = match step {
                Ok(object) => object,
                Err((number, refusal)) => {
                    members.refused(&self.entries[number].place(), refusal);
                    continue;
                }
            };
            let content = walk.content();
            let entry = &mut self.entries[number];
            let (_, id) = *entry.object.get_or_insert_with(|| {
                let mut hasher = IdHasher::new(self.id_bytes, kind, content.len() as u64);
                hasher.update(content);
                (kind, hasher.finish())
            });
            match kind {
                Kind::Commit => history.add_commit(id, content),
                Kind::Tree => history.add_tree(id, content),
                Kind::Blob | Kind::Tag => {}
            }
        }
        for (number, entry) in self.entries.iter().enumerate() {
            if entry.object.is_none() && !walk.seen[number] {
                members.refused(
                    &entry.place(),
                    Refusal::malformed("the object it is a delta of is not there"),
                );
            }
        }
        if history.is_over() {
            members.refused(b"trees", Refusal::Limit(LimitHit::GitNames));
        }
        history.names(self.limits.path_bytes)
    }

    /// Hands over all objects but trees.
    fn hand_over(&self, names: &Names, members: &mut dyn Members) -> Result<(), OpenError> {
        for (number, entry) in self.entries.iter().enumerate() {
            let (Base::None(kind), Some((_, id))) = (entry.base, entry.object) else {
                continue;
            };
            if kind == Kind::Tree || self.has_deltas(number) || entry.size <= HELD_BYTES {
                continue;
            }
            let mut content = Inflated::new(&self.bytes[entry.start..], true).take(entry.size);
            hand_over(names.name(&id), &mut content, members)?;
        }
        let roots = self.roots(|number| {
            let is_held = self.has_deltas(number) || self.entries[number].size <= HELD_BYTES;
            is_held && !matches!(self.entries[number].base, Base::None(Kind::Tree))
        });
        let mut work = Work::new(self.bytes.len(), self.limits);
        let mut walk = Walk::new(self, roots);
        while let Some(step) = walk.step(self, &mut work) {
            // What is wrong was told when the ids were worked out.
            let Ok((number, _)) = step else { continue };
            if let Some((_, id)) = self.entries[number].object {
                hand_over(names.name(&id), &mut walk.content(), members)?;
            }
        }
        Ok(())
    }

    /// The objects that are no deltas, the last one first, as far as they are wanted.
    fn roots(&self, is_wanted: impl Fn(usize) -> bool) -> Vec<usize> {
        let numbers = (0..self.entries.len()).rev();
        numbers
            .filter(|number| matches!(self.entries[*number].base, Base::None(_)) && is_wanted(*number))
            .collect()
    }

    fn has_deltas(&self, number: usize) -> bool {
        self.deltas(number).next().is_some()
    }

    /// The deltas of an object whose id is known.
    fn deltas(&self, number: usize) -> impl Iterator<Item = usize> {
        let from = self.by_offset.partition_point(|(base, _)| *base < number as u32);
        let by_offset = self.by_offset[from..]
            .iter()
            .take_while(move |(base, _)| *base == number as u32)
            .map(|(_, delta)| *delta as usize);
        let id = self.entries[number].object.map(|(_, id)| id);
        let from = id.map_or(self.by_id.len(), |id| {
            self.by_id.partition_point(|(base, _)| *base < id)
        });
        let by_id = self.by_id[from..]
            .iter()
            .take_while(move |(base, _)| Some(*base) == id)
            .map(|(_, delta)| *delta as usize);
        by_offset.chain(by_id)
    }

    /// Inflates what is stored of an object, which was seen to be all there.
    fn stored(&self, number: usize, most: usize, inflate: &mut Decompress) -> Result<Vec<u8>, Refusal> {
        let Entry { start, size, .. } = self.entries[number];
        if size > most as u64 {
            return Err(Refusal::Limit(LimitHit::RandomAccess));
        }
        let mut stored = Vec::with_capacity(size as usize);
        inflate.reset(true);
        inflate
            .decompress_vec(&self.bytes[start..], &mut stored, FlushDecompress::Finish)
            .map_err(|_| Refusal::malformed("an object is damaged"))?;
        Ok(stored)
    }
}

fn hand_over(
    (name, commit): (Vec<u8>, Option<u32>),
    content: &mut dyn Read,
    members: &mut dyn Members,
) -> Result<(), OpenError> {
    let step = match commit {
        Some(commit) => Step::Version(&name, commit),
        None => Step::Member(&name),
    };
    members.member(step, content).map_err(OpenError::Content)
}

impl Entry {
    /// What it is called as long as its id is not known.
    fn place(&self) -> Vec<u8> {
        format!("offset {}", self.offset).into_bytes()
    }
}

/// Goes from objects to the deltas of them, and to the deltas of those.
struct Walk {
    roots: Vec<usize>,
    seen: Vec<bool>,
    /// The objects on the way that are still needed; the last one is what the walk has reached.
    held: Vec<Held>,
    held_bytes: usize,
    inflate: Decompress,
}

struct Held {
    number: usize,
    kind: Kind,
    content: Vec<u8>,
    /// What is left of its deltas, once one was asked for.
    deltas: Option<Vec<usize>>,
}

impl Walk {
    /// Begins at the last of `roots`.
    fn new(pack: &Pack<'_>, roots: Vec<usize>) -> Self {
        Self {
            roots,
            seen: vec![false; pack.entries.len()],
            held: Vec::new(),
            held_bytes: 0,
            inflate: Decompress::new(true),
        }
    }

    /// The content of the object that the last step led to.
    fn content(&self) -> &[u8] {
        self.held.last().map_or(b"", |held| &held.content)
    }

    /// Goes on to the next object: its number and its kind, or why it cannot be put together.
    fn step(&mut self, pack: &Pack<'_>, work: &mut Work) -> Option<Result<(usize, Kind), (usize, Refusal)>> {
        loop {
            let Some(mut base) = self.held.pop() else {
                let root = self.roots.pop()?;
                let Base::None(kind) = pack.entries[root].base else {
                    continue;
                };
                return Some(self.reach(pack, root, kind, None, work));
            };
            let deltas = base
                .deltas
                .get_or_insert_with(|| pack.deltas(base.number).collect());
            let Some(next) = deltas.pop() else {
                self.held_bytes -= base.content.len();
                continue;
            };
            // Two objects of one content have the same deltas.
            if self.seen[next] {
                self.held.push(base);
                continue;
            }
            return Some(self.reach(pack, next, base.kind, Some(base), work));
        }
    }

    fn reach(
        &mut self,
        pack: &Pack<'_>,
        number: usize,
        kind: Kind,
        base: Option<Held>,
        work: &mut Work,
    ) -> Result<(usize, Kind), (usize, Refusal)> {
        self.seen[number] = true;
        let room = (pack.limits.archive_bytes as usize).saturating_sub(self.held_bytes);
        let content = pack.stored(number, room, &mut self.inflate).and_then(|stored| {
            work.spend(stored.len())?;
            let Some(base) = &base else { return Ok(stored) };
            let content = delta::apply(&base.content, &stored, room)?;
            work.spend(content.len())?;
            Ok(content)
        });
        if let Some(base) = base {
            if base.deltas.as_ref().is_some_and(Vec::is_empty) {
                self.held_bytes -= base.content.len();
            } else {
                self.held.push(base);
            }
        }
        let content = content.map_err(|refusal| (number, refusal))?;
        self.held_bytes += content.len();
        self.held.push(Held {
            number,
            kind,
            content,
            deltas: None,
        });
        Ok((number, kind))
    }
}
