//! From the path tables of all layers to what became of each file: pure functions, no bytes of content.
//!
//! Layers are applied in order as runtimes apply them (image-spec `layer.md#applying-changesets`): the whiteouts of a
//! layer first, since they hide only what lower layers brought, then its members in the order of the archive. Parents
//! that are symbolic links are followed, so that `lib/x` and `usr/lib/x` are one file on a merged-usr system. Only the
//! files that are asked for are tracked; a layer of a million members costs a few look-ups for each, and memory for what is asked and for
//! symbolic links, which have a cap.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::finding::{DeletedBy, Status};
use crate::layer::{EntryRow, Mark, PathTable};
use crate::tar::{EntryKind, EntryPath};

/// Symbolic links followed in one path, as in Linux. A longer chain is left unresolved.
const HOPS: usize = 40;

/// A member of a layer: the layer's place, from 0 at the base, and the number in its path table.
pub type Member = (usize, u32);

/// What became of files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lives {
    /// That of each file that was asked for, in their order.
    pub statuses: Vec<Status>,
    /// Symbolic links that were not followed, since the others took what bytes there were: what lies behind them may
    /// have another life.
    pub links_over: u64,
}

/// What became of each of `members`.
///
/// `layers` are the path tables, base first; `None` for a layer that was not read. A member that is a whiteout itself
/// is [`Status::Unlisted`]. A file is [`Status::Present`] as long as any hard link to it is. Symbolic links are kept up to
/// `link_bytes` ([`Limits::symlink_bytes`](crate::limits::Limits::symlink_bytes)).
pub fn lives(layers: &[Option<&PathTable>], members: &[Member], link_bytes: u64) -> Lives {
    if members.is_empty() {
        return Lives::default();
    }
    let wanted: HashSet<Member> = members.iter().copied().collect();
    let mut tree = Tree {
        link_room: link_bytes,
        ..Tree::default()
    };
    let mut inodes: HashMap<Member, usize> = HashMap::new();
    for (index, layer) in layers.iter().enumerate() {
        let Some(table) = layer else { continue };
        tree.layer = index + 1;
        tree.hide(table);
        let mut rows = table.rows();
        while let (number, Some(row)) = (rows.number(), rows.read()) {
            let member = (index, number);
            let tracked = wanted.contains(&member);
            if let Some(inode) = tree.put(&row, tracked) {
                inodes.insert(member, inode);
            }
        }
    }
    let unread_after = |layer: usize| {
        layers
            .iter()
            .skip(layer + 1)
            .position(Option::is_none)
            .map(|gap| layer + gap + 2)
    };
    let statuses = members
        .iter()
        .map(
            |member| match inodes.get(member).map(|inode| &tree.inodes[*inode]) {
                None => Status::Unlisted,
                Some(Inode {
                    paths: 0,
                    gone: Some(gone),
                }) => gone.clone(),
                Some(_) => match unread_after(member.0) {
                    Some(unread) => Status::Unknown { unread },
                    None => Status::Present,
                },
            },
        )
        .collect();
    Lives {
        statuses,
        links_over: tree.links_over,
    }
}

/// The part of the file system that matters: the tracked files, and every symbolic link.
#[derive(Default)]
struct Tree {
    /// The layer that is being applied, from 1.
    layer: usize,
    files: BTreeMap<Vec<u8>, usize>,
    symlinks: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Bytes that further links may take, and those that were left out.
    link_room: u64,
    links_over: u64,
    inodes: Vec<Inode>,
    /// The directory that was canonicalised last: archives list a directory's members together.
    last_parent: Option<(Vec<u8>, Vec<u8>)>,
}

struct Inode {
    /// How many paths lead to it.
    paths: usize,
    /// What removed its last path.
    gone: Option<Status>,
}

