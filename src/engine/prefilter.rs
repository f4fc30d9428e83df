//! Finds where the literals of all rules begin, at about the speed at which the bytes can be decompressed. Knows no
//! rules and judges nothing: a hit is only a place to look at.
//!
//! Each literal of four bytes or more is represented by one of its 4-grams, the one that is rarest in usual files. Bytes
//! are folded to lower case first (bit 5 set, which also joins some other characters: the exact comparison sorts that
//! out). A table of 8192 fingerprints, small enough for the first-level cache, answers for each position of a
//! window whether a gram of some literal may begin there; about one position in a thousand remains.
//!
//! Shorter literals, and the few whose grams find no slot of their own, are searched for by `aho_corasick`.
//!
//! Literals in UTF-16 would enter as further literals with a zero byte after each character; nothing else here would
//! change.

use std::collections::HashMap;
use std::ops::Range;

use aho_corasick::packed;
use aho_corasick::{AhoCorasick, AhoCorasickKind};

use crate::rules::Literal;

/// A place where a literal begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Hit {
    /// Offset in the haystack.
    pub(super) at: usize,
    /// The literal, by its place in the list given to [`Prefilter::new`].
    pub(super) literal: u32,
}

/// A compiled list of literals.
pub(super) struct Prefilter {
    literals: Vec<Literal>,
    longest: usize,
    grams: Grams,
    others: Others,
}

impl Prefilter {
    /// Compiles `literals`, none of which is empty.
    pub(super) fn new(literals: Vec<Literal>) -> Self {
        let (grams, left) = Grams::place(&literals);
        Self {
            longest: literals
                .iter()
                .map(|literal| literal.text.len())
                .max()
                .unwrap_or(0),
            others: Others::new(&literals, &left),
            grams,
            literals,
        }
    }

    /// The literal of a hit.
    pub(super) fn literals(&self) -> &[Literal] {
        &self.literals
    }

    pub(super) fn literal(&self, hit: Hit) -> &Literal {
        &self.literals[hit.literal as usize]
    }

    /// Replaces `hits` by all hits that begin in `owned`, in order of their place. What `haystack` has behind `owned` is
    /// used to complete literals that begin in it.
    pub(super) fn find(&self, haystack: &[u8], owned: Range<usize>, hits: &mut Vec<Hit>) {
        hits.clear();
        let end = owned.end.saturating_add(self.longest).min(haystack.len());
        let Some(searched) = haystack.get(owned.start..end) else {
            return;
        };
        let mut add = |at: usize, literal: u32| {
            if at < owned.len() {
                hits.push(Hit {
                    at: owned.start + at,
                    literal,
                });
            }
        };
        self.grams.find(searched, &mut add);
        self.others.find(searched, &self.literals, &mut add);
        hits.sort_unstable();
    }
}

impl Literal {
    fn begins(&self, haystack: &[u8], at: usize) -> bool {
        let Some(text) = haystack.get(at..).and_then(|rest| rest.get(..self.text.len())) else {
            return false;
        };
        is_alike(&self.text, text, self.ignore_case)
    }
}

/// Whether a text of a literal, in lower case where case is ignored, is this one.
fn is_alike(literal: &[u8], text: &[u8], ignore_case: bool) -> bool {
    if ignore_case {
        literal.eq_ignore_ascii_case(text)
    } else {
        literal == text
    }
}

const SLOTS: usize = 8192;

/// The bits of a 16-bit product that are left out of a slot.
const SLOT_SHIFT: u32 = u16::BITS - SLOTS.trailing_zeros();

/// Positions that are hashed before any of them is looked up.
const BLOCK: usize = 256;

/// Positions that are compared before anything is decided.
const GROUP: usize = 16;

/// Multipliers that are tried before more than [`CLASHES`] literals are left to the other search.
const MULTIPLIERS: u32 = 32;

/// Literals of four bytes or more that may be left to the other search, which costs the same for a dozen. With 1,700
/// literals, 270 of which have one gram only, about every third multiplier leaves no more.
const CLASHES: usize = 3;

