//! What of a set of rules decides where it finds something: by it, a layer that was read with one set need not be read
//! again with another that differs in rules whose literals stand nowhere in it. Looks at no bytes itself.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Literals that stand somewhere, by their numbers in an [`Outline`]. *Cost*: a bit for each literal of the rules.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiteralSet(Vec<u64>);

impl LiteralSet {
    /// Adds a literal.
    pub fn insert(&mut self, number: u32) {
        let word = number as usize / 64;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (number % 64);
    }

    /// Adds the literals of another set, which is empty then.
    pub fn append(&mut self, other: &mut Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (word, other) in self.0.iter_mut().zip(&mut other.0) {
            *word |= std::mem::take(other);
        }
    }

    /// Whether a literal is in both sets.
    pub fn meets(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).any(|(left, right)| left & right != 0)
    }
}

/// A set of rules as far as it decides where something is found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outline {
    /// What searches with them: [`crate::rules::ENGINE`].
    pub(super) engine: String,
    /// Digests of what leads to a rule: literals, and texts in the names of keys.
    pub(super) literals: Vec<[u8; 8]>,
    /// The rules, in their order.
    pub(super) rules: Vec<OutlinedRule>,
}

/// One rule of an [`Outline`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OutlinedRule {
    pub(super) id: String,
    /// Of all that decides what it finds.
    pub(super) digest: [u8; 16],
    /// What leads to it, by number.
    pub(super) literals: Vec<u32>,
    /// Whether it may find something where none of them stands.
    pub(super) is_everywhere: bool,
}

/// How what was found with earlier rules holds for later ones.
#[derive(Clone, Debug)]
pub struct Carried {
    /// Literals of rules that changed, in the numbers of the earlier rules.
    changed: LiteralSet,
    /// By the number of an earlier rule, its later one.
    rules: Vec<Option<u32>>,
}

impl Carried {
    /// Whether what was found in a layer with these literals is what the later rules would find.
    pub fn holds_for(&self, seen: &LiteralSet) -> bool {
        !seen.meets(&self.changed)
    }

    /// The number of an earlier rule among the later ones: `None` where it changed.
    pub fn rule(&self, number: u32) -> Option<u32> {
        self.rules.get(number as usize).copied().flatten()
    }
}

impl Outline {
    /// How what `earlier` rules found holds for these; `None` where it may miss something anywhere: another engine, a
    /// literal that was not looked for, a rule that no literal leads to.
    pub fn carried_from(&self, earlier: &Self) -> Option<Carried> {
        if self.engine != earlier.engine {
            return None;
        }
        let numbers: HashMap<&[u8; 8], u32> = earlier.literals.iter().zip(0..).collect();
        let ours: HashMap<(&str, &[u8; 16]), u32> =
            self.rules.iter().map(OutlinedRule::key).zip(0..).collect();
        let theirs: HashSet<(&str, &[u8; 16])> = earlier.rules.iter().map(OutlinedRule::key).collect();

        let mut changed = LiteralSet::default();
        let mut rules = Vec::new();
        for rule in &earlier.rules {
            let kept = ours.get(&rule.key()).copied();
            rules.push(kept);
            if kept.is_none() {
                if rule.is_everywhere {
                    return None;
                }
                rule.literals.iter().for_each(|&literal| changed.insert(literal));
            }
        }
        for rule in self.rules.iter().filter(|rule| !theirs.contains(&rule.key())) {
            if rule.is_everywhere {
                return None;
            }
            for &literal in &rule.literals {
                changed.insert(*numbers.get(&self.literals[literal as usize])?);
            }
        }
        Some(Carried { changed, rules })
    }
}

impl OutlinedRule {
    fn key(&self) -> (&str, &[u8; 16]) {
        (&self.id, &self.digest)
    }
}

/// What a literal is known by, whatever else it is a literal of. `kind` keeps texts of keys from literals.
pub(super) fn known_by(kind: u8, text: &[u8]) -> [u8; 8] {
    let digest = Sha256::new().chain_update([kind]).chain_update(text).finalize();
    *digest.first_chunk().expect("the digest is longer")
}
