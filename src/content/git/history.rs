//! Gives blobs the names that commits give them: commits and trees in, `<commit>:<path>` out. Each object is named by
//! the first commit that has it, parents before children, and once, however many commits go on to have it.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::ops::Range;

use super::ObjectId;

/// Commits and trees, as they are met. Cost: 8 bytes for each entry of a tree, about 100 for each object.
pub(super) struct History {
    /// Entries of trees that are kept.
    most_entries: usize,
    numbers: HashMap<ObjectId, u32>,
    commits: Vec<Commit>,
    /// By the number of the tree, its entries.
    trees: HashMap<u32, Range<usize>>,
    entries: Vec<Entry>,
    names: Vec<Vec<u8>>,
    name_numbers: HashMap<Vec<u8>, u32>,
    is_over: bool,
}

struct Commit {
    id: ObjectId,
    tree: u32,
    parents: Vec<ObjectId>,
    /// Of the committer, in seconds.
    time: i64,
}

#[derive(Clone, Copy)]
struct Entry {
    object: u32,
    name: u32,
}

impl History {
    pub(super) fn new(most_entries: usize) -> Self {
        Self {
            most_entries,
            numbers: HashMap::new(),
            commits: Vec::new(),
            trees: HashMap::new(),
            entries: Vec::new(),
            names: Vec::new(),
            name_numbers: HashMap::new(),
            is_over: false,
        }
    }

    /// Whether there was more than is kept, so that names are missing.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    fn is_full(&mut self, more: usize) -> bool {
        let kept = self.entries.len() + self.commits.len();
        let is_full = kept + more > self.most_entries;
        self.is_over |= is_full;
        is_full
    }

    fn number(&mut self, id: ObjectId) -> u32 {
        let next = self.numbers.len() as u32;
        *self.numbers.entry(id).or_insert(next)
    }

    /// Adds a commit: `tree`, `parent` and `committer` lines, up to the empty line before its message.
    pub(super) fn add_commit(&mut self, id: ObjectId, content: &[u8]) {
        let mut tree = None;
        let mut parents = Vec::new();
        let mut time = 0;
        for line in content.split(|byte| *byte == b'\n') {
            if line.is_empty() {
                break;
            } else if let Some(hex) = line.strip_prefix(b"tree ") {
                tree = tree.or(ObjectId::from_hex(hex));
            } else if let Some(hex) = line.strip_prefix(b"parent ") {
                parents.extend(ObjectId::from_hex(hex));
            } else if line.starts_with(b"committer ") {
                let mut words = line.rsplit(|byte| *byte == b' ');
                let seconds = words.nth(1).and_then(|word| std::str::from_utf8(word).ok());
                time = seconds.and_then(|word| word.parse().ok()).unwrap_or(0);
            }
        }
        if let (Some(tree), false) = (tree, self.is_full(1 + parents.len())) {
            let tree = self.number(tree);
            self.commits.push(Commit {
                id,
                tree,
                parents,
                time,
            });
        }
    }

    /// Adds a tree: mode, name and id of each entry. One that cannot be read to its end counts as far as it goes.
    pub(super) fn add_tree(&mut self, id: ObjectId, content: &[u8]) {
        let start = self.entries.len();
        let mut rest = content;
        while !rest.is_empty() && !self.is_full(1) {
            let Some((is_other_repository, name, object, after)) = tree_entry(rest, id.length) else {
                break;
            };
            rest = after;
            if is_other_repository {
                continue;
            }
            let object = self.number(object);
            let name = match self.name_numbers.get(name) {
                Some(number) => *number,
                None => {
                    let number = self.names.len() as u32;
                    self.names.push(name.to_vec());
                    self.name_numbers.insert(name.to_vec(), number);
                    number
                }
            };
            self.entries.push(Entry { object, name });
        }
        let number = self.number(id);
        let end = self.entries.len();
        self.trees.entry(number).or_insert(start..end);
    }

    /// Works out the names.
    pub(super) fn names(self, longest: usize) -> Names {
        let mut placed: Vec<Option<Placed>> = vec![None; self.numbers.len()];
        let ordered = self.ordered();
        for (age, commit) in (0..).zip(ordered.iter().map(|number| &self.commits[*number])) {
            if placed[commit.tree as usize].is_some() {
                continue;
            }
            let root = Placed {
                commit: age,
                inside: None,
            };
            placed[commit.tree as usize] = Some(root);
            let mut waiting = vec![commit.tree];
            while let Some(tree) = waiting.pop() {
                let entries = self.trees.get(&tree).cloned().unwrap_or_default();
                for entry in &self.entries[entries] {
                    let place = &mut placed[entry.object as usize];
                    if place.is_none() {
                        *place = Some(Placed {
                            commit: age,
                            inside: Some((tree, entry.name)),
                        });
                        waiting.push(entry.object);
                    }
                }
            }
        }
        Names {
            numbers: self.numbers,
            placed,
            commits: ordered.iter().map(|number| self.commits[*number].id).collect(),
            names: self.names,
            longest,
        }
    }

    /// The commits, each behind its parents; of those that could be next the oldest.
    fn ordered(&self) -> Vec<usize> {
        let by_id: HashMap<ObjectId, usize> = (0..)
            .zip(&self.commits)
            .map(|(number, commit)| (commit.id, number))
            .collect();
        let mut children: Vec<Vec<usize>> = vec![Vec::new(); self.commits.len()];
        let mut missing = vec![0_usize; self.commits.len()];
        for (number, commit) in self.commits.iter().enumerate() {
            for parent in commit.parents.iter().filter_map(|parent| by_id.get(parent)) {
                children[*parent].push(number);
                missing[number] += 1;
            }
        }
        let key = |number: usize| (self.commits[number].time, self.commits[number].id, number);
        let mut next: BinaryHeap<_> = (0..self.commits.len())
            .filter(|number| missing[*number] == 0)
            .map(|number| Reverse(key(number)))
            .collect();
        let mut ordered = Vec::with_capacity(self.commits.len());
        while let Some(Reverse((_, _, number))) = next.pop() {
            ordered.push(number);
            for child in std::mem::take(&mut children[number]) {
                missing[child] -= 1;
                if missing[child] == 0 {
                    next.push(Reverse(key(child)));
                }
            }
        }
        // Only commits that are made up can be each other's parents.
        ordered.extend((0..self.commits.len()).filter(|number| missing[*number] > 0));
        ordered
    }
}