/// The literals of four bytes or more, by one 4-gram each.
struct Grams {
    /// By slot, the fingerprint of the gram that has it. The table has more entries than there are slots, so that no slot
    /// needs a check of its bounds; what is behind the slots is never touched.
    fingerprints: Box<[u16; 1 << u16::BITS]>,
    hash: Hash,
    /// The place in `owners` of the literals that have a slot; only read behind a fingerprint that fits.
    owned_by: Vec<Range<u16>>,
    /// The literals, those that share a gram side by side, and the text of all: what is compared thousands of times
    /// a megabyte stays in the first-level cache.
    owners: Vec<Owner>,
    texts: Vec<u8>,
}

/// A literal that a gram leads to.
struct Owner {
    literal: u32,
    /// How far the gram is from its begin.
    offset: u8,
    ignore_case: bool,
    /// Its text.
    text: Range<u16>,
}

impl Grams {
    /// Places as many literals as possible; the numbers of the others come back.
    fn place(literals: &[Literal]) -> (Self, Vec<u32>) {
        let common = common_grams();
        let mut choices: Vec<(u32, Vec<(usize, u32)>)> = (0_u32..)
            .zip(literals)
            .map(|(n, literal)| (n, by_rarity(&literal.text, &common)))
            .collect();
        // Those with the least choice first.
        choices.sort_by_key(|(n, grams)| (grams.len(), *n));
        let hopeless = choices.iter().filter(|(_, grams)| grams.is_empty()).count();
        let mut best: Option<(Self, Vec<u32>)> = None;
        for n in 0..MULTIPLIERS {
            let tried = Self::place_by(Hash::new(n), literals, &choices);
            let left = tried.1.len();
            if best.as_ref().is_none_or(|best| left < best.1.len()) {
                best = Some(tried);
            }
            if left <= hopeless + CLASHES {
                break;
            }
        }
        best.expect("at least one multiplier is tried")
    }

    fn place_by(hash: Hash, literals: &[Literal], choices: &[(u32, Vec<(usize, u32)>)]) -> (Self, Vec<u32>) {
        // By slot: the fingerprint of the gram that has it, and its owners' place.
        let mut taken: Vec<Option<(u16, u16)>> = vec![None; SLOTS];
        let mut owners: Vec<Vec<(u32, usize)>> = Vec::new();
        let mut left = Vec::new();
        for (n, grams) in choices {
            let free = grams
                .iter()
                .map(|&(offset, gram)| (offset, hash.of(gram)))
                .find(|&(_, (slot, print))| taken[slot].is_none_or(|(other, _)| other == print));
            let Some((offset, (slot, print))) = free else {
                left.push(*n);
                continue;
            };
            let next = u16::try_from(owners.len()).expect("there are fewer owners than slots");
            let (_, owner) = *taken[slot].get_or_insert((print, next));
            if owner == next {
                owners.push(Vec::new());
            }
            owners[usize::from(owner)].push((*n, offset));
        }
        // An empty slot must hold some number. Zeros, spaces and the like fill whole files, so it is not theirs.
        let mut fingerprints = vec![0_u16; 1 << u16::BITS];
        for byte in 0..=u8::MAX {
            let (slot, print) = hash.of(u32::from_le_bytes([byte; 4]));
            let entry = &mut fingerprints[slot];
            if *entry == print {
                *entry = !*entry;
            }
        }
        let mut owned_by = vec![0..0; SLOTS];
        let (mut flat, mut texts) = (Vec::new(), Vec::new());
        for (slot, taken) in taken.iter().enumerate() {
            let Some((print, owner)) = *taken else { continue };
            let owners = &owners[usize::from(owner)];
            // A user's rules may have more text than is told apart; then the other search is as good.
            let bytes: usize = owners.iter().map(|(n, _)| literals[*n as usize].text.len()).sum();
            let most = usize::from(u16::MAX);
            if texts.len() + bytes > most || flat.len() + owners.len() > most {
                left.extend(owners.iter().map(|(n, _)| *n));
                continue;
            }
            fingerprints[slot] = print;
            let begin = flat.len() as u16;
            for &(literal, offset) in owners {
                let Literal { text, ignore_case } = &literals[literal as usize];
                let start = texts.len() as u16;
                texts.extend_from_slice(text);
                flat.push(Owner {
                    literal,
                    offset: u8::try_from(offset).expect("a literal has 128 bytes at most"),
                    ignore_case: *ignore_case,
                    text: start..texts.len() as u16,
                });
            }
            owned_by[slot] = begin..flat.len() as u16;
        }
        let fingerprints = fingerprints
            .into_boxed_slice()
            .try_into()
            .expect("it has the length of the table");
        (
            Self {
                fingerprints,
                hash,
                owned_by,
                owners: flat,
                texts,
            },
            left,
        )
    }