impl Tree {
    /// Applies the whiteouts of a layer to what lower layers brought.
    fn hide(&mut self, table: &PathTable) {
        if self.files.is_empty() && self.symlinks.is_empty() {
            return;
        }
        // Each path is canonicalised in the tree the lower layers made, not in one half taken apart.
        let mut hidden = Vec::new();
        let mut rows = table.rows();
        while let Some(row) = rows.read() {
            match row.mark() {
                Mark::None => {}
                Mark::Opaque => {
                    let mut directory = self.canonical(&row.path);
                    if !row.is_shown() {
                        directory.truncate(parent(&directory).len());
                    }
                    hidden.push((directory, DeletedBy::Opaque));
                }
                Mark::Whiteout(target) => hidden.push((self.canonical(&target), DeletedBy::Whiteout)),
            }
        }
        // What a file's own whiteout hides, it hides wherever the layer has an opaque mark besides.
        hidden.sort_by_key(|(_, how)| *how == DeletedBy::Opaque);
        for (path, how) in hidden {
            let status = Status::Deleted { by: self.layer, how };
            self.remove_below(&path, &status);
            if how == DeletedBy::Whiteout {
                self.remove(&path, &status);
            }
        }
    }

    /// Applies one member. Gives the number of its inode if it is tracked.
    fn put(&mut self, row: &EntryRow<'_>, tracked: bool) -> Option<usize> {
        if !row.is_shown() || row.path.is_empty() {
            return None;
        }
        if self.files.is_empty() && self.symlinks.is_empty() && !tracked && row.kind != EntryKind::Symlink {
            return None;
        }
        let path = self.canonical(&row.path);
        let replaced = Status::Deleted {
            by: self.layer,
            how: DeletedBy::ReplacedParent,
        };
        if !self.files.is_empty() {
            // A file where this member needs a directory.
            for (slash, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
                if self.files.contains_key(&path[..slash]) {
                    self.remove(&path[..slash], &replaced);
                }
            }
        }
        if row.kind == EntryKind::Directory {
            self.remove(&path, &replaced);
            return None;
        }
        let alias = (row.kind == EntryKind::HardLink)
            .then(|| self.canonical(EntryPath::normalise(row.link).as_bytes()))
            .and_then(|target| self.files.get(&target).copied());
        if let Some(inode) = alias {
            // Counted before the old content of this path goes: it may be the same.
            self.inodes[inode].paths += 1;
        }
        self.remove_below(&path, &replaced);
        self.remove(&path, &Status::Overwritten { by: self.layer });
        if row.kind == EntryKind::Symlink {
            match self.link_room.checked_sub(link_cost(&path, row.link)) {
                Some(room) => {
                    self.link_room = room;
                    self.symlinks.insert(path.clone(), row.link.to_vec());
                    self.last_parent = None;
                }
                None => self.links_over += 1,
            }
        }
        if let Some(inode) = alias {
            self.files.insert(path.clone(), inode);
        }
        if !tracked {
            return None;
        }
        // A hard link has no content of its own: what is asked of it is asked of what it leads to.
        let inode = alias.unwrap_or_else(|| {
            self.inodes.push(Inode { paths: 1, gone: None });
            self.inodes.len() - 1
        });
        self.files.insert(path, inode);
        Some(inode)
    }

    /// The path with every directory above it that is a symbolic link followed.
    fn canonical(&mut self, path: &[u8]) -> Vec<u8> {
        if self.symlinks.is_empty() {
            return path.to_vec();
        }
        let directory = parent(path);
        let name = &path[directory.len()..];
        let canonical = match &self.last_parent {
            Some((known, canonical)) if known == directory => canonical.clone(),
            _ => {
                let canonical = self.follow(directory);
                self.last_parent = Some((directory.to_vec(), canonical.clone()));
                canonical
            }
        };
        let name = name.strip_prefix(b"/").unwrap_or(name);
        join(&canonical, name)
    }

    fn follow(&self, directory: &[u8]) -> Vec<u8> {
        let mut left: Vec<Vec<u8>> = components(directory).rev().map(<[u8]>::to_vec).collect();
        let mut done: Vec<u8> = Vec::new();
        let mut hops = 0;
        while let Some(component) = left.pop() {
            match component.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    done.truncate(parent(&done).len());
                    continue;
                }
                _ => {}
            }
            let next = join(&done, &component);
            match self.symlinks.get(&next) {
                Some(target) if hops < HOPS => {
                    hops += 1;
                    if target.starts_with(b"/") {
                        done.clear();
                    }
                    left.extend(components(target).rev().map(<[u8]>::to_vec));
                }
                _ => done = next,
            }
        }
        done
    }

    fn remove(&mut self, path: &[u8], why: &Status) {
        if let Some(inode) = self.files.remove(path) {
            self.unlink(inode, why);
        }
        if let Some(target) = self.symlinks.remove(path) {
            self.link_room += link_cost(path, &target);
            self.last_parent = None;
        }
    }

    fn remove_below(&mut self, path: &[u8], why: &Status) {
        let prefix = if path.is_empty() {
            Vec::new()
        } else {
            [path, b"/"].concat()
        };
        for (_, inode) in take_prefix(&mut self.files, &prefix) {
            self.unlink(inode, why);
        }
        for (path, target) in take_prefix(&mut self.symlinks, &prefix) {
            self.link_room += link_cost(&path, &target);
            self.last_parent = None;
        }
    }

    fn unlink(&mut self, inode: usize, why: &Status) {
        let inode = &mut self.inodes[inode];
        inode.paths -= 1;
        if inode.paths == 0 {
            inode.gone = Some(why.clone());
        }
    }
}