/// Where an object was met first.
#[derive(Clone, Copy)]
struct Placed {
    /// By age.
    commit: u32,
    /// The tree it is an entry of, and its name there; none for the tree of a commit.
    inside: Option<(u32, u32)>,
}

/// What commits call objects.
pub(super) struct Names {
    numbers: HashMap<ObjectId, u32>,
    placed: Vec<Option<Placed>>,
    /// By age.
    commits: Vec<ObjectId>,
    names: Vec<Vec<u8>>,
    /// Bytes of a path; longer ones are none.
    longest: usize,
}

impl Names {
    /// `<commit>:<path>` and which commit that is, by age; or the id of the object itself.
    pub(super) fn name(&self, id: &ObjectId) -> (Vec<u8>, Option<u32>) {
        match self.in_commit(id) {
            Some((name, commit)) => (name, Some(commit)),
            None => (id.to_string().into_bytes(), None),
        }
    }

    fn in_commit(&self, id: &ObjectId) -> Option<(Vec<u8>, u32)> {
        let placed = self.placed[*self.numbers.get(id)? as usize]?;
        let mut parts: Vec<&[u8]> = Vec::new();
        let mut bytes = 0;
        let mut inside = placed.inside;
        while let Some((tree, name)) = inside {
            let name = &self.names[name as usize];
            bytes += name.len() + 1;
            if bytes > self.longest {
                return None;
            }
            parts.push(name);
            inside = self.placed[tree as usize]?.inside;
        }
        parts.reverse();
        let mut name = format!("{}:", self.commits[placed.commit as usize]).into_bytes();
        name.extend(parts.join(&b'/'));
        Some((name, placed.commit))
    }
}

/// Whether the first entry of a tree is a commit of another repository, its name, its object, and what follows it.
fn tree_entry(content: &[u8], id_bytes: u8) -> Option<(bool, &[u8], ObjectId, &[u8])> {
    let space = content.iter().take(8).position(|byte| *byte == b' ')?;
    let (mode, rest) = content.split_at(space);
    if !mode.iter().all(|digit| (b'0'..=b'7').contains(digit)) {
        return None;
    }
    let rest = &rest[1..];
    let end = memchr::memchr(0, rest)?;
    let (id, after) = rest[end + 1..].split_at_checked(usize::from(id_bytes))?;
    Some((mode == b"160000", &rest[..end], ObjectId::of(id)?, after))
}