    fn find(&self, haystack: &[u8], add: &mut impl FnMut(usize, u32)) {
        if self.owners.is_empty() {
            return;
        }
        let mut planes = [Plane::default(), Plane::default()];
        let mut begin = 0;
        while let Some(block) = haystack
            .get(begin..)
            .and_then(|rest| rest.first_chunk::<{ BLOCK + 3 }>())
        {
            self.search(block, &mut planes, |at| self.look(haystack, begin + at, add));
            begin += BLOCK;
        }
        // What is left is a block once zeros follow. Grams that reach into them are no grams of the haystack.
        while let Some(rest) = haystack.get(begin..).filter(|rest| rest.len() >= 4) {
            let mut block = [0; BLOCK + 3];
            let length = rest.len().min(block.len());
            block[..length].copy_from_slice(&rest[..length]);
            self.search(&block, &mut planes, |at| self.look(haystack, begin + at, add));
            begin += BLOCK;
        }
    }

    /// Gives the places in a block whose grams may be some of ours: two planes, the even places and the odd ones, as in
    /// each of them two halves of a gram are numbers of 16 bits side by side, which is what vectors are made of.
    fn search(&self, block: &[u8; BLOCK + 3], planes: &mut [Plane; 2], mut found: impl FnMut(usize)) {
        for (odd, plane) in planes.iter_mut().enumerate() {
            let bytes = block[odd..]
                .first_chunk()
                .expect("a block has a byte more for the odd");
            plane.fill(bytes, self.hash);
        }
        for plane in &mut *planes {
            plane.look_up(&self.fingerprints);
        }
        for (odd, plane) in planes.iter().enumerate() {
            let mut groups = plane.alike();
            while groups != 0 {
                let begin = groups.trailing_zeros() as usize * GROUP;
                groups &= groups - 1;
                for at in begin..begin + GROUP {
                    if plane.prints[at] == plane.stored[at] {
                        found(2 * at + odd);
                    }
                }
            }
        }
    }

    /// Compares the literals that the gram at `at` leads to, if it does.
    fn look(&self, haystack: &[u8], at: usize, add: &mut impl FnMut(usize, u32)) {
        let Some(&gram) = haystack.get(at..).and_then(|rest| rest.first_chunk::<4>()) else {
            return;
        };
        let (slot, print) = self.hash.of(u32::from_le_bytes(gram));
        if self.fingerprints[slot] != print {
            return;
        }
        let owned = &self.owned_by[slot];
        // A gram that only looks like one leads to literals that do not begin there.
        for owner in &self.owners[usize::from(owned.start)..usize::from(owned.end)] {
            let text = &self.texts[usize::from(owner.text.start)..usize::from(owner.text.end)];
            let begin = at.checked_sub(usize::from(owner.offset));
            let found = begin.and_then(|begin| haystack.get(begin..begin + text.len()));
            if found.is_some_and(|found| is_alike(text, found, owner.ignore_case)) {
                add(at - usize::from(owner.offset), owner.literal);
            }
        }
    }
}

/// Lower case for letters; some other characters become one.
#[inline(always)]
fn fold(gram: u32) -> u32 {
    gram | 0x2020_2020
}