/// What a link takes in memory.
fn link_cost(path: &[u8], target: &[u8]) -> u64 {
    (path.len() + target.len()) as u64 + 128
}

/// Removes and returns all whose key begins with `prefix`.
fn take_prefix<V>(map: &mut BTreeMap<Vec<u8>, V>, prefix: &[u8]) -> Vec<(Vec<u8>, V)> {
    let keys: Vec<Vec<u8>> = map
        .range(prefix.to_vec()..)
        .map(|(key, _)| key)
        .take_while(|key| key.starts_with(prefix))
        .cloned()
        .collect();
    keys.into_iter()
        .filter_map(|key| map.remove_entry(&key))
        .collect()
}

fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/')
}

/// The path up to its last slash; empty for a name in the root.
fn parent(path: &[u8]) -> &[u8] {
    &path[..path.iter().rposition(|byte| *byte == b'/').unwrap_or(0)]
}

fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() {
        name.to_vec()
    } else {
        [directory, b"/", name].concat()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tar::{Entry, OverlayMark};

    fn statuses(layers: &[Option<&PathTable>], members: &[Member]) -> Vec<Status> {
        lives(layers, members, u64::MAX).statuses
    }

    fn entry(path: &str, kind: EntryKind, link: &str) -> Entry {
        Entry {
            path: EntryPath::normalise(path.as_bytes()),
            kind,
            link: link.as_bytes().to_vec(),
            mode: 0o644,
            uid: 0,
            gid: 0,
            mtime: 0,
            size: 0,
            offset: 0,
            overlay: None,
        }
    }

    fn file(path: &str) -> Entry {
        entry(path, EntryKind::File, "")
    }

    fn directory(path: &str) -> Entry {
        entry(path, EntryKind::Directory, "")
    }

    fn symlink(path: &str, target: &str) -> Entry {
        entry(path, EntryKind::Symlink, target)
    }

    fn hard_link(path: &str, target: &str) -> Entry {
        entry(path, EntryKind::HardLink, target)
    }

    fn marked(entry: Entry, mark: OverlayMark) -> Entry {
        Entry {
            overlay: Some(mark),
            ..entry
        }
    }

    fn life(layers: &[Vec<Entry>], member: Member) -> Status {
        let tables: Vec<PathTable> = layers
            .iter()
            .map(|layer| layer.iter().cloned().collect())
            .collect();
        statuses(&tables.iter().map(Some).collect::<Vec<_>>(), &[member]).remove(0)
    }

    fn deleted(by: usize, how: DeletedBy) -> Status {
        Status::Deleted { by, how }
    }

    #[test]
    fn a_file_nobody_touches_stays_present() {
        assert_eq!(
            life(
                &[vec![file("a/key")], vec![file("a/other"), directory("a")]],
                (0, 0)
            ),
            Status::Present
        );
    }

    #[test]
    fn a_whiteout_of_the_file_or_of_a_parent_deletes_it() {
        for mark in ["a/b/.wh.key", "a/.wh.b", ".wh.a"] {
            let layers = [vec![file("a/b/key")], vec![file("x")], vec![file(mark)]];
            assert_eq!(life(&layers, (0, 0)), deleted(3, DeletedBy::Whiteout), "{mark}");
        }
        assert_eq!(
            life(&[vec![file("ab/key")], vec![file(".wh.a")]], (0, 0)),
            Status::Present
        );
    }

    #[test]
    fn an_opaque_directory_hides_lower_files_only() {
        let layers = [vec![file("a/old")], vec![file("a/new"), file("a/.wh..wh..opq")]];
        assert_eq!(life(&layers, (0, 0)), deleted(2, DeletedBy::Opaque));
        assert_eq!(life(&layers, (1, 0)), Status::Present);
    }

    #[test]
    fn the_attributes_of_overlayfs_hide_as_its_names_do() {
        let opaque = marked(directory("a"), OverlayMark::Opaque);
        let layers = [vec![file("a/old"), file("ab")], vec![opaque, file("a/new")]];
        assert_eq!(life(&layers, (0, 0)), deleted(2, DeletedBy::Opaque));
        assert_eq!(life(&layers, (0, 1)), Status::Present);
        assert_eq!(life(&layers, (1, 1)), Status::Present);
        let layers = [vec![file("a")], vec![marked(file("a"), OverlayMark::Whiteout)]];
        assert_eq!(life(&layers, (0, 0)), deleted(2, DeletedBy::Whiteout));
    }

    #[test]
    fn a_whiteout_does_not_hide_a_file_of_its_own_layer() {
        assert_eq!(
            life(&[vec![file("key"), file(".wh.key")]], (0, 0)),
            Status::Present
        );
    }

    #[test]
    fn a_second_file_at_the_path_overwrites_even_in_the_same_layer() {
        assert_eq!(
            life(&[vec![file("key")], vec![file("./key")]], (0, 0)),
            Status::Overwritten { by: 2 }
        );
        assert_eq!(
            life(&[vec![file("key"), file("key")]], (0, 0)),
            Status::Overwritten { by: 1 }
        );
    }

    #[test]
    fn a_parent_that_becomes_a_file_or_a_link_deletes_and_so_does_a_directory_in_its_place() {
        let by = deleted(2, DeletedBy::ReplacedParent);
        assert_eq!(life(&[vec![file("a/key")], vec![file("a")]], (0, 0)), by);
        assert_eq!(life(&[vec![file("a/key")], vec![symlink("a", "b")]], (0, 0)), by);
        assert_eq!(life(&[vec![file("a")], vec![directory("a")]], (0, 0)), by);
        assert_eq!(life(&[vec![file("a")], vec![file("a/b")]], (0, 0)), by);
    }

    #[test]
    fn a_hard_link_keeps_the_content_present() {
        let layers = [vec![file("a"), hard_link("b", "a")], vec![file(".wh.a")]];
        assert_eq!(life(&layers, (0, 0)), Status::Present);
        let layers = [
            vec![file("a"), hard_link("b", "./a")],
            vec![file(".wh.a")],
            vec![file(".wh.b")],
        ];
        assert_eq!(life(&layers, (0, 0)), deleted(3, DeletedBy::Whiteout));
    }

    #[test]
    fn links_beyond_what_is_kept_are_counted_and_a_removed_one_makes_room() {
        let first: PathTable = [file("usr/key"), symlink("a", "usr"), symlink("b", "usr")]
            .into_iter()
            .collect();
        let second: PathTable = [file(".wh.a"), symlink("c", "usr"), file("a/.wh.key")]
            .into_iter()
            .collect();
        let layers = [Some(&first), Some(&second)];
        let of = |room: u64| lives(&layers, &[(0, 0)], room);
        let cost = link_cost(b"a", b"usr");
        let whole = of(2 * cost);
        assert_eq!(whole.links_over, 0);
        assert_eq!(whole.statuses, [deleted(2, DeletedBy::Whiteout)]);
        assert_eq!(of(2 * cost - 1).links_over, 1);
        assert_eq!(of(0).links_over, 3);
        assert_eq!(of(0).statuses, [Status::Present]);
    }

    #[test]
    fn links_above_a_path_are_followed() {
        let merged_usr = vec![
            directory("usr/lib"),
            symlink("lib", "usr/lib"),
            file("usr/lib/key"),
        ];
        assert_eq!(
            life(&[merged_usr.clone(), vec![file("lib/.wh.key")]], (0, 2)),
            deleted(2, DeletedBy::Whiteout)
        );
        assert_eq!(
            life(&[merged_usr, vec![file("lib/key")]], (0, 2)),
            Status::Overwritten { by: 2 }
        );
        let cycle = vec![symlink("a", "b"), symlink("b", "a"), file("a/key")];
        assert_eq!(life(&[cycle], (0, 2)), Status::Present);
    }

    #[test]
    fn a_layer_that_was_not_read_leaves_the_life_unknown() {
        let table: PathTable = [file("key")].into_iter().collect();
        let whiteout: PathTable = [file(".wh.key")].into_iter().collect();
        assert_eq!(
            statuses(&[Some(&table), None], &[(0, 0)]),
            [Status::Unknown { unread: 2 }]
        );
        assert_eq!(statuses(&[None, Some(&table)], &[(1, 0)]), [Status::Present]);
        assert_eq!(
            statuses(&[Some(&table), None, Some(&whiteout)], &[(0, 0)]),
            [deleted(3, DeletedBy::Whiteout)]
        );
    }

    #[test]
    fn bytes_of_a_whiteout_are_listed_nowhere() {
        assert_eq!(life(&[vec![file(".wh.key")]], (0, 0)), Status::Unlisted);
    }

    /// A whole file system, kept as a map of paths: slow, and simple enough to be believed.
    #[derive(Clone, Default)]
    struct Naive(BTreeMap<Vec<u8>, Node>);

    #[derive(Clone, PartialEq)]
    enum Node {
        Directory,
        File(Member),
        Symlink(Vec<u8>),
    }

    impl Naive {
        fn resolve(&self, path: &[u8]) -> Vec<u8> {
            let mut todo: Vec<Vec<u8>> = components(path).map(<[u8]>::to_vec).collect();
            let last = todo.pop().unwrap_or_default();
            let (mut at, mut hops): (Vec<Vec<u8>>, usize) = (Vec::new(), 0);
            while !todo.is_empty() {
                let next = todo.remove(0);
                if next.is_empty() || next == b"." {
                    continue;
                }
                if next == b".." {
                    at.pop();
                    continue;
                }
                at.push(next);
                if let Some(Node::Symlink(target)) = self.0.get(&at.join(&b'/'))
                    && hops < HOPS
                {
                    hops += 1;
                    at.pop();
                    if target.starts_with(b"/") {
                        at.clear();
                    }
                    todo.splice(0..0, components(target).map(<[u8]>::to_vec));
                }
            }
            at.push(last);
            at.join(&b'/')
        }

        fn remove_tree(&mut self, path: &[u8], with_root: bool) {
            let below = [path, b"/"].concat();
            self.0
                .retain(|key, _| !(with_root && key == path || key.starts_with(&below)));
        }

        fn apply(&mut self, index: usize, layer: &[Entry]) {
            let lower = self.clone();
            for entry in layer {
                let table = PathTable::from_iter([entry.clone()]);
                let row = table.row(0).unwrap();
                match row.mark() {
                    Mark::Opaque if row.is_shown() => self.remove_tree(&lower.resolve(&row.path), false),
                    Mark::Opaque => self.remove_tree(parent(&lower.resolve(&row.path)), false),
                    Mark::Whiteout(target) => self.remove_tree(&lower.resolve(&target), true),
                    Mark::None => {}
                }
            }
            for (number, entry) in layer.iter().enumerate() {
                if entry.overlay == Some(OverlayMark::Whiteout)
                    || entry.path.file_name().starts_with(b".wh.")
                    || entry.path.as_bytes().is_empty()
                {
                    continue;
                }
                let path = self.resolve(entry.path.as_bytes());
                let mut above = parent(&path).to_vec();
                while !above.is_empty() {
                    if matches!(self.0.get(&above), None | Some(Node::File(_))) {
                        self.0.insert(above.clone(), Node::Directory);
                    }
                    above = parent(&above).to_vec();
                }
                let node = match entry.kind {
                    EntryKind::Directory => Node::Directory,
                    EntryKind::Symlink => Node::Symlink(entry.link.clone()),
                    EntryKind::HardLink => {
                        let target = self.resolve(EntryPath::normalise(&entry.link).as_bytes());
                        match self.0.get(&target) {
                            Some(Node::File(member)) => Node::File(*member),
                            _ => Node::File((index, number as u32)),
                        }
                    }
                    _ => Node::File((index, number as u32)),
                };
                if node != Node::Directory {
                    self.remove_tree(&path, true);
                }
                self.0.insert(path, node);
            }
        }

        fn shows(&self, member: Member) -> bool {
            self.0.values().any(|node| *node == Node::File(member))
        }
    }

    fn entries() -> impl Strategy<Value = Vec<Vec<Entry>>> {
        let name = prop::sample::select(vec!["a", "b", "c"]);
        let path = prop::collection::vec(name, 1..4).prop_map(|parts| parts.join("/"));
        let entry = (path.clone(), path, 0..11_u8).prop_map(|(path, other, kind)| {
            let (above, base) = path
                .rsplit_once('/')
                .map_or(("", path.as_str()), |(above, base)| (above, base));
            match kind {
                0..=3 => file(&path),
                4 => directory(&path),
                5 => symlink(&path, if other.len() > 3 { &other[2..] } else { &other }),
                6 => hard_link(&path, &other),
                7 => file(&format!("{above}/.wh.{base}")),
                8 => marked(directory(&path), OverlayMark::Opaque),
                9 => marked(file(&path), OverlayMark::Whiteout),
                _ => file(&format!("{path}/.wh..wh..opq")),
            }
        });
        prop::collection::vec(prop::collection::vec(entry, 0..7), 1..5)
    }

    /// A layer of files and whiteouts of distinct names, in two orders.
    fn shuffled() -> impl Strategy<Value = (Vec<Entry>, Vec<Entry>)> {
        let names = vec!["d/a", "d/b", "d/c", "e/a", "e/b", "f"];
        prop::sample::subsequence(names, 0..6)
            .prop_flat_map(|names| {
                let length = names.len();
                (Just(names), prop::collection::vec(any::<bool>(), length), 0..4_u8)
            })
            .prop_map(|(names, are_hidden, marker)| {
                let mut layer: Vec<Entry> = Vec::new();
                for (name, is_hidden) in names.iter().zip(are_hidden) {
                    let slash = name.rfind('/').map_or(0, |slash| slash + 1);
                    let whiteout = format!("{}.wh.{}", &name[..slash], &name[slash..]);
                    layer.push(if is_hidden { file(&whiteout) } else { file(name) });
                }
                layer.extend((marker == 0).then(|| file("d/.wh..wh..opq")));
                layer.extend((marker == 1).then(|| file(".wh.d")));
                layer
            })
            .prop_flat_map(|layer| (Just(layer.clone()), Just(layer).prop_shuffle()))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn whiteouts_hide_the_same_wherever_they_stand_in_their_layer(
            layers in prop::collection::vec(shuffled(), 1..4),
        ) {
            let (first, second): (Vec<_>, Vec<_>) = layers.into_iter().unzip();
            let lives = |layers: &[Vec<Entry>]| -> BTreeMap<(usize, Vec<u8>), Status> {
                let tables: Vec<PathTable> = layers.iter().map(|layer| layer.iter().cloned().collect()).collect();
                let numbered = layers.iter().enumerate().flat_map(|(index, layer)| {
                    layer.iter().enumerate().map(move |(number, entry)| ((index, number as u32), entry))
                });
                let (members, entries): (Vec<Member>, Vec<&Entry>) = numbered.unzip();
                let statuses = statuses(&tables.iter().map(Some).collect::<Vec<_>>(), &members);
                let keys = members.iter().zip(entries).map(|(member, entry)| (member.0, entry.path.as_bytes().to_vec()));
                keys.zip(statuses).collect()
            };
            prop_assert_eq!(lives(&first), lives(&second));
        }

        #[test]
        fn the_life_of_every_file_equals_that_in_a_naive_overlay(layers in entries()) {
            let mut stages = Vec::new();
            let mut naive = Naive::default();
            for (index, layer) in layers.iter().enumerate() {
                naive.apply(index, layer);
                stages.push(naive.clone());
            }
            let tables: Vec<PathTable> = layers.iter().map(|layer| layer.iter().cloned().collect()).collect();
            let members: Vec<Member> = layers.iter().enumerate().flat_map(|(index, layer)| {
                layer.iter().enumerate().filter(|(_, entry)| {
                    entry.kind == EntryKind::File && entry.overlay.is_none() && !entry.path.file_name().starts_with(b".wh.")
                }).map(move |(number, _)| (index, number as u32))
            }).collect();
            let statuses = statuses(&tables.iter().map(Some).collect::<Vec<_>>(), &members);
            for (member, status) in members.iter().zip(statuses) {
                let hidden_by = (member.0..layers.len()).find(|stage| !stages[*stage].shows(*member)).map(|stage| stage + 1);
                prop_assert_eq!(status.hidden_by(), hidden_by, "{:?} is {:?} in {:?}", member, status, layers);
            }
        }
    }
}