/// Two sums of products of the halves of a gram: the slot, and the fingerprint that tells it from others of its slot.
/// Halves, because 16-bit products are what every processor has eight of at a time. No two grams have both sums alike, so
/// with the bits that are left out of a slot, eight of all 2³² look like one.
#[derive(Clone, Copy)]
struct Hash {
    slot: [u16; 2],
    print: [u16; 2],
}

impl Hash {
    fn new(n: u32) -> Self {
        let odd = |n: u32| (n.wrapping_mul(0x9E37_79B9).wrapping_add(0x85EB_CA6B) >> 16) as u16 | 1;
        Self {
            slot: [odd(4 * n), odd(4 * n + 1)],
            // Of four odd numbers the determinant would be even, and the sums of many grams alike.
            print: [odd(4 * n + 2), odd(4 * n + 3) ^ 1],
        }
    }

    /// The slot and the fingerprint of a gram, folded or not.
    fn of(self, gram: u32) -> (usize, u16) {
        let (slot, print) = self.of_halves(gram as u16, (gram >> 16) as u16);
        (usize::from(slot), print)
    }

    #[inline(always)]
    fn of_halves(self, low: u16, high: u16) -> (u16, u16) {
        let (low, high) = (low | 0x2020, high | 0x2020);
        let sum = |by: [u16; 2]| low.wrapping_mul(by[0]).wrapping_add(high.wrapping_mul(by[1]));
        (sum(self.slot) >> SLOT_SHIFT, sum(self.print))
    }
}

/// Every other place of a block. Each step fills one list from the last: together in one loop, the compiler would carry
/// each number from the vector registers and back by itself, which takes half as long again. Aligned, as vectors that lie
/// across two cache lines take longer by as much.
#[repr(align(64))]
struct Plane {
    slots: [u16; BLOCK / 2],
    prints: [u16; BLOCK / 2],
    stored: [u16; BLOCK / 2],
}

impl Default for Plane {
    fn default() -> Self {
        Self {
            slots: [0; BLOCK / 2],
            prints: [0; BLOCK / 2],
            stored: [0; BLOCK / 2],
        }
    }
}

impl Plane {
    #[inline(never)]
    fn fill(&mut self, bytes: &[u8; BLOCK + 2], hash: Hash) {
        let (low, high) = (bytes.as_chunks::<2>().0, bytes[2..].as_chunks::<2>().0);
        let halves = low.iter().zip(high);
        for ((slot, print), (low, high)) in self.slots.iter_mut().zip(&mut self.prints).zip(halves) {
            (*slot, *print) = hash.of_halves(u16::from_le_bytes(*low), u16::from_le_bytes(*high));
        }
    }

    #[inline(never)]
    fn look_up(&mut self, fingerprints: &[u16; 1 << u16::BITS]) {
        for (stored, slot) in self.stored.iter_mut().zip(&self.slots) {
            *stored = fingerprints[usize::from(*slot)];
        }
    }

    /// A bit for each group, the first one lowest: whether any of its fingerprints is the one that is stored.
    #[inline(never)]
    fn alike(&self) -> u32 {
        let groups = self.prints.as_chunks::<GROUP>().0.iter();
        let mut alike = 0;
        for (number, (prints, stored)) in groups.zip(self.stored.as_chunks::<GROUP>().0).enumerate() {
            // No branch for each: a vector of comparisons.
            let any = prints.iter().zip(stored).fold(0_u16, |any, (print, stored)| {
                any | if print == stored { u16::MAX } else { 0 }
            });
            alike |= u32::from(any != 0) << number;
        }
        alike
    }
}

/// The folded grams of a literal and their offsets, rarest first.
fn by_rarity(text: &[u8], common: &HashMap<u32, u32>) -> Vec<(usize, u32)> {
    let mut grams: Vec<(u32, u32, usize, u32)> = text
        .windows(4)
        .enumerate()
        .map(|(offset, bytes)| {
            let gram = fold(u32::from_le_bytes(bytes.try_into().expect("windows of four")));
            let commonness = commonness(gram);
            let rank = match commonness {
                u32::MAX => u32::MAX,
                _ => common.get(&gram).copied().unwrap_or_default(),
            };
            (rank, commonness, offset, gram)
        })
        .collect();
    grams.sort_unstable();
    grams
        .into_iter()
        .map(|(_, _, offset, gram)| (offset, gram))
        .collect()
}

/// Four characters and a bar each, the commonest first; `_` stands for what it is folded to. Which of the grams of our
/// literals were met most often in layers of Debian, Python, Node, Java and Go packages, twice a megabyte at least: what is
/// not here is rarer, whatever its letters. Only speed depends on it.
const COMMON_GRAMS: &str = include_str!("common-grams.txt");

/// The common grams, folded, and their rank, which is the higher the commoner they are.
fn common_grams() -> HashMap<u32, u32> {
    let grams = COMMON_GRAMS
        .lines()
        .flat_map(|line| line.as_bytes().as_chunks::<5>().0);
    grams
        .rev()
        .zip(1..)
        .map(|(&[a, b, c, d, _], rank)| (fold(u32::from_le_bytes([a, b, c, d])), rank))
        .collect()
}

/// How often a folded gram is likely to be met, in eighths of a bit.
fn commonness(gram: u32) -> u32 {
    let bytes = gram.to_le_bytes();
    if bytes == [bytes[0]; 4] {
        // Rules, padding and indentation are made of such runs, whatever the byte.
        return u32::MAX;
    }
    bytes
        .iter()
        .map(|byte| u32::from(COMMONNESS[usize::from((byte & 0xC0) >> 1 | byte & 0x1F)]))
        .sum()
}

/// Frequency of each folded byte (bit 5 left out) in eighths of a bit above 2⁻¹⁶: the larger of that in source text and
/// that in ELF files, 24 MB each. Only the order of the sums matters, and only for speed.
#[rustfmt::skip]
const COMMONNESS: [u8; 128] = [
    114, 88, 74, 69, 85, 69, 67, 75, 81, 81, 87, 61, 79, 72, 80, 80,
    80, 74, 78, 62, 65, 67, 61, 62, 72, 65, 75, 64, 62, 70, 61, 64,
    72, 90, 72, 83, 82, 97, 83, 73, 91, 88, 57, 66, 87, 78, 88, 88,
    80, 58, 90, 92, 93, 81, 65, 67, 69, 69, 60, 65, 67, 65, 58, 81,
    77, 59, 57, 69, 66, 63, 57, 54, 62, 81, 58, 78, 60, 73, 55, 54,
    70, 56, 54, 55, 59, 55, 58, 54, 60, 56, 56, 57, 58, 53, 54, 55,
    69, 62, 58, 63, 61, 57, 57, 61, 75, 63, 56, 63, 79, 53, 55, 57,
    67, 57, 60, 57, 53, 53, 58, 58, 64, 59, 60, 61, 57, 58, 62, 79,
];

/// The literals that have no gram of their own. Both searches only find places; which of the literals begin there
/// is seen by comparing.
enum Others {
    None,
    Packed(packed::Searcher, Vec<u32>),
    /// Where the processor or the number of literals rules out a vectorised search.
    Automaton(AhoCorasick, Vec<u32>),
}

impl Others {
    fn new(literals: &[Literal], left: &[u32]) -> Self {
        let left = left.to_vec();
        let mut patterns: Vec<Vec<u8>> = left
            .iter()
            .flat_map(|&n| spellings(&literals[n as usize]))
            .collect();
        patterns.sort();
        patterns.dedup();
        if patterns.is_empty() {
            return Self::None;
        }
        match packed::Config::new().builder().extend(&patterns).build() {
            Some(searcher) => Self::Packed(searcher, left),
            None => Self::Automaton(Self::automaton(literals, &left), left),
        }
    }

    /// Patterns of two bytes each: no place is found twice.
    fn automaton(literals: &[Literal], left: &[u32]) -> AhoCorasick {
        let mut patterns: Vec<Vec<u8>> = left
            .iter()
            .map(|&n| literals[n as usize].text[..2].to_ascii_lowercase())
            .collect();
        patterns.sort();
        patterns.dedup();
        AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::DFA))
            .ascii_case_insensitive(true)
            .build(&patterns)
            .expect("at most 65536 patterns of two bytes are within every limit")
    }

    fn find(&self, haystack: &[u8], literals: &[Literal], add: &mut impl FnMut(usize, u32)) {
        let mut compare = |left: &[u32], at| {
            for &n in left
                .iter()
                .filter(|&&n| literals[n as usize].begins(haystack, at))
            {
                add(at, n);
            }
        };
        match self {
            Self::None => {}
            Self::Packed(searcher, left) => {
                let mut from = 0;
                // Not `find_iter`: that would pass over a place inside the match before it.
                while let Some(found) = searcher.find_in(haystack, (from..haystack.len()).into()) {
                    compare(left, found.start());
                    from = found.start() + 1;
                }
            }
            Self::Automaton(automaton, left) => {
                for found in automaton.find_overlapping_iter(haystack) {
                    compare(left, found.start());
                }
            }
        }
    }
}

/// Texts one of which stands wherever the literal does: itself, or where case is ignored all spellings of its first
/// three bytes.
fn spellings(literal: &Literal) -> Vec<Vec<u8>> {
    if !literal.ignore_case {
        return vec![literal.text.clone()];
    }
    let mut all = vec![Vec::new()];
    for &byte in literal.text.iter().take(3) {
        all = all
            .into_iter()
            .flat_map(|text: Vec<u8>| {
                [byte, byte.to_ascii_uppercase()].map(|byte| [text.as_slice(), &[byte]].concat())
            })
            .collect();
    }
    all
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::example::Rng;

    fn literal(text: &str, ignore_case: bool) -> Literal {
        Literal {
            text: text.as_bytes().to_vec(),
            ignore_case,
        }
    }

    fn naive(literals: &[Literal], haystack: &[u8], owned: Range<usize>) -> Vec<Hit> {
        let mut hits = Vec::new();
        for at in owned {
            for (n, literal) in (0_u32..).zip(literals) {
                if literal.begins(haystack, at) {
                    hits.push(Hit { at, literal: n });
                }
            }
        }
        hits
    }

    fn find(prefilter: &Prefilter, haystack: &[u8], owned: Range<usize>) -> Vec<Hit> {
        let mut hits = Vec::new();
        prefilter.find(haystack, owned, &mut hits);
        hits
    }

    #[test]
    fn a_literal_is_led_to_by_its_rarest_gram() {
        let rarest = |text: &str| by_rarity(text.as_bytes(), &common_grams())[0].0;
        // `tion` and `_key` are in every source.
        assert_eq!(rarest("tionzqxv"), 4);
        assert_eq!(rarest("zqxj_key"), 0);
    }

    #[test]
    fn no_two_grams_have_both_sums_alike() {
        for n in 0..MULTIPLIERS {
            let Hash { slot, print } = Hash::new(n);
            // Its parity is that of the sum.
            let determinant = slot[0] & print[1] & 1 ^ slot[1] & print[0] & 1;
            assert_eq!(determinant, 1, "{n}: two equations have one solution");
        }
    }

    #[test]
    fn common_grams_are_folded_and_told_apart() {
        let lines = COMMON_GRAMS.lines();
        assert!(lines.clone().all(|line| line.len() % 5 == 0 && line.is_ascii()));
        let count: usize = lines.map(|line| line.len() / 5).sum();
        let grams = common_grams();
        assert_eq!(grams.len(), count);
        assert!(grams.keys().all(|gram| fold(*gram) == *gram));
    }

    #[test]
    fn few_built_in_literals_are_left_to_the_other_search() {
        let rules = crate::rules::RuleSet::builtin();
        let parts = rules
            .rules()
            .iter()
            .flat_map(|rule| std::iter::once(&rule.anchor).chain(&rule.parts));
        let mut literals: Vec<Literal> = parts.flat_map(|part| part.literals.clone()).collect();
        literals.sort();
        literals.dedup();
        let short = literals.iter().filter(|literal| literal.text.len() < 4).count();
        let (_, left) = Grams::place(&literals);
        assert!(left.len() <= short + CLASHES, "{left:?}");
    }

    fn literals() -> impl Strategy<Value = Vec<Literal>> {
        // Few characters, so that literals overlap, contain each other and share grams.
        let one = ("[abAB_-]{2,9}|[a-zA-Z0-9_=-]{2,12}|-{2,7}", any::<bool>());
        let one = one.prop_map(|(text, ignore_case)| {
            literal(
                &if ignore_case {
                    text.to_ascii_lowercase()
                } else {
                    text
                },
                ignore_case,
            )
        });
        proptest::collection::vec(one, 0..60)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn hits_are_those_of_a_naive_search(
            literals in literals(),
            noise in proptest::collection::vec(prop_oneof![Just(b'-'), Just(b'a'), Just(b'B'), any::<u8>()], 0..700),
            planted in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<bool>()), 0..12),
            cut in any::<(prop::sample::Index, prop::sample::Index)>(),
        ) {
            let mut haystack = noise;
            for (which, place, upper) in planted {
                if literals.is_empty() {
                    continue;
                }
                let mut text = which.get(&literals).text.clone();
                if upper {
                    text.make_ascii_uppercase();
                }
                let place = place.index(haystack.len() + 1);
                haystack.splice(place..place, text);
            }
            let (one, other) = (cut.0.index(haystack.len() + 1), cut.1.index(haystack.len() + 1));
            let prefilter = Prefilter::new(literals.clone());
            for owned in [0..haystack.len(), one.min(other)..one.max(other)] {
                prop_assert_eq!(find(&prefilter, &haystack, owned.clone()), naive(&literals, &haystack, owned));
            }
        }
    }

    #[test]
    fn many_literals_with_one_gram_each_are_all_found() {
        // More than can be placed without a clash: some must take the other way.
        let mut rng = Rng::new(1);
        let mut texts: Vec<String> = (0..1500)
            .map(|_| String::from_utf8(rng.characters("a-z0-9_", 4)).expect("ASCII"))
            .collect();
        texts.sort();
        texts.dedup();
        let literals: Vec<Literal> = texts.iter().map(|text| literal(text, false)).collect();
        let prefilter = Prefilter::new(literals.clone());
        assert!(!matches!(prefilter.others, Others::None), "the test has no clash");
        let haystack = texts.join("|").into_bytes();
        assert_eq!(
            find(&prefilter, &haystack, 0..haystack.len()),
            naive(&literals, &haystack, 0..haystack.len())
        );
    }

    #[test]
    fn short_literals_are_found_without_a_vectorised_search() {
        let literals = vec![literal("sk", true), literal("Q~", false), literal("SKx", false)];
        let left = [0, 1, 2];
        let automaton = Others::Automaton(Others::automaton(&literals, &left), left.to_vec());
        let haystack = b"SKx sK q~ Q~ skx";
        let mut hits = Vec::new();
        automaton.find(haystack, &literals, &mut |at, literal| {
            hits.push(Hit { at, literal })
        });
        hits.sort_unstable();
        assert_eq!(hits, naive(&literals, haystack, 0..haystack.len()));
        assert_eq!(hits.len(), 5);
    }

    #[test]
    fn files_of_one_byte_pass_without_a_look() {
        let literals = vec![literal("-----BEGIN", false), literal("ghp_", false)];
        let prefilter = Prefilter::new(literals);
        for byte in 0..=u8::MAX {
            let (slot, print) = prefilter.grams.hash.of(u32::from_le_bytes([byte; 4]));
            assert_ne!(prefilter.grams.fingerprints[slot], print, "byte {byte}");
        }
    }

    #[test]
    fn the_rarest_gram_of_a_literal_stands_for_it() {
        let places: Vec<usize> = by_rarity(b"-----BEGIN", &common_grams())
            .into_iter()
            .map(|(offset, _)| offset)
            .collect();
        assert_eq!(places[5..], [0, 1], "the two grams of hyphens alone come last");
    }
}
